"""The training loop: one model per run of the grid, resumable after every epoch."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from safetensors.torch import save_file
from tqdm import tqdm

from nafp.augment import AudioPool, Chain
from nafp.corpus import SEGMENT, Split
from nafp.errors import UserError
from nafp.files import written_whole
from nafp.fingerprint import build_model, fingerprint
from nafp.losses import LOSSES
from nafp.metrics import mini_search
from nafp.optim import KerasAdam, cosine_lr


@dataclass(frozen=True)
class Settings:
    """What one run is trained with."""

    features: dict  # of features.LogMel
    model: dict  # of model.Fingerprinter
    chain: list  # steps of augment.Chain
    epochs: int
    learning_rate: float
    final_lr_fraction: float  # of the cosine schedule
    val_segments: int  # of the validation split used in the mini-search
    val_lengths: tuple[int, ...]  # in segments; the first one decides which epoch is best
    bsz: int  # N of the paper: N/2 anchors and as many replicas
    dim: int
    loss: str
    loss_options: dict
    seed: int


def generator(*key: int) -> torch.Generator:
    """A random generator that is a function of the key alone: what is drawn does not depend on what was drawn before."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


class Trainer:
    """The state of one run and the epochs that move it on.

    Epoch e, step s draws from ``generator(seed, e, s)``, so that a resumed run sees the same batches as one that was
    never interrupted.
    """

    def __init__(self, settings: Settings, train: Split, pools: dict[str, AudioPool], device: torch.device):
        self.settings, self.device = settings, device
        self.segments = train.segments
        self.anchors = settings.bsz // 2
        self.steps = len(self.segments) // self.anchors  # of an epoch; the shuffled rest waits for the next one
        if settings.bsz % 2:
            raise UserError(f"bsz {settings.bsz} is odd; a batch is N/2 anchors and as many replicas")
        if not self.steps:
            raise UserError(
                f"bsz {settings.bsz} needs {self.anchors} anchors, but the training split has only "
                f"{len(self.segments)} segments; use a batch size of at most {2 * len(self.segments)}"
            )
        torch.manual_seed(settings.seed)  # the initial weights
        self.network = build_model(settings.features, settings.model, settings.dim).to(device)
        self.optimizer = KerasAdam(self.network.parameters(), lr=settings.learning_rate)
        self.chain = Chain(settings.chain, pools)
        self.audio = AudioPool(train, device)
        self.history: list[dict] = []
        self.best: dict | None = None

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    def batch(self, chosen: np.ndarray, rng: torch.Generator) -> torch.Tensor:
        """Indexes (n,) of segments -> (2n, mels, frames): the images of the anchors, then of their replicas."""
        start, low, high = (torch.from_numpy(getattr(self.segments, name)[chosen]) for name in ("start", "low", "high"))
        anchor, replica = self.chain.offsets(low, high, rng)
        waves = self.audio.cut(torch.cat([start + anchor, start + replica]), SEGMENT)
        waves[len(chosen) :] = self.chain.degrade(waves[len(chosen) :], rng)
        return self.chain.mask(self.network[0](waves), rng)

    def run_epoch(self, report: Callable[[float], None]) -> dict:
        """One pass over the shuffled segments; ``report`` is called with the loss of every step."""
        s = self.settings
        order = torch.randperm(len(self.segments), generator=generator(s.seed, self.epoch)).numpy()
        self.network.train()
        losses, started = [], time.perf_counter()
        for step in range(self.steps):
            rng = generator(s.seed, self.epoch, step)
            lr = cosine_lr(self.epoch * self.steps + step, s.learning_rate, s.epochs * self.steps, s.final_lr_fraction)
            for group in self.optimizer.param_groups:
                group["lr"] = lr
            images = self.batch(order[step * self.anchors : (step + 1) * self.anchors], rng)
            anchors, replicas = self.network[1](images).chunk(2)
            loss = LOSSES[s.loss](anchors, replicas, **s.loss_options)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
            if not np.isfinite(losses[-1]):
                raise UserError(
                    f"the loss became {losses[-1]} at epoch {self.epoch + 1}, step {step + 1}, learning rate {lr:.2e}; "
                    "lower train.learning_rate"
                )
            report(losses[-1])
        seconds = time.perf_counter() - started
        return {"epoch": self.epoch + 1, "loss": float(np.mean(losses)), "lr": lr, "seconds": round(seconds, 2)}

    def validate(self, db: Split, query: Split) -> dict:
        """Mini-search on the first ``val_segments`` of the validation split: {"val_top1_1s": percent, ...}."""
        vectors = []
        self.network.eval()
        for split in (db, query):
            out = np.empty((min(len(split.segments), self.settings.val_segments), self.settings.dim), np.float32)
            fingerprint(self.network, split, self.device, out, disable=True)
            vectors.append(out)
        lengths = [n for n in self.settings.val_lengths if n <= len(vectors[0])]
        found = mini_search(*vectors, lengths)
        return {f"val_top1_{(n + 1) / 2:g}s": 100 * found[n]["top1"] for n in lengths}

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the fingerprinter's weights on the CPU."""
        return {name: value.detach().cpu().clone().contiguous() for name, value in self.network[1].state_dict().items()}

    def note(self, record: dict) -> None:
        """Add an epoch to the history, and keep its weights if it validates best so far."""
        criterion = next((key for key in record if key.startswith("val_")), None)
        if self.best is None or criterion is None or record[criterion] > max(r[criterion] for r in self.history):
            self.best = self.weights()
        self.history.append(record)

    def save_state(self, path: Path) -> None:
        """Write all that a resumed run needs, under a temporary name until it is complete."""
        state = {
            "model": self.network[1].state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "best": self.best,
        }
        with written_whole(path) as part:
            torch.save(state, part)

    def load_state(self, path: Path) -> None:
        """Go on from ``save_state``."""
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network[1].load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history, self.best = state["history"], state["best"]


