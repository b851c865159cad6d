"""Packed splits as sources of excerpts: samples cut out by index, a batch at a time."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Generator, Tensor

from nafp.audio.kinds import check_kinds, kinds_of
from nafp.audio.reverberation import with_reverberation
from nafp.audio.splits import Split
from nafp.audio.wav import onset
from nafp.errors import UserError


def integers(low: Tensor, high: Tensor, u: Tensor) -> Tensor:
    """Uniform numbers in [0, 1) -> integers in [low, high], both included; bounds broadcast."""
    return low + (u * (high - low + 1)).long()


class AudioPool:
    """The clips of a packed split (int16), from which excerpts are cut as float32 in [-1, 1] on ``device``.

    The array is moved to a GPU if it takes at most half of the free memory there. Otherwise it stays memory-mapped, and
    excerpts are gathered by the CPU and copied from pinned memory.
    """

    def __init__(self, split: Split, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.host = split.audio
        on_device = self.device.type == "cuda" and split.audio.nbytes < torch.cuda.mem_get_info(self.device)[0] / 2
        self.audio = torch.from_numpy(split.audio).to(self.device) if on_device else None
        self.start = torch.from_numpy(split.clips["start"].to_numpy().copy())
        self.samples = torch.from_numpy(split.clips["samples"].to_numpy().copy())
        self.end = self.start + self.samples
        self.kind = kinds_of(split.clips["path"])

    def __len__(self) -> int:
        return len(self.start)

    def places(self, starts: Tensor) -> Tensor | np.ndarray:
        """Starts of excerpts in the form that ``cut`` needs least copying for: an array where the CPU gathers the excerpts."""
        return starts.numpy() if self.audio is None else starts

    def cut(self, starts: Tensor | np.ndarray, length: int) -> Tensor:
        """Excerpts of ``length`` samples from the given positions in the packed array: (B,) -> (B, length)."""
        if self.audio is not None:
            pieces = self.audio.unfold(0, length, 1)[torch.as_tensor(starts).to(self.device)]
        else:
            rows = np.lib.stride_tricks.sliding_window_view(self.host, length)[np.asarray(starts)]
            pieces = torch.from_numpy(rows)
            if self.device.type == "cuda":
                pieces = pieces.pin_memory().to(self.device, non_blocking=True)
        return pieces.float().div_(32768)

    def cut_with_past(
        self, starts: Tensor | np.ndarray, length: int, past: int, clip_starts: Tensor | np.ndarray
    ) -> Tensor:
        """``cut``, preceded by the ``past`` samples before: (B,) -> (B, past + length); zeros before the clip began."""
        if not past:
            return self.cut(starts, length)
        starts, clip_starts = torch.as_tensor(starts), torch.as_tensor(clip_starts)
        numbers = torch.arange(past, device=starts.device)
        known = (starts - clip_starts).clamp(max=past)  # samples before the start that belong to the clip
        before = self.cut((starts - past).clamp(min=0), past)
        at = numbers - (past - starts).clamp(min=0)[:, None]  # less than ``past`` from the array's beginning
        before = before.gather(1, at.clamp(min=0).to(self.device))
        before *= (numbers >= past - known[:, None]).to(self.device)
        return torch.cat([before, self.cut(starts, length)], dim=1)

    def cut_inside(
        self, starts: Tensor | np.ndarray, length: int, first: Tensor | np.ndarray, end: Tensor | np.ndarray
    ) -> Tensor:
        """``cut`` from anywhere, (B,) -> (B, length): zeros before ``first`` and from ``end`` (B,) on, the ends of each clip."""
        starts, first, end = map(torch.as_tensor, (starts, first, end))
        places = starts[:, None] + torch.arange(length, device=starts.device)
        inside = (places >= first[:, None]) & (places < end[:, None])
        samples = self.cut(places.clamp(0, len(self.host) - 1).flatten(), 1).view(places.shape)
        return samples * inside.to(self.device)

    def random_starts(self, count: int, length: int, rng: Generator, own: Tensor | None = None) -> Tensor:
        """(count,) starts of excerpts, each at a random position in a random clip; not in the clips ``own`` (count,).

        A clip shorter than the excerpt is cut from its beginning (``cut_repeated`` repeats it). UserError if there is no other
        clip than the own one.
        """
        if own is None:
            clip = torch.randint(len(self), (count,), generator=rng)
        elif len(self) < 2:
            raise UserError("a chain mixes in other songs, but there is only one; take the step out, or add songs")
        else:
            clip = torch.randint(len(self) - 1, (count,), generator=rng)
            clip += clip >= own
        last = (self.samples[clip] - length).clamp(min=0)
        u = torch.rand(last.shape, generator=rng, dtype=torch.float64)
        return self.start[clip] + integers(torch.zeros_like(last), last, u)

    @cached_property
    def shortest(self) -> int:
        """Samples of the shortest clip."""
        return int(self.samples.min())

    def samples_of(self, starts: Tensor) -> Tensor:
        """(B,) positions in the packed array -> samples of the clips that they are in."""
        return self.samples[torch.searchsorted(self.start, starts, right=True) - 1]

    def cut_repeated(self, starts: Tensor | np.ndarray, length: int, samples: Tensor | np.ndarray) -> Tensor:
        """``cut`` of excerpts as ``random_starts`` chooses them, in clips of ``samples`` (B,): shorter ones are repeated."""
        if self.shortest >= length:
            return self.cut(starts, length)
        starts, samples = torch.as_tensor(starts), torch.as_tensor(samples)
        width = min(length, len(self.host))
        first = starts.clamp(max=len(self.host) - width)
        at = (starts - first)[:, None] + torch.arange(length, device=starts.device) % samples[:, None]
        return self.cut(first, width).gather(1, at.to(self.device))

    def whole_clips(
        self,
        max_samples: int | None,
        kinds: Sequence[str] | None = None,
        trim: bool = False,
        rt60_s: Sequence[float] | None = None,
    ) -> Tensor:
        """(clips, longest) the clips' first ``max_samples`` samples, padded with zeros; only of the given kinds.

        ``trim``: start impulse responses at their direct sound. ``rt60_s``: range of the reverberation times of those that are
        wanted. UserError if there are none.
        """
        check_kinds(kinds, self.kind)
        chosen = [i for i, kind in enumerate(self.kind) if not kinds or kind in kinds]
        found = [self.host[int(self.start[i]) : int(self.start[i] + self.samples[i])] for i in chosen]
        found = found if rt60_s is None else with_reverberation(found, rt60_s)
        found = [(clip[onset(clip) :] if trim else clip)[:max_samples] for clip in found]
        clips = torch.zeros(len(found), max(map(len, found)))
        for row, clip in zip(clips, found, strict=True):
            row[: len(clip)] = torch.from_numpy(clip.astype(np.float32)) / 32768
        return clips.to(self.device)
