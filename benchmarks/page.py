"""How long the scoreboard of a large grid takes, and how heavy its page is: made-up results, one line.

PYTHONPATH=scripts:tests/support python benchmarks/page.py [--runs 50] [--indexes 8] [--cpu] >> benchmarks/page.md

Tables with tests, plots and charts, a sound demo of six networks, 24 missed queries, the page; the made-up cells are written
before.
"""

import argparse
import datetime
import json
import tempfile
import time
from pathlib import Path

from boards import FIELDS, PUBLISHED, heard, tabulated, write_grid
from replays import made_up_replay

from nafp.evaluation.song_hits import read_hits
from nafp.files import read_json
from nafp.grid import run_name
from nafp.jobfacts import processor
from nafp.report.figures import curves, pareto
from nafp.report.figures.charts import chart_of, write_chart
from nafp.report.figures.differences import differences_over_length
from nafp.report.figures.job import write
from nafp.report.misses.replay import write_misses
from nafp.report.page.charts import Shown
from nafp.report.page.headline import headline, winner
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import run_labels
from nafp.report.tables.formats import to_latex, to_markdown
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study

QUERIES = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--indexes", type=int, default=8)
    parser.add_argument("--cpu", action="store_true", help="seconds of one core, for a machine that has other work")
    options = parser.parse_args()
    runs = [{"aug": ("full", "none")[i % 2], "bsz": 2 * (60 + i // 2)} for i in range(options.runs)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = write_grid(folder, runs, [f"index{i}" for i in range(options.indexes)], QUERIES)
        sounds = heard([run_name(FIELDS | run) for run in runs[:6]], [f"song {i}" for i in range(12)], segments=12)
        replay = made_up_replay(folder / "misses", {"files": 0.4, "noise_m5": 0.1}, features={})
        write_misses(replay, folder / "misses.json", folder / "hard_songs.csv", threads=1)
        missed = json.loads((folder / "misses.json").read_text())
        read_hits.cache_clear()
        clock = time.process_time if options.cpu else time.perf_counter
        began = clock()
        study = Study("table3", ["aug", "bsz", "index"], "All of it", baseline=(run_name(FIELDS | runs[0]), "index0"))
        cells, table = tabulated(paths, study)
        table.to_csv(folder / "t.csv", index=False)
        to_markdown(table), to_latex(table, "table3")
        tabled = clock()
        published = load_published(PUBLISHED)
        length = differences_over_length(cells, study.varied, table)
        write(length or curves.hit_rate_over_length(cells, study.varied, published), folder / "a.svg")
        write(curves.hit_rate_over(cells, "bsz", study.varied, published), folder / "b.svg")
        points, costs = pareto.index_costs(cells)
        pareto.draw_costs(points, costs.colours, folder / "c.svg")
        write_chart(chart_of(costs), folder / "c.svg")
        plotted = clock()
        figures = [Shown(name, read_json(folder / f"{name}.vl.json"), name) for name in "abc"]
        shown = sounds | {"names": run_labels(cells)}
        sections = [Section("table3", "All of it", table, figures)]
        top = Top(figures=headline(cells), winner=winner(cells))
        page = Page("Benchmark", top, sections, listening=shown, misses=missed).html()
        done = clock()
    times = (
        f"{done - began:.1f} s (tables {tabled - began:.1f}, plots {plotted - tabled:.1f}, page {done - plotted:.1f})"
    )
    size = f"{len(page.encode()) / 1e6:.1f} MB"
    times = f"CPU: {times}" if options.cpu else times
    grid = f"{options.runs} runs x {options.indexes} indexes, {QUERIES:,} queries"
    print(f"| {datetime.date.today()} | {processor()} | {grid} | {times} | {size} |")


if __name__ == "__main__":
    main()
