"""What the page begins with: what was done, what won, and whether beyond chance; counted again by tests/support/recount.py."""

import json
import math
import re

import pandas as pd
import pytest
from boards import FIELDS, LENGTHS, ROWS_A_SONG, write_cell, write_grid
from recount import apart, by_song, judged
from scipy.stats import t as student

from nafp.evaluation.cell import table_beside
from nafp.grid import CellKey, run_name
from nafp.report.page.done import what_was_done
from nafp.report.page.headline import headline, winner
from nafp.report.tables.cells import load_cells, read_cells

SIZES = (60, 120, 240)
SAID = re.compile(
    r"The best configuration \((N=\d+)\) finds ([0-9.]+) points more than the (default|second best) \((N=\d+)\) at 1 s: "
    r"(significant|not significant[^(]*|too few songs[^(]*) \(95 % (−?[0-9.]+) to (−?[0-9.]+), 40 songs, (one seed|2 seeds)"
    r"(; corrected for 2 comparisons)?\)\."
)


@pytest.fixture(scope="module", params=[1, 2], ids=["one seed", "two seeds"])
def grid(request, tmp_path_factory):
    """N -> its cells, a seed each."""
    folder, seeds = tmp_path_factory.mktemp("headline"), range(request.param)
    paths = write_grid(folder, [{"bsz": bsz, "seed": seed} for bsz in SIZES for seed in seeds], ["l2"], queries=300)
    return {bsz: paths[len(seeds) * i : len(seeds) * (i + 1)] for i, bsz in enumerate(SIZES)}


def songs_of(paths):
    return [by_song(table_beside(path), "exact", LENGTHS[0], ROWS_A_SONG) for path in paths]


def rate_of(paths) -> float:
    return sum(h for seed in songs_of(paths) for h, _ in seed) / sum(n for seed in songs_of(paths) for _, n in seed)


@pytest.mark.parametrize("default", [*SIZES, None])
def test_the_winner_is_tested_against_the_default_or_the_next(grid, default):
    cells = load_cells([path for paths in grid.values() for path in paths])
    first, second, _ = sorted(SIZES, key=lambda bsz: -rate_of(grid[bsz]))
    key = CellKey(run_name(FIELDS | {"bsz": default}), "l2") if default else None
    said = winner(cells, key)
    shorter = re.sub(r", the default (\(.*?\)),", r" \1", said)
    won, by, role, other, word, low, high, _, corrected = SAID.fullmatch(shorter).groups()
    theirs = default if default and default != first else second
    assert (won, other, corrected is not None) == (f"N={first}", f"N={theirs}", True)
    assert (role == "default") == (default not in (None, first))
    assert (", the default (N" in said) == (default == first)
    mean, variance, freedom = apart(songs_of(grid[first]), songs_of(grid[theirs]))
    half = student.ppf(1 - 0.05 / 4, freedom) * math.sqrt(variance)
    stated = [float(text.replace("−", "-")) for text in (by, low, high)]
    assert stated == pytest.approx([100 * mean, 100 * max(mean - half, -1), 100 * min(mean + half, 1)], abs=0.0501)
    assert word == judged(songs_of(grid[first]), songs_of(grid[theirs]), 2)


def test_seeds_that_disagree_win_nothing(tmp_path):
    """Seven seeds of eight are far better, all queries together beyond chance; one is worse."""
    skills = {60: [1.2] * 7 + [-0.1], 120: [0.0] * 8}
    paths = {
        bsz: [
            write_cell(tmp_path, {"bsz": bsz, "seed": seed}, skill=skill, seed=seed, queries=200)
            for seed, skill in enumerate(some)
        ]
        for bsz, some in skills.items()
    }
    assert judged(songs_of(paths[60]), songs_of(paths[120]), 1) == "not significant, seeds disagree"
    said = winner(load_cells([path for some in paths.values() for path in some]))
    assert " at 1 s: not significant, seeds disagree (95 % " in said


