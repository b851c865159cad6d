"""The job that builds the page of a scoreboard, and its summary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nafp.files import read_json
from nafp.grid import CellKey
from nafp.report.figures.captions import CAPTIONS, DIFFERENCES
from nafp.report.figures.charts import beside_of
from nafp.report.figures.drawing import DIFFERENCE
from nafp.report.page import provenance
from nafp.report.page.charts import Shown
from nafp.report.page.done import what_was_done
from nafp.report.page.headline import headline, winner
from nafp.report.page.heat import read_matrix
from nafp.report.page.legend import legend
from nafp.report.page.links import links_of, tensorboard_command
from nafp.report.page.made import jobs_table
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import read_cells, run_labels, table_of_cells
from nafp.report.tables.job import read_beyond
from nafp.report.tables.ladders import Matrix
from nafp.report.tables.study import load_table

Paths = Sequence[str | Path]


@dataclass(frozen=True)
class Origin:
    """What the page says of where its numbers come from: name of the data set, number of cells planned, a cell of the
    default configuration (run and index), index -> what its type is, config, and the files about data and time."""

    dataset: str
    planned: int
    default: Sequence[str]
    kinds: Mapping[str, str]
    config: Mapping[str, Any]
    verification: str
    benchmarks: str


def write_page(
    origin: Origin,
    studies: Mapping[str, Mapping],
    closer: Mapping[str, str],
    cells: Paths,
    folder: Path,
    listening: str | Path,
    threads: int,
    misses: str | Path | None = None,
    beyond: str | Path | None = None,
) -> None:
    """The page, index.html, and the summary that a run of the workflow ends with.

    ``studies``: name -> question, figures, name -> file, and ladders, as in `Study`. ``closer``: the figures of no single
    study. ``listening``, ``misses``: files of `nafp.report.page.sound_demo` and `nafp.report.misses.replay`. ``beyond``: the
    table of `write_beyond`.
    """
    tables = {name: folder / f"{name}.csv" for name in studies}
    sections = [
        Section(
            name,
            study["question"],
            load_table(tables[name]),
            _shown(study["figures"]),
            _matrix(tables[name], study),
        )
        for name, study in studies.items()
    ]
    read, file = read_cells(cells), folder / "index.html"
    table = table_of_cells(read)
    benchmarks, verification, names = Path(origin.benchmarks), Path(origin.verification), run_labels(table)
    results = benchmarks.parent
    page = Page(
        title=f"Neural Audio Fingerprint: {origin.dataset}",
        top=Top(
            what_was_done(read, verification, benchmarks), headline(table), winner(table, CellKey(*origin.default))
        ),
        sections=sections,
        closer=_shown(closer),
        listening=read_json(listening) | {"names": names},
        provenance=provenance.collect(origin.config, table, benchmarks, verification, threads),
        state=_what_is_missing(origin.planned - len(cells), origin.planned),
        made=jobs_table(read, names, benchmarks),
        links=links_of(table, names, results, folder),
        legend=legend(table, origin.config, origin.kinds),
        tensorboard=tensorboard_command(results),
        misses=read_json(misses) | {"names": names} if misses else {},
        beyond=read_beyond(beyond) if beyond else None,
    )
    text = page.html()
    file.write_text(text, encoding="utf-8")

    lines = [f"{entry['value']:>8}  {entry['text']}" for entry in page.top.figures]
    lines += [f"{'':>8}  {line}" for line in (page.top.winner, page.top.done) if line] + [page.state] * bool(page.state)
    lines += [f"{'':>8}  {section.name}: {section.verdict}" for section in sections if section.verdict]
    lines += ["", f"scoreboard  {file.resolve()}"]
    lines += [f"table       {path.with_suffix('.md')}" for path in tables.values()]
    (folder / "summary.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{file}: {len(text) / 1e6:.1f} MB")


def _shown(figures: Mapping[str, str | Path]) -> list[Shown]:
    """Figures with their charts; the heat map has a form of its own on the page. ``figures``: name -> SVG."""
    return [figure_of(name, Path(path)) for name, path in figures.items() if name != "heat_map"]


def figure_of(name: str, path: Path) -> Shown:
    """A figure with its chart; that of hit rates may show differences to the baseline instead."""
    chart = read_json(beside_of(path))
    differs = name == "hit_rate" and chart["title"]["text"].startswith(DIFFERENCE)
    return Shown(DIFFERENCES if differs else CAPTIONS[name], chart, path.stem)


def _matrix(table: Path, study: Mapping[str, Any]) -> Matrix | None:
    """The matrix of a study with ladders, from the files beside its table."""
    if not study.get("ladders"):
        return None
    return read_matrix(table.with_suffix(".heat_map.csv"), table.with_suffix(".limits.csv"), study["ladders"])


def _what_is_missing(missing: int, planned: int) -> str:
    return f"{missing} of {planned} cells {'has' if missing == 1 else 'have'} not run yet." if missing else ""
