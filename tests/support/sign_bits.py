"""A method without a neural network, for tests: signs of energy differences (Haitsma & Kalker, 2002), compared everywhere."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from nafp.methods.interface import Answering
from nafp.options import option

if TYPE_CHECKING:
    from nafp.audio.songs import Songs
    from nafp.methods.answers import Answers, Queries

HOP, WINDOW = 500, 2048  # samples: 16 frames a second


@dataclass(frozen=True)
class SignBits(Answering):
    """Each frame is a number of bits; a song's best place is where the fewest differ from the query's."""

    bands: int = option({"type": "integer", "minimum": 2, "maximum": 64}, "bits of a frame", default=32)

    def build(self, songs: "Songs", threads: int) -> "Bits":
        return Bits(self.bands, [bits(songs.audio(song), self.bands) for song in range(len(songs))])


class Bits:
    """The bits of all songs, (frames, bands) each, 1 or -1."""

    def __init__(self, bands, songs):
        self.bands, self.songs = bands, songs
        self.size_bytes = sum(one.size for one in songs) // 8

    def answer(self, queries: "Queries", length: int) -> "Answers":
        import numpy as np

        from nafp.methods.answers import ranked

        candidates = []
        for query in range(len(queries)):
            asked = bits(queries.audio(query, length), self.bands)
            for number, song in enumerate(self.songs):
                if len(song) < len(asked):
                    continue
                windows = np.lib.stride_tricks.sliding_window_view(song, len(asked), axis=0)
                alike = np.einsum("tbf,fb->t", windows, asked) / asked.size
                for at in np.argsort(-alike)[:3]:
                    candidates.append((query, number, at * HOP / 8000, alike[at]))
        return ranked(*zip(*candidates, strict=True), queries=len(queries))


def bits(samples, bands):
    """(T,) int16 -> (frames, bands) of 1 or -1."""
    import numpy as np

    padded = np.pad(samples.astype(np.float32), (0, max(WINDOW + HOP - len(samples), 0)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP] * np.hanning(WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames)))
    edges = np.geomspace(300, 2000, bands + 2) * WINDOW / 8000
    bins = [(int(low), max(int(high), int(low) + 1)) for low, high in pairwise(edges)]
    energy = np.stack([power[:, low:high].sum(axis=1) for low, high in bins], axis=1)
    steps = np.diff(np.diff(np.log(energy + 1), axis=1), axis=0)
    return np.where(steps > 0, 1.0, -1.0)
