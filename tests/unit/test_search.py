"""Indexes and sequence search against brute force, the reference's raw scores, and bad input."""

import re
import shutil
from pathlib import Path

import faiss
import numpy as np
import pytest
from answers import exact, hits_of
from hypothesis import given, settings
from hypothesis import strategies as st
from indexes import OPTIONS, unit, vectors
from recipes import needs_parity, reference

from nafp.errors import UserError
from nafp.evaluation.starts import choose_starts
from nafp.search.faiss_index import FaissIndex
from nafp.search.index import build_index, read_index, update_index
from nafp.search.result import KEPT
from nafp.search.sequences import (
    exact_neighbours,
    keep_best,
    recall,
    search_sequences,
)
from nafp.search.types import INDEX_TYPES, index_type_of
from nafp.search.vectors import Database, Shards, open_vectors, write_manifest

FILES_OF_FAISS = [name for name, each in INDEX_TYPES.items() if each.backend == "Faiss"]


@pytest.fixture
def built(tmp_path):
    """A function that builds an index in a folder and opens it."""

    def build(name: str, options: dict, dummy: np.ndarray, db: np.ndarray, **more) -> tuple[FaissIndex, Database]:
        database = Database(dummy, db)
        build_index(name, options, database, tmp_path / name, **more)
        return read_index(name, options, tmp_path / name, database), database

    return build


def brute_force(database: np.ndarray, query: np.ndarray, start: int, length: int, partial_mean: bool) -> list:
    """One sequence as the paper describes it, in plain Python: (place, score), best first."""
    sequence = query[start : start + length]
    candidates = set()
    for position, vector in enumerate(sequence):
        distance = ((database - vector) ** 2).sum(axis=1)
        nearest = np.argsort(distance, kind="stable")[:20]
        candidates |= {int(i) - position for i in nearest if i >= position}
    scored = []
    for place in sorted(candidates):
        window = database[place : place + len(sequence)]
        dots = (sequence[: len(window)] * window).sum(axis=1)
        scored.append((place, float(dots.sum() / (len(window) if partial_mean else length))))
    return sorted(scored, key=lambda pair: -pair[1])[:KEPT]


