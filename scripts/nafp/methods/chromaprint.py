"""Chromaprint, the fingerprint of AcoustID, by its program fpcalc: 32 bits eight times a second, compared bit by bit.

Lalinský, "How does Chromaprint work?", 2011. As AcoustID does, songs are ranked by the bits that differ between aligned
fingerprints. AcoustID finds offsets by equal numbers, which noisy queries hardly have; here every offset is tried.
"""

import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

from nafp.audio.segments import SAMPLE_RATE
from nafp.errors import UserError
from nafp.methods.interface import Answering
from nafp.options import option

if TYPE_CHECKING:
    import numpy as np

    from nafp.audio.songs import Songs
    from nafp.methods.answers import Answers, Queries

BITS = 32
RATE = 11025  # Hz, to which fpcalc resamples
FRAMES = 20  # frames that a number depends on: 5 are smoothed, and 16 of those compared
# algorithm of fpcalc -> length and distance of its frames, in samples at RATE
ALGORITHMS = {1: (4096, 1365), 2: (4096, 1365), 5: (2048, 1024)}
EDGE = SAMPLE_RATE // 100  # samples that resampling may lose
AT_ONCE = 200  # files that one process is given


@dataclass(frozen=True)
class Chromaprint(Answering):
    """The numbers that fpcalc gives, compared at every offset."""

    environment: ClassVar[str] = "chromaprint"

    algorithm: int = option({"enum": list(ALGORITHMS)}, "fpcalc's; AcoustID has 2", default=2)

    def lacks(self) -> str:
        found = shutil.which("fpcalc")
        return (
            ""
            if found
            else "fpcalc is not installed; Debian has it in libchromaprint-tools, conda-forge in chromaprint"
        )

    def build(self, songs: "Songs", threads: int) -> "Numbers":
        return Numbers(self, self.fingerprints([songs.audio(song) for song in range(len(songs))], threads), threads)

    def fingerprints(self, clips: "Sequence[np.ndarray]", threads: int) -> "list[np.ndarray]":
        """(T,) int16 clips -> (n,) uint32 each; none of a clip that is too short: 2.7 s, or 2.0 s with algorithm 5."""
        import numpy as np
        from tqdm import tqdm

        frame, hop = ALGORITHMS[self.algorithm]
        shortest = -(-(frame + (FRAMES - 1) * hop) * SAMPLE_RATE // RATE) + EDGE
        long = [number for number, clip in enumerate(clips) if len(clip) >= shortest]
        parts = [long[first : first + AT_ONCE] for first in range(0, len(long), AT_ONCE)]
        found = [np.zeros(0, np.uint32)] * len(clips)
        with ThreadPoolExecutor(threads) as pool:
            done = pool.map(lambda part: self.fpcalc([clips[number] for number in part]), parts)
            for part, prints in zip(parts, tqdm(done, "fpcalc", len(parts), mininterval=1), strict=True):
                for number, one in zip(part, prints, strict=True):
                    found[number] = one
        return found

    def fpcalc(self, clips: "Sequence[np.ndarray]") -> "list[np.ndarray]":
        """What one process of fpcalc says of clips that are long enough; UserError if it fails."""
        import numpy as np

        from nafp.audio.wav import write_wav

        with TemporaryDirectory() as folder:
            files = [Path(folder, f"{number}.wav") for number in range(len(clips))]
            for file, clip in zip(files, clips, strict=True):
                write_wav(file, clip)
            # errors: FFmpeg calls the end of a file one
            options = ["-raw", "-plain", "-length", "0", "-algorithm", str(self.algorithm), "-ignore-errors"]
            try:
                done = subprocess.run(["fpcalc", *options, *files], capture_output=True, text=True)
            except FileNotFoundError:
                raise UserError(self.lacks()) from None
        lines = done.stdout.split()
        if len(lines) != len(clips):
            said = done.stderr.strip().splitlines() or ["nothing"]
            raise UserError(f"fpcalc gave {len(lines)} fingerprints of {len(clips)} clips and said {said[-1]!r}")
        return [np.array(line.split(","), np.uint32) for line in lines]


class Numbers:
    """The numbers of all songs. ``size_bytes``: four for each."""

    def __init__(self, options: Chromaprint, songs: "list[np.ndarray]", threads: int):
        self.options, self.songs, self.threads = options, songs, threads
        self.size_bytes = sum(song.nbytes for song in songs)
        self.hop_s = ALGORITHMS[options.algorithm][1] / RATE

    def answer(self, queries: "Queries", length: int) -> "Answers":
        import numpy as np

        from nafp.methods.answers import ranked
        from nafp.search.result import KEPT

        audio = [queries.audio(query, length) for query in range(len(queries))]
        asked = self.options.fingerprints(audio, self.threads)
        width = max(map(len, asked), default=0)
        if not width:
            return ranked([], [], [], [], len(queries))
        database = Aligned(self.songs, width)
        with ThreadPoolExecutor(self.threads) as pool:  # NumPy lets other threads work
            found = list(pool.map(database.best_places, asked, [KEPT + 1] * len(asked)))
        query = np.repeat(np.arange(len(queries)), [len(places) for places in found])
        song, place, score = np.concatenate(found).T
        return ranked(query, song, place * self.hop_s, score, len(queries))


class Aligned:
    """All songs in a row, with as many empty places before each as a query has numbers."""

    def __init__(self, songs: "Sequence[np.ndarray]", width: int):
        """``songs``: (n,) uint32 each. ``width``: numbers of the longest query."""
        import numpy as np

        gap, ends = np.zeros(width, np.uint32), np.cumsum([width + len(song) for song in songs])
        self.width = width
        self.begins = np.concatenate([[0], ends[:-1]])
        self.ends = ends
        self.numbers = np.concatenate([part for song in songs for part in (gap, song)] + [gap])
        self.full = np.ones(len(self.numbers), np.int8)
        for begin in (*self.begins, ends[-1]):
            self.full[begin : begin + width] = 0

    def best_places(self, query: "np.ndarray", count: int) -> "np.ndarray":
        """(m,) uint32 -> (count, 3): the songs most like it, where in them it begins (numbers from their first), and scores.

        Where several places of the first song are as like it, its last one is one row more. The score is 1 if all bits are the
        same, 0 if half of them are; numbers of the query outside of the song count as half. Songs that are no better than that
        are left out.
        """
        import numpy as np

        alike = np.zeros(self.ends[-1], np.int32)  # equal bits beyond half of them, twice; for each beginning
        for nth, number in enumerate(query):
            other = np.bitwise_count(self.numbers[nth : nth + len(alike)] ^ number).astype(np.int8)
            alike += (BITS // 2 - other) * self.full[nth : nth + len(alike)]
        best = np.maximum.reduceat(alike, self.begins)
        songs = np.argsort(-best, kind="stable")[:count]
        songs = songs[best[songs] > 0]
        within = [alike[self.begins[song] : self.ends[song]] for song in songs]
        places = [of_song.argmax() for of_song in within]
        if len(songs) and (last := np.flatnonzero(within[0] == best[songs[0]])[-1]) > places[0]:
            songs, places = np.insert(songs, 1, songs[0]), [places[0], last, *places[1:]]
        return np.stack(
            [songs, np.array(places, int) - self.width, best[songs] / (BITS // 2 * max(len(query), 1))], axis=1
        )
