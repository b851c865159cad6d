"""The scoreboard of what has finished, from made-up cells: the files that the jobs of the whole one write."""

import json

import pandas as pd
import pytest
import yaml
from boards import FIELDS, PUBLISHED, write_cell

from nafp.grid import run_name
from nafp.report.board import write_board
from nafp.report.figures.job import Look, draw_study
from nafp.report.tables.job import write_table

STUDIED = [FIELDS | {"aug": aug} for aug in ("full", "none")]


@pytest.fixture(scope="module")
def board(tmp_path_factory) -> dict:
    """What the rule hands over: a study of two runs, one of which has finished, with its learning curve."""
    folder = tmp_path_factory.mktemp("results")
    cells = [str(write_cell(folder, STUDIED[0], queries=60))]
    planned = [{"run": run_name(fields), "index": "l2", "query_set": "files", **fields} for fields in STUDIED]
    study = {
        **{"name": "table3", "question": "Is more sound better?", "varied": ["aug"], "planned": planned},
        "baseline": [planned[0]["run"], "l2", "files"],
    }
    nothing = {"study": {**study, "name": "later"}, "cells": [], "figures": []}
    shown = {"study": study, "cells": cells, "figures": ["hit_rate", "aug", "open_set"]}
    origin = {
        "dataset": "demo",
        "planned": 2,
        "default": [planned[0]["run"], "l2"],
        "kinds": {},
        "config": yaml.safe_load("search: {seed: 0}"),
    }
    origin |= {"verification": str(folder / "verification.json"), "benchmarks": str(folder)}
    return {
        **{"origin": origin, "look": {"chains": ["none", "full"], "validation": 100}, "published": str(PUBLISHED)},
        **{
            "studies": {"table3": shown, "later": nothing},
            "cells": cells,
            "learning": None,
            "misses": None,
            "similarity": None,
            "scale": None,
            "beyond": None,
        },
    }


def test_what_is_missing_is_said(board, tmp_path):
    (tmp_path / "listening.json").write_text(json.dumps({"media": {}, "queries": [], "steps": [], "note": "none"}))
    write_board(board, tmp_path, tmp_path / "listening.json", threads=1)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("index.html", "summary.txt", "listening.json"),
        *(f"{study}.{kind}" for study in ("table3", "later") for kind in ("csv", "md", "tex")),
        *(
            f"table3.{figure}.{kind}"
            for figure in ("hit_rate", "aug", "open_set")
            for kind in ("svg", "png", "pdf", "vl.json")
        ),
    }
    assert "1 of 2 cells has not run yet." in (tmp_path / "summary.txt").read_text()
    assert "Is more sound better?" in (tmp_path / "index.html").read_text()
    states = pd.read_csv(tmp_path / "table3.csv")["state"]
    assert (states == "not run yet").any()
    assert (pd.read_csv(tmp_path / "later.csv")["state"] == "not run yet").all()


def test_its_files_are_those_of_the_single_jobs(board, tmp_path):
    (tmp_path / "so_far").mkdir()
    (tmp_path / "so_far/listening.json").write_text('{"media": {}, "queries": [], "steps": [], "note": ""}')
    write_board(board, tmp_path / "so_far", tmp_path / "so_far/listening.json", threads=1)
    one, look = board["studies"]["table3"], Look(**board["look"])
    write_table(one["study"], one["cells"], PUBLISHED, tmp_path / "table3.csv")
    draw_study("aug", one["study"], one["cells"], tmp_path / "table3.csv", PUBLISHED, look, tmp_path / "table3.aug.svg")
    figure = [f"table3.aug.{kind}" for kind in ("svg", "png", "pdf", "vl.json")]
    for name in ("table3.csv", "table3.md", "table3.tex", *figure):
        assert (tmp_path / name).read_bytes() == (tmp_path / "so_far" / name).read_bytes()
