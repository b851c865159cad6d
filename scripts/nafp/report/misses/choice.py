"""Which missed queries are heard: by the seed, spread over degradations, kinds of misses and songs."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from nafp.evaluation.metrics import METRICS
from nafp.report.misses.kinds import KINDS


@dataclass(frozen=True)
class Outcomes:
    """How the q queries of one length of a query set were answered.

    ``degradation``: of the query set. ``hits``: their per-query table, q rows. ``kinds``: (q,) of KINDS. ``placed``: whether it
    is known where in their songs the queries are; if not, the right song counts, and the right segment is not known.
    """

    degradation: str
    hits: pd.DataFrame
    kinds: np.ndarray
    placed: bool

    @cached_property
    def found(self) -> np.ndarray:
        """(q,) booleans: which queries are no misses."""
        return self.hits[METRICS[match_of(self.placed)].column].to_numpy(bool)

    @cached_property
    def missed(self) -> np.ndarray:
        """The numbers of the missed queries."""
        return np.flatnonzero(~self.found)

    @cached_property
    def narrow(self) -> np.ndarray:
        """The numbers of the queries that are found, those with the smallest lead over the next answer first."""
        lead = self.hits["score1"] - self.hits["score2"].replace(-np.inf, np.nan)
        order = np.argsort(lead.fillna(np.inf).to_numpy(), kind="stable")
        return order[self.found[order]]

    @property
    def off_half(self) -> float:
        """How far the share of found queries is from a half: the smaller, the more the misses say of the limit."""
        return abs(float(self.found.mean()) - 0.5)


def match_of(placed: bool) -> str:
    """The metric by which a query is found."""
    return "exact" if placed else "song"


def choose(sets: Sequence[Outcomes], queries: int, of_set: int, seed: int) -> list[np.ndarray]:
    """The numbers of the chosen queries of each set: ``queries`` of all, at most ``of_set`` of one.

    Misses, dealt out to the degradations in turn and within one to its sets in turn, the one that finds nearest to half of its
    queries first; in a set to the kinds of misses in turn, each time of the song that was heard least. What misses leave of
    ``queries`` goes to the narrowest hits.
    """
    order = sorted(range(len(sets)), key=lambda i: sets[i].off_half)
    groups = [[i for i in order if sets[i].degradation == one] for one in dict.fromkeys(s.degradation for s in sets)]
    misses = deal([min(of_set, len(one.missed)) for one in sets], groups, queries)
    room = [min(of_set - given, len(one.narrow)) for given, one in zip(misses, sets, strict=True)]
    narrow = deal(room, groups, queries - sum(misses))
    rng, heard, chosen = np.random.default_rng(seed), Counter(), []
    for one, count, more in zip(sets, misses, narrow, strict=True):
        mixed = mixed_misses(one, count, heard, rng)
        chosen.append(np.array([*mixed, *one.narrow[:more]], dtype=np.int64))
    return chosen


def deal(room: Sequence[int], groups: Sequence[Sequence[int]], total: int) -> list[int]:
    """How many of ``total`` each set gets, at most its ``room``: one at a time, group by group, and in a group the set that has
    fewest."""
    given = [0] * len(room)
    while sum(given) < total and any(has < most for has, most in zip(given, room, strict=True)):
        for group in groups:
            open_sets = [i for i in group if given[i] < room[i]]
            if open_sets and sum(given) < total:
                given[min(open_sets, key=lambda i: given[i])] += 1
    return given


def mixed_misses(one: Outcomes, count: int, heard: Counter[str], rng: np.random.Generator) -> list[int]:
    """So many misses of a set, of all kinds in turn; ``heard``: how often songs were chosen, which is kept up."""
    shuffled, songs = rng.permutation(one.missed), one.hits["song"].astype(str).to_numpy()
    waiting = [[int(i) for i in shuffled if one.kinds[i] == kind] for kind in KINDS]
    chosen: list[int] = []
    while len(chosen) < count:
        for rows in waiting:
            if rows and len(chosen) < count:
                chosen.append(min(rows, key=lambda i: heard[songs[i]]))
                rows.remove(chosen[-1])
                heard[songs[chosen[-1]]] += 1
    return chosen
