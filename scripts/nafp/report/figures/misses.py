"""Kinds of answers: the right segment, its neighbour, another time of the song, another song, silence."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex

from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split
from nafp.report.figures.other_charts import bars_of
from nafp.report.figures.style import colours, legend, note, plotted, short

SILENCE_DBFS = -60
KINDS = {  # kind -> hatch, to tell kinds apart in grey print
    "exact": "",
    "near (± 1 segment)": "",
    "same song, another time": "///",
    "another test song": "...",
    "a distractor song": "\\\\\\",
    "silence": "xxx",
    "several equally good": "++",
    "nothing found": "",
}
_SEGMENTS_AT_A_TIME = 4096


def silent(split: Split, segments: np.ndarray) -> np.ndarray:
    """(n,) numbers of segments -> (n,) whether their RMS is below SILENCE_DBFS."""
    loudest = 32768 * 10 ** (SILENCE_DBFS / 20)
    windows = np.lib.stride_tricks.sliding_window_view(split.audio, SEGMENT)
    starts, quiet = split.segments.start[segments], np.empty(len(segments), bool)
    for first in range(0, len(starts), _SEGMENTS_AT_A_TIME):
        some = windows[starts[first : first + _SEGMENTS_AT_A_TIME]].astype(np.float32)
        quiet[first : first + len(some)] = np.sqrt(np.mean(np.square(some), axis=1)) < loudest
    return quiet


def kinds_of_answers(hits: pd.DataFrame, songs: np.ndarray, dummy_rows: int, quiet: np.ndarray) -> pd.Series:
    """Count the best answers to queries of one length by KINDS.

    ``hits``: per-query table with truth, place1, top1_exact, top1_near, top1_song. ``songs``: (rows,) song of each row of the
    database, whose first ``dummy_rows`` are distractors. ``quiet``: (n,) whether a test segment is silent. A miss where the
    query's first segment or the right one is silent counts as silence, whatever the answer is; a right answer that is not a hit,
    because another place has the same score, counts as several equally good.
    """
    place, truth = hits["place1"].to_numpy(), hits["truth"].to_numpy()
    found = place >= 0
    same_song = found & (songs[np.where(found, place, 0)] == songs[truth])
    tied = same_song & ((np.abs(place - truth) <= 1) | ~hits["top1_song"])
    kinds = np.select(
        [hits["top1_exact"], hits["top1_near"], quiet, tied, same_song, found & (place >= dummy_rows), found],
        [list(KINDS)[i] for i in (0, 1, 5, 6, 2, 3, 4)],
        "nothing found",
    )
    return pd.Series(kinds).value_counts().reindex(list(KINDS), fill_value=0)


def plot_answers(counts: Mapping[str, pd.Series], seconds: float, songs: int, path: str | Path) -> None:
    """Plot the kinds of answers (%) of each run to queries of so many seconds in so many songs.

    Writes an SVG to `path`, a PNG and a PDF.
    """
    with plotted(path, height=0.9 + 0.38 * len(counts)) as (figure, axes):
        table = pd.DataFrame(counts).T
        shares, total = 100 * table.div(table.sum(axis=1), axis=0), int(table.sum(axis=1).max())
        left, at = np.zeros(len(table)), np.arange(len(table))[::-1]
        for (kind, hatch), colour in zip(KINDS.items(), _colours(), strict=True):
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
        axes.set_yticks(at, [short(name) for name in table.index])
        axes.grid(False, axis="y")
        note(axes, f"n = {total:,} queries in {songs:,} songs")
        legend(figure, *axes.get_legend_handles_labels())


def chart_of_answers(counts: Mapping[str, pd.Series], seconds: float, songs: int) -> dict:
    """The specification of the same for the page (`other_charts.bars_of`)."""
    table = pd.DataFrame({short(name): one for name, one in counts.items()}).T
    colours = dict(zip(KINDS, map(to_hex, _colours()), strict=True))
    note = f"n = {int(table.sum(axis=1).max()):,} queries in {songs:,} songs"
    return bars_of(table, colours, f"top-1 answers to queries of {seconds:g} s, %", note)


def _colours() -> list[tuple]:
    blue, orange, green, red, purple, _, _, grey, yellow, sky = colours(10)
    return [blue, sky, green, yellow, orange, grey, purple, (0.88, 0.88, 0.88)]
