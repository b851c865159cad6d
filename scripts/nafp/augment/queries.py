"""Query sets: degraded copies of songs, each a function of the song's name and the seed alone."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from nafp.augment.chain import Chain
from nafp.data.audio import read_wav, write_wav
from nafp.data.corpus import Split
from nafp.data.layout import SEGMENT
from nafp.files import written_whole


def write_queries(songs: Path, queries: Path, chain: Chain, seed: int) -> None:
    """Write a degraded copy of every WAV file below ``songs`` to the same place below ``queries``."""
    for path in tqdm(sorted(songs.rglob("*.wav")), desc="queries", unit="song"):
        name = path.relative_to(songs)
        write_wav(queries / name, degrade_clip(read_wav(path), chain, generator(seed, name.as_posix())))


def write_copies(split: Split, folder: Path, chain: Chain, seed: int, every: int = SEGMENT) -> None:
    """Write a degraded copy of every clip of a packed split as WAV; the augmentation changes every so many samples."""
    for clip in tqdm(split.clips.itertuples(), total=len(split.clips), desc="copies", unit="clip"):
        song = split.audio[clip.start : clip.start + clip.samples]
        write_wav(folder / clip.path, degrade_clip(song, chain, generator(seed, clip.path), every))


def pack_queries(songs: Split, array_path: Path, table_path: Path, chain: Chain, seed: int) -> None:
    """Write a degraded copy of a packed split, packed in the same way.

    With one seed, chains that differ in a range alone mix in the same excerpts at the same places: what they differ in
    is the level.
    """
    with written_whole(array_path) as part, written_whole(table_path) as table_part:
        out = np.lib.format.open_memmap(part, mode="w+", dtype=np.int16, shape=songs.audio.shape)
        for clip in tqdm(songs.clips.itertuples(), total=len(songs.clips), desc="queries", unit="song"):
            inside = slice(clip.start, clip.start + clip.samples)
            out[inside] = degrade_clip(songs.audio[inside], chain, generator(seed, clip.path))
        out.flush()
        songs.clips.to_csv(table_part, index=False)


def generator(seed: int, name: str) -> torch.Generator:
    """The random numbers of one song."""
    key = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(key[:7], "little"))


def degrade_clip(song: np.ndarray, chain: Chain, rng: torch.Generator, every: int = SEGMENT) -> np.ndarray:
    """A degraded copy of a clip, (T,) int16 -> (T,) int16: every piece is displaced and degraded on its own.

    ``every``: samples of a piece, over which ``chain`` measures levels.
    """
    x = torch.from_numpy(song.astype(np.float32) / 32768)
    padded = torch.nn.functional.pad(x, (0, max(every - len(x), -len(x) % every)))
    starts = torch.arange(0, len(padded), every)
    room = (len(x) - every - starts).clamp(min=0)
    ids = torch.arange(len(starts))
    displaced = chain.draw_offsets(-starts, room, 0, rng, ids)[:, 0]  # from where the piece lies in the song
    draws = chain.draw_wave(len(starts), every, rng)
    pieces = chain.degrade(padded.unfold(0, every, 1)[starts + displaced], draws)
    return (pieces.clamp(-1, 1) * 32767).round().to(torch.int16).flatten()[: len(x)].numpy()