@given(st.integers(0, 10**6), st.sampled_from([(60, 20), (9, 7), (5, 40)]), st.sampled_from([1, 2, 5]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_batched_search_equals_brute_force(seed, sizes, length, partial_mean):
    dummy, db = vectors(seed, sizes[0]), vectors(seed + 1, sizes[1])
    query = unit(db + 0.3 * np.random.default_rng(seed + 2).standard_normal(db.shape))
    starts = np.arange(len(query))  # the last sequences are cut short
    (result,) = search_sequences(*exact(dummy, db), query, starts, [length], partial_mean=partial_mean)
    for row, start in enumerate(starts):
        expected = brute_force(np.concatenate([dummy, db]), query, start, length, partial_mean)
        found = result.place[row] >= 0
        assert found.sum() == len(expected)
        np.testing.assert_allclose(result.score[row][found], [score for _, score in expected], atol=1e-6)
        assert result.place[row, 0] == expected[0][0]
    assert np.isneginf(result.score[result.place < 0]).all()


def test_the_end_of_a_database_matches_no_sequence_by_one_segment():
    """The database ends with applause: a sequence that begins with applause, and is unknown otherwise, is not found there."""
    db, query = vectors(1, 40), vectors(2, 9)
    query[0] = db[-1]
    database = exact(db[:0], db)
    (whole,) = search_sequences(*database, query, np.array([0]), [9])
    assert whole.score[0, list(whole.place[0]).index(39)] == pytest.approx(1 / 9, abs=1e-6)
    (published,) = search_sequences(*database, query, np.array([0]), [9], partial_mean=True)
    assert (published.place[0, 0], published.score[0, 0]) == (39, pytest.approx(1, abs=1e-6))


def test_a_short_sequence_does_not_see_what_a_longer_one_proposes():
    """One neighbour a segment: the sequence of one has one candidate, whatever its successors propose."""
    dummy, db = vectors(0, 30), vectors(1, 12)
    index, database = exact(dummy, db)
    index.nearest = lambda query, k: index.index.search(query, 1)[1]
    query = vectors(2, 12)
    starts = np.arange(8)
    alone = [search_sequences(index, database, query, starts, [n])[0] for n in (1, 5)]
    together = search_sequences(index, database, query, starts, [1, 5])
    for one, two in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one.place, two.place)
        np.testing.assert_allclose(one.score, two.score, atol=1e-6)


def test_chunks_do_not_change_the_result(monkeypatch):
    dummy, db = vectors(0, 300), vectors(1, 100)
    found, starts = exact(dummy, db), np.arange(90)
    whole = search_sequences(*found, db, starts, [3, 11])
    monkeypatch.setattr("nafp.search.sequences.MAX_PRODUCTS", 1)
    for a, b in zip(whole, search_sequences(*found, db, starts, [3, 11]), strict=True):
        np.testing.assert_array_equal(a.place, b.place)
        np.testing.assert_allclose(a.score, b.score, atol=1e-6)


def test_nan_scores_are_the_last_to_be_kept():
    scores = np.array([[np.nan, 0.1, 0.3, np.nan, *np.linspace(0.2, 0.25, 9)]])
    places, best = keep_best(np.arange(13)[None], scores)
    assert places[0, 0] == 2 and not np.isin([0, 3], places).any()
    assert (np.diff(best) <= 0).all()
    nan = np.full((1, KEPT), np.nan)
    assert not any(level.any() for level in hits_of(np.full((1, KEPT), 5), nan, np.array([5])).values())


@pytest.mark.parametrize("name", INDEX_TYPES)
def test_every_index_finds_itself_and_survives_the_disk(name, built, tmp_path):
    index, database = built(name, OPTIONS[name], vectors(0, 1000), vectors(1, 200))
    found = index.nearest(database.db, 5)
    again = read_index(name, OPTIONS[name], tmp_path / name, database)
    np.testing.assert_array_equal(again.nearest(database.db, 5), found)
    coarse = {"ivfpq": 0.5, "ivfpq-fastscan": 0.5, "ivf-rabitq": 0.2}
    assert (found[:, 0] == np.arange(1000, 1200)).mean() > coarse.get(name, 0.98)
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_on_disk_in_pieces_is_in_memory_at_once(built, monkeypatch):
    dummy, db = vectors(0, 1000), vectors(1, 200)
    options = OPTIONS["ivfpq"]
    memory, _ = built("ivfpq", options, dummy, db)
    monkeypatch.setattr("nafp.search.ondisk.CHUNK", 150)
    disk, database = built("ivfpq-rr-ondisk", options | {"k_factor": 1}, dummy, db)
    for one, two in zip(memory.nearest(db, 10), disk.nearest(db, 10), strict=True):
        assert set(one) == set(two)  # the same, in the order of their exact distances
    truth = exact_neighbours(database, db, 1)
    ranked, _ = built("ivfpq-rr-ondisk", options | {"k_factor": 50}, dummy, db)
    np.testing.assert_array_equal(ranked.nearest(db, 1), truth)


@pytest.mark.parametrize(
    "name, gpus, says",
    [("l2", 0, "there is no GPU that Faiss can use"), ("hnsw", 1, "Faiss has no GPU version of hnsw")],
)
def test_without_a_gpu_version_the_cpu_searches(name, gpus, says, built, tmp_path, monkeypatch, capsys):
    index, database = built(name, OPTIONS[name], vectors(0, 300), vectors(1, 20))
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(faiss, "get_num_gpus", lambda: gpus, raising=False)
    again = read_index(name, OPTIONS[name], tmp_path / name, database, "auto")
    assert capsys.readouterr().out.count(says) == 1
    np.testing.assert_array_equal(again.nearest(database.db, 3), index.nearest(database.db, 3))


@pytest.mark.parametrize("pieces", [{"MAX_DISTANCES": 2000}, {"MAX_VECTORS": 100}, {"MAX_DISTANCES": 1}])
@pytest.mark.parametrize("name", ["ivf", "ivfpq", "ivfpq-rr", "ivfpq-rr-ondisk"])
def test_list_by_list_finds_what_query_by_query_does(name, pieces, built, monkeypatch):
    for limit, value in pieces.items():  # a list in several pieces
        monkeypatch.setattr(f"nafp.search.by_list.{limit}", value)
    index, database = built(name, OPTIONS[name] | {"nlist": 8, "nprobe": 3}, vectors(0, 2000), vectors(1, 300))
    together = index.nearest(database.db, 20)
    monkeypatch.setattr("nafp.search.by_list.MIN_QUERIES_PER_LIST", np.inf)
    assert (together == index.nearest(database.db, 20)).mean() > 0.999  # two may be equally far but for rounding


@pytest.mark.parametrize("queries", [1, 300])
def test_candidates_are_ranked_the_same_by_any_number_of_threads(queries, built):
    """More threads than candidates too; a query may lack some."""
    index, database = built(
        "ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"] | {"nprobe": 1}, vectors(0, 900), vectors(1, 300)
    )
    before, found = faiss.omp_get_max_threads(), []
    try:
        for threads in (1, 3, 50):
            faiss.omp_set_num_threads(threads)
            found.append(index.nearest(database.db[:queries], 10))
    finally:
        faiss.omp_set_num_threads(before)
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])


