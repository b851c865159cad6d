"""A Milvus collection as an index: filled, opened and searched.

A server's token is read from the environment variable MILVUS_TOKEN, and is neither printed nor stored.
"""

import hashlib
import json
import logging
import os
import time
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np

from nafp.errors import UserError
from nafp.files import lock_folder, read_json
from nafp.search.types.milvus import Milvus
from nafp.search.vectors import NO_ROW, Database

INSERT_BATCH = 2**13  # fingerprints sent at a time: 4 MB of 128 dimensions; a server takes 64 MB
SEARCH_BATCH = 2**10  # queries sent at a time; a server takes 16,384
METRIC = "IP"  # inner product, which orders unit vectors as their distance does
NOT_LOADED = 101  # code of a server that has not yet loaded a collection into its memory
INDEX_POLL_S = 0.5  # seconds between two questions whether an index is complete
ROW, VECTOR = "row", "fingerprint"
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # gRPC, which pymilvus uses, reads it when it is imported


def connect(uri: str):
    """A client of the database at ``uri``: a file for Milvus Lite, http://... for a server."""
    from pymilvus import MilvusClient  # imported here, so that all other index types work without it

    for library in ("pymilvus", "milvus_lite"):  # loggers of whole pages, where ``milvus_errors`` says a sentence
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with milvus_errors(uri):
        return MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""), timeout=30)


@contextmanager
def milvus_errors(uri: str):
    """Errors of Milvus, and those of gRPC that pymilvus lets through, become a UserError of one sentence, without the token."""
    import grpc
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, grpc.RpcError) as error:
        raise UserError(f"milvus at {uri}: {explained(error, uri)}") from None


def explained(error: Exception, uri: str) -> str:
    """What an error of pymilvus or gRPC says, on one line, and how to mend it, which its code tells or that of its cause."""
    import grpc
    from pymilvus.client.types import Status
    from pymilvus.exceptions import ErrorCode

    states = grpc.StatusCode
    found = [one.code for one in (error, error.__cause__) if hasattr(one, "code")]
    codes = {code() if callable(code) else code for code in found}
    if codes & {states.UNAUTHENTICATED, states.PERMISSION_DENIED}:  # pymilvus says that the server is unavailable
        return "the server refuses the token; set MILVUS_TOKEN to user:password, or to a token that it knows"
    message = error.details() if isinstance(error, grpc.RpcError) else error.message
    if codes & {Status.CONNECT_FAILED, states.UNAVAILABLE, states.DEADLINE_EXCEEDED}:
        mend = "start the server, correct uri, or leave out uri for Milvus Lite"
    elif codes & {ErrorCode.COLLECTION_NOT_FOUND, NOT_LOADED}:
        mend = (
            "run it again after a restart of the server; if it has lost the collection, delete the index's folder first"
        )
    else:
        otherwise = "read the server's log" if uri.startswith("http") else "delete its folder and build it again"
        mend = f"correct index_type, build or search of the index, or {otherwise}"
    return f"{' '.join(str(message).split())}; {mend}"


def release_lite(uri: str) -> None:
    """Close the file of a Milvus Lite of this process, so that it can be renamed."""
    if not uri.startswith("http"):
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(uri)


def build_collection(options: Milvus, database: Database, part: Path, folder: Path) -> None:
    """Fill a collection with a database and index it.

    ``part``: a folder that becomes ``folder``: it holds the collection of Milvus Lite, and the name of the collection.
    """
    from pymilvus import DataType, MilvusClient

    uri = options.uri or str(part / "milvus.db")
    name = f"nafp_{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}"
    client = connect(uri)
    with milvus_errors(uri):
        client.drop_collection(name)  # the one of an earlier build, if there is one
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field(ROW, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=database.dim)
        index = client.prepare_index_params()
        build = {"params": dict(options.build)}  # as one mapping: Milvus Lite ignores single arguments
        index.add_index(VECTOR, index_type=options.index_type, metric_type=METRIC, params=build)
        # The index is created by itself, so that the collection is not loaded while it is filled, and before the rows, since
        # wrong parameters are refused then.
        client.create_collection(name, schema=schema)
        client.create_index(name, index)
        for first, vectors in database.chunks(INSERT_BATCH):
            client.insert(name, [{ROW: first + i, VECTOR: vector} for i, vector in enumerate(vectors)])
        client.flush(name)
        wait_for_index(client, name, uri)
        client.load_collection(name)  # Milvus Lite builds its index here
        client.close()
    release_lite(uri)
    facts = {"collection": name, "rows": len(database), "dim": database.dim}
    (part / "collection.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def wait_for_index(client, name: str, uri: str) -> None:
    """Return when all rows are in the index, which a server builds after ``flush``; UserError if it cannot.

    Until then a server compares a query with all rows, so its answers and times would not be those of the index.
    """
    while (found := client.describe_index(name, VECTOR)) and found["pending_index_rows"] > 0:
        if found["state"] == "Failed":
            raise UserError(f"{name} at {uri}: the server could not build the index; its log says why")
        time.sleep(INDEX_POLL_S)


@cache
def take_turn(folder: Path) -> None:
    """Wait until no other process has a collection of Milvus Lite open, which one at a time can; kept until this one ends."""
    lock_folder(folder, "another process searches it, which one at a time can; waiting")


class Collection:
    """A filled collection, ready to search. Raises UserError if it is missing, unreachable or of another database."""

    memory_bytes = gpu = None  # Milvus does not say

    def __init__(self, options: Milvus, folder: Path, database: Database):
        path = folder / "collection.json"
        try:
            facts = read_json(path, "collection", "rows", "dim")
        except UserError as error:
            raise UserError(f"{path}: is damaged or missing; delete {folder} and build it again") from error
        self.uri, self.name = options.uri or str(folder / "milvus.db"), facts["collection"]
        self.rows, self.dim, self.parameters = facts["rows"], facts["dim"], dict(options.search)
        if options.uri is None:
            take_turn(folder)
        self.client = connect(self.uri)
        with milvus_errors(self.uri):
            found = self.client.has_collection(self.name)
            held = self.client.get_collection_stats(self.name)["row_count"] if found else 0
            if held == len(database):
                self.client.load_collection(self.name)
        if held != len(database):
            holds = f"holds {held} fingerprints, but the database has {len(database)}" if found else "is not there"
            raise UserError(f"{self.name} at {self.uri}: {holds}; delete {folder} and build it again")

    def __len__(self) -> int:
        return self.rows

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) ids, the nearest first; -1 where there are fewer."""
        if query.shape[1] != self.dim:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.dim}")
        ids = np.full((len(query), k), NO_ROW)
        for first in range(0, len(query), SEARCH_BATCH):
            some = list(np.ascontiguousarray(query[first : first + SEARCH_BATCH], np.float32))
            with milvus_errors(self.uri):
                found = self.client.search(
                    self.name, some, limit=k, output_fields=[ROW], search_params={"params": self.parameters}
                )
            for row, hits in enumerate(found, first):
                ids[row, : len(hits)] = [hit["entity"][ROW] for hit in hits]
        return ids
