"""The scoreboard of what has finished, whole: by the jobs that write a file each of the scoreboard of all cells."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nafp.report.figures.job import Look, draw_misses, draw_scale, draw_similarity, draw_study
from nafp.report.page.job import Origin, write_page
from nafp.report.tables.job import write_beyond, write_limits, write_table


def write_board(board: Mapping[str, Any], folder: Path, listening: str | Path, threads: int) -> None:
    """All files of the scoreboard of what has finished, but for the sound demo, which is there.

    ``board``: ``origin`` and ``look``, the fields of ``Origin`` and ``Look``; ``studies``: name -> study, cells, histories
    and figures (names); ``cells``: all of them; ``misses``, ``similarity``, ``scale``: arguments of ``draw_...``, or
    None, and ``beyond``: of ``write_beyond``.
    """
    published, look, studies = board["published"], Look(**board["look"]), {}
    for name, one in board["studies"].items():
        write_table(one["study"], one["cells"], published, folder / f"{name}.csv")
        files = {figure: folder / f"{name}.{figure}.svg" for figure in one["figures"]}
        for figure, svg in files.items():
            draw_study(figure, one["study"], one["cells"], one["histories"], published, look, svg)
        if "heat_map" in files:
            write_limits(one["study"], one["cells"], folder / f"{name}.heat_map.csv", folder / f"{name}.limits.csv")
        shown = one["study"].get("ladders", []) if files else []
        studies[name] = {"question": one["study"]["question"], "figures": files, "ladders": shown}
    closer = {}
    for figure, draw in (("misses", draw_misses), ("similarity", draw_similarity), ("scale", draw_scale)):
        if board[figure]:
            closer[figure] = folder / f"{figure}.svg"
            draw(**board[figure], svg=closer[figure])
    beyond = []
    if board["beyond"]:
        beyond = [folder / "beyond.csv"]
        write_beyond(**board["beyond"], csv=beyond[0])
    write_page(Origin(**board["origin"]), studies, closer, board["cells"], folder, listening, threads, *beyond)
