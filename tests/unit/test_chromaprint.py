"""The method chromaprint: fpcalc's numbers, and comparing them at every offset."""

import stat
import sys

import numpy as np
import pytest
from melodies import TRUE_OFFSETS_S, TRUE_SONGS, melodies_and_queries

from nafp.audio.songs import Songs
from nafp.audio.splits import Split
from nafp.errors import UserError
from nafp.methods.answers import Queries
from nafp.methods.chromaprint import ALGORITHMS, RATE, Aligned, Chromaprint

# In the place of fpcalc: as many numbers as it gives; a number has as many of its lower bits set as the sample there says.
FAKE = """#!{python} -S
import struct, sys, wave
frame, hop = {frames}
for path in sys.argv[sys.argv.index("-ignore-errors") + 1:]:
    with wave.open(path) as file:
        count = file.getnframes()
        x = struct.unpack(f"<{{count}}h", file.readframes(count))
    numbers = [(1 << x[n * hop * 8000 // 11025] // 1000) - 1 for n in range((count * 11025 // 8000 - frame) // hop - 18)]
    if not numbers:
        sys.exit("ERROR: Empty fingerprint")
    print(",".join(map(str, numbers)))
"""


@pytest.fixture
def fake_fpcalc(tmp_path, monkeypatch):
    def install(text: str = FAKE, algorithm: int = 2) -> None:
        program = tmp_path / "fpcalc"
        program.write_text(text.format(python=sys.executable, frames=ALGORITHMS[algorithm]))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("PATH", str(tmp_path))

    return install


def levels(count: int, seed: int, seconds: int) -> Split:
    """Songs whose samples say a level, another one every quarter of a second."""
    rng = np.random.default_rng(seed)
    songs = [np.repeat(rng.integers(0, 32, 4 * seconds) * 1000, 2000).astype(np.int16) for _ in range(count)]
    return Split.of_clips(songs, [f"{seed}/{number}.wav" for number in range(count)])


@pytest.mark.parametrize("algorithm", [2, 5])
def test_places_are_found_by_the_numbers_of_a_program(fake_fpcalc, algorithm):
    fake_fpcalc(algorithm=algorithm)
    short = Split.of_clips([np.zeros(9000, np.int16), levels(1, 9, 5).audio], ["short.wav", "long.wav"])
    songs = Songs(short, levels(3, 1, 12))
    queries = Queries(songs.db, np.array([0, 13, 23 + 5, 46 + 8]))
    built = Chromaprint(algorithm=algorithm).build(songs, threads=2)
    found = built.answer(queries, 9)
    assert found.song[:, 0].tolist() == [2, 2, 3, 4]
    assert found.offset_s[:, 0] == pytest.approx([0, 6.5, 2.5, 4], abs=0.07)
    assert (found.score[:, 0] > found.other_score + 0.03).all()
    assert built.size_bytes == 4 * sum(map(len, built.songs)) and len(built.songs[0]) == 0
    assert (built.answer(queries, 1).song == -1).all()  # too short


def test_a_clip_gives_numbers_from_the_length_that_the_frames_need(fake_fpcalc):
    fake_fpcalc()
    found = Chromaprint().fingerprints([np.zeros(n, np.int16) for n in (0, 21800, 21900, 24000, 80000)], threads=1)
    assert [len(one) for one in found] == [0, 0, 1, 3, 59]  # as fpcalc 1.5.1 gives them


def test_a_program_that_fails_is_quoted(fake_fpcalc):
    fake_fpcalc("#!{python} -S\nimport sys\nsys.exit('ERROR: no such codec')\n")
    with pytest.raises(UserError, match="fpcalc gave 0 fingerprints of 1 clips and said 'ERROR: no such codec'"):
        Chromaprint().fingerprints([np.zeros(30000, np.int16)], threads=1)


def test_a_machine_without_the_program_is_told_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    says = "fpcalc is not installed; Debian has it in libchromaprint-tools, conda-forge in chromaprint"
    assert Chromaprint().lacks() == says
    with pytest.raises(UserError, match=says):
        Chromaprint().fingerprints([np.zeros(30000, np.int16)], threads=1)


def test_every_offset_is_compared_bit_by_bit():
    rng = np.random.default_rng(0)
    songs = [rng.integers(0, 2**32, n, np.uint32) for n in (30, 0, 7, 50)]
    query = rng.integers(0, 2**32, 12, np.uint32)

    def score(song: np.ndarray, place: int) -> float:
        pairs = [(number, song[place + n]) for n, number in enumerate(query) if 0 <= place + n < len(song)]
        return sum(16 - (int(a) ^ int(b)).bit_count() for a, b in pairs) / 16 / len(query)

    best = {n: max((score(song, at), -at) for at in range(-12, len(song))) for n, song in enumerate(songs) if len(song)}
    found = Aligned(songs, 15).best_places(query, 10)
    ranked = sorted(best, key=lambda n: best[n], reverse=True)
    assert found[:, 0].tolist() == ranked == list(dict.fromkeys(ranked))
    assert found[:, 2] == pytest.approx([best[n][0] for n in ranked])
    assert found[:, 1].tolist() == [-best[n][1] for n in ranked]


def test_a_tie_inside_a_song_is_seen():
    """The song repeats itself, so that nobody can tell which place is right."""
    rng = np.random.default_rng(0)
    verse, other = (rng.integers(0, 2**32, 20, np.uint32) for _ in range(2))
    database = Aligned([other, np.concatenate([verse, other[:5], verse])], 20)
    assert database.best_places(verse, 2)[:2].tolist() == [[1, 0, 1], [1, 25, 1]]
    assert (
        database.best_places(other, 2)[0].tolist() == [0, 0, 1] and len(set(database.best_places(other, 2)[:, 0])) == 2
    )


def test_a_query_that_begins_before_its_song_or_ends_after_it_is_found():
    rng = np.random.default_rng(0)
    songs = [rng.integers(0, 2**32, 40, np.uint32) for _ in range(2)]
    database = Aligned(songs, 10)
    early, late = (np.concatenate(parts) for parts in ((songs[0][:3], songs[1][:7]), (songs[1][-6:], songs[0][:4])))
    assert database.best_places(early, 1)[0].tolist() == [1, -3, 0.7]
    assert database.best_places(late, 1)[0].tolist() == [1, 34, 0.6]
    assert database.best_places(~songs[1][:1], 5)[:, 2].max() < 1  # the opposite of a number is no answer
    assert len(database.best_places(np.zeros(0, np.uint32), 5)) == 0


@pytest.mark.skipif(bool(Chromaprint().lacks()), reason=Chromaprint().lacks())
@pytest.mark.parametrize(("algorithm", "hop_s"), [(1, 0.124), (2, 0.124), (5, 0.093)])
def test_fpcalc_finds_songs_and_places(algorithm, hop_s):
    songs, queries = melodies_and_queries()
    built = Chromaprint(algorithm=algorithm).build(songs, threads=1)
    assert ALGORITHMS[algorithm][1] / RATE == pytest.approx(hop_s, abs=1e-3)
    assert (built.answer(queries, 1).song == -1).all()
    found = built.answer(queries, 7)
    assert found.song[:, 0].tolist() == TRUE_SONGS
    assert found.offset_s[:, 0] == pytest.approx(TRUE_OFFSETS_S, abs=0.6 * hop_s)
