"""Hit rates over query length as differences to the baseline, for a study whose curves lie on one another."""

from collections.abc import Sequence

import pandas as pd

from nafp.report.figures.colour import Palette
from nafp.report.figures.curves import asked_by, asked_of, best_of, colours_of, named, with_a_level
from nafp.report.figures.drawing import DIFFERENCE, Axis, Drawing, Panel, rows_of
from nafp.report.tables.cells import pool_seeds, with_intervals

MOST_TOGETHER = 5  # curves on one another that a reader still tells apart
MOST_DIFFERENCES = 12
_DODGE = 0.6  # width that all curves together take, in smallest distances between two lengths
TO_ROWS = {"minus_baseline": "y", "minus_baseline_low": "low", "minus_baseline_high": "high"}


def differences_over_length(
    cells: pd.DataFrame, varied: Sequence[str], table: pd.DataFrame, palette: Palette | None = None
) -> Drawing | None:
    """Differences of hit rates to the baseline (points) over the query length (s); None where rates can be told apart.

    ``table``: of the study (`nafp.report.tables.study`), whose differences and simultaneous intervals these are. Rates cannot be
    told apart where more than MOST_TOGETHER configurations, the baseline among them, have 95 % intervals that overlap the
    baseline's at every length.
    """
    cells, level = with_a_level(cells)
    pooled = pool_seeds(cells[cells["match"].eq("exact")], keep_seeds="seed" in varied)
    key = ["runs", "index", "query_s"]
    tested = table[table["match"].eq(level) & table["runs"].notna()].rename(columns=TO_ROWS)
    tested = tested.assign(index=tested["index"].fillna(""))[[*key, *TO_ROWS.values(), "baseline"]]
    if tested.duplicated(key).any() or not tested["baseline"].any():
        return None
    pooled = with_intervals(pooled).assign(query_s=pooled["seconds"], runs=pooled["runs"].map(" ".join))
    rows = named(pooled, cells, varied).merge(tested, on=key)
    base, others = rows[rows["baseline"]], rows[~rows["baseline"]].dropna(subset=["y"])
    if 1 + len(_together(base, others)) <= MOST_TOGETHER:
        return None
    chosen = best_of(others, MOST_DIFFERENCES)
    shown = others[others["name"].isin(chosen)]
    lengths = sorted(cells["seconds"].unique())
    gap = _DODGE * min((b - a for a, b in zip(lengths, lengths[1:], strict=False)), default=1)
    places = {name: gap * ((i + 0.5) / len(chosen) - 0.5) for i, name in enumerate(dict.fromkeys(shown["name"]))}
    asked = [f"{asked_by(row)}; {row['hit_rate_pct']:.1f} %" for row in shown.to_dict("records")]
    drawn = rows_of(
        name=shown["name"],
        series=shown["name"],
        at=[f"{s:g} s" for s in shown["seconds"]],
        asked=asked,
        x=shown["seconds"] + shown["name"].map(places),
        **{name: shown[name] for name in ("y", "low", "high")},
        join=False,
    )
    x = Axis("query length, s", {s: f"{s:g}" for s in lengths}, (lengths[0] - gap, lengths[-1] + gap))
    y = Axis(f"{DIFFERENCE} {base['name'].iloc[0]}, points")
    left_out = others["name"].nunique() - len(chosen)
    note = f"{asked_of(cells)}; {level}; bar: 95 % interval, simultaneous"
    note += f"; {left_out} lower ones not plotted" if left_out else ""
    shown = shown.assign(runs=shown["runs"].str.split(" "))
    return Drawing([Panel(drawn, x, y, at_y=[0])], colours_of(shown, palette, varied), {}, note)


def _together(base: pd.DataFrame, others: pd.DataFrame) -> list[str]:
    """Names of the configurations whose intervals overlap the baseline's at every length."""
    both = others.merge(base[["seconds", "low_pct", "high_pct"]], on="seconds", suffixes=("", "_base"))
    apart = (both["low_pct"] > both["high_pct_base"]) | (both["high_pct"] < both["low_pct_base"])
    return sorted(set(both["name"]) - set(both.loc[apart, "name"]))
