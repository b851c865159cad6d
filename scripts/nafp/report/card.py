"""The model card of weights that are shipped: what they were trained on and how, what they reach, what they cannot."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from nafp.evaluation.cell import Cell
from nafp.files import atomic_write
from nafp.identify.calibration import bound
from nafp.model.weights import settings_of
from nafp.report.tables.cells import load_cells, pool_seeds, with_intervals
from nafp.report.tables.layout import MISSING
from nafp.shipped import shipped

MATCHES = ("exact", "near", "song", "open set")
RECIPE = (
    *("init_from", "features", "model", "chain", "positives", "loss", "loss_options", "lr_bsz", "schedule"),
    *("optimizer", "data"),
)
RATE = 0.01  # of unknown recordings that may be recognised, for which the limit is stated


def write_card(weights: Path, name: str, facts: Mapping, cells: Sequence[Path], path: Path) -> None:
    """Write the card of shipped weights as Markdown, with a table for each cell (of these weights, whatever the data set).

    ``facts``: ``data``, sentences on what the training data are; ``composed``, whether a program made them; ``epoch``: best, last
    or a number, whose weights these are; ``epochs`` trained, their mean ``segments`` and the ``hours`` of all; ``jobs``: of the
    training, the last one last (`nafp.jobfacts`).
    """
    settings = settings_of(weights)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
    )
    recipe = {key: settings[key] for key in RECIPE if settings.get(key) is not None}
    jobs = facts["jobs"]
    unknown = settings["limits"]["unknown"]
    with atomic_write(path) as part:
        text = environment.get_template("card.md.j2").render(
            name=name,
            source=name if facts["composed"] and name in shipped() else weights,
            settings=settings,
            job=jobs[-1],
            precision=", then ".join(dict.fromkeys(job.get("precision", settings["precision"]) for job in jobs)),
            recipe=yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None, width=120),
            megabytes=weights.stat().st_size / 1e6,
            facts=facts,
            measured=[measured_in(cell) for cell in cells],
            limits={
                kind: {**one, "score": bound(one["mean"], one["sd"], one["songs"], RATE)}
                for kind, one in unknown.items()
            },
            library=settings["limits"]["fingerprints"],
        )
        part.write_text(text, encoding="utf-8")


def measured_in(path: Path) -> dict:
    """A cell for the card: what was searched, and rows of hit rates in percent with 95 % intervals, one a query length; MISSING
    of hits that are not known, because the places of queries are not."""
    cell, rates = Cell.read(path), with_intervals(pool_seeds(load_cells([path])))
    rows = []
    for seconds, of_length in rates.groupby("seconds"):
        by_match = of_length.set_index("match")
        known = [shown(by_match.loc[match]) if match in by_match.index else MISSING for match in MATCHES]
        rows.append([f"{seconds:g} s", *known])
    return {
        "dataset": cell.dataset,
        "songs": cell.songs,
        "queries": cell.queries,
        "segments": sum(cell.database.values()),
        "chain": yaml.safe_dump(cell.query_chain, default_flow_style=True, width=1000).strip()
        if cell.query_chain
        else None,
        "rows": rows,
    }


def shown(rate: pd.Series) -> str:
    """A hit rate with its interval."""
    return f"{rate['hit_rate_pct']:.1f} [{rate['low_pct']:.1f}, {rate['high_pct']:.1f}]"
