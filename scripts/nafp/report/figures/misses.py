"""The figure of the kinds of answers, run by run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from nafp.report.figures.other_charts import bars_of
from nafp.report.figures.style import legend, note, plotted, short_names
from nafp.report.misses.kinds import KINDS

# Colours of the kinds, of Seaborn's palette "colorblind", which colour-blind people tell apart, and a light grey
_COLOURS = ("#0173b2", "#56b4e9", "#029e73", "#ece133", "#de8f05", "#949494", "#cc78bc", "#e0e0e0")


def plot_answers(counts: Mapping[str, pd.Series], seconds: float, songs: int, path: str | Path) -> None:
    """Plot the kinds of answers (%) of each run to queries of so many seconds in so many songs.

    Writes an SVG to `path`, a PNG and a PDF.
    """
    with plotted(path, height=0.9 + 0.38 * len(counts)) as (figure, axes):
        table = pd.DataFrame(counts).T
        shares, total = 100 * table.div(table.sum(axis=1), axis=0), int(table.sum(axis=1).max())
        left, at = np.zeros(len(table)), np.arange(len(table))[::-1]
        for (kind, hatch), colour in zip(KINDS.items(), _COLOURS, strict=True):
            width = shares[kind].to_numpy()
            if width.any():
                axes.barh(at, width, left=left, height=0.72, color=colour, hatch=hatch, edgecolor="white", label=kind)
            for y, x, share in zip(at, left + width / 2, width, strict=True):
                if share >= 5:
                    dark = kind in ("exact", "same song, another time")
                    box = {"facecolor": colour, "edgecolor": "none", "pad": 1}
                    axes.text(
                        x,
                        y,
                        f"{share:.0f}",
                        ha="center",
                        va="center",
                        fontsize=8.5,
                        color="white" if dark else "0.1",
                        bbox=box,
                    )
            left += width
        axes.set(xlabel=f"top-1 answers to queries of {seconds:g} s, %", xlim=(0, 100))
        axes.set_yticks(at, list(short_names(table.index).values()))
        axes.grid(False, axis="y")
        note(axes, f"n = {total:,} queries in {songs:,} songs")
        legend(figure, *axes.get_legend_handles_labels())


def chart_of_answers(counts: Mapping[str, pd.Series], seconds: float, songs: int) -> dict:
    """The specification of the same for the page (`other_charts.bars_of`)."""
    table = pd.DataFrame(dict(counts)).rename(columns=short_names(counts)).T
    colours = dict(zip(KINDS, _COLOURS, strict=True))
    note = f"n = {int(table.sum(axis=1).max()):,} queries in {songs:,} songs"
    return bars_of(table, colours, f"top-1 answers to queries of {seconds:g} s, %", note)
