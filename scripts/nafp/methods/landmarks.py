"""Landmarks: pairs of spectral peaks, looked up in a hash table; the more pairs agree on an offset, the better the answer.

Wang, "An industrial-strength audio search algorithm", ISMIR 2003; by audfprint2, the successor of audfprint (Ellis, 2014).
"""

import random
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar

from nafp.audio.segments import HOP as SEGMENT_HOP
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.errors import UserError
from nafp.methods.interface import Answering
from nafp.options import POSITIVE, option

if TYPE_CHECKING:
    import numpy as np
    from audfprint2 import HashTable

    from nafp.audio.songs import Songs
    from nafp.methods.answers import Answers, Queries

WINDOW = 512  # samples of an analysis window: audfprint2 packs bins into 8 bits
ENTRY_BITS = 32  # of an entry of the hash table: song and frame


@dataclass(frozen=True)
class Landmarks(Answering):
    """Analysis and matching of audfprint2; options are named as those of its command line."""

    environment: ClassVar[str] = "landmarks"

    density: float = option(
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1000},
        "the higher, the faster the threshold of peaks falls: more of them",
        default=400,
    )
    fanout: int = option(POSITIVE, "pairs that a peak begins, at most", default=3)
    pks_per_frame: int = option(POSITIVE, "peaks of a frame, at most", default=5)
    freq_sd: float = option(
        {"type": "number", "exclusiveMinimum": 0}, "bins over which a peak raises the threshold", default=30
    )
    hop: int = option({"type": "integer", "minimum": 32, "maximum": WINDOW}, "samples between frames", default=256)
    shifts: int = option(POSITIVE, "times that a query is analysed, shifted by parts of a frame", default=4)
    match_win: int = option({"type": "integer", "minimum": 0}, "frames by which agreeing offsets may differ", default=1)
    bucketsize: int = option(POSITIVE, "entries kept of a hash; of more, a random choice", default=100)

    def lacks(self) -> str:
        return "" if find_spec("audfprint2") else "audfprint2 is not installed; pip install audfprint2 installs it"

    def build(self, songs: "Songs", threads: int) -> "Table":
        import numpy as np
        from audfprint2 import HashTable
        from tqdm import tqdm

        from nafp.methods.forked import in_processes

        bits = self.bits_of_frames(int(songs.segments.max()), len(songs))
        table = HashTable(depth=self.bucketsize, maxtime=1 << bits)
        table.names, table.hashesperid = list(songs.names), np.zeros(len(songs), np.uint32)
        random.seed(0)  # audfprint2 draws what stays of a full bucket
        found = in_processes(lambda song: self.hashes(songs.audio(song)), len(songs), threads)
        for song, hashes in enumerate(tqdm(found, "landmarks", len(songs), unit="song", mininterval=1)):
            table.store(song, hashes.tolist())
        return Table(self, table, threads)

    def bits_of_frames(self, segments: int, songs: int) -> int:
        """Bits for the frames of a song of so many segments; UserError if too few are left to number the songs."""
        bits = (((segments - 1) * SEGMENT_HOP + 2 * SEGMENT) // self.hop + 1).bit_length()
        if songs >> (ENTRY_BITS - bits):
            raise UserError(
                f"landmarks: an entry of the hash table has {ENTRY_BITS} bits, too few for {songs:,} songs of up to "
                f"{segments / 120:.0f} minutes; take fewer or shorter songs, or a longer hop"
            )
        return bits

    def hashes(self, samples: "np.ndarray", shifts: int = 1) -> "np.ndarray":
        """(T,) int16 -> (n, 2) int32: frame and hash of each pair of peaks, after each of some shifts, sorted."""
        import numpy as np
        from audfprint2 import Analyzer
        from audfprint2.core.analyzer import landmarks2hashes

        analyzer = Analyzer(self.density)
        analyzer.n_fft, analyzer.n_hop, analyzer.f_sd = WINDOW, self.hop, self.freq_sd
        analyzer.maxpksperframe, analyzer.maxpairsperpeak = self.pks_per_frame, self.fanout
        shifted = (samples[shift * self.hop // shifts :] / 32768 for shift in range(shifts))
        peaks = (analyzer.find_peaks(one, SAMPLE_RATE) for one in shifted)
        return np.unique(np.concatenate([landmarks2hashes(analyzer.peaks2landmarks(each)) for each in peaks]), axis=0)


class Table:
    """The hash table of all songs. ``size_bytes``: of its entries, without empty places."""

    def __init__(self, options: Landmarks, table: "HashTable", threads: int):
        import numpy as np

        self.options, self.table, self.threads = options, table, threads
        self.size_bytes = int(np.minimum(table.counts, table.depth).sum()) * table.table.itemsize

    def answer(self, queries: "Queries", length: int) -> "Answers":
        import numpy as np
        from tqdm import tqdm

        from nafp.methods.answers import ranked
        from nafp.methods.forked import in_processes

        found = in_processes(lambda query: self.matches(queries.audio(query, length)), len(queries), self.threads)
        rows = list(tqdm(found, f"queries of {length}", len(queries), unit="query", mininterval=1))
        query = np.repeat(np.arange(len(queries)), list(map(len, rows)))
        song, offset_s, score = np.concatenate(rows).T
        return ranked(query, song, offset_s, score, len(queries))

    def matches(self, samples: "np.ndarray") -> "np.ndarray":
        """(T,) int16 of a query -> (n, 3): song, seconds into it, and score, of the best places and the best other song's.

        The score is the number of pairs that agree on the offset. Of equal numbers, that of the song with more pairs at all
        offsets is larger, by less than one.
        """
        import numpy as np

        from nafp.search.result import KEPT

        hits = self.table.get_hits(self.options.hashes(samples, self.options.shifts))
        if not len(hits):
            return np.zeros((0, 3))
        pairs = np.bincount(hits[:, 0])
        song, frame, agreeing = agreeing_offsets(hits[:, 0], hits[:, 1], self.options.match_win)
        score = agreeing + pairs[song] / (pairs.max() + 1)
        order = np.argsort(-score, kind="stable")
        best = order[:KEPT]
        if (song[best] == song[best[0]]).all():
            best = np.append(best, order[song[order] != song[best[0]]][:1])
        shift = (self.options.shifts - 1) / (2 * self.options.shifts)  # mean, in frames
        offset_s = (frame - shift) * self.options.hop / SAMPLE_RATE
        return np.stack([song, offset_s, score], axis=1)[best]


def agreeing_offsets(
    song: "np.ndarray", frame: "np.ndarray", window: int
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """(n,) songs and offsets of pairs, in frames -> (m,) each: song, mean offset and number of pairs within ``window`` frames.

    Of windows so close to each other, only the one with the most pairs is given. audfprint's matcher counts in the same way, but
    only in the songs that have the most pairs at all offsets.
    """
    import numpy as np

    low = frame.min()
    span = int(frame.max() - low) + 1 + window  # so that no window reaches the next song
    place, count = np.unique(song.astype(np.int64) * span + (frame - low), return_counts=True)
    steps = np.array([step for step in range(-window, window + 1) if step], np.int64)[:, None]
    at = np.searchsorted(place, place + steps).clip(max=len(place) - 1)
    near = place[at] == place + steps
    beside = np.where(near, count[at], 0)
    agreeing = count + beside.sum(axis=0)
    offset = place % span + low + (steps * beside).sum(axis=0) / agreeing
    more = np.where(steps > 0, agreeing[at] > agreeing, agreeing[at] >= agreeing)  # of equal ones, the first stays
    peak = ~(near & more).any(axis=0)
    return place[peak] // span, offset[peak], agreeing[peak]