def test_list_by_list_with_fewer_vectors_than_neighbours(built):
    index, database = built("ivf", {"nlist": 4, "nprobe": 1}, vectors(0, 160), vectors(1, 100))
    found = index.nearest(database.db, 200)
    assert ((found >= 0).sum(axis=1) < 260).all()
    for row in found:
        kept = row[row >= 0]
        assert len(set(kept)) == len(kept)
        assert (row[len(kept) :] == -1).all()


def test_sequences_that_start_together_or_twice():
    """Overlapping starts share inner products; a start that is given twice has two equal answers."""
    dummy, db = vectors(0, 200), vectors(1, 60)
    query = unit(db + 0.3 * vectors(2, 60))
    starts = np.array([7, 3, 7, 5, 40])
    (together,) = search_sequences(*exact(dummy, db), query, starts, [5])
    for row, start in enumerate(starts):
        (alone,) = search_sequences(*exact(dummy, db), query, np.array([start]), [5])
        np.testing.assert_array_equal(together.place[row], alone.place[0])
        np.testing.assert_allclose(together.score[row], alone.score[0], atol=1e-6)


def test_inner_products_pair_by_pair():
    """Rows of both parts, in any order; nothing outside."""
    database, query = Database(vectors(0, 7), vectors(1, 5)), vectors(2, 4)
    segment, row = np.array([0, 3, 2, 2, 4, 1, -1]), np.array([6, 7, 11, 12, 0, -1, 3])
    whole = np.concatenate([database.dummy, database.db])
    expected = [query[0] @ whole[6], query[3] @ whole[7], query[2] @ whole[11], 0, 0, 0, 0]
    np.testing.assert_allclose(database.inner_products(query, segment, row), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["l2", "ivfpq-rr", "hnsw", "ivfpq-rr-ondisk"])
def test_an_index_grows_with_its_database(name, tmp_path, monkeypatch):
    whole = vectors(0, 600)
    few, all_of_them = Database(whole[:400], whole[:0]), Database(whole, whole[:0])
    update_index(name, OPTIONS[name], few, tmp_path / "index")
    built = []
    monkeypatch.setattr("nafp.search.faiss_index.trained", lambda *args: built.append(1) or pytest.fail("built anew"))
    if name == "ivfpq-rr-ondisk":  # its lists are joined once
        with pytest.raises(pytest.fail.Exception, match="built anew"):
            update_index(name, OPTIONS[name], all_of_them, tmp_path / "index")
        return
    update_index(name, OPTIONS[name], all_of_them, tmp_path / "index")
    index = read_index(name, OPTIONS[name], tmp_path / "index", all_of_them)
    assert (index.nearest(whole, 1)[:, 0] == np.arange(600)).mean() > 0.98
    with pytest.raises(pytest.fail.Exception, match="built anew"):  # much larger than what it was trained on
        larger = vectors(3, 1700)
        update_index(name, OPTIONS[name], Database(larger, larger[:0]), tmp_path / "index")


