"""The search test inside training: how well the validation queries find their segments, without an index."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SEGMENT, sequence_seconds
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.held_out import held_out_pools
from nafp.augment.steps import SOUND_POOLS
from nafp.model.model import Model
from nafp.training.batches import generator_for
from nafp.training.mini_search import mini_search
from nafp.training.settings import Settings

BATCH = 256
SEED = 0  # seed of queries made by a chain: the same after every epoch and in every run
COLLAPSED = 0.005  # spread of a collapsed model, at most: untrained models have 0.01 to 0.7, good ones 0.9


class Validation:
    """Mini-search over the first ``segments`` segments of the validation split.

    ``chain``: degrades segments of ``db`` into queries; None: the queries are those of the data set.
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
        self.start, self.low, self.high = (
            torch.from_numpy(part[:segments]) for part in (db.segments.start, db.segments.low, db.segments.high)
        )
        self.db, self.chain = AudioPool(db, device), chain
        self.clip = torch.from_numpy(db.segments.clip[:segments])
        self.query = self.db if chain or query is None else AudioPool(query, device)
        self.lengths = [n for n in lengths if n <= len(self.start)]

    @torch.inference_mode()
    def embed(self, network: Model, query: bool) -> tuple[np.ndarray, np.ndarray]:
        """((n, features) f, (n, dim) L2(g(f))) of the segments, or of their queries."""
        f, g = [], []
        for batch, rows in enumerate(torch.arange(len(self.start)).split(BATCH)):
            if query and self.chain:
                images = self.degraded(network.features, rows, generator_for(SEED, batch))
            else:
                images = network.features((self.query if query else self.db).cut(self.start[rows], SEGMENT))
            features = network.encoder(images)
            f.append(features.cpu().numpy())
            g.append(nn.functional.normalize(network.heads(features)).cpu().numpy())
        return np.concatenate(f), np.concatenate(g)

    def degraded(self, log_mel: nn.Module, rows: Tensor, rng: torch.Generator) -> Tensor:
        """(B, mels, frames) images of the queries that the chain makes of some segments (B,)."""
        low, high, clip = self.low[rows], self.high[rows], self.clip[rows]
        time = self.chain.time
        factors = time.draw(len(rows), rng)

        def cut(at: Tensor, some: Tensor | slice) -> Tensor:
            as_fast = {name: values[some] for name, values in factors.items()}
            return time.excerpts(as_fast, self.db, at, self.db.start[clip[some]], self.db.end[clip[some]], SEGMENT)

        waves = self.chain.query(cut, self.start[rows], low, high, rows, rng)
        images = log_mel(waves)
        return self.chain.mask(images, self.chain.draw_image(images.shape, rng))

    def __call__(self, network: Model) -> dict[str, float | bool]:
        """Columns of the history that validation adds to an epoch.

        Top-1 hit rates in percent: val_top1_1s of the fingerprints g(f), val_f_... and val_l2f_... of the features;
        val_spread of the fingerprints, and whether they have ``collapsed``.
        """
        network.eval()
        (f_db, g_db), (f_query, g_query) = self.embed(network, False), self.embed(network, True)
        network.train()
        found = {
            "val": mini_search(g_db, g_query, self.lengths),
            "val_f": mini_search(f_db, f_query, self.lengths, metric="l2"),
            "val_l2f": mini_search(unit(f_db), unit(f_query), self.lengths),
        }
        rates = {
            f"{kind}_top1_{sequence_seconds(n):g}s": 100 * rates[n]["top1"]
            for kind, rates in found.items()
            for n in self.lengths
        }
        measured = spread(np.concatenate([g_db, g_query]))
        return rates | {"val_spread": measured, "collapsed": not measured >= COLLAPSED}  # true for NaN


def validation_of(settings: Settings, splits: Mapping[str, Split], device: torch.device) -> Validation | None:
    """The search test of a run; None without a validation split."""
    if "val_db" not in splits:
        return None
    options = dict(settings.validation)
    steps = options.pop("chain", None)
    sounds = {kind: splits[f"val_{kind}"] for kind in SOUND_POOLS if f"val_{kind}" in splits}
    pools = held_out_pools(sounds, "val", device)
    chain = Chain(steps, pools, for_queries=True) if steps is not None else None
    return Validation(splits["val_db"], splits.get("val_query"), chain, device, **options)


def spread(fingerprints: np.ndarray) -> float:
    """Unit vectors (n, d) -> one minus the mean of their squared inner products; NaN if some are not unit vectors.

    0: all are equal or opposite; 1 - 1/d: evenly spread over the sphere. 1 / (1 - spread), the participation ratio, is the
    effective number of dimensions.
    """
    moments = fingerprints.T.astype(np.float64) @ fingerprints / len(fingerprints)
    return float(1 - np.square(moments).sum()) if np.isclose(np.trace(moments), 1, atol=1e-3) else math.nan


def unit(x: np.ndarray) -> np.ndarray:
    """(n, d) -> the same, each row divided by its norm."""
    return x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
