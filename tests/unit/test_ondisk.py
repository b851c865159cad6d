"""Inverted lists on disk: those of an index in memory, joined from chunks, and a killed build that goes on."""

import json
import os
import re
from pathlib import Path

import faiss
import numpy as np
import pytest
from faiss.contrib.inspect_tools import get_invlist
from indexes import OPTIONS, vectors

from nafp.errors import UserError
from nafp.search import by_list, ondisk
from nafp.search.index import build_index, read_index
from nafp.search.vectors import Database

NAME, CHUNK = "ivfpq-rr-ondisk", 100
DATABASE = Database(vectors(0, 950), vectors(1, 30))  # 10 chunks and one


@pytest.fixture
def encoded(monkeypatch):
    """Number of the first row of each chunk that is encoded; chunks are small."""
    firsts, encode = [], ondisk.encoded
    monkeypatch.setattr(ondisk, "CHUNK", CHUNK)
    monkeypatch.setattr(
        ondisk, "encoded", lambda index, first, *rest: firsts.append(first) or encode(index, first, *rest)
    )
    return firsts


def lists_of(folder) -> list[tuple[list, list]]:
    """Ids and codes of every list of an index on disk."""
    index = faiss.read_index(str(folder / "index.faiss"), faiss.IO_FLAG_ONDISK_SAME_DIR)
    lists = [get_invlist(index.invlists, number) for number in range(index.nlist)]
    return [(ids.tolist(), codes.tolist()) for ids, codes in lists]


@pytest.mark.parametrize("joined_bytes", [ondisk.JOINED_BYTES, 1])
def test_the_lists_are_those_of_an_index_in_memory(tmp_path, encoded, monkeypatch, joined_bytes):
    monkeypatch.setattr(ondisk, "JOINED_BYTES", joined_bytes)  # 1: list by list
    build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "disk", train_max=500)
    options = {name: value for name, value in OPTIONS[NAME].items() if name != "k_factor"}
    build_index("ivfpq", options, DATABASE, tmp_path / "memory", train_max=500)
    memory = faiss.read_index(str(tmp_path / "memory/index.faiss"))
    expected = [get_invlist(memory.invlists, number) for number in range(memory.nlist)]
    assert lists_of(tmp_path / "disk") == [(ids.tolist(), codes.tolist()) for ids, codes in expected]
    assert encoded == [*range(0, 950, CHUNK), 950]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "memory"]  # nothing unfinished is left


def test_a_killed_build_loses_at_most_one_chunk(tmp_path, encoded, monkeypatch):
    build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "whole", train_max=500)
    train, trainings = faiss.IndexIVFPQ.train, []
    monkeypatch.setattr(faiss.IndexIVFPQ, "train", lambda *asked: trainings.append(1) or train(*asked))

    encoded.clear()
    with monkeypatch.context() as patch:
        patch.setattr(ondisk.Unfinished, "keep", kept_until(CHUNK * 4))
        with pytest.raises(KeyboardInterrupt):
            build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "index", train_max=500)
    assert encoded == [0, 100, 200, 300, 400]
    assert not (tmp_path / "index").exists()
    build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "index", train_max=500)
    assert encoded[5:] == [*range(400, 950, CHUNK), 950]
    assert len(trainings) == 1
    for file in ("lists.bin", "index.faiss"):
        assert (tmp_path / "index" / file).stat().st_size == (tmp_path / "whole" / file).stat().st_size
    assert lists_of(tmp_path / "index") == lists_of(tmp_path / "whole")
    assert not (tmp_path / "index.unfinished").exists()


def kept_until(last: int):
    """``Unfinished.keep`` that is killed in the middle of writing the chunk of row ``last``."""
    keep = ondisk.Unfinished.keep

    def method(unfinished, name, made_of, write, **facts):
        if name == f"{last}.bin":
            (unfinished.folder / name).write_bytes(b"half")
            raise KeyboardInterrupt
        keep(unfinished, name, made_of, write, **facts)

    return method


