"""The search test inside training: how well the validation queries find their segments, without an index."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from nafp.augment.chain import Chain
from nafp.data.corpus import Split
from nafp.data.layout import SEGMENT
from nafp.data.pools import AudioPool
from nafp.metrics import mini_search
from nafp.training.batches import generator

BATCH = 256
SEED = 0  # of queries made by a chain: the same ones after every epoch and in every run


class Validation:
    """Mini-search over the first ``segments`` segments of the validation split.

    ``chain``: None searches with the data set's own queries; a chain makes them of ``db`` with its pools.
    """

    def __init__(
        self,
        db: Split,
        query: Split | None,
        chain: Chain | None,
        device: torch.device,
        segments: int,
        lengths: Sequence[int],
    ):
        self.start = torch.from_numpy(db.segments.start[:segments])
        self.db, self.query, self.chain = AudioPool(db, device), AudioPool(query or db, device), chain
        self.lengths = [n for n in lengths if n <= len(self.start)]

    @torch.inference_mode()
    def embed(self, network: nn.Sequential, query: bool) -> tuple[np.ndarray, np.ndarray]:
        """((n, features) f, (n, dim) L2(g(f))) of the segments, or of their queries."""
        f, g = [], []
        for batch, starts in enumerate(self.start.split(BATCH)):
            waves = (self.query if query else self.db).cut(starts, SEGMENT)
            if query and self.chain:
                waves = self.chain.degrade(waves, self.chain.draw_wave(len(waves), SEGMENT, generator(SEED, batch)))
            features = network[1].encode(network[0](waves))
            f.append(features.cpu().numpy())
            g.append(nn.functional.normalize(network[1].heads(features)).cpu().numpy())
        return np.concatenate(f), np.concatenate(g)

    def __call__(self, network: nn.Sequential) -> dict[str, float]:
        """Top-1 hit rates in percent: val_top1_1s of the fingerprints g(f), val_f_... and val_l2f_... of the features."""
        network.eval()
        (f_db, g_db), (f_query, g_query) = self.embed(network, False), self.embed(network, True)
        network.train()
        found = {
            "val": mini_search(g_db, g_query, self.lengths),
            "val_f": mini_search(f_db, f_query, self.lengths, metric="l2"),
            "val_l2f": mini_search(unit(f_db), unit(f_query), self.lengths),
        }
        return {
            f"{kind}_top1_{(n + 1) / 2:g}s": 100 * rates[n]["top1"]
            for kind, rates in found.items()
            for n in self.lengths
        }


def unit(x: np.ndarray) -> np.ndarray:
    """(n, d) -> the same, each row divided by its norm."""
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
