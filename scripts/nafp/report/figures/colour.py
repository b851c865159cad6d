"""Colours of configurations: one each on the whole scoreboard, the same in all figures, on paper and on any screen."""

import colorsys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count

from nafp.grid import FILES, CellKey, parse_run

# Okabe and Ito's colours, which colour-blind people tell apart, and others: 3 to 1 on a light and on a dark page (WCAG).
FIRST = ["#0a75b5", "#c27c04", "#029e73", "#d55e00", "#b866aa", "#7a6fd0", "#9a7432", "#2b95c9", "#c9506e", "#6f8f1f"]
GREY, FAINT = "#858585", "#9d9d9d"  # published numbers; curves without a colour of their own
_GOLDEN = 0.381966  # distance of two hues as a share of a turn, so that neighbours differ
_LUMINANCES = (0.15, 0.26, 0.2)  # relative, between the bounds for 3 to 1


def configuration_of(cell: CellKey, fields: Mapping, without: Sequence[str] = ("seed",)) -> str:
    """The key of a colour: a cell but for the fields that a curve pools or joins. ``fields``: of its run.

    Query sets that are joined have the colour of the data set's own queries.
    """
    run = "_".join(f"{name}={'*' if name in without else value}" for name, value in fields.items()) or cell.run
    return f"{run}|{cell.index}|{FILES if 'query_set' in without else cell.query_set}"


def board_keys(studies: Iterable[tuple[Sequence[CellKey], Sequence[str]]]) -> list[str]:
    """Keys of all configurations of (cells, varied fields) of studies, and of those that a curve over a varied field joins.

    Those of the data set's own queries come first: there are few, and curves over query sets have their colours.
    """
    single, joined = {}, {}
    for cells, varied in studies:
        pooled = () if "seed" in varied else ("seed",)
        for cell in cells:
            fields = parse_run(cell.run)
            single[configuration_of(cell, fields, pooled)] = None
            for name in filter(OVER.get, varied):
                joined[configuration_of(cell, fields, ("seed", *OVER[name]))] = None
    own = [key for key in single if key.endswith(f"|{FILES}")]
    return list(dict.fromkeys([*own, *joined, *single]))


def of_board(studies: Iterable[tuple[Sequence[CellKey], Sequence[str]]]) -> dict[str, str]:
    """The colours of all configurations of a scoreboard (`board_keys`)."""
    return dict(zip(board_keys(studies), colours(), strict=False))


# field of the x axis of a figure -> fields that a curve of it joins
OVER = {"bsz": ("bsz",), "dim": ("dim",), "aug": ("aug",), "snr_db": ("query_set",), "query_set": ("query_set",)}


def colours() -> Iterator[str]:
    """Colours without end, as #rrggbb."""
    yield from FIRST
    for number in count():
        yield _with_luminance((number * _GOLDEN) % 1, _LUMINANCES[number % 3])


def luminance(colour: str) -> float:
    """Relative luminance (WCAG) of #rrggbb."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _with_luminance(hue: float, wanted: float) -> str:
    low, high = 0.0, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        colour = "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, middle, 0.6))
        low, high = (middle, high) if luminance(colour) < wanted else (low, middle)
    return colour


class Palette:
    """Key of a configuration -> its colour; one that the board does not have gets the next free colour."""

    def __init__(self, known: Mapping[str, str] = ()):
        self.known = dict(known)

    def __getitem__(self, key: str) -> str:
        if key not in self.known:
            taken = set(self.known.values())
            self.known[key] = next(colour for colour in colours() if colour not in taken)
        return self.known[key]

    def of_row(self, row: Mapping, without: Sequence[str] = ("seed",)) -> str:
        """The colour of a row of `pool_seeds`, of which the first run stands for all."""
        return self.of_run(row["runs"][0], row["index"], row.get("query_set", FILES), without)

    def of_run(self, run: str, index: str, query_set: str = FILES, without: Sequence[str] = ("seed",)) -> str:
        """The colour of a cell but for the fields ``without`` which it is shown."""
        return self[configuration_of(CellKey(run, index, query_set), parse_run(run), without)]