@pytest.mark.parametrize(
    "change, again",
    [
        ("a fingerprint", [300]),
        ("the options", [0, 100, 200, 300]),
        ("the seed", [0, 100, 200, 300]),
        ("a note is half written", [200]),
        ("a chunk is cut short", [200]),
    ],
)
def test_only_what_was_made_of_the_same_is_used_again(tmp_path, encoded, monkeypatch, change, again):
    with monkeypatch.context() as patch:
        patch.setattr(ondisk.Unfinished, "keep", kept_until(CHUNK * 4))
        with pytest.raises(KeyboardInterrupt):
            build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "index", train_max=500)
    encoded.clear()
    options, dummy, seed = OPTIONS[NAME], DATABASE.dummy.copy(), 0
    if change == "a fingerprint":
        sampled = np.random.default_rng(0).choice(len(dummy), 500, replace=False)
        (row, *_) = sorted(set(range(300, 400)) - set(sampled))  # the training has not seen it
        dummy[row] = dummy[row + 1]
    elif change == "the options":
        options = options | {"m": 4}
    elif change == "the seed":
        seed = 1
    elif change == "a note is half written":
        (tmp_path / "index.unfinished/200.bin.json").write_text('{"made_of"')
    else:
        os.truncate(tmp_path / "index.unfinished/200.bin", 50)
    build_index(NAME, options, Database(dummy, DATABASE.db), tmp_path / "index", train_max=500, seed=seed)
    assert encoded == [*again, *range(400, 950, CHUNK), 950]
    build_index(NAME, options, Database(dummy, DATABASE.db), tmp_path / "whole", train_max=500, seed=seed)
    assert lists_of(tmp_path / "index") == lists_of(tmp_path / "whole")


def test_a_note_says_what_a_file_was_made_of(tmp_path):
    unfinished = ondisk.Unfinished(tmp_path / "index.unfinished")
    unfinished.keep("one", [1, "a"], lambda path: path.write_bytes(b"1"), gpu=None)
    assert unfinished.facts("one", [1, "a"]) == {"gpu": None}
    assert unfinished.facts("one", [2, "a"]) is None
    assert json.loads((unfinished.folder / "one.json").read_text())["made_of"] == [1, "a"]
    (unfinished.folder / "one").unlink()
    assert unfinished.facts("one", [1, "a"]) is None


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux tells what is resident of a file")
def test_lists_that_were_searched_do_not_stay_in_memory(tmp_path, monkeypatch):
    """Lists of 1.6 MB, searched list by list: their pages are released, and the answers are those of the next search."""
    monkeypatch.setattr(by_list, "MAPPED_LISTS", 2)
    options = {"nlist": 8, "nprobe": 8, "m": 8, "nbits": 8, "k_factor": 4}
    database = Database(vectors(0, 100_000), vectors(1, 30))
    build_index(NAME, options, database, tmp_path / "index", train_max=20_000)
    index = read_index(NAME, options, tmp_path / "index", database)
    found = index.nearest(database.db, 5)
    entry = Path("/proc/self/smaps").read_text().split(str(tmp_path / "index/lists.bin"))[1]
    assert int(re.search(r"Rss: +(\d+) kB", entry)[1]) < 800
    np.testing.assert_array_equal(index.nearest(database.db, 5), found)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells how a file is mapped")
def test_an_index_that_may_only_be_read_is_searched(tmp_path):
    """Its lists are mapped for reading, so another user's results, or an archive's, will do."""
    build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "index", train_max=500)
    index = read_index(NAME, OPTIONS[NAME], tmp_path / "index", DATABASE)
    assert len(index.nearest(DATABASE.db, 5)) == len(DATABASE.db)
    modes = [line.split()[1] for line in Path("/proc/self/maps").read_text().splitlines() if "index/lists.bin" in line]
    assert modes and all(mode.startswith("r--") for mode in modes)


def test_lists_of_other_sizes_than_the_file_are_refused(tmp_path):
    build_index(NAME, OPTIONS[NAME], DATABASE, tmp_path / "index", train_max=500)
    index = faiss.read_index(str(tmp_path / "index/index.faiss"), faiss.IO_FLAG_ONDISK_SAME_DIR)
    sizes = np.array([index.invlists.list_size(number) for number in range(index.nlist)], np.uint64)
    sizes[0] += 1
    ondisk.take_lists(index, sizes, tmp_path / "index/lists.bin")
    index.ntotal = len(DATABASE)
    faiss.write_index(index, str(tmp_path / "index/index.faiss"))
    with pytest.raises(UserError, match=f"for {len(DATABASE)} fingerprints in lists of {len(DATABASE) + 1}"):
        read_index(NAME, OPTIONS[NAME], tmp_path / "index", DATABASE)
