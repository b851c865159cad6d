"""The scoreboard of what has finished, whole: by the jobs that write a file each of the scoreboard of all cells."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nafp.report.figures.job import (
    Look,
    draw_beyond,
    draw_heat_map,
    draw_learning,
    draw_misses,
    draw_scale,
    draw_similarity,
    draw_study,
)
from nafp.report.page.job import Origin, write_page
from nafp.report.tables.job import write_beyond, write_limits, write_table


def write_board(
    board: Mapping[str, Any], folder: Path, listening: str | Path, threads: int, misses: str | Path | None = None
) -> None:
    """All files of the scoreboard of what has finished, but for the sound demo and the missed queries, which are there.

    ``board``: ``origin`` and ``look``, the fields of ``Origin`` and ``Look``; ``studies``: name -> study, cells and
    figures (names); ``cells``: all of them; ``learning``, ``misses``, ``similarity``, ``scale``: arguments of ``draw_...``, or
    None, and ``beyond``: of ``write_beyond``.
    """
    published, look, studies = board["published"], Look(**board["look"]), {}
    for name, one in board["studies"].items():
        table = folder / f"{name}.csv"
        write_table(one["study"], one["cells"], published, table)
        files = {figure: folder / f"{name}.{figure}.svg" for figure in one["figures"]}
        for figure, svg in files.items():
            if figure == "heat_map":
                draw_heat_map(one["study"], one["cells"], svg)
            else:
                draw_study(figure, one["study"], one["cells"], table, published, look, svg)
        if "heat_map" in files:
            write_limits(one["study"], one["cells"], folder / f"{name}.heat_map.csv", folder / f"{name}.limits.csv")
        shown = one["study"].get("ladders", []) if files else []
        studies[name] = {"question": one["study"]["question"], "figures": files, "ladders": shown}
    closer = {}
    drawn = {
        "learning": partial(draw_learning, look=look),
        "misses": draw_misses,
        "similarity": draw_similarity,
        "scale": partial(draw_scale, look=look),
        "beyond": draw_beyond,
    }
    for figure, draw in drawn.items():
        if board[figure]:
            closer[figure] = folder / f"{figure}.svg"
            draw(**board[figure], svg=closer[figure])
    beyond = None
    if board["beyond"]:
        beyond = folder / "beyond.csv"
        write_beyond(**board["beyond"], csv=beyond)
    write_page(Origin(**board["origin"]), studies, closer, board["cells"], folder, listening, threads, misses, beyond)
