"""Index types with inverted lists of product-quantised vectors (paper 3.5): ``m`` pieces, each stored as a code of ``nbits``."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from nafp.errors import UserError
from nafp.options import POSITIVE, option
from nafp.search.types.base import FLOAT_BYTES
from nafp.search.types.inverted_lists import ID_BYTES, InvertedLists

if TYPE_CHECKING:
    import faiss

K_FACTOR = {"type": "number", "minimum": 1}, "times k candidates are ranked again exactly"
GPU_M = (1, 2, 3, 4, 8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 96)  # values of m that faiss.GpuIndexIVFPQ takes
CODE_ITERATIONS, VECTORS_PER_VALUE = 25, 256  # iterations of k-means and vectors for each value of a code, by Faiss
SHORT_VECTORS = 8  # times as slow as a matrix product: distances of a piece's few dimensions (measured)
GPU_SHARED_MEMORY = 49_152  # bytes of a block for lookup tables


def codes_of(m: int, dim: int) -> int:
    """Codes that a fingerprint of ``dim`` dimensions is stored as: ``m``, at most one for each dimension.

    The paper (3.5) has 64 codes, for d = 16 and 32 (Table 4) too, where Faiss cannot cut so many pieces, and does not say
    what was done: one code a dimension is the finest there is. Raises UserError if they do not divide the dimensions.
    """
    codes = min(m, dim)
    if dim % codes:
        possible = [n for n in range(1, dim + 1) if dim % n == 0]
        raise UserError(
            f"m: {m} does not divide the fingerprint's {dim} dimensions; use one of {', '.join(map(str, possible))}"
        )
    return codes


@dataclass(frozen=True)
class ProductQuantizer(InvertedLists):
    """Base of these types; ``code_bits``: of a code."""

    code_bits: ClassVar[int]

    m: int = option(POSITIVE, "codes of a fingerprint, at most one for each dimension (64 of 16 are 16); divides dim")

    def check(self, dim: int) -> None:
        codes_of(self.m, dim)

    def build_flops(self, dim: int, vectors: int, trained: int) -> float:
        values = 2**self.code_bits
        encoded = vectors + CODE_ITERATIONS * min(trained, values * VECTORS_PER_VALUE)
        return super().build_flops(dim, vectors, trained) + SHORT_VECTORS * 2.0 * dim * values * encoded

    def codes(self, dim: int) -> int:
        """``m`` codes, or one for each dimension if there are fewer (and says so)."""
        codes = codes_of(self.m, dim)
        if codes < self.m:
            print(f"m: a fingerprint of {dim} dimensions has at most {dim} codes, not {self.m}: using {codes}")
        return codes


@dataclass(frozen=True)
class IvfPqBase(ProductQuantizer):
    """Base of the types whose codes have ``nbits``."""

    nbits: int = option({"type": "integer", "minimum": 1, "maximum": 12}, "bits of a code")

    @property
    def code_bits(self) -> int:
        return self.nbits

    def bits(self, n_train: int) -> int:
        """``nbits``, or as many bits as there are training vectors for (and says so)."""
        supported = max(n_train, 2).bit_length() - 1
        if supported < self.nbits:
            print(f"{n_train} training vectors support codes of {supported} bits, not {self.nbits}: using {supported}")
        return min(self.nbits, supported)

    def bytes_per_vector(self, dim: int) -> float:
        return codes_of(self.m, dim) * self.nbits / 8 + ID_BYTES

    def description(self, dim: int, n_train: int) -> str:
        return f"IVF{self.lists(n_train)},PQ{self.codes(dim)}x{self.bits(n_train)}"

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        import faiss

        index = super().create(dim, n_train)
        lists = faiss.downcast_index(faiss.extract_index_ivf(index))
        lists.do_polysemous_training = False  # most of the training time, for polysemous search, which is not used
        return index


@dataclass(frozen=True)
class IvfPq(IvfPqBase):
    """Inverted lists of product-quantised vectors: the paper's index (3.5)."""

    name: ClassVar[str] = "ivfpq"

    def gpu_refusal(self) -> str | None:
        if self.nbits != 8:
            return f"on a GPU Faiss cannot do codes of {self.nbits} bits, only of 8 ({self.name})"
        if self.m not in GPU_M:
            return f"on a GPU Faiss cannot do {self.m} codes, only {', '.join(map(str, GPU_M))} ({self.name})"
        return self.nprobe_refusal()

    def gpu_precisions(self) -> tuple[bool, ...]:
        return (self.m * 2**self.nbits * FLOAT_BYTES > GPU_SHARED_MEMORY,)


@dataclass(frozen=True)
class IvfPqRr(IvfPqBase):
    """``ivfpq`` whose ``k_factor`` times k best are ranked again by their exact distance."""

    name: ClassVar[str] = "ivfpq-rr"

    k_factor: float = option(*K_FACTOR)

    def bytes_per_vector(self, dim: int) -> float:
        return super().bytes_per_vector(dim) + FLOAT_BYTES * dim

    def description(self, dim: int, n_train: int) -> str:
        return f"{super().description(dim, n_train)},RFlat"

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        index = super().create(dim, n_train)
        index.k_factor = self.k_factor
        return index


@dataclass(frozen=True)
class IvfPqRrOnDisk(IvfPqBase):
    """``ivfpq`` with its lists on disk, whose ``k_factor`` times k best are ranked again by the fingerprints' own files."""

    name: ClassVar[str] = "ivfpq-rr-ondisk"
    on_disk: ClassVar[bool] = True
    takes_additions: ClassVar[bool] = False  # its lists are joined once

    k_factor: float = option(*K_FACTOR)


@dataclass(frozen=True)
class IvfPqFastScan(ProductQuantizer):
    """Inverted lists of codes of 4 bits, compared in registers (Faiss "fast scan", arXiv 1704.07355)."""

    name: ClassVar[str] = "ivfpq-fastscan"
    min_training_vectors: ClassVar[int] = 16  # one for each value of a code
    code_bits: ClassVar[int] = 4

    def bytes_per_vector(self, dim: int) -> float:
        return codes_of(self.m, dim) / 2 + ID_BYTES

    def description(self, dim: int, n_train: int) -> str:
        return f"IVF{self.lists(n_train)},PQ{self.codes(dim)}x4fs"