@pytest.mark.parametrize("name", ["l2", "ivfpq-rr", "ivfpq-rr-ondisk"])
def test_an_index_of_the_same_database_stays(name, tmp_path):
    whole = vectors(0, 400)
    database, file = Database(whole, whole[:0]), tmp_path / "index/index.faiss"
    update_index(name, OPTIONS[name], database, tmp_path / "index")
    made = file.stat().st_ino, file.stat().st_mtime_ns
    update_index(name, OPTIONS[name], database, tmp_path / "index")
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == made
    index = read_index(name, OPTIONS[name], tmp_path / "index", database)
    assert (index.nearest(whole, 1)[:, 0] == np.arange(400)).mean() > 0.95
    update_index(name, OPTIONS[name], Database(whole[:399], whole[:0]), tmp_path / "other")
    update_index(name, OPTIONS[name], database, tmp_path / "other")
    assert len(read_index(name, OPTIONS[name], tmp_path / "other", database)) == 400


def test_an_index_by_another_name(tmp_path):
    database = Database(vectors(0, 300), vectors(1, 20))
    options = {"type": "ivf"} | OPTIONS["ivf"]
    build_index("ivf-mine", options, database, tmp_path / "ivf-mine")
    index = read_index("ivf-mine", options, tmp_path / "ivf-mine", database)
    assert (index.nearest(database.db, 1)[:, 0] == np.arange(300, 320)).all()


@pytest.mark.parametrize("name, each", [("l2", 16 * 4), ("sq8", 16), ("hnsw", 16 * 4 + 2 * 16 * 4)])
def test_memory_of_an_index(name, each, built):
    """Bytes of a fingerprint: its numbers, and in the graph twice 16 links of its lowest level."""
    index, database = built(name, OPTIONS[name], vectors(0, 3000), vectors(1, 20))
    assert index.memory_bytes / len(database) == pytest.approx(each, rel=0.1)


@pytest.mark.parametrize("memory", [2**40, 2**18])
def test_rows_of_large_files_are_the_same_however_they_are_read(tmp_path, monkeypatch, memory):
    """2**18: the files outgrow the memory of the job. Rows in any order, some of them missing, of maps and of a part of one."""
    monkeypatch.setattr("nafp.search.vectors.LARGE_FILE", 2**16)
    monkeypatch.setattr("nafp.search.vectors.total_memory", lambda: memory)
    for name, seed in (("one", 0), ("two", 1)):
        np.save(tmp_path / f"{name}.npy", vectors(seed, 3000))
    one, two = (open_vectors(tmp_path / f"{name}.npy") for name in ("one", "two"))
    database = Database(Shards([one, two[100:]], 16), two[:50])
    assert database.outgrows_memory == (memory == 2**18)
    query, g = vectors(2, 40), np.random.default_rng(0)
    segment, row = g.integers(0, 40, 9000), g.integers(-5, len(database) + 5, 9000)
    plain = np.concatenate([vectors(0, 3000), vectors(1, 3000)[100:], vectors(1, 3000)[:50]])
    inside = (row >= 0) & (row < len(plain))
    expected = np.where(inside, (query[segment] * plain[np.where(inside, row, 0)]).sum(axis=1), 0)
    np.testing.assert_allclose(database.inner_products(query, segment, row), expected, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate([part for _, part in database.chunks(700)]), plain)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is resident of a file")
def test_of_a_large_file_no_page_stays_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("nafp.search.vectors.LARGE_FILE", 2**19)
    for name, seed, count in (("dummy", 0, 30_000), ("db", 1, 300)):  # 1.9 MB and 19 kB
        np.save(tmp_path / f"{name}.npy", vectors(seed, count))

    def resident(name: str) -> int:
        """kB of a file's mapping."""
        entry = Path("/proc/self/smaps").read_text().split(str(tmp_path / f"{name}.npy"))[1]
        return int(re.search(r"Rss: +(\d+) kB", entry)[1])

    database = Database(*(open_vectors(tmp_path / f"{name}.npy") for name in ("dummy", "db")))
    build_index("ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"], database, tmp_path / "index", train_max=1000)
    index = read_index("ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"], tmp_path / "index", database)
    search_sequences(index, database, database.db, np.arange(200), [1, 5], progress=False)
    recall(index, database, database.db)
    assert resident("dummy") == 0
    assert resident("db") > 0  # a small one may stay
    assert database.dummy[5].any()
    assert resident("dummy") > 0  # it can be told


def test_lists_on_disk_are_not_in_memory(built):
    disk, database = built("ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"], vectors(0, 5000), vectors(1, 20))
    assert disk.memory_bytes < 2 * len(database)  # a code has 8 times 4 bits


