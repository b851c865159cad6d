"""The training loop: one model per run of the grid, exact to the bit after any interruption (on a CPU)."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from nafp import compute
from nafp.audio.pools import AudioPool, held_out
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.errors import UserError
from nafp.model.model import build_model
from nafp.training.batches import Batches, Plan, generator
from nafp.training.checkpoints import Checkpoints
from nafp.training.checks import check_processes, kept_epochs
from nafp.training.gradients import backward, largest_piece, sum_over_processes, world
from nafp.training.journal import Journal
from nafp.training.losses import LOSSES, WAITING_LOSSES
from nafp.training.optim import OPTIMIZERS, learning_rate
from nafp.training.recorded import Recorded
from nafp.training.settings import Settings
from nafp.training.validation import Validation

CHECK_EVERY = 16  # steps whose losses are looked at together: reading one makes the host wait for the GPU


class Trainer:
    """The state of one run and the epochs that move it on.

    Epoch e, step s draws from ``generator(seed, e, s)``, so that a resumed run sees the same batches as one that was
    never interrupted, and every process of a distributed run sees the same plan.
    """

    def __init__(
        self,
        settings: Settings,
        splits: Mapping[str, Split],
        device: torch.device,
        checkpoints: Checkpoints | None = None,
        facts: Mapping | None = None,
    ):
        self.settings, self.device, self.checkpoints = settings, device, checkpoints
        self.jobs = [facts or {}]  # facts (jobfacts) of the jobs that made this run; this one is the last
        self.rank, self.processes = world()
        s = settings
        torch.manual_seed(s.seed)  # the initial weights
        self.network = build_model(s.features, s.model, s.dim)
        if s.start:
            load_start(self.network, Path(s.start))
        self.network.to(device)
        self.network.encoder.dtype = compute.precision(s.precision, device)
        self.network.encoder.fused = self.fuses()
        options = {name: value for name, value in s.optimizer.items() if name != "name"}
        self.optimizer = OPTIMIZERS[s.optimizer["name"]](self.network.parameters(), lr=s.peak_learning_rate, **options)
        pools = {kind: AudioPool(split, device) for kind, split in splits.items() if kind in ("bg", "ir", "speech")}
        chain = Chain(s.chain, pools)
        self.batches = Batches(
            splits["train"], self.network.features, chain, s.bsz, s.positives, s.seed, device, **s.data
        )
        self.validation = validation(s, splits, device) if self.rank == 0 else None
        self.embed = torch.compile(self.network.embed) if s.compile else self.network.embed
        check_processes(s.bsz, self.processes, s.features.get("max_scope"))
        self.piece: int | None = None
        self.recorded: Recorded | None = None
        self.history: list[dict] = []
        self.step = 0  # done in the running epoch
        self.losses: list[float] = []  # of these
        self.seconds = 0.0  # that these took
        self.similarity = torch.zeros(1, 1)

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    @property
    def steps_done(self) -> int:
        """Over all epochs."""
        return self.epoch * self.batches.steps + self.step

    def speed(self) -> float:
        """Anchors per second in the running epoch."""
        return len(self.losses) * self.batches.anchors / self.seconds

    @property
    def best(self) -> int:
        """The epoch that validated best, of several the first; a collapsed one only if all are."""
        criterion = next((key for key in self.history[0] if key.startswith("val_top1_")), None)
        if criterion is None:
            return self.epoch
        merits = [(not record.get("collapsed"), np.nan_to_num(record[criterion], nan=-1)) for record in self.history]
        return 1 + merits.index(max(merits))

    # ---------------------------------------------------------------- one step

    def choose_piece(self) -> None:
        """Settle how many rows are embedded at a time."""
        rows = self.settings.bsz // self.processes
        self.piece = self.settings.micro_batch
        if self.piece == "auto":
            images = torch.zeros((2, *self.network.features.shape), device=self.device)
            self.piece, said = largest_piece(self.network.embed, images, rows)
            print(said, flush=True)
        if self.piece and self.piece >= rows:
            self.piece = None

    def fuses(self) -> bool:
        """Whether the encoder computes by the kernels of ``nafp.model.kernels``."""
        s = self.settings
        return (
            s.kernels == "auto" and not s.compile and self.network.encoder.fusible and compute.runs_kernels(self.device)
        )

    def records(self) -> bool:
        """Whether a step up to its gradients is recorded as a CUDA graph."""
        s = self.settings
        whole = self.processes == 1 and self.piece is None and s.loss not in WAITING_LOSSES
        return whole and s.kernels == "auto" and not s.compile and compute.runs_kernels(self.device)

    def gradients(self, plan: Plan) -> tuple[Tensor, Tensor]:
        """The loss and embeddings of a batch; the parameters get the gradients of this process's rows."""
        rows = range(self.rank, len(plan), self.processes)
        with out_of_memory_explained(self.piece or len(rows)):
            if not self.records():
                images = self.batches.images(plan, rows)
                self.optimizer.zero_grad(set_to_none=True)
                return backward(self.embed, images, self.loss_of, self.piece)
            given = compute.pack(plan.tensors()) if plan.for_device else self.batches.images(plan)
            if self.recorded is None:
                if self.network.encoder.fused:
                    print("compiling the kernels of this model: half a minute, if this machine never did", flush=True)
                self.recorded = Recorded(self.recorded_function(plan), given, self.network.parameters())
            return self.recorded(given)

    def recorded_function(self, plan: Plan) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """What a step records: from a packed plan like this one, or where the CPU has a part in it from images, to the loss
        and the embeddings."""

        def of_images(images: Tensor) -> tuple[Tensor, Tensor]:
            return backward(self.embed, images, self.loss_of)

        def of_plan(packed: Tensor) -> tuple[Tensor, Tensor]:
            sent = plan.with_tensors(compute.unpack(packed, plan.tensors()))
            return of_images(self.batches.images_there(sent))

        return of_plan if plan.for_device else of_images

    def loss_of(self, embeddings: Tensor) -> Tensor:
        """(N, d), anchors first -> the loss."""
        org, rep = embeddings[: self.batches.anchors], embeddings[self.batches.anchors :]
        return LOSSES[self.settings.loss](org, rep, **self.settings.loss_options)

    def plan(self, chosen: np.ndarray) -> Plan:
        """The plan of the next step."""
        return self.batches.plan(chosen, generator(self.settings.seed, self.epoch, self.step))

    def lr(self) -> float:
        """The learning rate of the next step."""
        s = self.settings
        schedule = {name: value for name, value in s.schedule.items() if name != "epochs"}
        return learning_rate(self.steps_done, s.horizon * self.batches.steps, s.peak_learning_rate, **schedule)

    def train_step(self, chosen: np.ndarray) -> Tensor:
        """Update the weights with the batch of these segments; returns its loss."""
        loss, embeddings = self.gradients(self.plan(chosen))
        sum_over_processes(list(self.network.parameters()))
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr()
        self.optimizer.step()
        self.step += 1
        if self.step == self.batches.steps:
            self.similarity = embeddings[: self.batches.anchors] @ embeddings[self.batches.anchors :].T
        return loss

    # ---------------------------------------------------------------- epochs

    def run_epoch(self) -> Iterator[int]:
        """Do the rest of the running epoch; yields how many steps were done since the last yield."""
        self.network.train()
        order = self.batches.order(self.epoch)
        while self.step < self.batches.steps:
            started, lr = time.perf_counter(), self.lr()
            some = range(self.step, min(self.step + CHECK_EVERY, self.batches.steps))
            losses = torch.stack([self.train_step(order[i]) for i in some]).tolist()
            self.check(losses, some.start, lr)
            self.losses += losses
            self.seconds += time.perf_counter() - started
            yield len(some)

    def check(self, losses: list[float], first_step: int, lr: float) -> None:
        """Stop at a loss that is not a number."""
        bad = next((i for i, loss in enumerate(losses) if not np.isfinite(loss)), None)
        if bad is not None:
            self.stop(f"the loss became {losses[bad]}", first_step + bad + 1, lr)

    def stop(self, what: str, step: int, lr: float) -> None:
        """Raise UserError: what happened in a step, from where one can go on, and what to change."""
        states = self.checkpoints.states() if self.checkpoints else []
        good = f"the last good state is {states[-1]}" if states else "no state was saved yet"
        raise UserError(
            f"{what} at epoch {self.epoch + 1}, step {step}, learning rate {lr:.2e}; {good}. "
            "Lower train.learning_rate, or lengthen train.schedule.warmup"
        )

    def finish_epoch(self) -> dict:
        """Validate, and add a row to the history."""
        self.step = self.batches.steps - 1  # of the last update, for its learning rate
        if not torch.stack([weights.isfinite().all() for weights in self.network.parameters()]).all():
            self.stop("weights became nan", self.batches.steps, self.lr())
        record = {
            "epoch": self.epoch + 1,
            "loss": float(np.mean(self.losses)),
            "lr": self.lr(),
            "seconds": round(self.seconds, 2),
            "anchors_per_s": round(self.speed(), 1),
        }
        if self.validation:
            record |= self.validation(self.network)
        self.history.append(record)
        self.step, self.losses, self.seconds = 0, [], 0.0
        return record

    # ---------------------------------------------------------------- states

    def weights(self) -> dict[str, Tensor]:
        """A copy of the fingerprinter's weights on the CPU."""
        return {name: value.detach().cpu().clone().contiguous() for name, value in self.network.state_dict().items()}

    def state(self) -> dict:
        """All that a resumed run needs."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "step": self.step,
            "losses": self.losses,
            "seconds": self.seconds,
            "piece": self.piece,
            "jobs": self.jobs,
        }

    def restore(self, state: Mapping) -> None:
        """Go on from a state."""
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("history", "step", "losses", "seconds"):
            setattr(self, name, state[name])
        self.jobs = [*state["jobs"], *self.jobs]
        if self.settings.micro_batch == "auto":  # what fits may have changed, the rounding must not
            self.piece = state["piece"]


def train(trainer: Trainer, name: str, board: Path) -> Trainer:
    """Train to the last epoch, from the newest state in the trainer's checkpoints if there is one."""
    trainer.choose_piece()
    resume(trainer, name)
    if trainer.rank:  # one process writes, the others only compute
        while trainer.epoch < trainer.settings.epochs:
            deque(trainer.run_epoch(), maxlen=0)
            trainer.finish_epoch()
        return trainer
    steps, epochs = trainer.batches.steps, trainer.settings.epochs
    journal = Journal(name, board, epochs * steps, trainer.steps_done, trainer.batches.anchors)
    saved = time.monotonic()
    while trainer.epoch < epochs:
        for count in trainer.run_epoch():
            journal.steps(
                count, trainer.steps_done, trainer.epoch + 1, trainer.losses[-1], trainer.lr(), trainer.speed()
            )
            late = time.monotonic() - saved > 60 * trainer.settings.checkpoints["minutes"]
            if late and trainer.step < steps:
                trainer.checkpoints.save_state(trainer.state(), trainer.epoch, trainer.step)
                saved = time.monotonic()
        record = trainer.finish_epoch()
        journal.epoch(record, trainer.steps_done, trainer.similarity)
        save_epoch(trainer)
        saved = time.monotonic()
    journal.close()
    return trainer


