"""Fingerprints of another hop and length than ours: sequences in seconds, answers on our rows, and files of any shape."""

import numpy as np
import pytest
from answers import exact

from nafp.audio.segments import count_segments, segments_of
from nafp.errors import UserError
from nafp.evaluation.cell import times_of
from nafp.evaluation.hits import first_and_last_rows, per_query_table
from nafp.evaluation.other_grid import first_of_each_row, search_on_grid
from nafp.evaluation.protocol import check_protocol
from nafp.search.checks import check_exchanged, check_rows
from nafp.search.exchange import import_vectors
from nafp.search.external import OURS, Exchanged, Grid
from nafp.search.sequences import search_sequences

DUMMY, DB = (
    [8000 * 12, 8000 * 9 + 1234],
    [8000 * 20, 8000 * 15, 100],
)  # samples of the songs; the last one is a short clip
SONGS, LENGTHS = np.array(DUMMY + DB), [1, 3, 9]  # segments: 1, 2 and 5 s


def embedded(clips, grid: Grid, first_song: int, noise: float = 0.0) -> np.ndarray:
    """Fingerprints of songs whose 32 numbers drift over time: neighbours in time are alike, songs are not."""
    rows = []
    for song, samples in enumerate(clips, first_song):
        rng = np.random.default_rng(song)
        speed, phase = rng.uniform(1, 4, 32), rng.uniform(0, 6.3, 32)
        middle = np.arange(grid.count(samples))[:, None] * grid.hop_s + grid.segment_s / 2
        rows.append(np.cos(speed * middle + phase))
    vectors = np.concatenate(rows)
    vectors += noise * np.random.default_rng(99).standard_normal(vectors.shape)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def asked_of(starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Right rows of the queries, the songs that they are from, and the song of each row."""
    truth = starts + count_segments(DUMMY).sum()
    song_of_row = np.repeat(np.arange(len(SONGS)), count_segments(SONGS))
    return truth, song_of_row[truth], song_of_row


def searched(grid: Grid, lengths=LENGTHS, noise: float = 0.0):
    starts = np.concatenate([np.arange(31), 39 + np.arange(21)])  # from which 5 s fit into the two long test songs
    index, database = exact(embedded(DUMMY, grid, 0), embedded(DB, grid, len(DUMMY)))
    query = embedded(DB, grid, len(DUMMY), noise)
    truth, _, song_of_row = asked_of(starts)
    results = search_on_grid(index, database, query, grid, SONGS, np.array(DB), starts, lengths, truth)
    return per_query_table(results, starts, truth, song_of_row, [f"{i}" for i in range(len(SONGS))]), results


@pytest.mark.parametrize(
    "grid", [Grid(0.5, 1), Grid(0.25, 1), Grid(1, 1), Grid(0.1, 0.96), Grid(0.37, 0.9), Grid(1 / 3, 0.5)], ids=str
)
def test_a_query_is_found_where_it_is_whatever_the_hop(grid):
    table, results = searched(grid)
    answered = table["place1"] >= 0
    assert table[answered]["top1_exact"].all() and table[answered]["rr"].eq(1).all()
    assert answered[table["length"] > 1].all()
    assert [result.length for result in results] == LENGTHS and all(
        result.ms > 0 for result in results if answered.all()
    )


def test_a_place_before_the_song_is_no_hit():
    """A query from 0.5 s on, whose first whole second is like the song's first: it would begin half a second before the song."""
    grid, start = Grid(1, 1), np.array([1])
    index, database = exact(embedded(DUMMY, grid, 0), embedded(DB, grid, len(DUMMY)))
    query = np.roll(embedded(DB, grid, len(DUMMY)), 1, axis=0)
    truth, _, song_of_row = asked_of(start)
    results = search_on_grid(index, database, query, grid, SONGS, np.array(DB), start, [3], truth)
    table = per_query_table(results, start, truth, song_of_row, [f"{i}" for i in range(len(SONGS))])
    assert results[0].score[0, 0] == pytest.approx(1) and table["top1_song"].all()
    assert not table["top1_exact"].any() and not table["top1_near"].any()


def test_our_own_grid_gives_the_answers_of_the_usual_search():
    table, results = searched(OURS, noise=0.5)
    index, database = exact(embedded(DUMMY, OURS, 0), embedded(DB, OURS, len(DUMMY)))
    starts = table["query"].to_numpy()[: len(table) // 3]
    _, asked, song_of_row = asked_of(starts)
    query = embedded(DB, OURS, len(DUMMY), 0.5)
    usual = search_sequences(index, database, query, starts, LENGTHS, own=first_and_last_rows(song_of_row, asked))
    for ours, theirs in zip(usual, results, strict=True):
        np.testing.assert_array_equal(ours.place, theirs.place)
        np.testing.assert_array_equal(ours.score, theirs.score)
        np.testing.assert_array_equal(ours.other_place, theirs.other_place)
        np.testing.assert_array_equal(ours.other_score, theirs.other_score)


def test_a_sequence_shorter_than_a_segment_has_no_answer():
    table, results = searched(Grid(0.5, 2.5))
    answered = (table["place1"] >= 0).groupby(table["length"]).mean()
    assert answered.tolist() == [0, 0, 1]
    assert not table[table["length"] == 3]["top1_song"].any()
    times = times_of(results)  # no time is stated for what was not searched
    assert times["ms_per_query"][:2] == [None, None] and times["ms_per_query"][2] > 0
    assert times["ms_per_segment"] == round(results[2].ms_per_segment, 4)
    assert times_of(results[:2]) == {"ms_per_query": [None, None], "ms_per_segment": None}
    by_start = searched(Grid(1, 1), lengths=[1])[0]  # a query from 0.5 s on has no whole segment of the grid in its 1 s
    assert (by_start["place1"] >= 0).tolist() == [start % 1 == 0 for start in by_start["start"]]


def test_of_places_in_one_row_the_best_one_stays():
    place, score = np.array([[4, 4, 7, -1, 4, 2], [-1] * 6]), np.array([[6, 5, 4, 3.5, 3, 2], [0] * 6], np.float32)
    kept = first_of_each_row(place, score, 4)
    assert kept[0].tolist() == [[4, 7, 2, -1], [-1] * 4]
    assert kept[1].tolist() == [[6, 4, 2, -np.inf], [-np.inf] * 4]


def test_segments_are_counted_by_their_seconds():
    lengths = [1, 8000, 11_999, 12_000, 240_000, 239_999]
    assert [OURS.count(samples) for samples in lengths] == list(map(segments_of, lengths))
    assert [Grid(0.1, 0.96).count(samples) for samples in (8000, 240_000)] == [1, 291]
    assert Grid(1 / 3, 1).count(3 * 8000) == 7
    with pytest.raises(
        UserError, match=r"a.npy: has 5 fingerprints, but the test songs have 7 segments \(1 s, every 0.333333 s"
    ):
        check_rows(5, [24_000], "test_db", "a.npy", Grid(1 / 3, 1))


def test_sequences_across_clips_are_refused():
    check_protocol(OURS, "release")
    check_protocol(Grid(1, 1), "nmfp")
    with pytest.raises(UserError, match=r"search.protocol: release counts segments .* fingerprints of 2 s, every 1 s"):
        check_protocol(Grid(1, 2), "release")


@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<f2", ">f4"])
def test_arrays_of_any_dimension_are_taken(tmp_path, dtype):
    rows = np.random.default_rng(0).standard_normal((7, 768)).astype(dtype)
    np.save(tmp_path / "theirs.npy", rows)
    entry = {"folder": str(tmp_path), "hop_s": 1 / 3, "normalize": True, "files": {"query_loud": "theirs.npy"}}
    theirs = Exchanged.of(entry)
    assert theirs.sources("query_loud") == [tmp_path / "theirs.npy"]
    import_vectors(theirs, "query_loud", tmp_path / "ours.npy", [24_000])
    ours = np.load(tmp_path / "ours.npy")
    assert ours.dtype == np.float32 and np.allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    assert np.allclose(ours, rows / np.linalg.norm(rows.astype(float), axis=1, keepdims=True), atol=1e-3)
    with pytest.raises(UserError, match="query_loud|row 0 has length"):
        import_vectors(Exchanged.of({**entry, "normalize": False}), "query_loud", tmp_path / "x.npy", [24_000])


def test_the_files_of_a_folder(tmp_path):
    theirs = Exchanged.of(tmp_path)
    assert [path.name for path in theirs.sources("test_db")] == ["db.mm", "db_shape.npy"]
    np.save(tmp_path / "db.npy", np.ones((3, 4), np.float32) / 2)
    assert [path.name for path in theirs.sources("test_db")] == ["db.npy"]
    assert check_exchanged(theirs, "test_db", [16_000]) == (3, 4)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (np.zeros((3, 4)), r"row 0 has length 0 and cannot be normalized"),
        (np.array([[1.0, 2], [np.nan, 1], [1, 1]]), "row 1 has length nan and cannot"),
        (np.ones(12), r"holds float64 of shape \(12,\), not floating-point numbers \(rows, dimensions\)"),
        (np.ones((3, 4), int), r"holds int64 of shape \(3, 4\)"),
        (np.asfortranarray(np.ones((3, 4))), "in Fortran's order"),
        (np.ones((2, 4)), "has 2 fingerprints, but the test songs have 3 segments"),
    ],
)
def test_arrays_that_cannot_be_taken(tmp_path, rows, says):
    np.save(tmp_path / "db.npy", rows)
    theirs = Exchanged.of({"folder": str(tmp_path), "normalize": True})
    with pytest.raises(UserError, match=says):
        import_vectors(theirs, "test_db", tmp_path / "out.npy", [16_000])


def test_a_file_that_was_cut_off(tmp_path):
    np.save(tmp_path / "db.npy", np.ones((3, 4)))
    (tmp_path / "db.npy").write_bytes((tmp_path / "db.npy").read_bytes()[:-1])
    with pytest.raises(UserError, match=r"db.npy: holds 223 bytes, its header says 224; make it again"):
        check_exchanged(Exchanged.of(tmp_path), "test_db")
    (tmp_path / "db.npy").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"db.npy: is not an array of fingerprints \(not a .npy file"):
        check_exchanged(Exchanged.of(tmp_path), "test_db")
