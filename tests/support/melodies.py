"""Songs of tones that come and go, no two alike, and queries from them, for tests of methods."""

import numpy as np

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.methods.answers import Queries


def melodies(count: int, seed: int, seconds: float = 8) -> Split:
    """Songs of chords that change at random times."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(8000 * seconds)) / 8000
    songs = []
    for _ in range(count):
        begins = np.sort(rng.uniform(0, seconds, 6 * round(seconds)))
        pitch = 220 * 2 ** (rng.integers(0, 36, len(begins)) / 12)
        tones = [
            np.where(t >= at, np.sin(2 * np.pi * f * t) * np.exp(-4 * (t - at)), 0)
            for at, f in zip(begins, pitch, strict=True)
        ]
        songs.append((4000 * np.sum(tones, axis=0) / 2).clip(-32768, 32767).astype(np.int16))
    return Split.of_clips(songs, [f"{seed}/{number}.wav" for number in range(count)])


def melodies_and_queries(noise: float = 200) -> tuple[Songs, Queries]:
    """Three distractors and three songs of 8 s; from each song two queries, with noise, of at most 7 segments."""
    songs = Songs(melodies(3, 1), melodies(3, 2))
    heard = songs.db.audio + np.random.default_rng(3).normal(0, noise, len(songs.db.audio))
    query = Split(heard.clip(-32768, 32767).astype(np.int16), songs.db.clips)
    return songs, Queries(query, np.array([15 * song + start for song in range(3) for start in (3, 8)]))


TRUE_SONGS = [3, 3, 4, 4, 5, 5]  # of these queries
TRUE_OFFSETS_S = [1.5, 4.0] * 3