def train(
    settings: Settings,
    splits: dict[str, Split],
    device: torch.device,
    state_path: Path,
    name: str = "",
) -> Trainer:
    """Train one run to its last epoch, from ``state_path`` if an interrupted job left it there.

    ``splits``: train, val_db, val_query, and bg, ir, speech as far as the chain needs them. The state is kept until the
    caller has written the results (``state_path.unlink``).
    """
    pools = {kind: AudioPool(splits[kind], device) for kind in ("bg", "ir", "speech") if kind in splits}
    trainer = Trainer(settings, splits["train"], pools, device)
    if state_path.exists():
        trainer.load_state(state_path)
        print(f"{name}: going on after epoch {trainer.epoch} of {settings.epochs}", flush=True)
    bar = tqdm(
        total=settings.epochs * trainer.steps,
        initial=trainer.epoch * trainer.steps,
        desc=name,
        unit_scale=trainer.anchors,
        unit="anchor",
        mininterval=2,
        dynamic_ncols=True,
    )
    while trainer.epoch < settings.epochs:

        def report(loss: float, epoch: int = trainer.epoch + 1) -> None:
            bar.set_postfix_str(f"epoch {epoch}/{settings.epochs}, loss {loss:.3f}", refresh=False)
            bar.update()

        record = trainer.run_epoch(report)
        record |= trainer.validate(splits["val_db"], splits["val_query"])
        trainer.note(record)
        trainer.save_state(state_path)
        shown = ", ".join(f"{key[4:]} {value:.1f} %" for key, value in record.items() if key.startswith("val_"))
        tqdm.write(f"{name}: epoch {record['epoch']}/{settings.epochs}, loss {record['loss']:.3f}, validation {shown}")
    bar.close()
    return trainer


def write_results(trainer: Trainer, last: Path, best: Path, history: Path) -> None:
    """Write the weights of the last and of the best epoch (safetensors) and the history (CSV)."""
    settings = {"settings": json.dumps(asdict(trainer.settings))}  # one entry: the order of several is random
    for path, weights in ((last, trainer.weights()), (best, trainer.best)):
        with written_whole(path) as part:
            save_file(weights, part, metadata=settings)
    pd.DataFrame(trainer.history).to_csv(history, index=False)
