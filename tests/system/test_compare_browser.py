"""The page that `nafp compare` writes, and the table of jobs on the scoreboard's, in a real browser."""

import pytest
from boards import FIELDS, facts, write_cell, write_run
from browsing import complaints, look, needs_browser, open_browser
from compared import write_results

from nafp.grid import run_name
from nafp.report.page.comparison import render_comparison
from nafp.report.page.made import jobs_table
from nafp.report.page.page import Page
from nafp.report.tables.cells import read_cells
from nafp.report.tables.comparison import line_up, read_boards

pytestmark = needs_browser
HOSTILE = ["<script>document.title='broken'<", "\"'><img src=x onerror=alert(1)>", "x" * 120, "Песня 歌 أغنية"]
PAGES = ("two", "history", "hostile", "jobs")


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Name -> page."""
    folder = tmp_path_factory.mktemp("compared")
    names = ["one", "two", "three", *HOSTILE[:2]]
    boards = [
        write_results(folder / name, 20 + i, better={"full": -0.2 * i}, made={"commit": f"{i}" * 12})
        for i, name in enumerate(names[:3])
    ]
    boards += [write_results(folder / name, 25, augs=HOSTILE, queries=60) for name in names[3:]]
    shown = {
        "two": render_comparison(line_up(read_boards(boards[:2]), "all")),
        "history": render_comparison(line_up(read_boards(boards[:3]))),
        "hostile": render_comparison(line_up(read_boards(boards[3:]))),
    }
    cells = []
    for i in range(24):
        job = facts(processor="Xeon" if i == 5 else "AMD EPYC 7763 64-Core Processor", commit=HOSTILE[i == 7])
        made = {"index": facts(), "search": job}
        cells.append(write_cell(folder / "jobs/scores", {"seed": i}, queries=20, provenance=made))
        write_run(folder / "jobs", run_name(FIELDS | {"seed": i}), [facts(device="NVIDIA H100 80GB HBM3")])
    shown["jobs"] = Page("Jobs", made=jobs_table(read_cells(cells), {}, folder / "benchmarks")).html()
    paths = {name: folder / f"{name}.html" for name in shown}
    for name, html in shown.items():
        paths[name].write_text(html, encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def browser():
    with open_browser() as driver:
        yield driver


@pytest.fixture
def opened(browser, pages):
    """A function that opens a page; whatever a test does with it, the console must stay silent."""

    def open_page(name: str):
        look(browser)
        browser.get(pages[name].as_uri())
        return browser

    yield open_page
    assert complaints(browser) == []


def column(browser, heading: str, table: str = "cells-table") -> list[str]:
    """The first lines of a column's cells in rows that are shown."""
    script = """const table = document.getElementById(arguments[0]);
      const place = [...table.tHead.rows[0].cells].findIndex((one) => one.textContent === arguments[1]);
      return [...table.querySelectorAll('tbody.group')].filter((one) => !one.hidden)
        .map((one) => one.rows[0].cells[place].innerText.split('\\n')[0].trim())"""
    return browser.execute_script(script, table, heading)


def click(browser, heading: str, table: str = "cells-table") -> None:
    script = """[...document.querySelectorAll('#' + arguments[0] + ' thead button')]
      .find((one) => one.textContent === arguments[1]).click()"""
    browser.execute_script(script, table, heading)


def points(texts: list[str]) -> list[float]:
    return [float(text.rstrip("▲▼").replace("\N{MINUS SIGN}", "-")) for text in texts]


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_sticks_out(opened, name, width, scheme):
    page = opened(name)
    look(page, width, scheme)
    page.execute_script("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    script = """return [...document.querySelectorAll('body *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1
      && !e.closest('.scroll')).map((e) => e.outerHTML.slice(0, 80))"""
    assert page.execute_script(script) == []


def test_differences_are_sorted_by_their_sign_and_size(opened):
    page = opened("two")
    before = points(column(page, "difference"))
    click(page, "difference")
    down = points(column(page, "difference"))
    assert down == sorted(before, reverse=True) != before
    click(page, "difference")
    assert points(column(page, "difference")) == sorted(before)
    click(page, "outcome")
    outcomes = column(page, "outcome")
    assert outcomes == sorted(outcomes, reverse=True) and set(outcomes) - {"too few songs"} == {
        "not significant",
        "worse",
    }


def test_rows_can_be_chosen_by_each_of_their_kinds(opened):
    page = opened("two")
    assert len(column(page, "match")) == 4 * 5 * 6
    for name, text in (("match", "near"), ("length", "2\u00a0s")):
        script = """const one = document.querySelector(`[data-for=cells-table] select[name=${arguments[0]}]`);
          one.value = arguments[1];
          one.dispatchEvent(new Event('change', {bubbles: true}))"""
        page.execute_script(script, name, text)
        assert set(column(page, name)) == {text}
    assert len(column(page, "match")) == 4
    page.find_element("css selector", "[data-for=cells-table] input[type=search]").send_keys("none ivfpq")
    assert column(page, "method") == ["aug none"]


def test_a_history_is_sorted_by_its_trends(opened):
    page = opened("history")
    click(page, "trend")
    script = """return [...document.querySelectorAll('#cells-table tbody.group td.trend')].map((one) => +one.dataset.value)"""
    trends = page.execute_script(script)
    assert len(trends) == 24 and trends == sorted(trends, reverse=True) and min(trends) < -5
    drawn = """return [...document.querySelectorAll('svg.trend')].every((one) => one.getBoundingClientRect().width > 40
      && one.firstElementChild.getBoundingClientRect().width > 20)"""
    assert page.execute_script(drawn)


def test_jobs_are_folded_found_and_set_apart(opened):
    page = opened("jobs")
    assert not page.find_element("id", "jobs-table").is_displayed()
    page.find_element("css selector", "#provenance summary").click()
    assert page.find_element("id", "jobs-table").is_displayed()
    assert len(column(page, "job", "jobs-table")) == 3 * 24
    page.find_element("css selector", "[data-for=jobs-table] input[type=search]").send_keys("Xeon")
    assert column(page, "processor", "jobs-table") == ["Xeon"]
    apart = page.execute_script("return [...document.querySelectorAll('.apart')].map((one) => one.textContent)")
    assert sorted(apart) == sorted(["Xeon", HOSTILE[1]])


def test_hostile_names_are_text(opened):
    page = opened("hostile")
    assert page.title.startswith("Scoreboards compared: ")
    assert page.execute_script("return [document.scripts.length, document.images.length]") == [1, 0]
    shown = page.execute_script("return document.body.textContent")
    assert all(name in shown for name in HOSTILE)


def test_a_print_has_no_controls(opened):
    page = opened("two")
    look(page, 760, media="print")
    seen = (
        "return [...document.querySelectorAll('.controls, .hint, nav')].filter((one) => one.checkVisibility()).length"
    )
    assert page.execute_script(seen) == 0
    assert page.execute_script("return document.documentElement.scrollWidth") <= 760
