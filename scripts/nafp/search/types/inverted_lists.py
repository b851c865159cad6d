"""Index types that sort vectors into lists and search the lists nearest to a query."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nafp.options import POSITIVE, option
from nafp.search.types.base import FLOAT_BYTES, FaissType

if TYPE_CHECKING:
    import faiss

VECTORS_PER_LIST = 39  # training vectors; with fewer Faiss warns that k-means is unreliable
LIST_ITERATIONS = 10  # iterations of k-means, by Faiss
ID_BYTES = 8  # row number of a vector in its list
GPU_MAX_NPROBE = 2048


def supported_lists(n_train: int) -> int:
    """Inverted lists that so many training vectors support."""
    return max(1, n_train // VECTORS_PER_LIST)


@dataclass(frozen=True)
class InvertedLists(FaissType):
    """Base of these types. Lists are clusters of k-means, which is trained on the dummy fingerprints."""

    min_training_vectors: ClassVar[int] = 2

    nlist: int = option(POSITIVE, "inverted lists")
    nprobe: int = option(POSITIVE, "lists that are searched")

    def build_flops(self, dim: int, vectors: int, trained: int) -> float:
        lists = min(self.nlist, supported_lists(trained))
        return super().build_flops(dim, vectors, trained) + 2.0 * dim * lists * (vectors + LIST_ITERATIONS * trained)

    def search_flops(self, dim: int, vectors: int) -> float:
        return 2.0 * dim * (self.nlist + min(self.nprobe / self.nlist, 1) * vectors)

    def lists(self, n_train: int) -> int:
        """``nlist``, or as many lists as the training vectors support (and says so)."""
        supported = supported_lists(n_train)
        if supported < self.nlist:
            print(f"{n_train} training vectors support {supported} inverted lists, not {self.nlist}: using {supported}")
        return min(self.nlist, supported)

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        import faiss

        index = super().create(dim, n_train)
        faiss.extract_index_ivf(index).nprobe = self.nprobe
        return index

    def nprobe_refusal(self) -> str | None:
        """Why a GPU cannot search so many lists; None if it can."""
        if self.nprobe > GPU_MAX_NPROBE:
            return f"on a GPU Faiss cannot do more than {GPU_MAX_NPROBE} of nprobe ({self.name})"
        return None


@dataclass(frozen=True)
class Ivf(InvertedLists):
    """Inverted lists of whole vectors."""

    name: ClassVar[str] = "ivf"

    def bytes_per_vector(self, dim: int) -> float:
        return FLOAT_BYTES * dim + ID_BYTES

    def description(self, dim: int, n_train: int) -> str:
        return f"IVF{self.lists(n_train)},Flat"

    def gpu_refusal(self) -> str | None:
        return self.nprobe_refusal()


@dataclass(frozen=True)
class IvfRabitq(InvertedLists):
    """Inverted lists of one bit a dimension after a random rotation (RaBitQ, arXiv 2405.12497)."""

    name: ClassVar[str] = "ivf-rabitq"

    def bytes_per_vector(self, dim: int) -> float:
        return dim / 8 + 2 * FLOAT_BYTES + ID_BYTES  # two factors correct the estimated distance

    def description(self, dim: int, n_train: int) -> str:
        return f"RR{dim},IVF{self.lists(n_train)},RaBitQ"
