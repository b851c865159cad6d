"""The page of scoreboards side by side: every number counted again, what is not tested, a history, names as text."""

import json
import math
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
from boards import FIELDS, LENGTHS, ROWS_A_SONG, facts, write_cell
from compared import INDEXES, write_results
from recount import Tables, apart, by_song, corrected, interval, one_decimal, p_of, songs_apart
from scipy.stats import t as student

from nafp.errors import UserError
from nafp.evaluation.cell import table_beside
from nafp.grid import run_name
from nafp.report.page.comparison import boards_table, render_comparison
from nafp.report.tables.compared import in_order_of_date, verdict
from nafp.report.tables.comparison import LineUp, compare, line_up, names_of, read_boards

ROOT = Path(__file__).parents[2]
HOSTILE = ["<script>alert(1)<", "\"'><img src=x onerror=alert(1)>", "x" * 120, "Песня 歌 أغنية", "{{ 7 * 7 }}"]


def lined_up(*folders: Path, match: str = "exact") -> LineUp:
    """Two as they are given, more in order of date, as the command does."""
    boards = read_boards(folders)
    return line_up(boards if len(boards) == 2 else in_order_of_date(boards), match)


def rows_of(page: str, table: str = "cells-table") -> list[dict[str, dict[str, str]]]:
    """Heading -> cell, of each row of a table."""
    (_, head), *rows = Tables(page).read[table]
    names = [cell["text"] for cell in head]
    return [dict(zip(names, cells, strict=True)) for _, cells in rows if len(cells) == len(names)]


def hits_of(folder: Path, aug: str, index: str) -> Path:
    """A per-query table."""
    return folder / "scores" / run_name(FIELDS | {"aug": aug}) / f"epoch=best/{index}.hits.parquet"


def signed(points: float) -> str:
    text = one_decimal(abs(points))
    return text if text == "0.0" else ("\N{MINUS SIGN}" if points < 0 else "+") + text


@pytest.fixture
def two(tmp_path):
    """Of B, the runs with augmentation are worse; all else is the same."""
    return write_results(tmp_path / "a", 20), write_results(tmp_path / "b", 21, better={"full": -0.6})


# ---------------------------------------------------------------- two of them


def test_equal_scoreboards_compare_as_equal(tmp_path):
    a = write_results(tmp_path / "a")
    shutil.copytree(a, tmp_path / "b")
    found = lined_up(a, tmp_path / "b", match="all")
    assert len(found.tested) == len(found.table) / 2 == 4 * 5 * 6
    assert found.tested["p_holm"].eq(1).all() and found.tested["difference"].eq(0).all()
    assert verdict(found).startswith("0 of 120 numbers, in 0 of 4 cells, differ beyond chance (p < 0.05 after Holm's")
    assert verdict(found).endswith("for 120 tests). No rate differs.")
    page = render_comparison(found)
    assert "▲" not in page.split("How it is tested")[0].split("Cell by cell")[1]
    assert {row["outcome"]["text"] for row in rows_of(page)} == {"not significant"}
    assert boards_table(found.boards).differences.startswith("none: ")
    assert found.remarks == []


