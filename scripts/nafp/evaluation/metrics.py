"""The kinds of hits: a row of METRICS each; a new metric is a new row. Without NumPy: planning reads their names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nafp.evaluation.hits import Judged


@dataclass(frozen=True)
class Metric:
    """One kind of hit.

    ``column``: its name in cells and per-query tables. ``hits``: answers to q queries -> (q,) booleans. ``meaning``: what a hit
    is, for the page. ``tested``: whether the paired tests apply (not to a metric whose threshold varies too: they cannot see
    that). ``of_place``: whether it asks where in the song a query is. ``caption``: what is said under tables that show it. Of
    meaning and caption `said` makes sentences.
    """

    column: str
    hits: Callable[[Judged], Any]
    meaning: str
    tested: bool = True
    of_place: bool = True
    caption: str = ""


METRICS = {
    "exact": Metric("top1_exact", lambda judged: judged.rank == 1, "the right segment"),
    "near": Metric(
        "top1_near", lambda judged: judged.first(judged.beside), "at most one segment (500 ms) from the right one"
    ),
    "top3": Metric(
        "top3_exact",
        lambda judged: judged.rank <= 3,
        "the right segment among the best three",
        caption="Top3: the right segment is among the best three answers.",
    ),
    "top10": Metric(
        "top10_exact",
        lambda judged: judged.rank <= 10,
        "the right segment among the best ten",
        caption="Top10: the right segment is among the best ten answers.",
    ),
    "song": Metric(
        "top1_song",
        lambda judged: judged.first(judged.in_song),
        "the right song, wherever in it (paper, 4.1)",
        of_place=False,
    ),
    "open set": Metric(
        "open_set",
        lambda judged: judged.first(judged.in_song) & judged.accepted,
        "the right song with a score that is accepted, where at most {false_accepts} of the queries are answered once their "
        "song is out of the database",
        tested=False,
        of_place=False,
        caption="Open set: the right song is named, with a score that is accepted; at most {false_accepts} of the queries are "
        "answered once their song is out of the database.",
    ),
}


def said(text: str, queries: float) -> str:
    """A meaning or caption, for cells of at least so many queries of a length (NaN: not known)."""
    return text.format(false_accepts=false_accepts(queries))


def false_accepts(queries: float) -> str:
    """The share of the open set, in words: of n queries the highest score is passed by another one with probability 1 / (n + 1),
    so with fewer than 99 it is more than 1 %."""
    least = 100 / (queries + 1)
    return f"{least:.1f} % (for 1 % it takes 99 queries, not {queries:.0f})" if least > 1 else "1 %"


def columns() -> list[str]:
    """The columns of all metrics."""
    return [metric.column for metric in METRICS.values()]


def with_paired_tests() -> list[str]:
    """The metrics that paired tests apply to."""
    return [name for name, metric in METRICS.items() if metric.tested]


def of_any_place() -> list[str]:
    """The metrics that do not ask where in the song a query is: those of queries whose place is not known."""
    return [name for name, metric in METRICS.items() if not metric.of_place]
