"""A study as one tidy table: a row for each number, from which CSV, Markdown, LaTeX and HTML are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nafp.audio.segments import HOP, SAMPLE_RATE
from nafp.errors import UserError
from nafp.evaluation.cell import below_results, cell_beside
from nafp.evaluation.metrics import of_any_place
from nafp.evaluation.song_hits import UNTESTED, paired_tests, read_hits
from nafp.evaluation.statistics import LEVEL, holm
from nafp.grid import AXES, FILES, CellKey
from nafp.report.tables.cells import (
    MEASURED,
    NO_FIELDS,
    differs,
    keys_of,
    label,
    pool_seeds,
    shown_fields,
    with_intervals,
)
from nafp.report.tables.published import PAPER, RERUN, counterparts, of_study, why_not_comparable

OURS = "this run"
MEASURED_HERE, PUBLISHED, NOT_RUN = "measured", "published", "not run yet"
OF_CONFIGURATION = ["source", "comparable", "method", "N", "d", "index", "seeds", "planned", "songs", "queries"]
COSTS = ["build s", "MB on disk", "MB in memory", "bytes per fingerprint", "recall %", "ms per segment", "ms per query"]
COSTS += ["build s per hour", "MB per hour"]  # of the music that is searched
_SEGMENTS_PER_HOUR = 3600 * SAMPLE_RATE / HOP
COLUMNS = [
    *(
        "row",
        *OF_CONFIGURATION,
        "match",
        "query_s",
        "state",
        "hit_rate_pct",
        "low_pct",
        "high_pct",
        "hits",
        "seed_sd_pct",
        "mrr",
    ),
    *("paper_pct", "minus_paper", "rerun_pct", "minus_rerun", "baseline", "minus_baseline", "minus_baseline_low"),
    *("minus_baseline_high", "songs_differing", "p", "p_holm", "seeds_agree", "versus", "best", *COSTS),
    *("runs", "cells", "dataset", "protocol", "epoch", "database_segments", "generated_segments"),
]
_NULLABLE = dict.fromkeys(["row", "N", "d", "seeds", "planned", "songs", "hits", "songs_differing"], "Int64") | {
    "seeds_agree": "boolean"
}
_OWN_COLUMN = {"bsz", "dim", "index", *AXES}  # fields with a column of their own, or that are the method
AGAINST = {"minus_baseline": "difference", "minus_baseline_low": "low", "minus_baseline_high": "high"}
DEFAULT_MATCHES = ("exact", "near", "open set")
_PUBLISHED_LENGTHS = (1, 2, 3, 5, 6, 10)


@dataclass(frozen=True)
class Study:
    """What a table shows.

    ``varied``: fields that its cells differ in. ``matches``: kinds of hits, a row each. ``planned``: run, index, query set
    and fields of each of its cells, finished or not; none: those that are given. ``baseline``: run, index and query set (if
    not the data set's own) of the cell that the others are tested against.
    """

    name: str
    varied: Sequence[str] = ()
    question: str = ""
    matches: Sequence[str] = DEFAULT_MATCHES
    planned: Sequence[Mapping[str, Any]] = ()
    baseline: Sequence[str] | None = None
    ladders: Sequence[Mapping[str, Any]] = ()


def study_table(cells: pd.DataFrame, published: pd.DataFrame, study: Study) -> pd.DataFrame:
    """The tidy table of a study: COLUMNS, one row a configuration, match and query length; ours first, then published.

    ``cells``: as from `load_cells`; the per-query tables beside them give the intervals and the tests against the baseline. Rates
    are percent, `minus_paper` and `minus_rerun` differences in points to numbers that are comparable
    (`published.why_not_comparable`), `p_holm` is corrected over the study, `seeds_agree` tells whether all seeds lie on one side
    of the baseline, `versus` is "better" or "worse" than it where they do and `p_holm` is below LEVEL. `minus_baseline` is in
    points, its interval simultaneous for all configurations that were asked the same queries as the baseline; `songs_differing`
    is in how many songs the two differ. Rows with the same `row` belong side by side. UserError for cells that have no hits of
    the study's kinds.
    """
    _check_matches(cells, study)
    ours = _ours(cells, published, study)
    if len(ours) and len(cells) and study.baseline:
        ours = _tested(ours, study, cells)
    table = pd.concat([part for part in (ours, _published(published, study, cells)) if len(part)] or [ours])
    table = table.reindex(columns=COLUMNS).reset_index(drop=True)
    mine = table["source"].eq(OURS)
    most = table["hit_rate_pct"].where(mine).groupby([table["match"], table["query_s"]]).transform("max")
    table["best"] = mine & table["hit_rate_pct"].eq(most)
    table["baseline"] = table["baseline"].eq(True)
    for several in ("runs", "cells"):
        table[several] = [" ".join(names) if isinstance(names, tuple) else None for names in table[several]]
    identity = [*OF_CONFIGURATION, "runs", "match", "dataset", "protocol", "epoch", "database_segments"]
    table["index"] = table["index"].replace("", None)
    table["row"] = table.groupby(identity, sort=False, dropna=False).ngroup()
    return table.astype(_NULLABLE)


def _check_matches(cells: pd.DataFrame, study: Study) -> None:
    shown = cells[cells["match"].isin(study.matches)]
    if set(keys_of(cells)) - set(keys_of(shown)) and not set(study.matches) & set(of_any_place()):
        raise UserError(
            f"study {study.name!r}: {', '.join(study.matches)} hits are not known of all its cells, because it is not known "
            f"where in their songs the queries are; take others as matches: {', '.join(of_any_place())}"
        )


def load_table(path: str | Path) -> pd.DataFrame:
    """Read a table that was written as CSV."""
    texts = dict.fromkeys(["method", "index", "comparable", "versus", "epoch", "runs", "cells"], object)
    return pd.read_csv(path, dtype=_NULLABLE | texts, keep_default_na=False, na_values=[""])  # a run may be named null


# ---------------------------------------------------------------- ours


def _ours(cells: pd.DataFrame, published: pd.DataFrame, study: Study) -> pd.DataFrame:
    planned = planned_configurations(cells, study)
    if planned.empty:
        return pd.DataFrame(columns=COLUMNS)
    pooled = pool_seeds(cells, keep_seeds="seed" in study.varied)
    pooled = with_intervals(pooled[pooled["match"].isin(study.matches)])
    pooled = pooled.sort_values("match", key=lambda column: column.map(list(study.matches).index), kind="stable")
    if not pooled.empty:
        pooled = planned.drop(columns="planned_runs").merge(pooled, how="left", sort=False)
    else:
        pooled = planned.reindex(columns=dict.fromkeys([*planned, *pooled]))
    configuration = [name for name in planned.columns if name not in ("planned", "planned_runs")]
    differing = [name for name in configuration if differs(planned, name)]
    names = [n for n in dict.fromkeys([*study.varied, *differing, *shown_fields(cells)]) if n not in _OWN_COLUMN]
    names = [name for name in names if name in pooled.columns]
    lengths = sorted(cells["seconds"].unique()) or list(_PUBLISHED_LENGTHS)
    records = []
    for row in pooled.to_dict("records"):
        shared = _described(row, names, study)
        if pd.isna(row["hits"]):
            absent = {"state": NOT_RUN, "seeds": 0, "runs": None, "baseline": False}
            records += [{**shared, **absent, "match": m, "query_s": s} for m in study.matches for s in lengths]
        else:
            records.append(shared | _measured(row, published))
    return pd.DataFrame(records)


def planned_configurations(cells: pd.DataFrame, study: Study) -> pd.DataFrame:
    """A row for each configuration of the study, its seeds pooled: its fields, and `planned`, the number of its runs."""
    known = {"dataset", "epoch", "protocol", "snr_db", *NO_FIELDS, *MEASURED} - {"run"}
    runs = pd.DataFrame(list(study.planned)) if study.planned else cells.drop(columns=[n for n in cells if n in known])
    if runs.empty:
        return runs
    runs = runs.drop_duplicates()
    dropped = {"run"} if "seed" in study.varied else {"run", "seed"}
    fields = [name for name in runs.columns if name not in dropped]
    grouped = runs.groupby(fields, sort=False, dropna=False)
    return grouped.agg(planned=("run", "nunique"), planned_runs=("run", tuple)).reset_index()


def name_of(row: Mapping[str, Any], names: Sequence[str]) -> str:
    """A configuration's method, nafp for a trained run, and the fields of these names."""
    methods = [row[axis] for axis in AXES if pd.notna(row.get(axis))] or ["nafp"]
    return ", ".join(part for part in (*methods, label(row, names)) if part)


def _described(row: Mapping[str, Any], names: Sequence[str], study: Study) -> dict[str, Any]:
    return {
        "source": OURS,
        "method": name_of(row, names),
        "N": row.get("bsz"),
        "d": row.get("dim"),
        "index": row["index"],
        "query_set": row.get("query_set", FILES),
        "planned": row["planned"],
    }


def _measured(row: Mapping[str, Any], published: pd.DataFrame) -> dict[str, Any]:
    theirs = counterparts(published, row)
    rate, paper, rerun = row["hit_rate_pct"], theirs.get(PAPER, np.nan), theirs.get(RERUN, np.nan)
    return {
        "seeds": row["seeds"],
        "songs": row["songs"],
        "queries": row["queries"] / row["seeds"],
        "match": row["match"],
        "query_s": row["seconds"],
        "state": MEASURED_HERE,
        **{name: row[name] for name in ("hit_rate_pct", "low_pct", "high_pct", "hits", "runs")},
        "cells": tuple(below_results(cell_beside(path)) for path in row["answers"]),
        "seed_sd_pct": row["seed_sd"],
        "mrr": row["mrr"],
        **{"paper_pct": paper, "minus_paper": rate - paper, "rerun_pct": rerun, "minus_rerun": rate - rerun},
        **{
            "build s": row["build_s"],
            "MB on disk": row["index_bytes"] / 1e6,
            "MB in memory": row["memory_bytes"] / 1e6,
        },
        **{"bytes per fingerprint": row["index_bytes"] / row["fingerprints"], "recall %": row["recall_pct"]},
        **{"ms per segment": row["ms_per_segment"], "ms per query": row["ms_per_query"]},
        "build s per hour": row["build_s"] / row["database_segments"] * _SEGMENTS_PER_HOUR,
        "MB per hour": row["index_bytes"] / 1e6 / row["database_segments"] * _SEGMENTS_PER_HOUR,
        **{name: row[name] for name in ("dataset", "protocol", "epoch", "database_segments", "generated_segments")},
    }


def _tested(ours: pd.DataFrame, study: Study, cells: pd.DataFrame) -> pd.DataFrame:
    chosen = baseline_keys(cells, study)
    configurations = [
        tuple(CellKey(run, row.index, row.query_set) for run in row.runs) if isinstance(row.runs, tuple) else ()
        for row in ours[["runs", "index", "query_set"]].itertuples(index=False, name="Row")
    ]
    is_baseline = [not chosen.isdisjoint(keys) for keys in configurations]
    ours = ours.assign(
        baseline=is_baseline, p_holm=np.nan, seeds_agree=None, versus="", **dict.fromkeys(AGAINST, np.nan)
    )
    if not any(is_baseline):
        return ours
    tables = dict(zip(keys_of(cells), cells["answers"].unique(), strict=True))
    answers = {keys: [read_hits(tables[key]) for key in keys] for keys in set(configurations) - {()}}
    baselines = configurations[is_baseline.index(True)]
    base, known = answers.pop(baselines), ours.loc[is_baseline, "match"].unique()
    tested = {keys: seeds for keys, seeds in answers.items() if seeds[0].asked == base[0].asked}
    level = 1 - LEVEL / max(len(tested), 1)  # Bonferroni's
    found = {keys: paired_tests(seeds, base, known, level) for keys, seeds in tested.items()}
    numbers = zip(configurations, ours["match"], ours["query_s"], strict=True)
    tests = [found.get(keys, {}).get((match, seconds), UNTESTED) for keys, match, seconds in numbers]
    ours["p"], direction = ([getattr(test, name) for test in tests] for name in ("p", "direction"))
    for column, name in AGAINST.items():
        ours[column] = [100 * getattr(test, name) for test in tests]
    ours["p_holm"] = holm(ours["p"])
    ours["songs_differing"] = [None if test is UNTESTED else test.differing for test in tests]
    ours["seeds_agree"] = [None if test is UNTESTED else test.seeds_agree for test in tests]
    ours["versus"] = np.where(ours["p_holm"] < LEVEL, np.array(["", "better", "worse"])[direction], "")
    return ours


def baseline_keys(cells: pd.DataFrame, study: Study) -> set[CellKey]:
    """The cells of the baseline's configuration, whichever of its seeds the study names."""
    chosen = CellKey(*study.baseline)
    for row in planned_configurations(cells, study).to_dict("records"):
        keys = {CellKey(run, row["index"], row.get("query_set", FILES)) for run in row["planned_runs"]}
        if chosen in keys:
            return keys
    return {chosen}


# ---------------------------------------------------------------- published


def _published(published: pd.DataFrame, study: Study, cells: pd.DataFrame) -> pd.DataFrame:
    rows = of_study(published, study.name)
    rows = rows[rows["match"].isin(study.matches)]
    records = []
    order = rows.groupby(["origin", "method", "batch_size", "dim", "database"], sort=False, dropna=False)
    for (origin, method, size, dim, database), group in order:
        shared = {"source": origin, "method": method, "N": size, "d": dim, "state": PUBLISHED}
        reason = why_not_comparable(database, cells)
        shared["comparable"] = f"no: {reason}" if reason else "yes"
        shared["index"] = "ivfpq" if method.startswith("nafp") else None  # see published/README.md
        for match in study.matches:
            for row in group[group["match"] == match].to_dict("records"):
                records.append(
                    shared | {"match": match, "query_s": row["query_s"], "hit_rate_pct": row["top1_hit_rate_pct"]}
                )
    return pd.DataFrame(records)
