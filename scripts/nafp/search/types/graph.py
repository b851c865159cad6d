"""Index types that walk a graph of neighbours."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nafp.options import POSITIVE, option
from nafp.search.types.base import FLOAT_BYTES, FaissType

if TYPE_CHECKING:
    import faiss

LINK_BYTES = 4
VISITED = 100  # neighbours compared for each candidate, counted as of matrix products, which are several times as fast


@dataclass(frozen=True)
class Hnsw(FaissType):
    """Hierarchical navigable small-world graph over whole vectors (arXiv 1603.09320)."""

    name: ClassVar[str] = "hnsw"

    M: int = option({"type": "integer", "minimum": 2}, "links a node; 1 crashes Faiss")
    efConstruction: int = option(POSITIVE, "candidates while a node is linked")
    efSearch: int = option(POSITIVE, "candidates while a query is searched")

    def bytes_per_vector(self, dim: int) -> float:
        return FLOAT_BYTES * dim + 2 * self.M * LINK_BYTES + 8  # the lowest level has twice M links

    def build_flops(self, dim: int, vectors: int, trained: int) -> float:
        return super().build_flops(dim, vectors, trained) * VISITED * self.efConstruction

    def search_flops(self, dim: int, vectors: int) -> float:
        return 2.0 * dim * VISITED * self.efSearch

    def description(self, dim: int, n_train: int) -> str:
        return f"HNSW{self.M},Flat"

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        index = super().create(dim, n_train)
        index.hnsw.efConstruction, index.hnsw.efSearch = self.efConstruction, self.efSearch
        return index
