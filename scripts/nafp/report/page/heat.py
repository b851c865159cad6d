"""The heat map of a study on the page: native tables, so that numbers are text and colours follow the reader's theme."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from nafp.report.tables.ladders import FEWEST, HALF, Matrix, strength_text


def read_matrix(rates: Path, limits: Path, ladders: Sequence[Mapping[str, Any]]) -> Matrix:
    """A matrix from the files that `nafp.report.tables.job.write_limits` wrote."""
    tables = [pd.read_csv(path, keep_default_na=False, na_values=[""]) for path in (rates, limits)]
    return Matrix(*tables, ladders)


def heat_of(matrix: Matrix) -> list[dict[str, Any]]:
    """What the template shows: for each query length ``seconds``, whether it is ``shown`` first, and ``panels``, one a ladder.

    A panel: title, unit, heads (text and query set of each strength), empty (columns behind them), rows (name, limit in words,
    cells).
    """
    lengths = sorted(matrix.rates["query_s"].unique())
    return [
        {
            "seconds": f"{seconds:g}",
            "shown": seconds == matrix.shown_s,
            "panels": [_panel(matrix, ladder, seconds) for ladder in matrix.ladders],
        }
        for seconds in lengths
    ]


def _panel(matrix: Matrix, ladder: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    rates, limits = (
        rows[(rows["ladder"] == ladder["name"]) & (rows["query_s"] == seconds)]
        for rows in (matrix.rates, matrix.limits)
    )
    said = dict(zip(limits["configuration"], limits["said"], strict=True))
    rows = []
    for name, some in rates.groupby("configuration", sort=False):
        found = {row["query_set"]: row for row in some.to_dict("records")}
        cells = [_cell(found.get(query_set)) for query_set in ladder["sets"]]
        rows.append({"name": name, "said": said.get(name, ""), "cells": cells})
    heads = [{"text": strength_text(strength), "query_set": name} for name, strength in ladder["sets"].items()]
    empty = max(FEWEST - len(heads), 0)
    return {"title": ladder["title"], "unit": ladder["unit"], "heads": heads, "empty": empty, "rows": rows}


def _cell(row: Mapping[str, Any] | None) -> dict[str, Any]:
    """Text, tooltip, and colour: ``side`` of HALF, and ``share``, how far into that half (percent)."""
    if row is None or pd.isna(row["hit_rate_pct"]):
        words = "not asked" if row is None else "not run yet"
        return {"text": "\N{EN DASH}", "side": "absent", "share": 0, "title": words}
    rate = row["hit_rate_pct"]
    side, share = ("over", rate - HALF) if rate >= HALF else ("under", rate)
    title = f"{rate:.1f} %, 95 % interval {row['low_pct']:.1f} to {row['high_pct']:.1f}"
    return {"text": f"{rate:.0f}", "side": side, "share": round(2 * share), "title": title}
