"""The sounds that queries are degraded with: held out from training, and apart for validation and test."""

from collections.abc import Mapping

import pandas as pd
import torch

from nafp.audio.kinds import RESPONSE_KINDS, kinds_of
from nafp.audio.pools import AudioPool
from nafp.audio.splits import Split

ENOUGH = 4  # held-out sounds of a kind; fewer are shared by validation and test queries


def held_out_pools(sounds: Mapping[str, Split], part: str, device: torch.device | str = "cpu") -> dict[str, AudioPool]:
    """Kind of sound (bg, ir, speech) -> those of its held-out sounds that queries of a part, val or test, are made with."""
    return {kind: AudioPool(held_out(split, part), device) for kind, split in sounds.items()}


def held_out(sounds: Split, part: str) -> Split:
    """The sounds of a held-out pool that the queries of a part, ``val`` or ``test``, are made with: half of each kind.

    Halves are taken in the order of names, because cuts of one recording mostly have consecutive names: the first for
    validation, the second for the test. Kinds are those that a chain can choose (room, mic); of a kind with fewer than
    ENOUGH sounds both parts use all, and a line is printed.
    """
    paths = sounds.clips["path"]
    kinds = pd.Series(kinds_of(paths), paths.index).where(lambda kind: kind.isin(RESPONSE_KINDS), "")
    chosen = []
    for kind, group in sounds.clips.groupby(kinds, sort=False):
        rows = group.sort_values("path").index
        if len(rows) < ENOUGH:
            what = f"of kind {kind} " if kind else ""
            print(
                f"validation and test queries share the held-out sounds {what}(only {len(rows)}): {', '.join(paths[rows])}"
            )
            chosen += list(rows)
        else:
            half = len(rows) // 2
            chosen += list(rows[:half] if part == "val" else rows[half:])
    return Split(sounds.audio, sounds.clips.loc[sorted(chosen)].reset_index(drop=True))
