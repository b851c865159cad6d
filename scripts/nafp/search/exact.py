"""Exhaustive search on a GPU by PyTorch alone, for machines whose CUDA libraries do not fit the Faiss package."""

import numpy as np
import torch

from nafp.errors import UserError
from nafp.search.vectors import NO_ROW, Database

CHUNK_ROWS = 2**18  # rows of the database compared at a time
MAX_PRODUCTS = 2**28  # inner products in memory at a time: 1 GiB


class ExactSearch:
    """A database that is searched by matrix products and top-k (a ``SearchableIndex``).

    Fingerprints stay on the device if they take at most half of its free memory; otherwise every search sends them in chunks.
    """

    def __init__(self, database: Database, device: torch.device):
        self.database, self.device = database, device
        self.memory_bytes = 4 * len(database) * database.dim
        fits = device.type == "cpu" or self.memory_bytes < torch.cuda.mem_get_info(device)[0] / 2
        self.resident = list(self._chunks()) if fits else None

    def __len__(self) -> int:
        return len(self.database)

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that searches; None on a CPU."""
        return self.device.index if self.device.type == "cuda" else None

    def _chunks(self):
        """(first row, (m, d) fingerprints on the device) of the whole database."""
        for first, vectors in self.database.chunks(CHUNK_ROWS):
            yield first, torch.from_numpy(vectors).to(self.device)

    @torch.inference_mode()
    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) rows of the database with the largest inner products, the largest first; -1 where there are fewer.

        The order of equal ones is undefined. Products are not rounded to TF32.
        """
        if query.shape[1] != self.database.dim:
            raise UserError(f"the queries have {query.shape[1]} dimensions, the index {self.database.dim}")
        rounding, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, False
        try:
            return self._nearest(torch.from_numpy(np.ascontiguousarray(query, np.float32)).to(self.device), k)
        finally:
            torch.backends.cuda.matmul.allow_tf32 = rounding

    def _nearest(self, query: torch.Tensor, k: int) -> np.ndarray:
        best = torch.full((len(query), k), -torch.inf, device=self.device)
        ids = torch.full((len(query), k), NO_ROW, device=self.device)
        for first, vectors in self.resident or self._chunks():
            for rows in torch.arange(len(query), device=self.device).split(max(MAX_PRODUCTS // len(vectors), 1)):
                scores, found = (query[rows] @ vectors.T).topk(min(k, len(vectors)))
                scores = torch.cat([best[rows], scores], dim=1)
                kept = scores.topk(k).indices
                best[rows] = scores.gather(1, kept)
                ids[rows] = torch.cat([ids[rows], found + first], dim=1).gather(1, kept)
        return ids.cpu().numpy()
