"""What an index type is: the options that it takes, what it needs and costs, and how its folder is filled and opened."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol

from nafp.errors import UserError

if TYPE_CHECKING:
    import faiss
    import numpy as np

    from nafp.search.vectors import Database

FLOAT_BYTES = 4
RECALL_SEGMENTS = 1000  # query segments that recall is measured on


class SearchableIndex(Protocol):
    """An index that is open for searching."""

    @property
    def memory_bytes(self) -> int | None:
        """Bytes that it keeps in memory, by its structure; None if unknown."""

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that holds it; None on the CPU."""

    def __len__(self) -> int:
        """Number of fingerprints."""

    def nearest(self, query: "np.ndarray", k: int) -> "np.ndarray":
        """(n, d) -> (n, k) rows of the database, the nearest first; -1 where there are fewer."""


@dataclass(frozen=True)
class Building:
    """How an index is built: seed and most vectors of the training sample, and the device (auto, cpu, gpu) that trains it."""

    seed: int = 0
    train_max: int = 10**6
    device: str = "cpu"


@dataclass(frozen=True)
class IndexType(ABC):
    """An index type with its options: the fields of the subclass, each made by ``nafp.options.option``."""

    name: ClassVar[str]  # name in the config
    backend: ClassVar[str]  # library that implements it
    environment: ClassVar[str] = "search"  # file in envs/ with the packages that it needs
    takes_additions: ClassVar[bool] = (
        False  # additions to a finished index; otherwise it is rebuilt when its database grows
    )
    min_training_vectors: ClassVar[int] = 0
    on_disk: ClassVar[bool] = False  # inverted lists stay on the disk, candidates are ranked by the fingerprints' files

    @abstractmethod
    def bytes_per_vector(self, dim: int) -> float:
        """Bytes on disk of a fingerprint of ``dim`` dimensions."""

    def build_flops(self, dim: int, vectors: int, trained: int) -> float:
        """FLOPs of adding ``vectors`` after training with ``trained`` ones, as of matrix products: slower ones count more."""
        return 2.0 * dim * vectors  # vectors are read and checked

    def search_flops(self, dim: int, vectors: int) -> float:
        """FLOPs of comparing a segment with what the index looks at, among ``vectors`` fingerprints."""
        return 2.0 * dim * vectors

    def stored_bytes(self, folder: Path) -> int | None:
        """Bytes on disk of the finished index in a folder; None if it lies on a server, which does not say."""
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def check(self, dim: int) -> None:  # noqa: B027
        """Raise UserError if fingerprints of ``dim`` dimensions cannot be indexed with these options."""

    def check_training(self, vectors: int) -> None:
        """Raise UserError if so few dummy fingerprints cannot train the index."""
        if vectors < self.min_training_vectors:
            raise UserError(
                f"{self.name}: {vectors} dummy fingerprints are too few to train it; use l2, or a larger database"
            )

    def gpu_refusal(self) -> str | None:
        """Why a GPU cannot hold the index; None if it can."""
        return f"Faiss has no GPU version of {self.name}"

    @abstractmethod
    def fill_folder(self, database: "Database", part: Path, folder: Path, building: Building) -> int | None:
        """Write the index of a database to the folder ``part``, which becomes ``folder`` when it is complete.

        Returns the number of the GPU that built it; None if the CPU did.
        """

    @abstractmethod
    def open_folder(self, folder: Path, database: "Database", device: str) -> SearchableIndex:
        """Open the index of a database; UserError if it is damaged, missing or of another database."""

    def extend_folder(self, folder: Path, database: "Database") -> None:
        """Add what the index of a database that has grown lacks; only if the type ``takes_additions``."""
        raise NotImplementedError(f"{self.name} takes no additions")


@dataclass(frozen=True)
class FaissType(IndexType):
    """An index type of Faiss. Faiss is imported where an index is made, since planning asks the type about itself."""

    backend: ClassVar[str] = "Faiss"
    takes_additions: ClassVar[bool] = True
    exhaustive: ClassVar[bool] = False  # compares a query with all vectors as they are, which PyTorch can do as well

    @abstractmethod
    def description(self, dim: int, n_train: int) -> str:
        """The index as ``faiss.index_factory`` describes it, for ``n_train`` training vectors of ``dim`` dimensions."""

    def create(self, dim: int, n_train: int) -> "faiss.Index":
        """An empty index."""
        import faiss

        return faiss.index_factory(dim, self.description(dim, n_train))

    def gpu_precisions(self) -> tuple[bool, ...]:
        """Whether a GPU uses float16 (for stored vectors or lookup tables), in the order of the attempts."""
        return (False,)

    def fill_folder(self, database: "Database", part: Path, folder: Path, building: Building) -> int | None:
        """Train the index on dummy fingerprints, add the database to it and write it."""
        from nafp.search.faiss_index import fill_folder

        return fill_folder(self, database, part, folder.with_name(f"{folder.name}.unfinished"), building)

    def open_folder(self, folder: Path, database: "Database", device: str) -> SearchableIndex:
        """Open the index, memory-mapped where the type allows."""
        from nafp.search.faiss_index import open_folder

        return open_folder(self, folder, database, device)

    def extend_folder(self, folder: Path, database: "Database") -> None:
        """Add what the index lacks, and write it again."""
        from nafp.search.faiss_index import extend_folder

        extend_folder(folder, database)