def test_every_number_of_the_page_is_counted_again(two):
    """Rates, intervals, differences, p, corrected p and marks: by tests/support/recount.py, from the per-query tables."""
    page = render_comparison(lined_up(*two))
    rows = rows_of(page)
    assert list(rows[0]) == ["method", "index", "length", "a", "b", "difference", "p", "p corrected", "outcome"]
    expected = list(product(("full", "none"), sorted(INDEXES), LENGTHS))
    p, differing = [], []
    for row, (aug, index, length) in zip(rows, expected, strict=True):
        assert row["length"]["text"] == f"{(length + 1) / 2:g} s"
        assert (row["method"]["text"], row["index"]["text"]) == (
            f"aug {aug}{index}",
            index,
        )  # the index once more, for phones
        theirs, ours = ([by_song(hits_of(folder, aug, index), "exact", length, ROWS_A_SONG)] for folder in two)
        for name, seeds in (("a", theirs), ("b", ours)):
            rate = 100 * sum(hit for hit, _ in seeds[0]) / sum(n for _, n in seeds[0])
            low, high = interval(seeds)
            assert row[name]["text"] == one_decimal(rate)
            assert row[name]["below"] == f"{one_decimal(low)}–{one_decimal(high)}"
        mean, variance, freedom = apart(ours, theirs)
        half = student.ppf(0.975, freedom) * math.sqrt(variance)
        assert row["difference"]["text"] == signed(100 * mean)
        around = [max(100 * (mean - half), -100), min(100 * (mean + half), 100)]
        said = f"{signed(around[0])} to {signed(around[1])}" if variance else "no song differs"
        assert row["difference"]["below"] == said
        p.append(p_of(ours, theirs))
        differing.append(songs_apart(ours, theirs))
        said = re.search("p = (.*), (.*) corrected", row["difference"]["title"]).groups()
        assert math.isclose(float(said[0]), p[-1], rel_tol=0.051)
        assert row["p"]["text"] == ("< 0.0001" if p[-1] < 1e-4 else f"{p[-1]:.2g}")
    few = "too few songs"
    marks, unsure = 0, sum(holm >= 0.05 for holm in corrected(p))
    for row, holm, differ in zip(rows, corrected(p), differing, strict=True):
        assert row["p corrected"]["text"] == ("< 0.0001" if holm < 1e-4 else f"{holm:.2g}")
        assert row["outcome"]["text"] == (
            "worse" if holm < 0.05 else few if differ and unsure * 2.0 ** (1 - differ) >= 0.05 else "not significant"
        )
        assert row["difference"]["mark"] == ("▼" if holm < 0.05 else "")
        marks += holm < 0.05
    assert 2 <= marks < len(rows) / 2  # what was planted, and only that
    assert all("aug full" in row["method"]["text"] for row in rows if row["difference"]["mark"])
    assert verdict(lined_up(*two)).startswith(f"{marks} of {len(rows)} numbers, in 2 of 4 cells, differ beyond chance")


def test_the_interval_of_the_largest_difference_is_for_all_tests_together(two):
    found = lined_up(*two)
    largest = {}
    for aug, index, length in product(("full", "none"), INDEXES, LENGTHS):
        theirs, ours = ([by_song(hits_of(folder, aug, index), "exact", length, ROWS_A_SONG)] for folder in two)
        largest[aug, index, length] = apart(ours, theirs)
    (aug, index, length), (mean, variance, freedom) = max(largest.items(), key=lambda item: abs(item[1][0]))
    half = student.ppf(1 - 0.05 / len(largest) / 2, freedom) * math.sqrt(variance)
    low, high = signed(100 * (mean - half)), signed(100 * (mean + half))
    said = f"b finds {one_decimal(100 * abs(mean))} points fewer than a (aug {aug}, {index}, exact, {(length + 1) / 2:g} s; "
    assert said + f"95 % {low} to {high}, for all {len(largest)} numbers together)." in verdict(found)


def test_a_difference_that_is_the_same_in_all_songs_has_no_interval(tmp_path):
    a, b = (write_results(tmp_path / name, augs=["full"], better={"full": by}) for name, by in (("a", -99), ("b", 99)))
    found = lined_up(a, b)
    assert found.tested["difference"].eq(100).all() and found.tested["outcome"].eq("better").all()
    assert "b finds 100.0 points more than a (" in verdict(found)
    assert verdict(found).endswith("the same in every song).") and not re.search(r"\bnan\b", render_comparison(found))
    assert {row["difference"]["below"] for row in rows_of(render_comparison(found))} == {"the same in every song"}


def test_one_song_has_no_interval_whatever_it_says(tmp_path):
    for name, better in (("a", -1.0), ("b", 1.0)):
        for path in write_results(tmp_path / name, augs=["full"], better={"full": better}).rglob("*.hits.parquet"):
            table = pd.read_parquet(path)
            table[table["song"].eq(table["song"].iloc[0])].to_parquet(path, index=False)
            cell = path.with_name(path.name.replace(".hits.parquet", ".json"))
            cell.write_text(json.dumps(json.loads(cell.read_text()) | {"songs": 1}))
    found = lined_up(tmp_path / "a", tmp_path / "b")
    assert "no interval from one song)." in verdict(found) and "so few songs differ that no test can tell" in verdict(
        found
    )
    outcomes = {row["outcome"]["text"] for row in rows_of(render_comparison(found))}
    assert "too few songs" in outcomes <= {"too few songs", "not significant"}
    assert "; too few songs to tell, as 1 differs and at least " in render_comparison(found)
    assert {row["difference"]["below"] for row in rows_of(render_comparison(found))} <= {
        "no interval from one song",
        "no song differs",
    }


