"""Where test sequences start: segments of the query clips, by the protocol (paper 4.2). Without Faiss."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nafp.audio.segments import SAMPLE_RATE, count_segments
from nafp.errors import UserError

ICASSP_IDS_SHA256 = "175b5eefae9a79e5bf5ccfc0b6fc7496649aca8d67063304f6c05087e4ff1b90"  # the list itself
ICASSP_LAST = 29_492  # the last of the paper's 2,000 test ids, for 500 queries of 30 s (59 segments each)


def choose_starts(
    samples: np.ndarray, test_ids: str | int, protocol: str, lengths: Sequence[int], seed: int = 0
) -> np.ndarray:
    """(q,) sorted numbers of the query segments where a test sequence starts.

    ``samples``: length of each query clip. ``test_ids``: "all", a count drawn with ``seed``, or a file (.npy or one
    number a line). Protocol ``clip``: the longest sequence stays inside its clip, so that all lengths have the same
    starts. Protocol ``release``: any segment, as in the published evaluation, where sequences run across clip borders
    and the last ones are cut short.
    """
    allowed = allowed_starts(samples, protocol, lengths)
    if test_ids == "all":
        return allowed
    if isinstance(test_ids, int):
        if test_ids > len(allowed):
            raise UserError(f"test_ids asks for {test_ids} sequences; only {len(allowed)} are possible")
        return np.sort(np.random.default_rng(seed).choice(allowed, test_ids, replace=False))
    return check_starts(read_ids(Path(test_ids)), allowed, test_ids, protocol)


def allowed_starts(samples: np.ndarray, protocol: str, lengths: Sequence[int]) -> np.ndarray:
    """(n,) numbers of all query segments where a protocol lets a sequence start; UserError if there are none."""
    counts = count_segments(samples)
    allowed = np.arange(counts.sum())
    if protocol == "clip":
        left = np.concatenate([np.arange(n, 0, -1) for n in counts])
        allowed = allowed[left >= max(lengths)]
        if not len(allowed):
            raise UserError(
                f"no query clip has the {max(lengths)} segments of the longest sequence; "
                "shorten search.lengths or use longer clips"
            )
    return allowed


def read_ids(path: Path) -> np.ndarray:
    """Segment numbers from a ``.npy`` file or from text with one number a line."""
    try:
        ids = np.load(path) if path.suffix == ".npy" else np.loadtxt(path, dtype=np.int64, ndmin=1)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"test_ids: {path} is not a list of segment numbers ({error})") from error
    if ids.ndim != 1 or not np.issubdtype(ids.dtype, np.integer):
        raise UserError(f"test_ids: {path} holds {ids.dtype} of shape {ids.shape}, not a list of whole numbers")
    return ids.astype(np.int64)


def check_starts(ids: np.ndarray, allowed: np.ndarray, source: str, protocol: str) -> np.ndarray:
    """The ids, if all of them are allowed starts."""
    bad = ids[~np.isin(ids, allowed)]
    if len(bad) or not len(ids):
        what = f"{len(bad)} of {len(ids)} ids (the first is {bad[0]})" if len(bad) else "an empty list"
        raise UserError(f"test_ids: {source} has {what} that cannot start a sequence under protocol {protocol!r}")
    return ids


def check_icassp(samples: np.ndarray | None, protocol: str, lengths: Sequence[int]) -> None:
    """Refuse the paper's test ids, before they are downloaded, where not all of them can start a sequence.

    ``samples``: length of each query clip; None, if it is not known yet, for the paper's.
    """
    paper = np.full(500, 30 * SAMPLE_RATE)
    if ICASSP_LAST not in allowed_starts(paper if samples is None else samples, protocol, lengths):
        raise UserError(
            f"test_ids: icassp has segments up to {ICASSP_LAST:,} of the paper's 500 queries of 30 s, some of them close to "
            "a clip's end; it goes with that data set and with protocol: release"
        )
