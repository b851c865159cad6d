"""What the page says of the jobs behind it: a row a job, what all share once, what differs set apart."""

import json
from pathlib import Path

import pytest
from boards import FIELDS, facts, write_cell, write_run

from nafp.errors import UserError
from nafp.evaluation.cell import Cell, table_beside
from nafp.grid import run_name
from nafp.report.page import provenance
from nafp.report.page.made import Made, jobs_table
from nafp.report.page.page import Page
from nafp.report.tables.cells import load_cells, read_cells, run_labels

RUN = run_name(FIELDS)


def made_of(folder: Path, made: list[dict], jobs: list[dict] | None) -> Made:
    """What the page says of cells with the given facts of their search, one an index type, of one run."""
    paths = [
        write_cell(folder / "scores", {}, f"index{i}", provenance={"index": facts(), "search": one})
        for i, one in enumerate(made)
    ]
    if jobs:
        write_run(folder, RUN, jobs)
    return jobs_table(read_cells(paths), run_labels(load_cells(paths)), folder / "benchmarks")


def shown(made: Made, stage: str, column: str) -> dict[str, str]:
    """Job -> the text of one of its columns, in brackets where it is set apart."""
    place = [entry.text for entry in made.plan.head].index(column) - 1
    (block,) = (one for one in made.plan.blocks if one.source == stage)
    entries = {group.labels[0].text: group.rows[0][place] for group in block.groups}
    return {name: f"({entry.text})" if entry.apart else entry.text for name, entry in entries.items()}


def test_jobs_that_were_made_alike(tmp_path):
    made = made_of(tmp_path, [facts(), facts()], [facts()])
    assert made.differences.startswith("none: all runs and cells were made by the same code")
    assert made.common == {"commit": "5333ce5cb4af", "processor": "EPYC", "threads": "2", "numpy": "2.4.6"}
    assert [entry.text for entry in made.plan.head] == ["job", "date"]
    assert shown(made, "training", "date") == {RUN: "2026-11-26 13:00 UTC"}
    assert (made.count, made.sources) == (5, {"training": "1 job", "index": "2 jobs", "search": "2 jobs"})


def test_where_jobs_differ(tmp_path):
    other = facts(commit="abc", changed=True, processor="Xeon", numpy="2.5", date="2026-11-27T09:30:00+00:00")
    made = made_of(tmp_path, [*[facts()] * 5, other], [facts()])
    usual = {f"{RUN}, index{i}": "5333ce5cb4af" for i in range(5)}
    assert shown(made, "search", "commit") == usual | {f"{RUN}, index5": "(abc, with changes)"}
    assert shown(made, "search", "processor")[f"{RUN}, index5"] == "(Xeon)"
    assert shown(made, "search", "date")[f"{RUN}, index5"] == "2026-11-27 09:30 UTC"  # not apart: dates always differ
    assert set(shown(made, "index", "commit").values()) == set(shown(made, "training", "commit").values())
    assert made.differences.startswith("not all were made alike (search: commit, processor, numpy); times of")
    assert made.common == {"threads": "2"}
    html = Page("T", made=made).html()
    assert '<span class="apart">abc, with changes</span>' in html
    assert html.count('class="apart"') == 3


def test_where_no_value_is_the_usual_one_all_are_set_apart(tmp_path):
    made = made_of(tmp_path, [facts(changed=None), facts(commit="unknown", changed=None)], None)
    said = {f"{RUN}, index0": "(5333ce5cb4af, changes unknown)", f"{RUN}, index1": "(unknown)"}
    assert shown(made, "search", "commit") == said


def test_a_package_that_not_all_load_is_no_difference(tmp_path):
    milvus = facts()
    milvus["packages"] |= {"pymilvus": "2.6"}
    made = made_of(tmp_path, [facts(), milvus], [facts()])
    assert made.differences.startswith("none: ")
    assert [block.note for block in made.plan.blocks] == ["", "", "pymilvus 2.6"]


def test_what_only_one_stage_shares_is_said_of_it(tmp_path):
    made = made_of(tmp_path, [facts(), facts()], [facts(threads=16, device="H100")])
    assert [block.note for block in made.plan.blocks] == ["threads 16, device H100", "threads 2", "threads 2"]
    assert made.differences.startswith("none: ")


def test_a_training_that_several_jobs_did(tmp_path):
    jobs = [facts(), facts(processor="Xeon", date="2026-11-27T09:30:00+00:00")]
    made = made_of(tmp_path, [facts()], jobs)
    assert made.plan.blocks[0].note == "processor EPYC, then Xeon"
    assert made.common["commit"] == "5333ce5cb4af"
    assert shown(made, "training", "date") == {RUN: "2026-11-26 13:00 UTC to 2026-11-27 09:30 UTC"}