def test_exact_neighbours_and_recall(monkeypatch):
    dummy, db = vectors(0, 500), vectors(1, 100)
    index, database = exact(dummy, db)
    query = unit(db + 0.3 * vectors(2, 100))
    expected = index.nearest(query, 20)
    monkeypatch.setattr("nafp.search.sequences.EXACT_ROWS", 70)
    np.testing.assert_array_equal(exact_neighbours(database, query, 20), expected)
    assert recall(index, database, query) == {"nearest": 1.0, "neighbours": 1.0}
    half = faiss.IndexFlatL2(16)
    half.add(np.concatenate([dummy, db[:50]]))
    found = recall(FaissIndex(half), database, db)
    assert found["nearest"] == 0.5
    assert 0.8 < found["neighbours"] < 1


def test_training_takes_a_sample_that_its_seed_decides(built):
    dummy, db = vectors(0, 2000), vectors(1, 50)
    found = [built("ivfpq", OPTIONS["ivfpq"], dummy, db, seed=s, train_max=200)[0].nearest(db, 20) for s in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_too_few_training_vectors_give_a_smaller_index_and_say_so(built, capsys):
    options = {"nlist": 256, "nprobe": 40, "m": 8, "nbits": 8}
    index, _ = built("ivfpq", options, vectors(0, 100), vectors(1, 10))
    assert faiss.extract_index_ivf(index.index).nlist == 2
    said = capsys.readouterr().out
    assert "100 training vectors support 2 inverted lists, not 256" in said
    assert "codes of 6 bits, not 8" in said


@pytest.mark.parametrize("name, few", [("ivf", 1), ("ivfpq-fastscan", 15)])
def test_an_index_cannot_be_trained_on_nothing(name, few, built):
    with pytest.raises(UserError, match=f"{name}: {few} dummy fingerprints are too few to train it; use l2"):
        built(name, OPTIONS[name], vectors(0, few), vectors(1, 10))


@pytest.mark.parametrize(
    "options, says",
    [
        ({"type": "ivff", "nlist": 4}, "index 'mine': unknown type 'ivff'; known: l2, ivf, "),
        ({"type": "ivf", "nlist": 4, "probes": 4}, "index 'mine': unknown option 'probes'; ivf takes nlist, nprobe"),
        ({"type": "ivf", "nlist": 4}, "index 'mine': missing option 'nprobe'; ivf takes nlist, nprobe"),
        ({"type": "l2", "nlist": 4}, "index 'mine': unknown option 'nlist'; l2 takes none"),
    ],
)
def test_an_unknown_type_or_option_is_refused(options, says):
    with pytest.raises(UserError, match=says):
        index_type_of("mine", options)


def test_every_index_type_is_tested_and_has_a_size():
    assert set(OPTIONS) == set(INDEX_TYPES)
    for name, options in OPTIONS.items():
        assert index_type_of(name, options).bytes_per_vector(64) > 0


def test_codes_must_divide_the_dimension(built, tmp_path):
    options = {"nlist": 4, "nprobe": 4, "m": 7, "nbits": 8}
    with pytest.raises(UserError, match="m: 7 does not divide the fingerprint's 16 dimensions"):
        built("ivfpq", options, vectors(0, 100), vectors(1, 10))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name, options", [("ivfpq", {"nbits": 8}), ("ivfpq-fastscan", {})])
@pytest.mark.parametrize("dim, used", [(16, 16), (32, 32), (64, 64), (128, 64)])
def test_a_fingerprint_has_at_most_a_code_for_each_dimension(name, options, dim, used, tmp_path, capsys):
    """The paper's 64 codes for its Table 4, d = 16 to 128."""
    database = Database(vectors(0, 400, dim=dim), vectors(1, 10, dim=dim))
    options = {"nlist": 4, "nprobe": 4, "m": 64, **options}
    build_index(name, options, database, tmp_path / name)
    index = read_index(name, options, tmp_path / name, database)
    assert used == faiss.downcast_index(index.index).pq.M
    assert (index.nearest(database.db, 1)[:, 0] == np.arange(400, 410)).mean() >= 0.9
    said = f"m: a fingerprint of {dim} dimensions has at most {dim} codes, not 64: using {dim}"
    assert (said in capsys.readouterr().out) == (used < 64)


def test_what_does_not_belong_together_is_refused(built, tmp_path):
    with pytest.raises(UserError, match="16 dimensions, the database's 8"):
        Database(vectors(0, 10), vectors(1, 10, dim=8))
    with pytest.raises(UserError, match="the database is empty"):
        Database(vectors(0, 0), vectors(1, 0))
    index, database = built("l2", {}, vectors(0, 10), vectors(1, 10))
    with pytest.raises(UserError, match="the queries have 8 dimensions, the index 16"):
        index.nearest(vectors(2, 3, dim=8), 1)
    with pytest.raises(UserError, match="holds 20 fingerprints, but the database has 13"):
        read_index("l2", {}, tmp_path / "l2", Database(vectors(0, 3), vectors(1, 10)))
    path = tmp_path / "l2/index.faiss"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read, it is damaged or missing; delete .* and build it again"):
        read_index("l2", {}, tmp_path / "l2", database)


def test_an_index_of_another_type_in_its_place(built, tmp_path):
    for name in ("ivf", "hnsw"):
        _, database = built(name, OPTIONS[name], vectors(0, 700), vectors(1, 60))
        built("ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"], vectors(0, 700), vectors(1, 60))
        shutil.copy(tmp_path / name / "index.faiss", tmp_path / "ivfpq-rr-ondisk/index.faiss")
        with pytest.raises(UserError, match="index.faiss: is an index of another type; delete .*ondisk and build it"):
            read_index("ivfpq-rr-ondisk", OPTIONS["ivfpq-rr-ondisk"], tmp_path / "ivfpq-rr-ondisk", database)


