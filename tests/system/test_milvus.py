"""Milvus by its URI: a server on a TCP port, and what a user sees when it refuses, restarts or has lost the collection."""

import base64
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest
from indexes import OPTIONS, vectors

from nafp.errors import UserError
from nafp.search.index import build_index, read_index
from nafp.search.milvus_collection import Collection
from nafp.search.sequences import exact_neighbours
from nafp.search.types.milvus import LITE_TYPES
from nafp.search.vectors import Database

LITE = OPTIONS["milvus"]
TOKEN = "user:secret"


class Gate(grpc.ServerInterceptor):
    """Refuses calls without TOKEN, as a server of Milvus with authorization does; Milvus Lite asks for none."""

    def __init__(self):
        self.expected = base64.b64encode(TOKEN.encode()).decode()
        self.refusal = grpc.unary_unary_rpc_method_handler(
            lambda request, context: context.abort(grpc.StatusCode.UNAUTHENTICATED, "auth check failure")
        )

    def intercept_service(self, continuation, details):
        given = dict(details.invocation_metadata).get("authorization")
        return continuation(details) if given == self.expected else self.refusal


@contextmanager
def serving(data: Path, port: int = 0):
    """The gRPC server of Milvus Lite on a port of this machine; gives its port."""
    from milvus_lite.adapter.grpc.servicer import MilvusServicer
    from milvus_lite.db import MilvusLite
    from pymilvus.grpc_gen import milvus_pb2_grpc

    store, server = MilvusLite(str(data)), grpc.server(ThreadPoolExecutor(4), interceptors=[Gate()])
    milvus_pb2_grpc.add_MilvusServiceServicer_to_server(MilvusServicer(store), server)
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
    with pytest.raises(UserError, match=where + ".*; start the server, correct uri or MILVUS_TOKEN") as stopped:
        index.nearest(query, 20)
    assert "\n" not in str(stopped.value)

    with serving(tmp_path / "data", port):
        again = when_it_is_back(lambda: read_index("milvus", options, folder, database))
        np.testing.assert_array_equal(again.nearest(query, 20), expected)
        np.testing.assert_array_equal(index.nearest(query, 20), expected)  # one that was open goes on
        monkeypatch.setenv("MILVUS_TOKEN", "user:wrong")
        with pytest.raises(UserError, match=where + ".*correct uri or MILVUS_TOKEN") as refused:
            read_index("milvus", options, folder, database)
        assert "wrong" not in str(refused.value)
        with pytest.raises(UserError, match=where + ".*correct uri or MILVUS_TOKEN"):
            build_index("milvus", options, database, tmp_path / "other")
        assert not (tmp_path / "other").exists()
        monkeypatch.setenv("MILVUS_TOKEN", TOKEN)
        index.client.drop_collection(index.name)
        with pytest.raises(UserError, match=where + ".*collection"):
            index.nearest(query, 20)
        with pytest.raises(
            UserError, match="holds 0 fingerprints, but the database has 1260; delete .* build it again"
        ):
            read_index("milvus", options, folder, database)
    assert capfd.readouterr() == ("", "")  # one sentence, no pages of a library's log


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


def test_a_milvus_collection_of_another_database(tmp_path):
    index = built(LITE, Database(vectors(0, 30), vectors(1, 5)), tmp_path / "milvus")
    index.client.close()
    with pytest.raises(UserError, match="holds 35 fingerprints, but the database has 34; delete .* and build it again"):
        read_index("milvus", LITE, tmp_path / "milvus", Database(vectors(0, 29), vectors(1, 5)))
    (tmp_path / "milvus/collection.json").unlink()
    with pytest.raises(UserError, match="collection.json: is damaged or missing; delete .* and build it again"):
        read_index("milvus", LITE, tmp_path / "milvus", Database(vectors(0, 30), vectors(1, 5)))