def test_the_line_up_and_the_printed_table_are_one(two):
    printed, found = compare(*two), lined_up(*two)
    assert printed.table["p_holm"].tolist() == found.tested["p_holm"].tolist()
    assert printed.table["b_pct"].tolist() == found.tested["hit_rate_pct"].tolist()


def test_different_data_sets_are_not_tested(tmp_path):
    a, b = write_results(tmp_path / "a"), write_results(tmp_path / "b", better={"full": -1}, dataset="mini")
    found = lined_up(a, b)
    assert found.tested.empty
    said = verdict(found)
    assert said.startswith(
        "Nothing is tested: the 4 cells that scoreboards share are of data sets with different names."
    )
    assert "do not test each other" in said
    page = render_comparison(found)
    rows = rows_of(page)
    assert list(rows[0]) == ["method", "index", "length", "a", "b"]  # no difference, no p
    assert len(rows) == 24 and all(row["a"]["below"] and row["b"]["below"] for row in rows)
    assert rows[0]["a"]["text"] != rows[0]["b"]["text"]
    assert "they are of data sets with different names" in page and "▼" not in page.split("How it is tested</h2>")[0]
    assert boards_table(found.boards).differences == "data set"


def test_what_is_not_tested_stands_beside_what_is(tmp_path):
    a, b = write_results(tmp_path / "a", augs=("full", "none", "tb")), write_results(tmp_path / "b")
    table_beside(hits_of(b, "none", "l2").with_suffix("").with_suffix(".json")).unlink()
    write_cell(b / "scores", {"aug": "none"}, "ivfpq", queries=150)
    page = render_comparison(lined_up(a, b))
    sources = {}
    for source, cells in Tables(page).read["cells-table"]:
        sources.setdefault(source, []).append(cells)
    assert {source: len(rows) for source, rows in sources.items() if source} == {
        "tested": 1 + 12,  # a line that says so, and the numbers of two cells
        "not tested": 2 + 12,
        "in one only": 1 + 12,
    }
    assert "they lack a per-query table (.hits.parquet)" in page
    assert "they are of different songs or times (search.test_ids)" in page
    without = [row for row in rows_of(page) if row["b"]["text"] not in ("–", "") and not row["b"]["below"]]
    assert len(without) == 6  # a rate, but nothing to compute an interval of
    remarks = page.split('id="remarks"')[1]
    assert f"Only in {a}: 2 cells" in remarks and remarks.count("Not compared: 1 cells") == 2


# ---------------------------------------------------------------- more of them


@pytest.fixture
def three(tmp_path):
    """Given out of order; the second lacks a run, and the third is better."""
    third = write_results(tmp_path / "third", 22, better={"full": 0.8, "none": 0.8})
    first, second = write_results(tmp_path / "first", 20), write_results(tmp_path / "second", 21, augs=("full",))
    return third, first, second


def test_a_history_is_in_order_of_date(three):
    rows = rows_of(render_comparison(lined_up(*three)))
    assert list(rows[0]) == ["method", "index", "length", "first", "second", "third", "trend"]
    assert len(rows) == 24


def test_each_scoreboard_is_tested_against_the_one_before_that_has_the_cell(three):
    found = lined_up(*three)
    assert len(found.tested) == 2 * 6 * 2 + 2 * 6
    rows = rows_of(render_comparison(found))
    row = next(row for row in rows if row["method"]["text"].startswith("aug none") and row["length"]["text"] == "1 s")
    first, third = (hits_of(folder, "none", row["index"]["text"]) for folder in (three[1], three[0]))
    theirs, ours = ([by_song(path, "exact", 1, ROWS_A_SONG)] for path in (first, third))
    assert row["first"]["below"] == "" and row["second"]["text"] == "–"
    step = 100 * apart(ours, theirs)[0]
    assert row["third"]["below"] == signed(step) and step > 10
    assert row["third"]["mark"] == "▲"
    assert "third minus first" in row["third"]["title"]
    same = next(row for row in rows if row["method"]["text"].startswith("aug full"))
    assert same["second"]["below"] == "0.0" and same["second"]["mark"] == ""
    assert "second minus first" in same["second"]["title"] and "third minus second" in same["third"]["title"]
    assert "differ from the scoreboard before beyond chance" in verdict(found)


