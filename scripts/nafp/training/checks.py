"""Checks of a training before it starts, by its settings and the lengths of its clips, without PyTorch."""

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from nafp.audio.segments import segments_of
from nafp.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def check_batch(bsz: int, positives: int) -> None:
    """Refuse a batch size that is not made of at least two anchors and their replicas."""
    if bsz % (1 + positives) or bsz < 2 * (1 + positives):
        each = "a replica" if positives == 1 else f"{positives} replicas"
        raise UserError(
            f"bsz={bsz}: each anchor comes with {each}, so N is a multiple of {1 + positives} "
            f"and at least {2 * (1 + positives)}"
        )


def check_processes(bsz: int, processes: int, max_scope: str) -> None:
    """Refuse batches that several processes, one a GPU, cannot share."""
    if bsz % processes:
        raise UserError(f"bsz {bsz} cannot be shared by {processes} processes; use a multiple of them")
    if processes > 1 and max_scope == "batch":
        raise UserError("features.max_scope: batch needs the whole batch in one process; use segment, or one GPU")


def check_supply(bsz: int, positives: int, items: int, one_per_clip: bool = False) -> None:
    """Refuse a batch that needs more anchors than there are ``items``: training segments, or clips."""
    anchors = bsz // (1 + positives)
    if anchors > items:
        raise UserError(
            f"bsz {bsz} needs {anchors} anchors, but the training split has only {items} "
            f"{'clips' if one_per_clip else 'segments'}; use a batch size of at most {(1 + positives) * items}"
        )


def count_kept(clips: int, fraction: float) -> int:
    """How many clips a fraction of them is: one at least."""
    return max(round(fraction * clips), 1)


def kept_clips(clips: int, fraction: float) -> "np.ndarray":
    """Numbers of a fraction of the clips: the same for every seed, and those of 10 % are among those of 20 %."""
    import numpy as np  # here, because planning reads this file

    return np.random.default_rng(0).permutation(clips)[: count_kept(clips, fraction)]


def count_items(samples: Sequence[int], fraction: float = 1.0, one_per_clip: bool = False) -> int:
    """Lengths of the training clips -> items of an epoch: segments, or clips with ``one_per_clip``."""
    if one_per_clip:
        return count_kept(len(samples), fraction)
    lengths = list(samples)
    return sum(segments_of(lengths[number]) for number in kept_clips(len(lengths), fraction))


def most_items(samples: Sequence[int], fraction: float = 1.0, one_per_clip: bool = False) -> int:
    """What ``count_items`` can be at most, without the draw of the clips: exact for all of them, and for equal ones."""
    kept = count_kept(len(samples), fraction)
    return kept if one_per_clip else sum(sorted(map(segments_of, samples))[-kept:])


def kept_epochs(done: int, every: int | None, last: int) -> set[int]:
    """The epochs to keep of ``done``: each ``every``-th one, the ``last`` few, and always the newest."""
    regular = range(every, done + 1, every) if every else ()
    return {*regular, *range(max(done - last, 0) + 1, done + 1), done}


def check_kept(epoch: int, kept: Collection[int], run: str) -> None:
    """Refuse an epoch whose weights a run has not kept."""
    if epoch not in kept:
        raise UserError(
            f"{run}: the weights after epoch {epoch} are not kept, only those of "
            f"{', '.join(map(str, sorted(kept))) or 'none'}; set train.checkpoints.every or last and train again"
        )
