"""Answers to judge: exact search in memory, and hits by hand."""

import faiss
import numpy as np

from nafp.evaluation import hits
from nafp.search.faiss_index import FaissIndex
from nafp.search.result import KEPT
from nafp.search.vectors import Database

FALLING = np.linspace(1, 0.1, KEPT)[None].astype(np.float32)  # scores without ties


def exact(dummy: np.ndarray, db: np.ndarray) -> tuple[FaissIndex, Database]:
    """Exact search, in memory."""
    flat = faiss.IndexFlatL2(dummy.shape[1])
    flat.add(np.concatenate([dummy, db]))
    return FaissIndex(flat), Database(dummy, db)


def hits_of(place: np.ndarray, score: np.ndarray, truth: np.ndarray, songs: np.ndarray | None = None) -> dict:
    """The hits of all metrics, by column; all places are in one song unless said, and no other song has an answer."""
    songs = np.zeros(max(place.max(), truth.max()) + 1, int) if songs is None else songs
    return hits.hits(hits.Judged(place, score, np.full(len(place), -np.inf), truth, songs))