def test_a_trend_goes_through_the_rates_that_there_are(three):
    page = render_comparison(lined_up(*three))
    lines = re.findall(r'<svg class="trend".*?aria-label="(.*?)"><polyline points="(.*?)">', page)
    assert len(lines) == 24
    for said, points in lines:
        places = [tuple(map(float, point.split(","))) for point in points.split()]
        assert all(0 <= x <= 60 and 0 <= y <= 18 for x, y in places)
        change = float(said.split(" ")[0].replace("\N{MINUS SIGN}", "-"))
        assert (places[0][1] - places[-1][1] > 0) == (change > 0)  # up is more
    assert sorted({len(points.split()) for _, points in lines}) == [2, 3]


def test_a_history_over_data_sets_tests_within_them(tmp_path, three):
    other = write_results(tmp_path / "other", 23, dataset="mini")
    found = lined_up(*three, other)
    assert set(found.tested["board"]) == {"second", "third"}
    assert found.remarks[-1].startswith(
        "Not compared (other with third): 4 cells, which are of data sets with different"
    )
    rows = rows_of(render_comparison(found))
    assert {row["other"]["below"] for row in rows} == {"not tested"}
    lines = re.findall(r'<polyline points="(.*?)">', render_comparison(found))
    assert {len(points.split()) for points in lines} == {1}  # no trend across data sets


def test_a_trend_begins_where_scoreboards_can_be_compared(tmp_path):
    """The second and the third follow another protocol than the first."""
    folders = [
        write_results(tmp_path / name, 20 + day, protocol=protocol)
        for day, (name, protocol) in enumerate([("a", "release"), ("b", "clip"), ("c", "clip")])
    ]
    page = render_comparison(lined_up(*folders))
    trends = re.findall(r'<polyline points="(.*?)">', page)
    assert trends and {len(points.split()) for points in trends} == {2}
    assert {float(points.split(",")[0]) for points in trends} == {30}  # from the second of three on


# ---------------------------------------------------------------- what they are


def test_the_page_says_what_the_scoreboards_are_and_where_they_differ(tmp_path):
    a = write_results(tmp_path / "a", 20)
    b = write_results(tmp_path / "b", 21, made={"commit": "abcabcabcabc", "changed": True, "numpy": "2.5"})
    page = render_comparison(lined_up(a, b))
    rows = {row["scoreboard"]["text"]: row for row in rows_of(page, "scoreboards-table")}
    texts = {name: {column: cell["text"] for column, cell in row.items()} for name, row in rows.items()}
    assert texts["a"]["date"] == "2026-11-20 09:30 UTC to 2026-11-26 13:00 UTC"  # of searches, and of trainings
    assert (texts["a"]["folder"], texts["a"]["data set"], texts["a"]["cells"]) == (str(a), "demo", "4")
    assert (texts["a"]["commit"], texts["b"]["commit"]) == ("5333ce5cb4af", "abcabcabcabc, with changes")
    assert (texts["a"]["numpy"], texts["b"]["numpy"]) == ("2.4.6", "2.5")
    assert page.count('<span class="apart">') == 4
    assert "Differences in provenance</strong>: commit, numpy." in page
    assert "Common to all: threads 2." in page
    unknown = write_results(tmp_path / "unknown", made={"commit": "unknown", "changed": None})
    assert boards_table(read_boards([unknown, unknown])).differences.endswith("the commit of some is unknown")
    there = boards_table(read_boards([a, write_results(tmp_path / "c", made={"processor": "Xeon"})]))
    assert there.differences == "processor; times of different machines do not compare"


def test_each_value_of_a_fact_is_said(tmp_path):
    a = write_results(tmp_path / "a")
    other = facts(processor="Xeon")
    write_cell(a / "scores", {"aug": "none"}, "l2", queries=200, provenance={"index": facts(), "search": other})
    page = render_comparison(lined_up(a, write_results(tmp_path / "b")))
    rows = {row["scoreboard"]["text"]: row["processor"]["text"] for row in rows_of(page, "scoreboards-table")}
    assert rows == {"a": "EPYC; Xeon", "b": "EPYC"}


def test_cells_that_do_not_say_what_made_them(tmp_path):
    a, b = (write_results(tmp_path / name, provenance=None) for name in ("a", "b"))
    shutil.rmtree(a / "runs")
    assert "not known: some were made before this was recorded" in render_comparison(lined_up(a, b))
    assert [board.date for board in read_boards([a])] == [""]


