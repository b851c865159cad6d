"""Training batches: which segments, cut and degraded how, as log-mel images on the device."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from nafp import compute
from nafp.audio.pools import AudioPool
from nafp.audio.segments import SAMPLE_RATE, SEGMENT
from nafp.audio.splits import Segments, Split
from nafp.augment.base import Draws
from nafp.augment.chain import Chain, draws_of_rows
from nafp.training.checks import (
    check_batch,
    check_distinct,
    check_orders,
    check_supply,
    count_items,
    kept_clips,
)
from nafp.training.gradients import mean_over_processes

ROWS_AT_A_TIME = 1024  # rows transformed at a time, in about 200 MB of memory


def generator_for(*key: int) -> torch.Generator:
    """A random generator that is a function of the key alone, so that no draw depends on earlier ones.

    Zeros at the end of a key do not count: the shuffle of an epoch, ``(seed, epoch)``, draws from the stream of its first batch.
    """
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


@dataclass(frozen=True)
class SplicedCrops:
    """The second crops of the m spliced replicas of a batch (augment.crop.Splice)."""

    replicas: Tensor  # (m,) numbers of the spliced replicas, ascending
    at: Tensor  # (m, 1) sample of the segment at which the second crop begins
    start: Tensor  # (m,) positions of the second crops in the packed split
    clip_start: Tensor  # (m,) positions of their clips
    wave: list[Draws]  # draws of their wave steps
    time: Draws  # where they are cut, if steps on time act on them


@dataclass(frozen=True)
class BatchPlan:
    """All random numbers of one batch. Rows are the anchors, then their replicas, those of anchor 0 first.

    Drawn on the CPU. Tensors are then sent to the device; arrays are used by the CPU itself.
    """

    anchors: int  # number of anchors
    start: Tensor | np.ndarray  # (rows,) positions of the crops in the packed split
    clip_start: Tensor | np.ndarray  # (rows,) positions of their clips
    wave: list[Draws]  # draws of the wave steps, for the replicas
    image: list[Draws]  # draws of the image steps, for all rows
    spliced: SplicedCrops | None
    time: Draws = field(default_factory=dict)  # where replicas are cut, if steps on time act on them (augment.time)

    def __len__(self) -> int:
        return len(self.start)

    def values(self) -> list[Tensor | np.ndarray]:
        """All tensors and arrays, without those of the spliced crops."""
        drawn = [value for draws in (*self.wave, *self.image, self.time) for value in draws.values()]
        return [self.start, self.clip_start, *drawn]

    def tensors(self) -> list[Tensor]:
        """The tensors that are sent to the device."""
        return [value for value in self.values() if isinstance(value, Tensor)]

    def with_tensors(self, tensors: Iterable[Tensor]) -> "BatchPlan":
        """The same plan with other tensors, in the order of ``tensors``."""
        waiting = iter(tensors)

        def sent(value: Tensor | np.ndarray) -> Tensor | np.ndarray:
            return next(waiting) if isinstance(value, Tensor) else value

        start, clip_start = sent(self.start), sent(self.clip_start)
        parts = (self.wave, self.image, [self.time])
        wave, image, (time,) = ([{k: sent(v) for k, v in draws.items()} for draws in part] for part in parts)
        return replace(self, start=start, clip_start=clip_start, wave=wave, image=image, time=time)

    def sent(self, device: torch.device) -> "BatchPlan":
        """The same plan with its tensors on a device."""
        return self.with_tensors(compute.send(self.tensors(), device))

    @property
    def for_device(self) -> bool:
        """Whether the device can compute the batch without the CPU."""
        return self.spliced is None and len(self.tensors()) == len(self.values())


class Batches:
    """The batches of a split: an order for each epoch, a plan for each step, images for the rows of a plan.

    ``fraction``: share of the clips that is used. ``one_per_clip``: one random segment a clip and epoch. ``context_s``: seconds
    before a segment that reverberation carries into it. ``drop_last``, ``shuffle_run_length``, ``distinct_clips``: see ``order``.
    ``audio``: the split on the device, if it is there already.
    """

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
        context_s: float = 0.0,
        drop_last: bool = False,
        shuffle_run_length: int = 1,
        distinct_clips: bool = False,
        audio: AudioPool | None = None,
    ):
        self.log_mel, self.chain, self.seed = log_mel, chain, seed
        self.positives, self.one_per_clip = positives, one_per_clip
        self.drop_last, self.shuffle_run_length, self.distinct_clips = drop_last, shuffle_run_length, distinct_clips
        self.context = round(context_s * SAMPLE_RATE)
        self.split, self.audio = split, AudioPool(split, device) if audio is None else audio
        self.segments = split.segments if fraction == 1 else some_clips(split, fraction)
        self.anchors = bsz // (1 + positives)
        items = count_items(split.clips["samples"], fraction, one_per_clip)
        check_batch(bsz, positives)
        check_supply(bsz, positives, items, one_per_clip)
        check_orders(one_per_clip, shuffle_run_length, distinct_clips)
        if distinct_clips:
            check_distinct(bsz, positives, np.bincount(self.segments.clip).tolist())
        self.steps = items // self.anchors  # steps of an epoch; the remainder of its shuffle is left out

    def order(self, epoch: int) -> np.ndarray:
        """(steps, anchors) numbers of the segments of an epoch.

        They are shuffled in runs of ``shuffle_run_length``, whose segments are then each other's negatives; where runs begin
        changes from epoch to epoch. ``drop_last``: segments beyond a whole number of batches are left out before shuffling,
        as in the original code, so that the last ones are never trained on; otherwise after it. ``distinct_clips``: no batch
        has two segments of a clip.
        """
        rng = generator_for(self.seed, epoch)
        count = self.steps * self.anchors
        if self.distinct_clips:
            return self.dealt(count, rng)
        if self.one_per_clip:
            _, first, counts = np.unique(self.segments.clip, return_index=True, return_counts=True)
            chosen = first + (torch.rand(len(first), generator=rng, dtype=torch.float64).numpy() * counts).astype(int)
        else:
            chosen = np.arange(count if self.drop_last else len(self.segments))
        run = (np.arange(len(chosen)) + epoch) // self.shuffle_run_length
        run -= run[0]
        place = torch.randperm(run[-1] + 1, generator=rng).numpy()[run]
        return chosen[np.argsort(place, kind="stable")][:count].reshape(self.steps, self.anchors)

    def dealt(self, count: int, rng: torch.Generator) -> np.ndarray:
        """(steps, anchors) numbers of ``count`` segments, no two of a clip in one batch.

        The clips come in a random order, the segments of each too, and are dealt to the batches in turn: those of a clip go to
        different ones, since no clip has more of them than there are batches (`check_distinct`).
        """
        chosen = torch.randperm(len(self.segments), generator=rng).numpy()[:count]
        turn = torch.randperm(len(self.split.clips), generator=rng).numpy()[self.segments.clip[chosen]]
        in_turn = chosen[np.argsort(turn, kind="stable")]
        return in_turn.reshape(self.anchors, self.steps).T[torch.randperm(self.steps, generator=rng).numpy()]

    def plan(self, chosen: np.ndarray, rng: torch.Generator) -> BatchPlan:
        """Numbers (n,) of segments -> all random numbers of their batch."""
        segments, n = self.segments, len(chosen)
        start, low, high = (torch.from_numpy(getattr(segments, name)[chosen]) for name in ("start", "low", "high"))
        cuts = self.positives * (2 if self.chain.splice else 1)
        starts = start[:, None] + self.chain.draw_offsets(low, high, cuts, rng, torch.from_numpy(chosen))
        anchors, replicas, others = starts.split([1, self.positives, cuts - self.positives], dim=1)
        rows = torch.cat([anchors.flatten(), replicas.flatten()])
        numbers = torch.from_numpy(segments.clip[chosen])
        clips = numbers.repeat_interleave(self.positives)
        factors = self.chain.time.draw(len(clips), rng)
        return BatchPlan(
            n,
            self.audio.places(rows),
            self.audio.places(self.audio.start[torch.cat([numbers, clips])]),
            self.chain.draw_wave(n * self.positives, self.context + SEGMENT, rng, clips),
            self.chain.draw_image((len(rows), *self.log_mel.shape), rng),
            self.draw_spliced(others.flatten(), clips, factors, rng) if self.chain.splice else None,
            self.moved(replicas.flatten(), clips, factors),
        )

    def moved(self, starts: Tensor, clips: Tensor, factors: Draws) -> Draws:
        """Positions (m,) of crops and the numbers of their clips -> where steps on time cut them; nothing without such steps."""
        if not factors:
            return {}
        ends = self.audio.start[clips], self.audio.end[clips]
        return self.chain.time.places(factors, self.audio, starts, *ends, self.context)

    def draw_spliced(self, starts: Tensor, clips: Tensor, factors: Draws, rng: torch.Generator) -> SplicedCrops:
        """Positions (replicas,) of second crops, their clips, how fast the first are -> the crops that are used, with draws."""
        replicas, at = self.chain.splice.draw(len(starts), rng)
        (as_fast,) = draws_of_rows([factors], replicas)
        starts, clips = starts[replicas], clips[replicas]
        wave = self.chain.draw_wave(len(replicas), self.context + SEGMENT, rng, clips)
        return SplicedCrops(replicas, at, starts, self.audio.start[clips], wave, self.moved(starts, clips, as_fast))

    def images(self, plan: BatchPlan, rows: range | None = None) -> Tensor:
        """(rows, mels, frames) log-mel images of some rows of a plan; None: of all.

        Several processes call it together, each for its rows of one plan: the fill of a mask may be a mean over all of them.
        """
        return self.images_on_device(plan.sent(self.audio.device), rows)

    def images_on_device(self, plan: BatchPlan, rows: range | None = None) -> Tensor:
        """``images`` of a plan that is on the device already."""
        rows = range(len(plan)) if rows is None else rows
        size = len(rows) if self.log_mel.max_scope == "batch" else ROWS_AT_A_TIME
        parts = [rows[first : first + size] for first in range(0, len(rows), size)]
        images = torch.cat([self.log_mel(self.waves(plan, part)) for part in parts])
        return self.chain.mask(images, draws_of_rows(plan.image, as_slice(rows)), mean_over_processes)

    def waves(self, plan: BatchPlan, rows: range) -> Tensor:
        """(rows, SEGMENT) samples of some rows of a plan: anchors as they are, replicas degraded."""
        count = len(range(rows.start, min(rows.stop, plan.anchors), rows.step))
        anchors, replicas = as_slice(rows[:count]), rows[count:]
        numbers = range(replicas.start - plan.anchors, replicas.stop - plan.anchors, replicas.step)
        if not len(replicas):
            return self.audio.cut(plan.start[anchors], SEGMENT)
        at, wave = as_slice(replicas), draws_of_rows(plan.wave, as_slice(numbers))
        (time,) = draws_of_rows([plan.time], as_slice(numbers))
        degraded = self.degrade(plan.start[at], plan.clip_start[at], wave, time)
        if plan.spliced:
            self.splice(degraded, plan.spliced, torch.tensor(numbers))
        return torch.cat([self.audio.cut(plan.start[anchors], SEGMENT), degraded])

    def degrade(self, starts: Tensor, clip_starts: Tensor, wave: list[Draws], time: Draws | None = None) -> Tensor:
        """(m,) positions in the packed split -> (m, SEGMENT) degraded samples; ``time``: see ``moved``."""
        if time:
            cut = self.chain.time.cut(self.audio, time, self.context + SEGMENT)
        else:
            cut = self.audio.cut_with_past(starts, SEGMENT, self.context, clip_starts)
        return self.chain.degrade(cut, wave)[:, -SEGMENT:]

    def splice(self, degraded: Tensor, spliced: SplicedCrops, numbers: Tensor) -> None:
        """Write the second crops into degraded replicas (r, SEGMENT) of the given numbers, in place."""
        here = torch.isin(spliced.replicas, numbers)
        replicas = spliced.replicas[here]
        if not len(replicas):
            return
        start, clip_start = self.audio.places(spliced.start[here]), self.audio.places(spliced.clip_start[here])
        time, *wave = draws_of_rows([spliced.time, *spliced.wave], here)
        others = BatchPlan(0, start, clip_start, wave, [], None, time).sent(degraded.device)
        other = self.degrade(others.start, others.clip_start, others.wave, others.time)
        rows, at = compute.send([torch.searchsorted(numbers, replicas), spliced.at[here]], degraded.device)
        later = torch.arange(SEGMENT, device=degraded.device) >= at
        degraded[rows] = torch.where(later, other, degraded[rows])


def as_slice(rows: range) -> slice:
    """A range of row numbers as an index that copies nothing."""
    return slice(rows.start, rows.stop, rows.step)


def some_clips(split: Split, fraction: float) -> Segments:
    """The segments of a fraction of the clips (``kept_clips``)."""
    kept = np.isin(split.segments.clip, kept_clips(len(split.clips), fraction))
    return Segments(*(getattr(split.segments, name)[kept] for name in ("clip", "start", "low", "high")))
