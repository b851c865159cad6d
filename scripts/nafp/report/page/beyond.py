"""Hit rates beyond the data on the page: the predictions of the methods by size of the database, and their check."""

from typing import Any

import pandas as pd

from nafp.audio.segments import sequence_seconds
from nafp.report.tables.beyond import FAR, METHODS, Beyond, size_text
from nafp.report.tables.layout import three_digits


def beyond_of(beyond: Beyond | None) -> dict[str, Any]:
    """What the template shows; empty without predictions.

    ``says``: sentences; ``sizes``: text, songs, and whether it is ``far`` beyond the data; ``lengths``: seconds and rows of the
    shortest and the longest queries, a row a method with a cell a size; ``indexes``: name and gigabytes by size; ``checks``.
    """
    if beyond is None or beyond.predictions.empty:
        return {}
    sizes = beyond.sizes
    lengths = sorted(beyond.predictions["length"].unique())
    columns = [
        {"text": size_text(row["segments"]), "songs": size_text(row["songs"]), "far": row["times"] > FAR}
        for row in sizes.to_dict("records")
    ]
    return {
        "says": beyond.says,
        "sizes": columns,
        "lengths": [_length(beyond, length) for length in dict.fromkeys((lengths[0], lengths[-1]))],
        "indexes": [(name.removesuffix("_gb"), [*map(three_digits, sizes[name])]) for name in beyond.index_columns],
        "checks": [_check(row) for row in beyond.checks.to_dict("records")],
        "facts": {name: f"{beyond.predictions[name].iloc[0]:,.0f}" for name in ("queries", "query_songs")},
        "far": f"{FAR:,}",
    }


def _length(beyond: Beyond, length: int) -> dict[str, Any]:
    rows = []
    for method in METHODS:
        found = [beyond.rate(length, method, one) for one in beyond.sizes["segments"]]
        if any(one is not None for one in found):
            rows.append({"method": method, "cells": [_cell(one) for one in found]})
    return {"seconds": f"{sequence_seconds(length):g}", "rows": rows}


def _cell(row: pd.Series | None) -> dict[str, str]:
    if row is None:
        return {"text": "\N{EN DASH}", "interval": ""}
    return {"text": f"{row['hit_rate_pct']:.1f}", "interval": f"{row['low_pct']:.0f}\N{EN DASH}{row['high_pct']:.0f}"}


def _check(row: dict[str, Any]) -> dict[str, str]:
    return {
        "seconds": f"{sequence_seconds(row['length']):g}",
        "method": row["method"],
        "fitted": f"{row['fitted_songs']:,.0f}",
        "songs": f"{row['songs']:,.0f}",
        "predicted": f"{row['hit_rate_pct']:.1f}",
        "measured": f"{row['measured_pct']:.1f}",
        "error": f"{row['error']:.1f}",
        "covered": f"{row['covered']} of {row['parts']}",
    }