def resume(trainer: Trainer, name: str) -> None:
    """Go on from the newest state, if there is one of at most the epochs that are wanted."""
    state, epochs = trainer.checkpoints.load_state(), trainer.settings.epochs
    if state and len(state["history"]) <= epochs:
        trainer.restore(state)
        if trainer.rank == 0:
            part = f", step {trainer.step} of the next" if trainer.step else ""
            print(f"{name}: going on after epoch {trainer.epoch}{part} of {epochs}", flush=True)


def save_epoch(trainer: Trainer) -> None:
    """Save weights and state after an epoch, and drop what the policy does not keep."""
    checkpoints, policy = trainer.checkpoints, trainer.settings.checkpoints
    checkpoints.save_weights(trainer.weights(), trainer.epoch, trainer.settings.identity())
    checkpoints.save_state(trainer.state(), trainer.epoch, 0)
    checkpoints.prune(kept_epochs(trainer.epoch, policy["every"], policy["last"]) | {trainer.best})


def validation(settings: Settings, splits: Mapping[str, Split], device: torch.device) -> Validation | None:
    """The search test of a run, if it has a validation split."""
    if "val_db" not in splits:
        return None
    options = dict(settings.validation)
    steps = options.pop("chain", None)
    pools = {
        k.removeprefix("val_"): AudioPool(held_out(v, "val"), device)
        for k, v in splits.items()
        if k in ("val_bg", "val_ir", "val_speech")
    }
    chain = Chain(steps, pools, for_queries=True) if steps is not None else None
    return Validation(splits["val_db"], splits.get("val_query"), chain, device, **options)


def load_start(model: torch.nn.Module, path: Path) -> None:
    """Begin with the weights of a file, which must be those of the same model."""
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:
        raise UserError(f"train.start: {path} cannot be used: {str(error).splitlines()[0]}") from error


@contextmanager
def out_of_memory_explained(rows: int) -> Iterator[None]:
    """Say which ``micro_batch`` to set instead of how many bytes were wanted."""
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
            raise UserError(
                f"out of memory with {rows} segments at a time; set train.micro_batch to {max(rows // 2, 1)} or auto: "
                "the batch is then computed in pieces, with the same result"
            ) from error
        raise
