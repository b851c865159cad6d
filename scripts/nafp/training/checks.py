"""Checks of a training before it starts, by its settings and the lengths of its clips, without PyTorch."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from nafp.audio.segments import segments_of
from nafp.errors import UserError
from nafp.files import GIVEN_AGAIN
from nafp.shipped import apart, settings_in, weights_file

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


def check_orders(one_per_clip: bool, shuffle_run_length: int, distinct_clips: bool) -> None:
    """Refuse options of the order of an epoch that contradict each other."""
    other = "one_per_clip" if one_per_clip else "shuffle_run_length" if shuffle_run_length > 1 else ""
    if distinct_clips and other:
        raise UserError(f"train.data: distinct_clips and {other} are two orders of an epoch; choose one")


def check_distinct(bsz: int, positives: int, counts: Sequence[int]) -> None:
    """Refuse batches of distinct clips where a clip has more segments than an epoch has batches; ``counts``: each clip's."""
    steps = sum(counts) // (bsz // (1 + positives))
    if max(counts) > steps:
        raise UserError(
            f"train.data.distinct_clips: a clip has {max(counts)} segments, but an epoch of bsz {bsz} only {steps} batches "
            "to deal them to; use a smaller batch size, or more clips"
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


def check_init_from(source: str, ours: Mapping) -> None:
    """Refuse initial weights of another model than ``ours`` (features, model, dim), as far as their file states its own.

    Options that one of the two does not know are left to the loading; ``max_scope`` changes no weight's meaning.
    """
    stated = settings_in(weights_file(source), GIVEN_AGAIN)
    for name in filter(stated.__contains__, ("features", "model", "dim")):
        theirs, wanted = stated[name], ours[name]
        if isinstance(wanted, Mapping):
            both = (theirs.keys() & wanted.keys()) - {"max_scope"}
            theirs, wanted = ({key: one[key] for key in sorted(both)} for one in (theirs, wanted))
        if theirs != wanted:
            raise UserError(
                f"train.init_from: {source}: trained with {name} {apart(theirs, wanted)}; begin with weights of the same model, "
                "or set what differs as they have it"
            )


def kept_epochs(done: int, every: int | None, last: int) -> set[int]:
    """The epochs to keep of ``done``: each ``every``-th one, the ``last`` few, and always the newest."""
    regular = range(every, done + 1, every) if every else ()
    return {*regular, *range(max(done - last, 0) + 1, done + 1), done}


def check_kept(
    epoch: int, kept: Collection[int], run: str, way_out: str = "set train.checkpoints.every or last and train again"
) -> None:
    """Refuse an epoch whose weights a run does not keep; ``way_out``: what to do then."""
    if epoch not in kept:
        raise UserError(
            f"{run}: the weights after epoch {epoch} are not kept, only those of "
            f"{', '.join(map(str, sorted(kept))) or 'none'}; {way_out}"
        )
