"""Milvus as an index type: Milvus Lite in the index's own folder, or a server for what outgrows one machine."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from nafp.errors import UserError
from nafp.options import option
from nafp.search.types.base import Building, IndexType, SearchableIndex

if TYPE_CHECKING:
    from nafp.search.vectors import Database

LITE_TYPES = ("AUTOINDEX", "BRUTE_FORCE", "FLAT", "HNSW", "HNSW_SQ", "IVF_FLAT", "IVF_SQ8")  # types of Milvus Lite
URI = {"anyOf": [{"type": "null"}, {"type": "string", "pattern": "^https?://[^@]+$"}]}


@dataclass(frozen=True)
class Milvus(IndexType):
    """A collection of Milvus. Its options ``build`` and ``search`` are the parameters of its ``index_type``."""

    name: ClassVar[str] = "milvus"
    backend: ClassVar[str] = "Milvus"
    environment: ClassVar[str] = "milvus"

    uri: str | None = option(
        URI, "http://host:19530 of a server, whose token is the environment variable MILVUS_TOKEN; null - Milvus Lite"
    )
    index_type: str = option({"type": "string"}, f"of Milvus Lite: {', '.join(LITE_TYPES)}; a server has more")
    build: Mapping[str, Any] = option({"type": "object"}, "parameters of index_type for building")
    search: Mapping[str, Any] = option({"type": "object"}, "parameters of index_type for searching")

    def bytes_per_vector(self, dim: int) -> float:
        return 12 * dim  # Milvus Lite, measured: rows, its log and the index

    def stored_bytes(self, folder: Path) -> int | None:
        """Those of Milvus Lite."""
        return super().stored_bytes(folder) if self.uri is None else None

    def check(self, dim: int) -> None:
        """Refuse what Milvus Lite has no index for; a server says by itself what it has."""
        if self.uri is None and self.index_type not in LITE_TYPES:
            raise UserError(
                f"milvus: Milvus Lite has no index_type {self.index_type!r}; use one of {', '.join(LITE_TYPES)}, or a server"
            )
        if self.build.get("M", 2) < 2:
            raise UserError("milvus: build.M: a graph of 1 link a node crashes Faiss; use 2 or more")

    def fill_folder(self, database: "Database", part: Path, folder: Path, building: Building) -> None:
        """Fill a collection, which lies in the folder or on a server."""
        from nafp.search.milvus_collection import build_collection

        build_collection(self, database, part, folder)

    def open_folder(self, folder: Path, database: "Database", device: str) -> SearchableIndex:
        """Connect to the collection."""
        from nafp.search.milvus_collection import Collection

        return Collection(self, folder, database)
