"""A figure as data, prepared once and drawn twice: by Matplotlib for papers (`plots`), as Vega-Lite for the page (`charts`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

SOLID, DASHED = "solid", "dashed"
DIFFERENCE = "difference to"  # what the title of an axis of differences begins with
# Columns of a panel's rows: the legend's entry, the curve that a row belongs to, the kind of line (of `Drawing.lines`), where it
# is, its interval (NaN: none), what is said of x and of the number of queries, and how it is drawn.
TEXTS, NUMBERS = ("name", "series", "line", "at", "asked"), ("x", "y", "low", "high")
FLAGS = {
    "join": True,  # line through it
    "dot": True,  # marker at it
    "open": False,  # empty marker
    "cross": False,  # cross over it
    "spread": True,  # interval drawn
    "faint": False,  # thin line behind the others
}


@dataclass(frozen=True)
class Axis:
    """``ticks``: place -> its text; none: numbers as they come. ``domain``: ends of the axis, else those of the rows.
    ``log``: whether distances are ratios. ``whole``: whether only whole numbers are."""

    title: str
    ticks: Mapping[float, str] = field(default_factory=dict)
    domain: tuple[float, float] | None = None
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Panel:
    """Curves in one pair of axes. ``rows``: TEXTS, NUMBERS and FLAGS (`rows_of`), each series in the order of its curve.

    ``band``: intervals are areas, not bars. ``steps``: a curve is level up to its next point. ``at_x``, ``at_y``: dotted lines.
    """

    rows: pd.DataFrame
    x: Axis
    y: Axis
    band: bool = False
    steps: bool = False
    at_x: Sequence[float] = ()
    at_y: Sequence[float] = ()


@dataclass(frozen=True)
class Drawing:
    """``colours``: entry of the legend -> colour, in its order. ``lines``: kind of line -> SOLID or DASHED. ``note``: what is
    said above: n, and what the intervals are. ``columns``: of panels, where there is room; ``shape``: width and height of one in
    inches.
    """

    panels: Sequence[Panel]
    colours: Mapping[str, str]
    lines: Mapping[str, str]
    note: str
    columns: int = 1
    shape: tuple[float, float] = (5.4, 3.1)


def rows_of(**columns: object) -> pd.DataFrame:
    """Rows of a panel from columns, each a sequence or one value for all; what is not given is empty, and drawn as usual."""
    given = {name: value.to_numpy() if isinstance(value, pd.Series) else value for name, value in columns.items()}
    table = pd.DataFrame(given)
    for name in TEXTS:
        table[name] = table[name].astype(str) if name in table else ""
    for name in NUMBERS:
        values = table[name].astype(float) if name in table else pd.Series(float("nan"), table.index)
        table[name] = values.where(values.abs() < float("inf"))
    for name, usual in FLAGS.items():
        table[name] = table[name].astype(bool) if name in table else usual
    return table[[*TEXTS, *NUMBERS, *FLAGS]]
