"""Where test sequences start: segments of the query clips, by the protocol (paper 4.2). Without NumPy until they are drawn."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nafp.audio.segments import SAMPLE_RATE, segments_of
from nafp.errors import UserError
from nafp.evaluation.protocol import PROTOCOLS
from nafp.npy import read_npy

if TYPE_CHECKING:
    import numpy as np

ICASSP_IDS_SHA256 = "175b5eefae9a79e5bf5ccfc0b6fc7496649aca8d67063304f6c05087e4ff1b90"  # the list itself
ICASSP_LAST = 29_492  # the last of the paper's 2,000 test ids, for 500 queries of 30 s (59 segments each)


def choose_starts(
    samples: Sequence[int], test_ids: str | int, protocol: str, lengths: Sequence[int], seed: int = 0
) -> "np.ndarray":
    """(q,) sorted numbers of the query segments where a test sequence starts: ``possible_starts``, or a draw from them."""
    import numpy as np  # here, because planning reads this file

    starts = np.array(possible_starts(samples, test_ids, protocol, lengths), np.int64)
    if isinstance(test_ids, int):
        return np.sort(np.random.default_rng(seed).choice(starts, test_ids, replace=False))
    return starts


def possible_starts(
    samples: Sequence[int], test_ids: str | int, protocol: str, lengths: Sequence[int]
) -> Sequence[int]:
    """Numbers of the query segments where a test sequence starts, or may start if ``test_ids`` is a count to be drawn.

    ``samples``: length of each query clip. ``test_ids``: "all", a count drawn with a seed, or a file (.npy or one number a
    line). ``protocol``: of PROTOCOLS. UserError if there are none, or too few.
    """
    allowed = allowed_starts(samples, protocol, lengths)
    if test_ids == "all":
        return allowed
    if isinstance(test_ids, int):
        if test_ids > len(allowed):
            raise UserError(f"test_ids asks for {test_ids} sequences; only {len(allowed)} are possible")
        return allowed
    return check_starts(read_ids(Path(test_ids)), allowed, test_ids, protocol)


def allowed_starts(samples: Sequence[int], protocol: str, lengths: Sequence[int]) -> Sequence[int]:
    """Numbers of all query segments where a protocol lets a sequence start; UserError if there are none."""
    rule, allowed, first = PROTOCOLS[protocol], [], 0
    for count in map(segments_of, samples):
        last = count - max(lengths) if rule.within_clip else count - 1
        allowed += range(first, first + last + 1, rule.every)
        first += count
    if not allowed:
        raise UserError(
            f"no query clip has the {max(lengths)} segments of the longest sequence; "
            "shorten search.lengths or use longer clips"
        )
    return allowed


def read_ids(path: Path) -> list[int]:
    """Segment numbers from a ``.npy`` file or from text with one number a line, each once: a line says if some are repeated."""
    ids = _ids_of_array(path) if path.suffix == ".npy" else _ids_of_text(path)
    once = list(dict.fromkeys(ids))
    if len(once) < len(ids):
        print(f"test_ids: {path} has {len(ids) - len(once)} ids again; each is asked once", file=sys.stderr)
    return once


def _ids_of_array(path: Path) -> list[int]:
    try:
        ids = read_npy(path)
    except (OSError, ValueError) as error:
        raise UserError(f"test_ids: {path} is not a list of segment numbers ({error})") from error
    if len(ids.shape) != 1 or not ids.whole:
        raise UserError(f"test_ids: {path} holds {ids.dtype} of shape {ids.shape}, not a list of whole numbers")
    return ids.numbers


def _ids_of_text(path: Path) -> list[int]:
    """One number a line; what follows # is a comment."""
    try:
        lines = [line.split("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
        return [int(line) for line in lines if line]
    except (OSError, ValueError) as error:
        raise UserError(f"test_ids: {path} is not a list of segment numbers ({error})") from error


def check_starts(ids: Sequence[int], allowed: Sequence[int], source: str, protocol: str) -> Sequence[int]:
    """The ids, if all of them are allowed starts."""
    possible = frozenset(allowed)
    bad = [number for number in ids if number not in possible]
    if bad or not ids:
        what = f"{len(bad)} of {len(ids)} ids (the first is {bad[0]})" if bad else "an empty list"
        raise UserError(f"test_ids: {source} has {what} that cannot start a sequence under protocol {protocol!r}")
    return ids


def check_icassp(samples: Sequence[int] | None, protocol: str, lengths: Sequence[int]) -> None:
    """Refuse the paper's test ids, before they are downloaded, where not all of them can start a sequence.

    ``samples``: length of each query clip; None, if it is not known yet, for the paper's.
    """
    paper = [30 * SAMPLE_RATE] * 500
    if ICASSP_LAST not in allowed_starts(paper if samples is None else samples, protocol, lengths):
        raise UserError(
            f"test_ids: icassp has segments up to {ICASSP_LAST:,} of the paper's 500 queries of 30 s, some of them close to "
            "a clip's end; it goes with that data set and with protocol: release"
        )