def test_a_damaged_size_in_an_index(built, tmp_path, monkeypatch):
    """It asks for more memory than there is."""

    def read(*_):
        raise MemoryError("std::bad_alloc")

    _, database = built("ivf-rabitq", OPTIONS["ivf-rabitq"], vectors(0, 700), vectors(1, 60))
    monkeypatch.setattr(faiss, "read_index", read)
    with pytest.raises(UserError, match="it is damaged, or larger than the free memory; delete .* and build it again"):
        read_index("ivf-rabitq", OPTIONS["ivf-rabitq"], tmp_path / "ivf-rabitq", database)


@pytest.mark.parametrize("name", FILES_OF_FAISS)
@pytest.mark.parametrize("kept", [0.3, 0.999])
def test_a_truncated_index(name, kept, built, tmp_path):
    _, database = built(name, OPTIONS[name], vectors(0, 700), vectors(1, 60))
    for file in (tmp_path / name).iterdir():
        whole = file.read_bytes()
        file.write_bytes(whole[: int(kept * len(whole))])
        with pytest.raises(UserError, match=f"{file.name}: .*; delete .*{name} and build it again"):
            read_index(name, OPTIONS[name], tmp_path / name, database)
        file.write_bytes(whole)


@pytest.mark.parametrize(
    "array, says",
    [
        (np.full((3, 4), np.nan, np.float32), "row 0 has length nan, but fingerprints are unit vectors"),
        (np.eye(4, dtype=np.float32) * [[1], [1], [2], [1]], "holds float64"),
        ((np.eye(4) * [[1], [1], [2], [1]]).astype(np.float32), "row 2 has length 2"),
        (np.ones(4, np.float32), r"holds float32 of shape \(4,\)"),
    ],
)
def test_bad_fingerprints(tmp_path, array, says):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match=says):
        open_vectors(tmp_path / "x.npy")


def test_a_truncated_file_of_fingerprints(tmp_path):
    np.save(tmp_path / "x.npy", vectors(0, 100))
    for size in (1000, 0):
        (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:size])
        with pytest.raises(UserError, match="is not a NumPy array of fingerprints"):
            open_vectors(tmp_path / "x.npy")


@pytest.mark.parametrize("name", INDEX_TYPES)
def test_nothing_that_evaluation_reads_is_written(name, tmp_path):
    for i, part in enumerate(("dummy", "db", "query")):
        np.save(tmp_path / f"{part}.npy", vectors(i, 300))
    database = Database(*(open_vectors(tmp_path / f"{part}.npy") for part in ("dummy", "db")))
    build_index(name, OPTIONS[name], database, tmp_path / "index")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    index = read_index(name, OPTIONS[name], tmp_path / "index", database)
    search_sequences(index, database, open_vectors(tmp_path / "query.npy"), np.arange(300), [1, 5])
    recall(index, database, database.db)
    after = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("name", INDEX_TYPES)
