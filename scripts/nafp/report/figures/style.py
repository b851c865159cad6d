"""Shared by all figures: style, colours, legends, and files whose bytes depend on the data alone."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from nafp.text import shortened

_STYLE = {
    **matplotlib.style.library["seaborn-v0_8-whitegrid"],
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "svg.hashsalt": "nafp",  # the ids inside the file; random without it
    "pdf.fonttype": 42,  # TrueType, which journals ask for
    "svg.fonttype": "path",  # the same picture whatever fonts the reader has
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.labelsize": 10,
    "axes.titlesize": 10,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "axes.edgecolor": "0.6",
    "axes.linewidth": 0.8,
    "grid.color": "0.92",
    "hatch.linewidth": 0.6,
    "text.parse_math": False,  # a run's name may hold a $
}
MARKERS = "osD^vPX*<>"
WIDTH, HEIGHT = 5.4, 3.1  # inches, without the legend below: text is readable on a phone too
_LEGEND = 62  # characters in a line of the legend
_LONGEST_NAME = 44
_DPI = 200


@contextmanager
def plotted(
    path: str | Path, rows: int = 1, columns: int = 1, width: float = WIDTH, height: float = HEIGHT, **axes
) -> Iterator[tuple]:
    """Give (figure, its axes) to plot on, then write it to ``path`` (.svg), and as .png and .pdf beside it."""
    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(rows, columns, **axes)
        yield figure, panels
        for panel in figure.axes:
            panel.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(Path(path).with_suffix(".png"), format="png", dpi=_DPI, metadata={"Software": None})
        undated = {"CreationDate": None, "Creator": None, "Producer": None}
        figure.savefig(Path(path).with_suffix(".pdf"), format="pdf", metadata=undated)


def markers() -> Iterator[str]:
    """Markers, repeated without end."""
    return cycle(MARKERS)


def legend(figure: Figure, handles: Sequence[Artist], names: Sequence[str]) -> None:
    """Put the legend below the axes, and make the figure that much taller."""
    half = -(-len(names) // 2)
    longest = [max(map(len, part), default=0) for part in (names[:half], names[half:])]
    columns = 2 if sum(longest) <= _LEGEND else 1
    figure.set_figheight(figure.get_figheight() + 0.1 + 0.2 * -(-len(names) // columns))
    figure.legend(handles, names, loc="outside lower left", ncols=columns, frameon=False, handlelength=2.2)


def note(axes: Axes, text: str) -> None:
    """Write a remark above the axes."""
    axes.set_title(text, loc="left", color="0.35")


def short(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name that fits a legend: without its middle if it is long, since seeds and recipes stand at the end."""
    return shortened(" ".join(name.split()).lstrip("_"), longest)  # a leading underscore hides a name from the legend


def short_names(names: Iterable[str]) -> dict[str, str]:
    """Name -> the short one, which no other name has: those that would be alike are numbered."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(names):
        fits, number = short(name), 1
        while fits in found.values():
            number += 1
            fits = f"{short(name, _LONGEST_NAME - 1 - len(str(number)))} {number}"
        found[name] = fits
    return found
