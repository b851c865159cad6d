"""A Milvus collection as an index: Milvus Lite in the index's own folder, or a server for what outgrows one machine.

A server's token is read from the environment variable MILVUS_TOKEN, and is neither printed nor stored.
"""

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from nafp.errors import UserError
from nafp.search.checks import check_milvus
from nafp.search.vectors import NOTHING, Database

INSERTED = 2**13  # fingerprints sent at a time: 4 MB of 128 dimensions; a server takes 64 MB
SEARCHED = 2**10  # queries sent at a time; a server takes 16,384
METRIC = "IP"  # of unit vectors, the order of the inner product is that of the distance
ROW, VECTOR = "row", "fingerprint"
os.environ.setdefault("GRPC_VERBOSITY", "ERROR")  # of the library below pymilvus, which reads it when it is loaded


def connect(uri: str):
    """A client of the database at ``uri``: a file for Milvus Lite, http://... for a server."""
    from pymilvus import MilvusClient  # only here, so that every other index type works without it

    for library in ("pymilvus", "milvus_lite"):  # pages of what the one sentence of ``refusals`` says
        logging.getLogger(library).setLevel(logging.CRITICAL)
    with refusals(uri):
        return MilvusClient(uri, token=os.environ.get("MILVUS_TOKEN", ""), timeout=30)


@contextmanager
def refusals(uri: str):
    """What Milvus refuses, as one sentence without the token."""
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except MilvusException as error:
        raise UserError(
            f"milvus at {uri}: {error.message}; start the server, correct uri or MILVUS_TOKEN, or leave out uri for Milvus Lite"
        ) from None


def release_lite(uri: str) -> None:
    """End the Milvus Lite of this process that has a file open, so that the file may move."""
    if not uri.startswith("http"):
        from milvus_lite.server_manager import server_manager_instance

        server_manager_instance.release_server(uri)


def build_collection(options: Mapping, database: Database, part: Path, folder: Path) -> None:
    """Fill a collection with a database and index it.

    ``part``: a folder that becomes ``folder``: it holds the collection itself, or says where on which server it is.
    ``options``: uri (null for Milvus Lite), index_type, build and search (parameters of Milvus for that type).
    """
    from pymilvus import DataType, MilvusClient

    check_milvus(options)
    uri = options["uri"] or str(part / "milvus.db")
    name = f"nafp_{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}"
    client = connect(uri)
    with refusals(uri):
        client.drop_collection(name)  # of an earlier build; nothing happens if there is none
        schema = MilvusClient.create_schema(auto_id=False)
        schema.add_field(ROW, DataType.INT64, is_primary=True)
        schema.add_field(VECTOR, DataType.FLOAT_VECTOR, dim=database.dim)
        index = client.prepare_index_params()
        build = {"params": dict(options["build"])}  # in one piece: Milvus Lite does not see them one by one
        index.add_index(VECTOR, index_type=options["index_type"], metric_type=METRIC, params=build)
        client.create_collection(name, schema=schema, index_params=index)
        for first, vectors in database.chunks(INSERTED):
            client.insert(name, [{ROW: first + i, VECTOR: vector} for i, vector in enumerate(vectors)])
        client.flush(name)
        client.load_collection(name)  # returns when the index is complete
        client.close()
    release_lite(uri)
    facts = {"collection": name, "rows": len(database), "dim": database.dim}
    (part / "collection.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


class Collection:
    """A filled collection, ready to search. Raises UserError if it is missing, unreachable or of another database."""

    memory_bytes = gpu = None  # Milvus does not say

    def __init__(self, options: Mapping, folder: Path, database: Database):
        path = folder / "collection.json"
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: is damaged or missing; delete {folder} and build it again") from error
        self.uri, self.name = options["uri"] or str(folder / "milvus.db"), facts["collection"]
        self.rows, self.dim, self.parameters = facts["rows"], facts["dim"], dict(options["search"])
        self.client = connect(self.uri)
        with refusals(self.uri):
            found = self.client.has_collection(self.name)
            held = self.client.get_collection_stats(self.name)["row_count"] if found else 0
            if held == len(database):
                self.client.load_collection(self.name)
        if held != len(database):
            raise UserError(
                f"{self.name} at {self.uri}: holds {held} fingerprints, but the database has {len(database)}; delete "
                f"{folder} and build it again"
            )

    def __len__(self) -> int:
        return self.rows

    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) ids, the nearest first; -1 where there are fewer."""
        if query.shape[1] != self.dim:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.dim}")
        ids = np.full((len(query), k), NOTHING)
        for first in range(0, len(query), SEARCHED):
            some = list(np.ascontiguousarray(query[first : first + SEARCHED], np.float32))
            with refusals(self.uri):
                found = self.client.search(
                    self.name, some, limit=k, output_fields=[ROW], search_params={"params": self.parameters}
                )
            for row, hits in enumerate(found, first):
                ids[row, : len(hits)] = [hit[ROW] for hit in hits]
        return ids