def test_more_neighbours_than_fingerprints(name, built):
    index, database = built(name, OPTIONS[name], vectors(0, 16), vectors(1, 3))
    found = index.nearest(database.db, 50)
    assert ((found >= -1) & (found < 19)).all()
    (result,) = search_sequences(index, database, database.db, np.arange(3), [1])
    assert (result.place[:, 0] == np.arange(16, 19)).all()


def test_starts_of_the_clip_protocol_stay_inside_clips():
    samples = [40000, 12000, 40000]  # 9, 2 and 9 segments
    assert choose_starts(samples, "all", "clip", [1, 8]).tolist() == [0, 1, 11, 12]
    assert choose_starts(samples, "all", "release", [1, 8]).tolist() == list(range(20))
    drawn = choose_starts(samples, 3, "clip", [1, 8], seed=1)
    assert len(set(drawn)) == 3
    assert drawn.tolist() == choose_starts(samples, 3, "clip", [1, 8], seed=1).tolist()


def test_starts_from_files(tmp_path):
    np.save(tmp_path / "ids.npy", np.array([0, 11]))
    (tmp_path / "ids.txt").write_text("0\n11\n")
    for name in ("ids.npy", "ids.txt"):
        assert choose_starts([40000, 12000, 40000], str(tmp_path / name), "clip", [8]).tolist() == [0, 11]


@pytest.mark.parametrize("name", ["ids.npy", "ids.txt"])
def test_an_id_that_is_there_twice_is_asked_once(name, tmp_path, capsys):
    """As in query sets with a rate; a query counted twice would count against other cells, too."""
    np.save(tmp_path / "ids.npy", np.array([11, 0, 11, 11]))
    (tmp_path / "ids.txt").write_text("11\n0\n11\n11\n")
    assert choose_starts([40000, 12000, 40000], str(tmp_path / name), "clip", [8]).tolist() == [11, 0]
    assert f"{name} has 2 ids again; each is asked once" in capsys.readouterr().err


@pytest.mark.parametrize(
    "write, says",
    [
        (lambda p: p.write_text("0\nseven\n"), "is not a list of segment numbers"),
        (lambda p: p.write_text("0\n10\n"), r"1 of 2 ids \(the first is 10\) that cannot start a sequence"),
        (lambda p: None, "is not a list of segment numbers"),
    ],
)
def test_bad_test_ids(tmp_path, write, says):
    write(tmp_path / "ids.txt")
    with pytest.raises(UserError, match=says):
        choose_starts([40000, 12000, 40000], str(tmp_path / "ids.txt"), "clip", [8])


def test_impossible_choices_are_refused():
    with pytest.raises(UserError, match="no query clip has the 19 segments"):
        choose_starts([40000], "all", "clip", [19])
    with pytest.raises(UserError, match="asks for 5 sequences; only 2 are possible"):
        choose_starts([40000], 5, "clip", [8])


# ---------------------------------------------------------------- the reference's raw scores


def correlated(g: np.random.Generator, n: int) -> np.ndarray:
    steps = g.standard_normal((n, 128))
    out = np.empty_like(steps)
    out[0] = steps[0]
    for t in range(1, n):
        out[t] = 0.8 * out[t - 1] + np.sqrt(1 - 0.8 * 0.8) * steps[t]
    return out