def test_folders_are_named_by_what_tells_them_apart(tmp_path):
    assert names_of([Path("x/demo"), Path("x/mini")]) == ["demo", "mini"]
    assert names_of([Path("x/demo"), Path("y/demo")]) == ["x/demo", "y/demo"]
    assert names_of([Path("x/demo")] * 3) == ["demo", "demo (2)", "demo (3)"]


class Reader(HTMLParser):
    """Tags, attributes and text; every tag must be closed in its turn."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.attributes, self.open, self.text = [], [], [], ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.text += data


def test_names_are_text_and_nothing_is_fetched(tmp_path):
    given = {"augs": HOSTILE, "queries": 40}
    folders = [
        write_results(tmp_path / name, 20 + i, **given, made={"commit": HOSTILE[i], "processor": HOSTILE[1 - i]})
        for i, name in enumerate(HOSTILE[:2])
    ]
    folders.append(write_results(tmp_path / "other", 23, dataset=HOSTILE[0], **given))
    for some in (folders[:2], folders[1:], folders):
        page = Reader(render_comparison(lined_up(*some)))
        assert page.tags.count("script") == 1 and "img" not in page.tags
        assert not any(name.startswith("on") for name, _ in page.attributes)
        fetched = [value for name, value in page.attributes if name in ("src", "href", "srcset", "action")]
        assert fetched and all(value.startswith(("data:", "#")) for value in fetched)
        assert all(name in page.text for name in [*HOSTILE, some[0].name])
        ids = [value for name, value in page.attributes if name == "id"]
        assert len(ids) == len(set(ids))


# ---------------------------------------------------------------- the command


def run(*arguments) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / "scripts/compare.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def test_the_command_writes_a_page(two, tmp_path):
    done = run(*two, "--page", tmp_path / "c.html", "--csv", tmp_path / "c.csv", "--match", "all")
    assert done.returncode == 0, done.stderr
    assert "of 120 numbers" in done.stdout and str(tmp_path / "c.html") in done.stdout
    page = (tmp_path / "c.html").read_text(encoding="utf-8")
    assert len(rows_of(page)) == 120 and rows_of(page)[0]["match"]["text"] == "exact"
    assert (tmp_path / "c.csv").read_text().count("\n") == 1 + 240
    history = run(*two, two[0], "--page", tmp_path / "h.html")
    assert history.returncode == 0, history.stderr
    assert "a (2)" in (tmp_path / "h.html").read_text(encoding="utf-8")


def test_two_data_sets_have_a_page_but_no_printed_table(two, tmp_path):
    other = write_results(tmp_path / "other", dataset="mini")
    refused, done = run(two[0], other), run(two[0], other, "--page", tmp_path / "c.html")
    assert refused.returncode == 1 and "cannot be compared: the 4 cells that they share are of data" in refused.stderr
    assert done.returncode == 0 and done.stdout.startswith("Nothing is tested: ")


def test_a_mistake_is_one_sentence(two, tmp_path):
    page = ["--page", tmp_path / "c.html"]
    assert "error: more than two folders are compared on a page: add --page FILE.html" in run(*two, two[0]).stderr
    damaged = hits_of(two[1], "full", "l2")
    damaged.write_bytes(damaged.read_bytes()[:1000])
    for arguments, words in (
        ([two[0], tmp_path / "none", *page], "none: no cells there; give a folder like results/demo"),
        ([*two, *page], "l2.hits.parquet: cannot be read, it is damaged or missing"),
        ([*two, *page, "--match", "loud"], "--match loud: known are exact"),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "")
        assert words in done.stderr
    cell = damaged.with_suffix("").with_suffix(".json")
    for content, words in (
        ("{", "l2.json: cannot be read, it is damaged"),
        (json.dumps({"jobs": []}), "l2.json: no database"),
        (
            json.dumps(json.loads((cell.parent / "ivfpq.json").read_text()) | {"queries": 1}),
            "must lie between 0 and the",
        ),
    ):
        cell.write_text(content)
        done = run(*two, *page)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert words in done.stderr
    assert not (tmp_path / "c.html").exists()


def test_a_folder_with_the_same_cell_twice_is_refused(two):
    shutil.copytree(two[0] / "scores" / run_name(FIELDS), two[0] / "scores/copy")
    with pytest.raises(UserError, match="the same cell as"):
        lined_up(*two)
