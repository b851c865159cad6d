"""The trainer of one run: its state, its steps and its epochs, exact to the bit after any interruption (on a CPU)."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nafp import compute
from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split
from nafp.augment.chain import Chain
from nafp.augment.steps import chain_pools
from nafp.errors import UserError
from nafp.model.model import build_model
from nafp.model.weights import load_initial
from nafp.shipped import weights_file
from nafp.training.batches import Batches, BatchPlan, generator_for
from nafp.training.checkpoints import Checkpoints
from nafp.training.checks import check_init_from, check_processes
from nafp.training.gradients import (
    backward,
    largest_micro_batch,
    out_of_memory_explained,
    rank_and_world_size,
    sum_over_processes,
)
from nafp.training.losses import LOSSES, WAITING_LOSSES
from nafp.training.optim import OPTIMIZERS, learning_rate
from nafp.training.recorded import Recorded
from nafp.training.settings import Settings
from nafp.training.validation import validation_of

CHECK_EVERY = 16  # steps between readings of the losses, each of which makes the host wait for the GPU


class Trainer:
    """The state of one run, its steps and its epochs.

    Step s of epoch e draws from ``generator_for(seed, e, s)``, so that a resumed run sees the same batches as an
    uninterrupted one, and all processes of a distributed run see the same plan.
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
        self.rank, self.processes = rank_and_world_size()
        s = settings
        torch.manual_seed(s.seed)  # seed of the initial weights
        self.network = build_model(s.features, s.model, s.dim)
        if s.init_from:
            check_init_from(s.init_from, {"features": s.features, "model": s.model, "dim": s.dim})
            load_initial(self.network, weights_file(s.init_from))
        self.network.to(device)
        self.network.encoder.dtype = dtype = compute.precision(s.precision, device)
        computed = {"precision": str(dtype).removeprefix("torch.")}
        self.jobs = [{**(facts or {}), **computed}]  # facts (jobfacts) of the jobs that trained this run, this one last
        if s.kernels == "auto" and not s.compile:
            self.network.encoder.backend = self.network.encoder.backend_for(device)
        options = {name: value for name, value in s.optimizer.items() if name != "name"}
        self.optimizer = OPTIMIZERS[s.optimizer["name"]](self.network.parameters(), lr=s.peak_learning_rate, **options)
        pools = {kind: AudioPool(splits[kind], device) for kind in chain_pools(s.chain)}
        chain, audio = Chain(s.chain, pools), pools.get("train")
        self.batches = Batches(
            splits["train"], self.network.features, chain, s.bsz, s.positives, s.seed, device, audio=audio, **s.data
        )
        self.validation = validation_of(s, splits, device) if self.rank == 0 else None
        self.embed = torch.compile(self.network.embed) if s.compile else self.network.embed
        check_processes(s.bsz, self.processes, s.features.get("max_scope"))
        self.micro_batch_size: int | None = None  # rows embedded at a time; None: all
        self.recorded: Recorded | None = None
        self.history: list[dict] = []
        self.step = 0  # steps done in the running epoch
        self.losses: list[float] = []  # losses of these steps
        self.seconds = 0.0  # wall time of these steps
        self.similarity = torch.zeros(1, 1)

    @property
    def epoch(self) -> int:
        """Number of epochs done."""
        return len(self.history)

    @property
    def steps_done(self) -> int:
        """Number of steps done over all epochs."""
        return self.epoch * self.batches.steps + self.step

    def speed(self) -> float:
        """Anchors per second in the running epoch."""
        return len(self.losses) * self.batches.anchors / self.seconds

    @property
    def best(self) -> int:
        """The epoch with the best validation, first on ties; a collapsed one only if all have collapsed."""
        return best_epoch(self.history)

    # ---------------------------------------------------------------- one step

    def choose_micro_batch(self) -> None:
        """Set how many rows are embedded at a time."""
        rows, size = self.settings.bsz // self.processes, self.settings.micro_batch_size
        if size == "auto":
            images = torch.zeros((2, *self.network.features.shape), device=self.device)
            size, said = largest_micro_batch(self.network.embed, images, rows)
            print(said, flush=True)
        self.micro_batch_size = None if size and size >= rows else size

    choose_piece = choose_micro_batch  # former name, which scripts written before call

    def records(self) -> bool:
        """Whether a step up to its gradients is recorded as a CUDA graph."""
        s = self.settings
        whole = self.processes == 1 and self.micro_batch_size is None and s.loss not in WAITING_LOSSES
        return whole and s.kernels == "auto" and not s.compile and compute.runs_kernels(self.device)

    def gradients(self, plan: BatchPlan) -> tuple[Tensor, Tensor]:
        """The loss and embeddings of a batch; the parameters get the gradients of this process's rows."""
        rows = range(self.rank, len(plan), self.processes)
        with out_of_memory_explained(self.micro_batch_size or len(rows), self.settings.micro_batch_size == "auto"):
            if not self.records():
                images = self.batches.images(plan, rows)
                self.optimizer.zero_grad(set_to_none=True)
                return backward(self.embed, images, self.loss_of, self.micro_batch_size)
            given = compute.pack(plan.tensors()) if plan.for_device else self.batches.images(plan)
            if self.recorded is None:
                if self.network.encoder.backend == "triton":
                    print("compiling the kernels of this model: half a minute, if this machine never did", flush=True)
                self.recorded = Recorded(self.recorded_function(plan), given, self.network.parameters())
            return self.recorded(given)

    def recorded_function(self, plan: BatchPlan) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
        """The function that a step records: of a packed plan like this one, or, if the CPU computes a part of it, of images.

        It returns the loss and the embeddings.
        """

        def of_images(images: Tensor) -> tuple[Tensor, Tensor]:
            return backward(self.embed, images, self.loss_of)

        def of_plan(packed: Tensor) -> tuple[Tensor, Tensor]:
            sent = plan.with_tensors(compute.unpack(packed, plan.tensors()))
            return of_images(self.batches.images_on_device(sent))

        return of_plan if plan.for_device else of_images

    def loss_of(self, embeddings: Tensor) -> Tensor:
        """(N, d), anchors first -> the loss."""
        org, rep = embeddings[: self.batches.anchors], embeddings[self.batches.anchors :]
        return LOSSES[self.settings.loss](org, rep, **self.settings.loss_options)

    def plan(self, chosen: np.ndarray) -> BatchPlan:
        """The plan of the next step, with these segments as anchors."""
        return self.batches.plan(chosen, generator_for(self.settings.seed, self.epoch, self.step))

    def lr(self) -> float:
        """The learning rate of the next step."""
        s = self.settings
        schedule = {name: value for name, value in s.schedule.items() if name != "epochs"}
        return learning_rate(self.steps_done, s.horizon * self.batches.steps, s.peak_learning_rate, **schedule)

    def train_step(self, chosen: np.ndarray) -> Tensor:
        """Update the weights with the batch of these segments; returns the loss."""
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
        """Do the remaining steps of the running epoch; yields the number of steps since the last yield."""
        self.network.train()
        order = self.batches.order(self.epoch)
        while self.step < self.batches.steps:
            started, lr = time.perf_counter(), self.lr()
            some = range(self.step, min(self.step + CHECK_EVERY, self.batches.steps))
            losses = torch.stack([self.train_step(order[i]) for i in some]).tolist()
            self.check(losses, some.start, lr)
            self.check_weights(lr)
            self.losses += losses
            self.seconds += time.perf_counter() - started
            yield len(some)

    def check(self, losses: list[float], first_step: int, lr: float) -> None:
        """Stop at a loss that is not a number."""
        bad = next((i for i, loss in enumerate(losses) if not np.isfinite(loss)), None)
        if bad is not None:
            self.stop(f"the loss became {losses[bad]}", first_step + bad + 1, lr)

    def check_weights(self, lr: float) -> None:
        """Stop at weights that are not numbers, in all processes alike; the loss of the last step is of the weights before it."""
        with torch.no_grad():
            largest = torch.nn.utils.get_total_norm(self.network.parameters(), float("inf"))
        if not largest.isfinite():
            self.stop("weights became nan", self.step, lr)

    def stop(self, what: str, step: int, lr: float) -> None:
        """Raise UserError: what happened in a step, the last good state, and what to change."""
        states = self.checkpoints.states() if self.checkpoints else []
        good = f"the last good state is {states[-1]}" if states else "no state was saved yet"
        raise UserError(
            f"{what} at epoch {self.epoch + 1}, step {step}, learning rate {lr:.2e}; {good}. "
            "Lower train.learning_rate, or lengthen train.schedule.warmup"
        )

    def finish_epoch(self) -> dict:
        """Validate, and add a row to the history."""
        self.step = self.batches.steps - 1  # number of the last update, for its learning rate
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
        """Everything that a resumed run needs."""
        return {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "step": self.step,
            "losses": self.losses,
            "seconds": self.seconds,
            "micro_batch_size": self.micro_batch_size,
            "jobs": self.jobs,
        }

    def restore(self, state: Mapping) -> None:
        """Continue from a state."""
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        for name in ("history", "step", "losses", "seconds"):
            setattr(self, name, state[name])
        alike = self.device.type == "cpu" and state["jobs"][-1].get("processes", 1) == self.processes
        if self.settings.micro_batch_size == "auto" and alike:  # the same bytes, as promised on a CPU
            self.micro_batch_size = state["micro_batch_size"]
        self.jobs = [*state["jobs"], *self.jobs]


def best_epoch(history: Sequence[Mapping]) -> int:
    """The best epoch of a history (``Trainer.best``); the last one without validation."""
    criterion = next((key for key in history[0] if key.startswith("val_top1_")), None)
    if criterion is None:
        return len(history)
    merits = [(not record.get("collapsed"), np.nan_to_num(record[criterion], nan=-1)) for record in history]
    return 1 + merits.index(max(merits))