def reference_vectors(recipe: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dummy, db, query) of a recipe, checked against its first rows and column sums."""
    new, facts = np.random.default_rng, reference("eval")
    sigma = float(facts[f"{recipe}_sigma"])
    if recipe == "a":
        dummy, db = unit(new(100).standard_normal((20000, 128))), unit(new(101).standard_normal((3000, 128)))
        error = new(102).standard_normal((3000, 128))
    else:
        dummy, db, g = unit(correlated(new(200), 20000)), unit(correlated(new(201), 3000)), new(202)
        error = 0.6 * g.standard_normal((3000, 128))
        error += 0.8 * np.repeat(g.standard_normal((51, 128)), 59, axis=0)[:3000]
    query = unit(db.astype(np.float64) + sigma * error)
    for name, array in (("dummy", dummy), ("db", db), ("query", query)):
        np.testing.assert_array_equal(array[:3], facts[f"{recipe}_{name}_first3"])
    return dummy, db, query


@needs_parity
@pytest.mark.parametrize("recipe", ["a", "b"])
@pytest.mark.parametrize("name, options, points", [("l2", {}, 0), ("ivfpq", {"m": 64, "nbits": 8}, 0.5)])
def test_reference_scores(recipe, name, options, points, built):
    """Exactly equal for l2; within half a point for IVF-PQ, whose k-means may differ between builds of Faiss."""
    dummy, db, query = reference_vectors(recipe)
    theirs, raw = reference("eval"), reference("eval_scores")[f"{recipe}_{name}_raw_score"]
    lengths = [int(n) for n in theirs["test_seq_len"]]
    found = built(name, options and {"nlist": 256, "nprobe": 40, **options}, dummy, db)
    results = search_sequences(*found, query, theirs["test_ids"], lengths, partial_mean=True)
    found = [hits_of(r.place, r.score, theirs["test_ids"] + len(dummy)) for r in results]
    measures = ("top1_exact", "top1_near", "top3_exact", "top10_exact")
    ours = np.stack([one[measure] for measure in measures for one in found], axis=1)
    if points == 0:
        np.testing.assert_array_equal(ours, raw)
    assert np.abs(100 * ours.mean(axis=0) - 100 * raw.mean(axis=0)).max() <= points


# ---------------------------------------------------------------- fingerprints in shards


def in_shards(whole: np.ndarray, *borders: int) -> Shards:
    return Shards(np.split(whole, borders), whole.shape[1])


@given(st.lists(st.integers(0, 50), max_size=5), st.integers(-60, 60), st.integers(-60, 60), st.integers(0, 2**32))
def test_shards_read_like_one_array(borders, start, stop, seed):
    whole = vectors(0, 50)
    cut = in_shards(whole, *sorted(borders))
    assert (len(cut), cut.shape, cut.dtype) == (50, (50, 16), np.float32)
    np.testing.assert_array_equal(np.asarray(cut), whole)
    np.testing.assert_array_equal(np.asarray(cut[start:stop]), whole[start:stop])
    rows = np.random.default_rng(seed).integers(0, 50, (4, 3))
    np.testing.assert_array_equal(cut[rows], whole[rows])


@pytest.mark.parametrize("name", FILES_OF_FAISS)
def test_a_database_in_shards_gives_the_same_index_and_answers(name, tmp_path):
    dummy, db, query = vectors(1, 700), vectors(2, 60), vectors(2, 60)
    answers, files = [], []
    for cut in (dummy, in_shards(dummy, 0, 256, 512, 512)):
        database = Database(cut, db)
        build_index(name, OPTIONS[name], database, tmp_path / name, train_max=400)
        files.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
        index = read_index(name, OPTIONS[name], tmp_path / name, database)
        answers.append(search_sequences(index, database, query, np.arange(50), [1, 5], progress=False))
    assert files[0] == files[1]
    for whole, sharded in zip(*answers, strict=True):
        np.testing.assert_array_equal(whole.place, sharded.place)
        np.testing.assert_array_equal(whole.score, sharded.score)


def test_shards_are_mapped_not_copied(tmp_path):
    paths = [tmp_path / "dummy" / f"{i}.npy" for i in range(2)]
    paths[0].parent.mkdir()
    for seed, path in enumerate(paths):
        np.save(path, vectors(seed, 30))
    write_manifest(tmp_path / "dummy.json", paths)
    opened = open_vectors(tmp_path / "dummy.json")
    assert all(isinstance(part, np.memmap) for part in opened.parts)
    assert np.shares_memory(opened[10:40].parts[1], opened.parts[1])
    np.save(paths[1], vectors(1, 29))
    with pytest.raises(
        UserError, match=r"1.npy: holds fingerprints of shape \(29, 16\), but dummy.json says \(30, 16\)"
    ):
        open_vectors(tmp_path / "dummy.json")
    paths[0].unlink()
    with pytest.raises(UserError, match="0.npy: is not a NumPy array of fingerprints .*; make it again"):
        open_vectors(tmp_path / "dummy.json")
