"""Index types without a structure: every vector is compared with the query."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nafp.search.types.base import FLOAT_BYTES, FaissType

if TYPE_CHECKING:
    import faiss


@dataclass(frozen=True)
class L2(FaissType):
    """Exact search; the nearest unit vector has the largest inner product, which is cheaper than the distance."""

    name: ClassVar[str] = "l2"
    exhaustive: ClassVar[bool] = True

    def bytes_per_vector(self, dim: int) -> float:
        return FLOAT_BYTES * dim

    def description(self, dim: int, n_train: int) -> str:
        return "Flat"

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        import faiss

        return faiss.index_factory(dim, self.description(dim, n_train), faiss.METRIC_INNER_PRODUCT)

    def gpu_refusal(self) -> str | None:
        return None

    def gpu_precisions(self) -> tuple[bool, ...]:
        return False, True  # float16 where float32 does not fit


@dataclass(frozen=True)
class Sq8(FaissType):
    """Exhaustive search of vectors rounded to 8 bits a dimension."""

    name: ClassVar[str] = "sq8"
    min_training_vectors: ClassVar[int] = 2

    def bytes_per_vector(self, dim: int) -> float:
        return dim

    def description(self, dim: int, n_train: int) -> str:
        return "SQ8"
