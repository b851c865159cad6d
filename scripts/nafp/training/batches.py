"""What a training step sees: which segments, displaced and degraded how, as images on the device."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from nafp import compute
from nafp.audio.pools import AudioPool
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.audio.splits import Segments, Split
from nafp.augment.chain import Chain, Draws, rows_of
from nafp.training.checks import check_batch, check_supply, count_items, kept_clips
from nafp.training.gradients import mean_over_processes

ROWS_AT_A_TIME = 1024  # bounds the memory that transforms take: about 200 MB


def generator(*key: int) -> torch.Generator:
    """A random generator that is a function of the key alone: what is drawn does not depend on what was drawn before."""
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


@dataclass(frozen=True)
class Seconds:
    """What takes over inside m of the replicas of a batch (augment.chain.Splice)."""

    replicas: Tensor  # (m,) their numbers, ascending
    at: Tensor  # (m, 1) samples of the segment that stay
    start: Tensor  # (m,) where the other one is cut out of the packed split
    clip_start: Tensor  # (m,) where its clip begins
    wave: list[Draws]


@dataclass(frozen=True)
class Plan:
    """One batch before it is computed: rows are the anchors, then their replicas, those of anchor 0 first.

    It is drawn on the CPU. Tensors are then sent to the device; arrays are what the CPU itself uses.
    """

    anchors: int
    start: Tensor | np.ndarray  # (rows,) where each is cut out of the packed split
    clip_start: Tensor | np.ndarray  # (rows,) where its clip begins
    wave: list[Draws]  # of the replicas
    image: list[Draws]  # of all rows
    seconds: Seconds | None

    def __len__(self) -> int:
        return len(self.start)

    def values(self) -> list[Tensor | np.ndarray]:
        """All that was drawn, but for the seconds."""
        drawn = [value for draws in (*self.wave, *self.image) for value in draws.values()]
        return [self.start, self.clip_start, *drawn]

    def tensors(self) -> list[Tensor]:
        """What is sent to the device."""
        return [value for value in self.values() if isinstance(value, Tensor)]

    def with_tensors(self, tensors: Iterable[Tensor]) -> "Plan":
        """The same plan with other tensors, in the order of ``tensors``."""
        waiting = iter(tensors)

        def sent(value: Tensor | np.ndarray) -> Tensor | np.ndarray:
            return next(waiting) if isinstance(value, Tensor) else value

        start, clip_start = sent(self.start), sent(self.clip_start)
        wave, image = ([{k: sent(v) for k, v in draws.items()} for draws in part] for part in (self.wave, self.image))
        return replace(self, start=start, clip_start=clip_start, wave=wave, image=image)

    def sent(self, device: torch.device) -> "Plan":
        """The same plan with its tensors on a device."""
        return self.with_tensors(compute.send(self.tensors(), device))

    @property
    def for_device(self) -> bool:
        """Whether the device can do all of it by itself."""
        return self.seconds is None and len(self.tensors()) == len(self.values())


class Batches:
    """The batches of a split: an order for each epoch, a plan for each step, images for the rows of a plan."""

    def __init__(
        self,
        split: Split,
        log_mel: nn.Module,
        chain: Chain,
        bsz: int,
        positives: int,
        seed: int,
        device: torch.device,
        fraction: float = 1.0,
        one_per_clip: bool = False,
        past_s: float = 0.0,
        rest: str = "later",
        neighbours: int = 1,
    ):
        self.log_mel, self.chain, self.seed = log_mel, chain, seed
        self.positives, self.one_per_clip, self.rest, self.neighbours = positives, one_per_clip, rest, neighbours
        self.past = round(past_s * SAMPLE_RATE)
        self.split, self.audio = split, AudioPool(split, device)
        self.clip_start = torch.from_numpy(split.clips["start"].to_numpy().copy())
        self.segments = split.segments if fraction == 1 else some_clips(split, fraction)
        self.anchors = bsz // (1 + positives)
        items = count_items(split.clips["samples"], fraction, one_per_clip)
        check_batch(bsz, positives)
        check_supply(bsz, positives, items, one_per_clip)
        self.steps = items // self.anchors  # of an epoch; the shuffled rest waits for the next one

    def order(self, epoch: int) -> np.ndarray:
        """(steps, anchors) numbers of the segments of an epoch.

        They are shuffled in runs of ``neighbours``, which are then each other's negatives; where the runs begin changes
        from epoch to epoch. ``rest="never"``: as in the published code, segments beyond a whole number of batches are
        left out before shuffling, so that the last ones are never trained on.
        """
        rng = generator(self.seed, epoch)
        count = self.steps * self.anchors
        if self.one_per_clip:
            _, first, counts = np.unique(self.segments.clip, return_index=True, return_counts=True)
            chosen = first + (torch.rand(len(first), generator=rng, dtype=torch.float64).numpy() * counts).astype(int)
        else:
            chosen = np.arange(count if self.rest == "never" else len(self.segments))
        run = (np.arange(len(chosen)) + epoch) // self.neighbours
        run -= run[0]
        place = torch.randperm(run[-1] + 1, generator=rng).numpy()[run]
        return chosen[np.argsort(place, kind="stable")][:count].reshape(self.steps, self.anchors)

    def plan(self, chosen: np.ndarray, rng: torch.Generator) -> Plan:
        """Numbers (n,) of segments -> all random numbers of their batch."""
        segments, n = self.segments, len(chosen)
        start, low, high = (torch.from_numpy(getattr(segments, name)[chosen]) for name in ("start", "low", "high"))
        cuts = self.positives * (2 if self.chain.splice else 1)
        starts = start[:, None] + self.chain.draw_offsets(low, high, cuts, rng, torch.from_numpy(chosen))
        anchors, replicas, others = starts.split([1, self.positives, cuts - self.positives], dim=1)
        rows = torch.cat([anchors.flatten(), replicas.flatten()])
        clips = self.clip_start[torch.from_numpy(segments.clip[chosen])]
        clips_of_replicas = clips.repeat_interleave(self.positives)
        return Plan(
            n,
            self.audio.places(rows),
            self.audio.places(torch.cat([clips, clips_of_replicas])),
            self.chain.draw_wave(n * self.positives, self.past + SEGMENT, rng),
            self.chain.draw_image((len(rows), *self.log_mel.shape), rng),
            self.draw_seconds(others.flatten(), clips_of_replicas, rng) if self.chain.splice else None,
        )

    def draw_seconds(self, starts: Tensor, clips: Tensor, rng: torch.Generator) -> Seconds:
        """Second cuts (replicas,) and where their clips begin -> those that take over, and how they are degraded."""
        replicas, at = self.chain.splice.draw(len(starts), rng)
        wave = self.chain.draw_wave(len(replicas), self.past + SEGMENT, rng)
        return Seconds(replicas, at, starts[replicas], clips[replicas], wave)

    def images(self, plan: Plan, rows: range | None = None) -> Tensor:
        """(rows, mels, frames) log-mel images of some rows of a plan; None: of all.

        Several processes call it together, each for its rows of one plan: what a mask is filled with may be theirs all.
        """
        return self.images_there(plan.sent(self.audio.device), rows)

    def images_there(self, plan: Plan, rows: range | None = None) -> Tensor:
        """``images`` of a plan that has been sent to the device."""
        rows = range(len(plan)) if rows is None else rows
        size = len(rows) if self.log_mel.max_scope == "batch" else ROWS_AT_A_TIME
        parts = [rows[first : first + size] for first in range(0, len(rows), size)]
        images = torch.cat([self.log_mel(self.waves(plan, part)) for part in parts])
        return self.chain.mask(images, rows_of(plan.image, as_slice(rows)), mean_over_processes)

    def waves(self, plan: Plan, rows: range) -> Tensor:
        """(rows, SEGMENT) samples of some rows of a plan: anchors as they are, replicas degraded."""
        count = len(range(rows.start, min(rows.stop, plan.anchors), rows.step))
        anchors, replicas = as_slice(rows[:count]), rows[count:]
        numbers = range(replicas.start - plan.anchors, replicas.stop - plan.anchors, replicas.step)
        if not len(replicas):
            return self.audio.cut(plan.start[anchors], SEGMENT)
        at, wave = as_slice(replicas), rows_of(plan.wave, as_slice(numbers))
        degraded = self.degrade(plan.start[at], plan.clip_start[at], wave)
        if plan.seconds:
            self.splice(degraded, plan.seconds, torch.tensor(numbers))
        return torch.cat([self.audio.cut(plan.start[anchors], SEGMENT), degraded])

    def degrade(self, starts: Tensor, clip_starts: Tensor, wave: list[Draws]) -> Tensor:
        """(m,) places in the packed split -> (m, SEGMENT) degraded samples."""
        cut = self.audio.cut_with_past(starts, SEGMENT, self.past, clip_starts)
        return self.chain.degrade(cut, wave)[:, -SEGMENT:]

    def splice(self, degraded: Tensor, seconds: Seconds, numbers: Tensor) -> None:
        """Let the second cuts take over in degraded replicas (r, SEGMENT) of the given numbers, in place."""
        here = torch.isin(seconds.replicas, numbers)
        replicas = seconds.replicas[here]
        if not len(replicas):
            return
        start, clip_start = self.audio.places(seconds.start[here]), self.audio.places(seconds.clip_start[here])
        others = Plan(0, start, clip_start, rows_of(seconds.wave, here), [], None).sent(degraded.device)
        other = self.degrade(others.start, others.clip_start, others.wave)
        rows, at = compute.send([torch.searchsorted(numbers, replicas), seconds.at[here]], degraded.device)
        later = torch.arange(SEGMENT, device=degraded.device) >= at
        degraded[rows] = torch.where(later, other, degraded[rows])


def as_slice(rows: range) -> slice:
    """A range of row numbers as an index that copies nothing."""
    return slice(rows.start, rows.stop, rows.step)


def some_clips(split: Split, fraction: float) -> Segments:
    """The segments of a fraction of the clips (``kept_clips``)."""
    kept = np.isin(split.segments.clip, kept_clips(len(split.clips), fraction))
    return Segments(*(getattr(split.segments, name)[kept] for name in ("clip", "start", "low", "high")))
