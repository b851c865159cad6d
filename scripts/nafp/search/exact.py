"""Exhaustive search on a GPU by PyTorch alone: for machines whose CUDA libraries are not those of the Faiss wheel."""

import numpy as np
import torch

from nafp.errors import UserError
from nafp.search.vectors import NOTHING, Database

ROWS = 2**18  # of the database that are compared at a time
SCORES = 2**28  # inner products, at most, that exist at a time: 1 GiB


class ExactSearch:
    """All fingerprints of a database, searched by matrix products and top-k; what ``search.index.Index`` is for Faiss.

    They stay on the device if they take at most half of what is free there; otherwise they are sent in pieces, every time.
    """

    def __init__(self, database: Database, device: torch.device):
        self.database, self.device = database, device
        self.memory_bytes = 4 * len(database) * database.dim
        fits = device.type == "cpu" or self.memory_bytes < torch.cuda.mem_get_info(device)[0] / 2
        self.kept = list(self._sent()) if fits else None

    def __len__(self) -> int:
        return len(self.database)

    @property
    def gpu(self) -> int | None:
        """Number of the GPU that searches; None on a CPU."""
        return self.device.index if self.device.type == "cuda" else None

    def _sent(self):
        """(first row, (m, d) fingerprints on the device) of the whole database."""
        for first, vectors in self.database.chunks(ROWS):
            yield first, torch.from_numpy(vectors).to(self.device)

    @torch.inference_mode()
    def nearest(self, query: np.ndarray, k: int) -> np.ndarray:
        """(n, d) -> (n, k) rows of the database with the largest inner products, the largest first; -1 where there are fewer.

        Of equal ones, which come first is not defined. Products are not rounded to TF32.
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
        ids = torch.full((len(query), k), NOTHING, device=self.device)
        for first, vectors in self.kept or self._sent():
            for rows in torch.arange(len(query), device=self.device).split(max(SCORES // len(vectors), 1)):
                scores, found = (query[rows] @ vectors.T).topk(min(k, len(vectors)))
                scores = torch.cat([best[rows], scores], dim=1)
                kept = scores.topk(k).indices
                best[rows] = scores.gather(1, kept)
                ids[rows] = torch.cat([ids[rows], found + first], dim=1).gather(1, kept)
        return ids.cpu().numpy()
