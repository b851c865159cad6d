"""A real Milvus server: what our client finds there, and what a user sees when it refuses, restarts, dies or loses a collection.

Skipped until ``python tests/support/milvus_server.py`` has installed it.
"""

import json
import shutil
import time

import numpy as np
import pytest
import yaml
from indexes import unit, vectors
from milvus_server import TOKEN, MilvusServer, missing
from workflow import FULL, planned, snakemake

from nafp.errors import UserError
from nafp.search.index import build_index, read_index
from nafp.search.sequences import exact_neighbours
from nafp.search.vectors import Database

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

GRAPH = {"index_type": "HNSW", "build": {"M": 16, "efConstruction": 80}, "search": {"ef": 256}}
LISTS = {"index_type": "IVF_FLAT", "build": {"nlist": 16}, "search": {"nprobe": 16}}  # all lists: exact
UNREACHABLE = "start the server, correct uri, or leave out uri for Milvus Lite"
REFUSED = "the server refuses the token; set MILVUS_TOKEN"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One with authorization; TOKEN is the one of a new server."""
    with MilvusServer(tmp_path_factory.mktemp("milvus"), authorization=True) as started:
        yield started


@pytest.fixture(autouse=True)
def token(monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)


@pytest.fixture(scope="module")
def database() -> Database:
    return Database(vectors(0, 4500, 32), vectors(1, 500, 32))


@pytest.fixture(scope="module")
def query(database) -> np.ndarray:
    return unit(database.db + 0.02 * np.random.default_rng(2).standard_normal(database.db.shape))


def refusal(act) -> str:
    """The one sentence that a user sees."""
    with pytest.raises(UserError) as refused:
        act()
    assert "\n" not in str(refused.value) and TOKEN not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(("options", "least"), [(LISTS, 1), (GRAPH, 0.95)], ids=["IVF_FLAT", "HNSW"])
def test_what_it_finds(server, tmp_path, database, query, options, least):
    """The index is there when building ends: all rows are indexed, and all loaded segments have the index."""
    options = options | {"uri": server.uri}
    build_index("milvus", options, database, tmp_path / "index")
    index = read_index("milvus", options, tmp_path / "index", database)
    assert index.client.describe_index(index.name, "fingerprint")["indexed_rows"] == len(database)
    segments = index.client.list_loaded_segments(index.name)
    assert sum(segment.num_rows for segment in segments) == len(database)
    assert {segment.index_name for segment in segments} == {"fingerprint"}
    found, expected = index.nearest(query, 20), exact_neighbours(database, query, 20)
    recall = np.mean([len(np.intersect1d(*rows)) / 20 for rows in zip(found, expected, strict=True)])
    assert recall >= least, recall
    assert [path.name for path in (tmp_path / "index").iterdir()] == ["collection.json"]


def test_what_it_refuses(server, tmp_path, database, monkeypatch):
    where = f"milvus at {server.uri}: "

    def build(**options):
        return refusal(lambda: build_index("milvus", GRAPH | {"uri": server.uri} | options, database, tmp_path / "no"))

    mend = "; correct index_type, build or search of the index, or read the server's log"
    assert build(index_type="NOPE") == f"{where}invalid index type: NOPE{mend}"
    assert build(build={"M": 4096, "efConstruction": 80}) == f"{where}M out of range: [1, 2048]{mend}"
    for wrong in ("", "root:wrong", "nonsense"):
        monkeypatch.setenv("MILVUS_TOKEN", wrong)
        assert build().startswith(where + REFUSED)
    assert not list(tmp_path.iterdir())


def test_it_is_killed_and_started_again_and_loses_the_collection(server, tmp_path, database, query):
    options, folder = LISTS | {"uri": server.uri}, tmp_path / "index"
    build_index("milvus", options, database, folder)
    index = read_index("milvus", options, folder, database)
    expected = exact_neighbours(database, query, 20)

    server.kill()
    for act in (
        lambda: index.nearest(query, 20),
        lambda: read_index("milvus", options, folder, database),
        lambda: build_index("milvus", options, database, tmp_path / "other"),
    ):
        began = time.monotonic()
        assert refusal(act).endswith(UNREACHABLE)
        assert time.monotonic() - began < 20
    assert not (tmp_path / "other").exists()

    server.start()
    try:  # at once, while the server loads its collections; most often it refuses
        np.testing.assert_array_equal(index.nearest(query, 20), expected)
    except UserError as early:
        assert "; run it again after a restart of the server" in str(early), early
    again = read_index("milvus", options, folder, database)
    np.testing.assert_array_equal(again.nearest(query, 20), expected)
    np.testing.assert_array_equal(index.nearest(query, 20), expected)  # one that was open goes on

    again.client.drop_collection(again.name)
    assert "; run it again after a restart of the server" in refusal(lambda: again.nearest(query, 20))
    lost = refusal(lambda: read_index("milvus", options, folder, database))
    assert lost == f"{again.name} at {server.uri}: is not there; delete {folder} and build it again"
    build_index("milvus", options, database, folder)
    np.testing.assert_array_equal(read_index("milvus", options, folder, database).nearest(query, 20), expected)


def test_the_workflow_with_a_server(server, finished, tmp_path):
    """An index of the finished tiny experiment that lies on the server: as many hits as by exact search; its size is unknown."""
    folder = shutil.copytree(finished, tmp_path / "project")
    config = yaml.safe_load((folder / "tiny.yaml").read_text())
    on_server = {"type": "milvus", "uri": server.uri, "index_type": "FLAT", "build": {}, "search": {}}
    config["indexes"]["server"] = on_server
    config["studies"] |= {"places": {"question": "Where the index lies", "index": ["l2", "server"]}}
    (folder / "server.yaml").write_text(yaml.safe_dump(config))
    assert planned(folder, "places", config="server.yaml")["build_index"] == 1
    done = snakemake(folder, "places", config="server.yaml")
    assert done.returncode == 0, done.stdout[-6000:]
    cells = folder / f"results/demo/scores/{FULL}/epoch=best"
    exact, served = (json.loads((cells / f"{name}.json").read_text()) for name in ("l2", "server"))
    assert served["hits"] == exact["hits"] and served["queries"] == exact["queries"]
    assert exact["index_bytes"] > 0 and served.get("index_bytes") is None  # cells do not write what is unknown
    (log,) = (folder / "results/demo/logs/build_index").rglob("server*")
    assert "fingerprints, on a server, " in log.read_text()
