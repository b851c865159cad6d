"""Hit rates in databases larger than the data: what each method says, and how it did on the data."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from nafp.audio.segments import sequence_seconds
from nafp.evaluation.extremes import CHECKED, EXTREMES, GENERATED, PREDICTED, TREND
from nafp.report.tables.formats import escaped
from nafp.report.tables.layout import three_digits

CHECK_HEAD = "query", "method", "fitted songs", "all songs", "predicted", "measured", "error", "covered"
FAR = 100  # times the data from which predictions are marked: no check reaches nearly as far
METHODS = EXTREMES, TREND, GENERATED
FORMULAS = EXTREMES, TREND  # methods that reach any size
SUBJECTS = {TREND: "the trend was"}


@dataclass(frozen=True)
class Beyond:
    """A table of `nafp.evaluation.extrapolation.extrapolate`, with columns ``*_gb`` of index types."""

    table: pd.DataFrame

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """The rows of databases larger than the data, and of the data themselves, the smallest."""
        return self.table[self.table["kind"] == PREDICTED]

    @cached_property
    def checks(self) -> pd.DataFrame:
        """One row a length and method over the parts: rates on average, the mean absolute ``error``, ``covered`` of ``parts``.

        Covered to a tenth of a point: where all queries hit, an error of a hundredth is none.
        """
        rows = self.table[self.table["kind"] == CHECKED]
        covers = (rows["difference_low"].round(1) <= 0) & (rows["difference_high"].round(1) >= 0)
        of_each = rows.assign(error=rows["difference"].abs(), covered=covers).groupby(["length", "method"], sort=True)
        summed = {
            "hit_rate_pct": "mean",
            "measured_pct": "mean",
            "difference": "mean",
            "error": "mean",
            "covered": "sum",
        }
        return of_each.agg(summed | {"fitted_songs": "max", "songs": "max"}).assign(parts=of_each.size()).reset_index()

    @property
    def sizes(self) -> pd.DataFrame:
        """One row a database: ``segments``, ``songs``, gigabytes of index types, and how many ``times`` the data it has."""
        columns = ["segments", "songs", *self.index_columns]
        sizes = self.predictions.drop_duplicates("segments")[columns].sort_values("segments", ignore_index=True)
        return sizes.assign(times=self.times_of(sizes))

    def times_of(self, rows: pd.DataFrame) -> pd.Series:
        """How many times the data the databases of some rows have, by their ``segments``."""
        return rows["segments"] / self.predictions["segments"].min()

    @property
    def index_columns(self) -> list[str]:
        """The columns of the index types."""
        return [name for name in self.table.columns if name.endswith("_gb")]

    def rate(self, length: int, method: str, segments: float) -> pd.Series | None:
        """The row of one prediction."""
        rows = self.predictions
        found = rows[(rows["length"] == length) & (rows["method"] == method) & (rows["segments"] == segments)]
        return found.iloc[0] if len(found) else None

    @property
    def says(self) -> list[str]:
        """How the methods did in the check, and where they part, in sentences; empty without rows."""
        return [*self._of_checks(), *self._of_parting()]

    def _of_checks(self) -> list[str]:
        if self.checks.empty:
            return []
        some = self.checks.iloc[0]
        begin = f"Fitted to {some['fitted_songs']:,.0f} random songs and held against all {some['songs']:,.0f}"
        parts = []
        for method, rows in self.checks.groupby("method", sort=True):
            covered, count = rows["covered"].sum(), rows["parts"].sum()
            parts.append(SUBJECTS.get(method, f"{method} were"))
            parts[-1] += (
                f" {rows['error'].mean():.1f} points off on average, inside the 95 % interval {covered} of {count} times"
            )
        said = [f"{begin}, {'; '.join(parts)}."]
        higher = self.table["best_higher"].dropna() if "best_higher" in self.table else ()
        if len(higher):
            where = "above" if higher.mean() > 0 else "below"
            said.append(
                f"The best of the generated songs scored {abs(higher.mean()):.3f} {where} that of as many held-out songs."
            )
        return said

    def _of_parting(self) -> list[str]:
        if not set(FORMULAS) <= set(self.predictions["method"]):
            return []
        parted: dict[float, list[str]] = {}
        for length in sorted(self.predictions["length"].unique()):
            apart = [one for one in self.sizes["segments"] if self._apart(length, one)]
            if apart:
                parted.setdefault(apart[0], []).append(f"{sequence_seconds(length):g}")
        if not parted:
            return [f"The intervals of {' and '.join(FORMULAS)} overlap at every size."]
        said = [f"{size_text(one)} segments on (queries of {', '.join(parted[one])} s)" for one in sorted(parted)]
        return [
            f"From {' and from '.join(said)}, the intervals of {' and '.join(FORMULAS)} do not overlap: the data do not say "
            "which is right."
        ]

    def _apart(self, length: int, segments: float) -> bool:
        one, other = (self.rate(length, method, segments) for method in FORMULAS)
        if one is None or other is None:
            return False
        return bool(one["low_pct"] > other["high_pct"] or other["low_pct"] > one["high_pct"])


def size_text(number: float) -> str:
    """A number of segments or songs, short."""
    for unit, name in ((1e9, "billion"), (1e6, "million")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number:,.0f}"


def to_markdown(beyond: Beyond) -> str:
    """All predictions, the sizes of indexes, and all checks, as Markdown."""
    if beyond.predictions.empty:
        return "Not extrapolated: there are too few songs.\n"
    sizes = beyond.sizes
    stars = ["\\*" * (times > FAR) for times in sizes["times"]]
    head = ["query", "method", *(size_text(one) + star for one, star in zip(sizes["segments"], stars, strict=True))]
    lines = [*map(escaped, beyond.says), "", "Top-1 hit rate (exact), percent, by segments of the database:", ""]
    lines += _heading(head)
    lines.append(_line(["", "songs", *(size_text(one) for one in sizes["songs"])]))
    for (length, method), _ in beyond.predictions.groupby(["length", "method"], sort=True):
        rates = [beyond.rate(length, method, one) for one in sizes["segments"]]
        lines.append(_line([f"{sequence_seconds(length):g} s", method, *map(_interval, rates)]))
    for name in beyond.index_columns:
        lines.append(_line(["", f"{escaped(name.removesuffix('_gb'))}, GB", *map(three_digits, sizes[name])]))
    if any(stars):
        lines += ["", f"\\* more than {FAR:,} times the data."]
    if len(beyond.checks):
        lines += ["", "The check, mean over the parts:", ""]
        lines += _heading(CHECK_HEAD)
        for row in beyond.checks.to_dict("records"):
            numbers = [f"{row['fitted_songs']:,.0f}", f"{row['songs']:,.0f}"]
            rates = [f"{row[name]:.1f}" for name in ("hit_rate_pct", "measured_pct", "error")]
            covered = f"{row['covered']} of {row['parts']}"
            lines.append(_line([f"{sequence_seconds(row['length']):g} s", row["method"], *numbers, *rates, covered]))
    return "\n".join(lines) + "\n"


def _interval(row: pd.Series | None) -> str:
    return "–" if row is None else f"{row['hit_rate_pct']:.1f} ({row['low_pct']:.0f}–{row['high_pct']:.0f})"


def _heading(head: Sequence[str]) -> list[str]:
    return [_line(head), "|" + ":--|" * 2 + "--:|" * (len(head) - 2)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