def test_the_best_of_many_has_a_wider_interval_than_the_same_cell_alone(grid):
    best = max(SIZES, key=lambda bsz: rate_of(grid[bsz]))
    alone = headline(load_cells(grid[best]))[0]["text"]
    among = headline(load_cells([path for paths in grid.values() for path in paths]))[0]["text"]
    assert "corrected for the best of 3" in among and "corrected" not in alone
    (low, high), (lower, higher) = (re.search(r"([0-9.]+) to ([0-9.]+) %", text).groups() for text in (alone, among))
    assert float(lower) < float(low) < 100 * rate_of(grid[best]) < float(high) < float(higher)


def test_nothing_to_compare_is_not_compared(grid, tmp_path):
    assert winner(load_cells([])) == ""
    assert winner(load_cells(grid[60])) == ""
    fewer = write_cell(tmp_path, {"bsz": 999}, queries=100)
    assert winner(load_cells([*grid[60], fewer])) == ""  # other queries


def test_none_is_the_best_where_all_find_the_same(tmp_path):
    cells = load_cells([write_cell(tmp_path, {"bsz": bsz}, skill=-99) for bsz in SIZES])
    assert winner(cells) == "All 3 configurations find the same: 0.0 % of queries of 1 s."
    assert headline(cells)[0]["text"].endswith("; all 3 configurations find the same.")


def test_what_was_done_is_counted(tmp_path):
    runs = [FIELDS, FIELDS | {"aug": "none"}]
    made = {"processor": "Xeon", "cores": 4, "device": "CPU"}
    paths = [
        write_cell(tmp_path / "scores", fields, index, 60, provenance={"search": made})
        for fields in runs
        for index in ("l2", "hnsw")
    ]
    paths.append(write_cell(tmp_path / "scores", {"method": "landmarks"}, "", 60, run="method=landmarks"))
    for fields, epochs in zip(runs, (3, 5), strict=True):
        folder = tmp_path / "runs" / run_name(fields)
        folder.mkdir(parents=True)
        pd.DataFrame({"epoch": range(1, epochs + 1)}).to_csv(folder / "history.csv", index=False)
        (folder / "provenance.json").write_text(json.dumps({"jobs": [made | {"device": "H100"}]}))
    splits = {"train": {"hours": 1234.0}, "test_db": {"hours": 0.5}, "dummy": {"hours": 2.0}, "val_db": {"hours": 9}}
    (tmp_path / "verification.json").write_text(json.dumps({"splits": splits}))
    (tmp_path / "benchmarks/train").mkdir(parents=True)
    for name, seconds in (("a", 200), ("b", 100)):
        (tmp_path / f"benchmarks/train/{name}.tsv").write_text(f"s\th:m:s\n{seconds}\t0\n")
    said = what_was_done(read_cells(paths), tmp_path / "verification.json", tmp_path / "benchmarks")
    assert said == (
        "2 models trained for 3 to 5 epochs on 1,234 h of music, 1 other method, 5 evaluations in a database of 0.89 h; "
        "5 min of jobs, on Xeon (4 cores), H100."
    )
    for fields, fraction in zip(runs, (0.1, 0.5), strict=True):
        (tmp_path / "runs" / run_name(fields) / "config.yaml").write_text(f"data: {{fraction: {fraction}}}\n")
    said = what_was_done(read_cells(paths), tmp_path / "verification.json", tmp_path / "benchmarks")
    assert "trained for 3 to 5 epochs on 123 to 617 h of music" in said


def test_what_was_done_where_little_is_known(tmp_path):
    assert what_was_done(read_cells([]), tmp_path / "no.json", tmp_path) == ""
    path = write_cell(tmp_path / "scores", {}, queries=60, provenance=None)
    said = what_was_done(read_cells([path]), tmp_path / "no.json", tmp_path / "no benchmarks")
    assert said == "1 model trained for an unknown number of epochs, 1 evaluation in a database of 0.89 h."
