"""Query sets: degraded copies of songs, each a function of the song's name and the seed alone."""

import hashlib
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from nafp.audio.packing import PackedLayout
from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split
from nafp.audio.wav import read_wav, write_wav
from nafp.augment.chain import Chain
from nafp.augment.time import moved_samples, rate_of
from nafp.disk import check_free_space
from nafp.files import atomic_write
from nafp.walk import escaped_path, files_below, is_wav, unescaped_path


def write_queries(songs: Path, queries: Path, chain: Chain, seed: int) -> None:
    """Write a degraded copy of every WAV file below ``songs`` to the same place below ``queries``."""
    paths = tqdm(files_below(songs, is_wav), desc="queries", unit="song")
    clips = ((escaped_path(path.relative_to(songs).as_posix()), read_wav(path)) for path in paths)
    for name, query in degraded(clips, chain, seed):
        write_wav(queries / unescaped_path(name), query)


def write_copies(split: Split, folder: Path, chain: Chain, seed: int, every: int = SEGMENT) -> None:
    """Write a degraded copy of every clip of a packed split as WAV; the augmentation changes every so many samples."""
    for name, copy in degraded(clips_of(split, "copies"), chain, seed, every):
        write_wav(folder / unescaped_path(name), copy)


def pack_queries(songs: Split, array_path: Path, table_path: Path, chain: Chain, seed: int) -> None:
    """Write a degraded copy of a packed split, packed in the same way.

    With one seed, chains that differ in a range alone mix in the same excerpts at the same places: what they differ in
    is the level. Where steps on time make a clip faster or slower, the table has a column ``rate``: song seconds a second of
    the query, from a common beginning. Its ``sha256`` are of the copies' samples, by which query sets are told apart.
    UserError if there is no room for it.
    """
    (table, total), digests = packed_table(songs, chain, seed), []
    check_free_space({array_path.parent: 2 * total}, f"the query set {array_path.name}")
    with atomic_write(array_path) as part, atomic_write(table_path) as table_part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.int16, shape=(total,))
        starts = table["start"]
        for start, (_, query) in zip(starts, degraded(clips_of(songs, "queries"), chain, seed), strict=True):
            out[start : start + len(query)] = query
            digests.append(hashlib.sha256(query.astype("<i2").tobytes()).hexdigest())
        out.flush()
        table.assign(sha256=digests).to_csv(table_part, index=False)


def packed_table(songs: Split, chain: Chain, seed: int) -> tuple[pd.DataFrame, int]:
    """The clip table of the degraded copies of a packed split, and the samples of their array."""
    factors = [chain.time.draw(1, generator_of_song(seed, path)) for path in songs.clips["path"]]
    rates = list(map(rate_of, factors))
    if all(rate == 1 for rate in rates):
        return songs.clips, len(songs.audio)
    samples = [moved_samples(*each) for each in zip(songs.clips["samples"], factors, strict=True)]
    layout = PackedLayout.of(songs.clips.assign(samples=samples))
    return layout.table.assign(rate=rates), layout.total


def clips_of(split: Split, desc: str) -> Iterator[tuple[str, np.ndarray]]:
    """Path and samples (T,) int16 of every clip of a packed split, with a progress bar."""
    for clip in tqdm(split.clips.itertuples(), total=len(split.clips), desc=desc, unit="clip"):
        yield clip.path, split.audio[clip.start : clip.start + clip.samples]


def degraded(
    clips: Iterable[tuple[str, np.ndarray]], chain: Chain, seed: int, every: int = SEGMENT
) -> Iterator[tuple[str, np.ndarray]]:
    """Named clips -> their names and degraded copies; says at the end which ones were turned down, and how far."""
    gains = {}
    for name, song in clips:
        copy, gains[name] = degrade_clip(song, chain, generator_of_song(seed, name), every)
        yield name, copy
    if turned_down := {name: gain for name, gain in gains.items() if gain < -0.01}:
        softest, gain = min(turned_down.items(), key=lambda item: item[1])
        print(
            f"{len(turned_down)} of {len(gains)} clips would have clipped and were turned down as a whole, "
            f"by up to {-gain:.1f} dB ({softest}); a peak_normalize step in the chain sets the level of each second instead"
        )


def generator_of_song(seed: int, name: str) -> torch.Generator:
    """The random generator of one song."""
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:7], "little"))


def degrade_clip(
    song: np.ndarray, chain: Chain, rng: torch.Generator, every: int = SEGMENT
) -> tuple[np.ndarray, float]:
    """A degraded copy of a clip (T,) int16: every piece is displaced and degraded on its own, at one speed, tempo and pitch.

    ``every``: samples of a piece, over which ``chain`` measures levels. Steps on images are left out. Where the copy would
    clip, all of it is turned down, which keeps its signal-to-noise ratios. Returns the copy, (T / rate,) int16, and its gain in
    dB: 0, or less where it was turned down.
    """
    x = torch.from_numpy(song.astype(np.float32) / 32768)
    if factors := chain.time.draw(1, rng):
        x = chain.time.move(x, factors)
    padded = torch.nn.functional.pad(x, (0, max(every - len(x), -len(x) % every)))
    starts = torch.arange(0, len(padded), every)
    room = (len(x) - every - starts).clamp(min=0)
    pieces = chain.query(
        lambda at, _: padded.unfold(0, every, 1)[at], starts, -starts, room, torch.arange(len(starts)), rng
    )
    copy = pieces.flatten()[: len(x)]
    peak = max(float(copy.abs().max()), 1.0)
    return (copy / peak * 32767).round().to(torch.int16).numpy(), 20 * math.log10(1 / peak)
