"""Milvus by its URI: a server on a TCP port, and what a user sees when it refuses, restarts or has lost the collection."""

import base64
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from indexes import OPTIONS, vectors
from pymilvus.grpc_gen import common_pb2

from nafp.errors import UserError
from nafp.search.index import build_index, read_index
from nafp.search.milvus_collection import Collection
from nafp.search.sequences import exact_neighbours
from nafp.search.types import index_type_of
from nafp.search.types.milvus import LITE_TYPES
from nafp.search.vectors import Database

LITE = OPTIONS["milvus"]
ROOT = Path(__file__).parents[2]
TOKEN = "user:secret"
REFUSED = "the server refuses the token; set MILVUS_TOKEN"


class Gate(grpc.ServerInterceptor):
    """Refuses calls without TOKEN, as a server of Milvus with authorization does; Milvus Lite asks for none.

    ``open_to``: calls that it lets pass nevertheless, by the ends of their names.
    """

    def __init__(self, open_to: tuple[str, ...] = ()):
        self.open_to = open_to
        self.expected = base64.b64encode(TOKEN.encode()).decode()
        self.refusal = grpc.unary_unary_rpc_method_handler(
            lambda request, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
        )

    def intercept_service(self, continuation, details):
        given = dict(details.invocation_metadata).get("authorization")
        passes = given == self.expected or details.method.endswith(self.open_to)
        return continuation(details) if passes else self.refusal


@contextmanager
def serving(data: Path, port: int = 0, open_to: tuple[str, ...] = (), changed: tuple[type, ...] = ()):
    """The gRPC server of Milvus Lite on a port of this machine; gives its port. ``changed``: classes with other calls."""
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from pymilvus.grpc_gen import milvus_pb2_grpc

    store, server = MilvusLite(str(data)), grpc.server(ThreadPoolExecutor(4), interceptors=[Gate(open_to)])
    servicer = type("Servicer", (*changed, MilvusServicer), {})(store)
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(servicer, server)
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        server.start()
        yield bound
    finally:
        server.stop(grace=0).wait()
        store.close()


def built(options: dict, database: Database, folder: Path) -> Collection:
    build_index("milvus", options, database, folder)
    return read_index("milvus", options, folder, database)