def test_cells_from_before_this_was_recorded(tmp_path):
    path = write_cell(tmp_path / "scores", {})
    made = jobs_table(read_cells([path]), {}, tmp_path)
    assert made.differences == "not known: some were made before this was recorded"
    assert [block.source for block in made.plan.blocks] == ["training", "index", "search"]
    for stage, job in (("training", RUN), ("index", f"{RUN}, l2"), ("search", f"{RUN}, l2")):
        assert shown(made, stage, "date") == {job: "not recorded"}
    assert made.common == {}
    said = provenance.collect({"search": {"seed": 0}}, load_cells([path]), tmp_path, tmp_path / "none.json", 1)
    assert said["this page"]["threads"] == "1"


def test_a_job_not_recorded_among_others(tmp_path):
    made = made_of(tmp_path, [facts(), {}], [facts()])
    assert shown(made, "search", "commit") == {f"{RUN}, index0": "(5333ce5cb4af)", f"{RUN}, index1": "(not recorded)"}
    assert made.differences.startswith("not known")


@pytest.fixture
def timed(tmp_path):
    """Cells of a trained run, with another query set, and of a method, and Snakemake's times of their jobs."""
    results = tmp_path / "scores/demo"  # the nearest folder scores is that of the results
    scores = results / "scores"
    cells = [scores / RUN / "epoch=best/l2.json", scores / RUN / "epoch=best/queries=loud/l2.json"]
    cells.append(scores / "method=marks/answers.json")
    table_of = write_cell(tmp_path / "made", {}, queries=50)
    stated = json.loads(table_of.read_text())
    for cell, over in zip(cells, ({}, {"query_set": "loud"}, {}), strict=True):
        cell.parent.mkdir(parents=True, exist_ok=True)
        cell.write_text(json.dumps(stated | over))
        table_beside(cell).write_bytes(table_beside(table_of).read_bytes())
    method = stated | {"run": "method=marks", "fields": {"method": "marks"}, "index": "", "epoch": None}
    cells[2].write_text(json.dumps(method))
    jobs = {f"train/{RUN}": 100, f"build_index/{RUN}/epoch=best/l2": 20, f"score/{RUN}/epoch=best/l2": 3}
    jobs |= {f"score/{RUN}/epoch=best/queries=loud/l2": 4, "answer/marks/answers": 5}
    for name, seconds in jobs.items():
        path = results / "benchmarks" / f"{name}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"s\th:m:s\n{seconds}\t0:00:00\n{seconds + 1}\t0:00:00\n")
    return cells, results / "benchmarks"


def test_seconds_are_those_of_snakemake(timed):
    cells, benchmarks = timed
    assert Cell.read(cells[2]).run == "method=marks"
    made = jobs_table(read_cells(cells), {RUN: "full"}, benchmarks)
    assert shown(made, "training", "seconds") == {"full": "100.5"}
    assert shown(made, "index", "seconds") == {"full, l2": "20.5"}  # one index, whatever it is asked
    expected = {"full, l2": "3.5", "full, l2, queries loud": "4.5", "method=marks": "5.5"}
    assert shown(made, "search", "seconds") == expected


def test_the_rules_write_their_times_there():
    """The names in rules/train.smk and rules/search.smk that `made.benchmarks_of` relies on."""
    rules = Path(__file__).parents[2] / "rules"
    text = "".join((rules / name).read_text() for name in ("train.smk", "search.smk"))
    for job in (
        "train/{run}",
        "build_index/{run}/epoch={epoch}/{index}",
        "score/{run}/epoch={epoch}/{queries}{index}",
        "answer/{name}/{queries}answers",
    ):
        assert f'benchmark_of("{job}")' in text


def test_a_damaged_file_of_times_is_named(timed):
    cells, benchmarks = timed
    (benchmarks / f"train/{RUN}.tsv").write_bytes(b"")
    with pytest.raises(UserError, match=f"{RUN}.tsv: cannot be read, it is damaged or missing"):
        jobs_table(read_cells(cells), {}, benchmarks)


def test_many_jobs_are_folded_and_none_is_left_out(tmp_path):
    few, many = made_of(tmp_path / "few", [facts()] * 3, [facts()]), made_of(tmp_path / "many", [facts()] * 20, None)
    assert "<details><summary>41 jobs</summary>" in Page("T", made=many).html()
    page = Page("T", made=few).html()
    assert "<summary>" not in page
    assert all(f"{RUN}, index{i}" in page for i in range(3))
