"""Every index type with options for a few hundred vectors, and such vectors."""

import numpy as np

OPTIONS = {
    "l2": {},
    "ivf": {"nlist": 8, "nprobe": 8},
    "ivfpq": {"nlist": 4, "nprobe": 4, "m": 8, "nbits": 4},
    "ivfpq-rr": {"nlist": 4, "nprobe": 4, "m": 8, "nbits": 4, "k_factor": 8},
    "sq8": {},
    "ivfpq-fastscan": {"nlist": 4, "nprobe": 4, "m": 8},
    "ivf-rabitq": {"nlist": 4, "nprobe": 4},
    "ivfpq-rr-ondisk": {"nlist": 4, "nprobe": 4, "m": 8, "nbits": 4, "k_factor": 8},
    "hnsw": {"M": 16, "efConstruction": 80, "efSearch": 64},
    "milvus": {"uri": None, "index_type": "IVF_FLAT", "build": {"nlist": 8}, "search": {"nprobe": 8}},
}


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def vectors(seed: int, n: int, dim: int = 16) -> np.ndarray:
    return unit(np.random.default_rng(seed).standard_normal((n, dim)))