def when_it_is_back(connect, seconds: float = 30):
    """What ``connect`` returns: a client waits a second or two before it tries again where it was refused."""
    until = time.monotonic() + seconds
    while True:
        try:
            return connect()
        except UserError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def test_a_server_finds_what_milvus_lite_finds(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    database, query = Database(vectors(0, 1200), vectors(1, 60)), vectors(2, 40)
    expected = built(LITE, database, tmp_path / "lite").nearest(query, 20)
    np.testing.assert_array_equal(expected, exact_neighbours(database, query, 20))  # all 8 lists of 8 are looked at
    folder = tmp_path / "server"
    with serving(tmp_path / "data") as port:
        options = LITE | {"uri": f"http://127.0.0.1:{port}"}
        index = built(options, database, folder)
        np.testing.assert_array_equal(index.nearest(query, 20), expected)
        assert [path.name for path in folder.iterdir()] == ["collection.json"]
        assert "secret" not in (folder / "collection.json").read_text()

    capfd.readouterr()
    where = f"milvus at http://127.0.0.1:{port}: "
    with pytest.raises(UserError, match=where + ".*; start the server, correct uri, or leave out uri") as stopped:
        index.nearest(query, 20)
    assert "\n" not in str(stopped.value)

    with serving(tmp_path / "data", port):
        again = when_it_is_back(lambda: read_index("milvus", options, folder, database))
        np.testing.assert_array_equal(again.nearest(query, 20), expected)
        np.testing.assert_array_equal(index.nearest(query, 20), expected)  # one that was open goes on
        monkeypatch.setenv("MILVUS_TOKEN", "user:wrong")
        with pytest.raises(UserError, match=where + REFUSED) as refused:
            read_index("milvus", options, folder, database)
        assert "wrong" not in str(refused.value)
        with pytest.raises(UserError, match=where + REFUSED):
            build_index("milvus", options, database, tmp_path / "other")
        assert not (tmp_path / "other").exists()
        monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
        index.client.drop_collection(index.name)
        with pytest.raises(
            UserError, match=where + ".*collection.*; run it again after a restart .* delete the index's"
        ):
            index.nearest(query, 20)
        with pytest.raises(UserError, match="nafp_.*: is not there; delete .*/server and build it again"):
            read_index("milvus", options, folder, database)
    assert capfd.readouterr() == ("", "")  # one sentence, no pages of a library's log


def test_a_token_is_refused_by_one_sentence_at_every_call(tmp_path, monkeypatch):
    """pymilvus lets errors of gRPC through where a server asks for the token later than at the connection."""
    monkeypatch.setenv("MILVUS_TOKEN", "user:wrong")
    with serving(tmp_path / "data", open_to=("/Connect",)) as port:
        options = LITE | {"uri": f"http://127.0.0.1:{port}"}
        with pytest.raises(UserError, match=f"milvus at http://127.0.0.1:{port}: {REFUSED}") as refused:
            build_index("milvus", options, Database(vectors(0, 10), vectors(1, 5)), tmp_path / "milvus")
    assert "wrong" not in str(refused.value) and "\n" not in str(refused.value)


class SlowIndexing:
    """A server that indexes after ``flush``, and says for a while that rows are pending."""

    calls: list[str] = []
    pending = 2

    def Flush(self, request, context):
        self.calls.append("flush")
        return super().Flush(request, context)

    def DescribeIndex(self, request, context):
        answer = super().DescribeIndex(request, context)
        if "flush" in self.calls:
            self.calls.append("pending" if self.pending else "indexed")
            answer.index_descriptions[0].pending_index_rows = self.pending
            self.pending = max(self.pending - 1, 0)
        return answer

    def LoadCollection(self, request, context):
        self.calls.append("load")
        return super().LoadCollection(request, context)


class FailedIndexing(SlowIndexing):
    calls: list[str] = []

    def DescribeIndex(self, request, context):
        answer = super().DescribeIndex(request, context)
        if "flush" in self.calls:
            answer.index_descriptions[0].state = common_pb2.Failed
        return answer


def test_a_collection_is_loaded_when_its_index_is_complete(tmp_path, monkeypatch):
    """Loaded before, it would be searched without its index: exactly, slowly, and not what a cell says."""
    monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
    database = Database(vectors(0, 30), vectors(1, 5))
    with serving(tmp_path / "data", changed=(SlowIndexing,)) as port:
        index = built(LITE | {"uri": f"http://127.0.0.1:{port}"}, database, tmp_path / "milvus")
        assert SlowIndexing.calls[:5] == ["flush", "pending", "pending", "indexed", "load"]
        assert (index.nearest(database.db, 1)[:, 0] == np.arange(30, 35)).all()
    with serving(tmp_path / "failing", changed=(FailedIndexing,)) as port:
        options = LITE | {"uri": f"http://127.0.0.1:{port}"}
        with pytest.raises(
            UserError, match=f"nafp_.* at http://127.0.0.1:{port}: the server could not build the index"
        ):
            build_index("milvus", options, database, tmp_path / "failed")
    assert not (tmp_path / "failed").exists()


def test_bytes_on_disk_of_a_server_are_unknown(tmp_path):
    database = Database(vectors(0, 30), vectors(1, 5))
    built(LITE, database, tmp_path / "milvus").client.close()
    lite, server = (index_type_of("milvus", LITE | {"uri": uri}) for uri in (None, "http://localhost:1"))
    assert lite.stored_bytes(tmp_path / "milvus") > 35 * 16 * 4
    assert server.stored_bytes(tmp_path / "milvus") is None


def test_a_milvus_server_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setenv("MILVUS_TOKEN", "user:secret")
    options = LITE | {"uri": "http://localhost:1"}
    with pytest.raises(UserError, match="milvus at http://localhost:1: .*; start the server") as refused:
        build_index("milvus", options, Database(vectors(0, 10), vectors(1, 5)), tmp_path / "milvus")
    assert "secret" not in str(refused.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", LITE_TYPES)
def test_what_milvus_lite_has(kind, tmp_path):
    """And what it has not, which is refused here and while planning (tests/unit/test_grid.py) by one function."""
    database = Database(vectors(0, 60), vectors(1, 5))
    options = {"uri": None, "index_type": kind, "build": {}, "search": {}}
    assert (built(options, database, tmp_path / "milvus").nearest(database.db, 1)[:, 0] == np.arange(60, 65)).all()
    with pytest.raises(UserError, match="milvus: Milvus Lite has no index_type 'IVF_PQ'; use one of AUTOINDEX, BRUTE"):
        build_index("milvus", options | {"index_type": "IVF_PQ"}, database, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_cells_that_search_one_collection_take_turns(tmp_path):
    """Milvus Lite is open in one process at a time: the second one waits, and then finds the same."""
    database = Database(vectors(0, 60), vectors(1, 5))
    build_index("milvus", LITE, database, tmp_path / "milvus")
    np.savez(tmp_path / "vectors.npz", dummy=database.dummy, db=database.db)
    script = (
        "import sys, time, numpy as np\nfrom pathlib import Path\nfrom nafp.search.index import read_index\n"
        "from nafp.search.vectors import Database\nat = Path(sys.argv[1])\nfound = np.load(at / 'vectors.npz')\n"
        f"index = read_index('milvus', {LITE!r}, at / 'milvus', Database(found['dummy'], found['db']))\n"
        "print('open', flush=True)\ntime.sleep(3)\n(at / 'slept').touch()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "scripts")}
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as other:
        assert "open" in other.stdout.readline()
        assert other.poll() is None and not (tmp_path / "slept").exists()
        index = read_index("milvus", LITE, tmp_path / "milvus", database)
        assert (tmp_path / "slept").exists() and other.wait(60) == 0
    assert (index.nearest(database.db, 1)[:, 0] == np.arange(60, 65)).all()
    index.client.close()


def test_a_milvus_collection_of_another_database(tmp_path):
    index = built(LITE, Database(vectors(0, 30), vectors(1, 5)), tmp_path / "milvus")
    index.client.close()
    with pytest.raises(UserError, match="holds 35 fingerprints, but the database has 34; delete .* and build it again"):
        read_index("milvus", LITE, tmp_path / "milvus", Database(vectors(0, 29), vectors(1, 5)))
    for damaged in ("{}", "[1]", "{"):
        (tmp_path / "milvus/collection.json").write_text(damaged)
        with pytest.raises(UserError, match="collection.json: is damaged or missing; delete .* and build it again"):
            read_index("milvus", LITE, tmp_path / "milvus", Database(vectors(0, 30), vectors(1, 5)))
    (tmp_path / "milvus/collection.json").unlink()
    with pytest.raises(UserError, match="collection.json: is damaged or missing; delete .* and build it again"):
        read_index("milvus", LITE, tmp_path / "milvus", Database(vectors(0, 30), vectors(1, 5)))


def test_a_cut_index_of_milvus_lite(tmp_path):
    """There is no server whose log could be read."""
    database = Database(vectors(0, 600), vectors(1, 5))
    build_index("milvus", LITE, database, tmp_path / "milvus")
    (file,) = (tmp_path / "milvus").rglob("*.idx")
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(
        UserError, match="milvus at .*milvus.db: .*, or delete its folder and build it again"
    ) as damaged:
        read_index("milvus", LITE, tmp_path / "milvus", database)
    assert "server" not in str(damaged.value)
