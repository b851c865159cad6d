"""Query sets: degraded copies of songs."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from nafp.augment.chain import Chain
from nafp.data.audio import read_wav, write_wav
from nafp.data.corpus import SEGMENT


def write_queries(songs: Path, queries: Path, chain: Chain, seed: int) -> None:
    """Write a degraded copy of every WAV file below ``songs`` to the same place below ``queries``.

    Each copy is a function of the song's name and the seed alone.
    """
    for path in tqdm(sorted(songs.rglob("*.wav")), desc="queries", unit="song"):
        name = path.relative_to(songs)
        key = hashlib.sha256(f"{seed}/{name.as_posix()}".encode()).digest()
        rng = torch.Generator().manual_seed(int.from_bytes(key[:7], "little"))
        write_wav(queries / name, degrade_clip(read_wav(path), chain, rng))


def degrade_clip(song: np.ndarray, chain: Chain, rng: torch.Generator) -> np.ndarray:
    """A degraded copy of a clip, (T,) int16 -> (T,) int16: every second is displaced and degraded on its own."""
    x = torch.from_numpy(song.astype(np.float32) / 32768)
    padded = torch.nn.functional.pad(x, (0, max(SEGMENT - len(x), -len(x) % SEGMENT)))
    starts = torch.arange(0, len(padded), SEGMENT)
    room = (len(x) - SEGMENT - starts).clamp(min=0)
    ids = torch.arange(len(starts))
    displaced = chain.draw_offsets(-starts, room, 0, rng, ids)[:, 0]  # from where the second lies in the song
    draws = chain.draw_wave(len(starts), SEGMENT, rng)
    pieces = chain.degrade(padded.unfold(0, SEGMENT, 1)[starts + displaced], draws)
    return (pieces.clamp(-1, 1) * 32767).round().to(torch.int16).flatten()[: len(x)].numpy()
