"""The page in a real browser: Debian's Chromium, headless, from a file on disk."""

import json
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pytest
from boards import FIELDS, PUBLISHED, heard, tabulated, write_grid, write_ladders
from browsing import HOSTILE, complaints, drawn, look, needs_browser
from replays import FULL, NONE, made_up_replay

from nafp.evaluation.cell import Cell, table_beside
from nafp.grid import run_name
from nafp.report.figures import curves, misses, pareto, similarity, trends
from nafp.report.figures.charts import chart_of
from nafp.report.misses.replay import write_misses
from nafp.report.page.charts import Shown
from nafp.report.page.headline import headline
from nafp.report.page.links import links_of
from nafp.report.page.media import sound
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import run_labels
from nafp.report.tables.ladders import matrix_of
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study

keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
AXE = (Path(pytest.importorskip("axe_playwright_python").__file__).parent / "axe.min.js").read_text(encoding="utf-8")
pytestmark = needs_browser


def charts_of(cells, *more):
    """Charts of a study: curves, an axis of names, steps, and costs."""
    drawings = [
        curves.hit_rate_over_length(cells, ["aug", "index"], load_published(PUBLISHED)),
        curves.hit_rate_over(cells, "aug", ["aug"]),
        curves.right_over_false_accepts(cells, ["aug", "index"]),
        pareto.index_costs(cells)[1],
        *more,
    ]
    return [Shown(f"Figure {i}? It is one.", chart_of(one), f"figure {i}") for i, one in enumerate(drawings)]


def of_no_study():
    """Charts with bars and pictures."""
    shares = {name: pd.Series([50, 20, 10, 10, 5, 4, 1, 0], index=list(misses.KINDS)) for name in HOSTILE}
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [3.0, 2, 1], "val_top1_1s": [1.0, 2, 3]})
    drawn = [
        misses.chart_of_answers(shares, 1, 40),
        similarity.chart_of_matrices({name: np.eye(20) for name in HOSTILE}),
        chart_of(trends.learning_curves({name: history for name in HOSTILE}, 90)),
    ]
    return [Shown(f"Chart {i}? Yes.", one) for i, one in enumerate(drawn)]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with all that pages have: tables, pictures, sounds, and names that want to be markup."""
    folder = tmp_path_factory.mktemp("page")
    paths = write_grid(folder / "a", [{"aug": aug} for aug in ("full", "none")], ["l2", "ivfpq"], queries=100)
    cells, table = tabulated(paths, Study("table3", ["aug", "index"], baseline=(run_name(FIELDS), "l2")))
    hostile_cells, hostile = tabulated(
        write_grid(folder / "b", [{"aug": name} for name in HOSTILE], HOSTILE[:2], 60), Study("h", ["aug"])
    )
    _, narrow = tabulated(write_grid(folder / "c", [{}], ["l2"], 60), Study("n", ["aug"]))
    climbed, study = write_ladders(folder / "d", [({"aug": "full"}, 0.5), ({"method": HOSTILE[0]}, 0)])
    cells_of_ladders, many = tabulated(climbed, study)
    matrix = matrix_of(cells_of_ladders, study)
    shown = heard(list(run_labels(cells)), HOSTILE, segments=6) | {"names": run_labels(cells)}
    sections = [Section("table3", "Hit rates", table, charts_of(cells))]
    sections.append(Section("hostile", HOSTILE[0], hostile, charts_of(hostile_cells, trends.strengths(matrix))))
    sections.append(Section("narrow", "?", narrow))
    sections.append(Section("climb", "?", many, (), matrix))
    tone = sound(np.sin(np.arange(8000) / 3))
    shown["ladders"] = {name: tone for ladder in study.ladders for name in ladder["sets"]}
    replay = made_up_replay(folder / "e", {"files": 0.4, "noise_m5": 0.1}, titles=HOSTILE)
    write_misses(replay, folder / "misses.json", folder / "songs.csv", threads=1)
    missed = json.loads((folder / "misses.json").read_text()) | {"names": {FULL: HOSTILE[2], NONE: HOSTILE[1]}}
    html = Page(
        HOSTILE[0],
        Top(figures=headline(cells)),
        sections,
        of_no_study(),
        shown,
        {"config": {HOSTILE[1]: HOSTILE}},
        "1 is missing.",
        links=links_of(cells, run_labels(cells), folder / "a", folder),
        legend={"column": {"N": HOSTILE[1]}, "aug": {"none": HOSTILE[0]}, "index": {"l2": "exact search"}},
        misses=missed,
    ).html()
    (folder / "index.html").write_text(html, encoding="utf-8")
    return folder / "index.html"


def shown_rows(browser, table="table3-table"):
    """[text of each cell] of the visible rows of our block."""
    script = """return [...document.querySelectorAll('#' + arguments[0] + ' tbody.group')]
      .filter((g) => !g.hidden && g.dataset.source === 'this run').flatMap((g) => [...g.rows])
      .filter((r) => !r.hidden).map((r) => [...r.cells].map((c) =>
        c.querySelector('.again')?.getBoundingClientRect().width === 1 ? '' : c.innerText.trim()))"""
    return browser.execute_script(script, table)


def test_nothing_is_complained_about_or_fetched(browser, page):
    drawn(browser)
    assert complaints(browser) == []
    requested = browser.execute_script(
        "return performance.getEntriesByType('resource').map((one) => one.name.slice(0, 5))"
    )
    assert set(requested) <= {"data:"}
    assert page.stat().st_size < 15e6


def test_a_click_sorts_and_another_turns_the_order(fresh):
    heads = fresh.find_elements("css selector", "#table3-table thead button")
    column = [head.text for head in heads].index("1 s")
    fresh.execute_script("arguments[0].click()", heads[column])

    def exact():
        return [float(row[column].split()[0].strip("▲▼")) for row in shown_rows(fresh) if "exact" in row]

    assert len(exact()) == 4
    assert exact() == sorted(exact(), reverse=True)
    assert heads[column].find_element("xpath", "..").get_attribute("aria-sort") == "descending"
    fresh.execute_script("arguments[0].click()", heads[column])
    assert exact() == sorted(exact())
    fresh.execute_script("arguments[0].click()", heads[0])
    methods = [row[0].removesuffix(" (baseline)") for row in shown_rows(fresh) if "exact" in row]
    assert methods == sorted(methods)


def test_the_filter_hides_what_does_not_match(fresh):
    box = fresh.find_element("css selector", "[data-for=table3-table] input[type=search]")
    box.send_keys("none ivfpq")
    assert [row[0].split(" (")[0] for row in shown_rows(fresh)] == ["nafp, aug none", "", ""]  # exact, near, open set
    fresh.find_element("css selector", "[data-for=table3-table] select option:nth-child(3)").click()
    rows = shown_rows(fresh)
    assert len(rows) == 1
    assert "near" in rows[0]
    assert rows[0][0] == "nafp, aug none"  # said by the first row that is left
    paper = fresh.find_element("css selector", "[data-for=table3-table] input[value=paper]")
    box.clear()
    box.send_keys(" ")
    count = """return [...document.querySelectorAll('#table3-table tbody')]
      .filter((b) => !b.hidden && b.dataset.source === 'paper').length"""
    assert fresh.execute_script(count) > 0
    paper.click()
    assert fresh.execute_script(count) == 0


def test_every_sound_has_a_duration_and_plays(fresh):
    script = """const done = arguments[0];
      Promise.all([...document.querySelectorAll('audio')].map((a) => new Promise((say) => {
        if (a.readyState > 0) return say(a.duration);
        a.addEventListener('loadedmetadata', () => say(a.duration));
        a.addEventListener('error', () => say(-1));
        a.load();
      }))).then(done)"""
    durations = fresh.execute_async_script(script)
    assert len(durations) >= 12
    assert all(0.9 < seconds < 1.3 for seconds in durations)
    button = fresh.find_element("css selector", "button.clip")
    playing = """const [button, done] = arguments, sound = document.getElementById(button.dataset.sound);
      sound.addEventListener('timeupdate', () => { if (sound.currentTime > 0) done(sound.currentTime); });
      button.click();"""
    assert fresh.execute_async_script(playing, button) > 0
    fresh.execute_script("arguments[0].click()", button)
    assert "playing" not in button.get_attribute("class")


@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out(fresh, width, scheme):
    look(fresh, width, scheme)
    assert fresh.execute_script("return document.documentElement.scrollWidth") <= width
    script = """return [...document.querySelectorAll('main *')].filter((e) => {
      const box = e.getBoundingClientRect();
      return box.right > innerWidth + 1 && !e.closest('.scroll') && getComputedStyle(e).visibility !== 'hidden';
    }).map((e) => e.outerHTML.slice(0, 80))"""
    assert fresh.execute_script(script) == []
    ground = fresh.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 380) == (scheme == "light")


def test_a_phone_shows_rates_and_says_that_there_are_more(fresh):
    script = """const scroll = document.getElementById(arguments[0]).parentElement;
      return [scroll.querySelector('td.rate').getBoundingClientRect().right <= innerWidth,
        !scroll.previousElementSibling.hidden, scroll.classList.contains('more')]"""
    look(fresh, 390)
    fresh.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert fresh.execute_script(script, "table3-table") == [True, True, True]
    fresh.execute_script("document.querySelector('#table3-table').parentElement.scrollLeft = 1e4")
    fresh.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert fresh.execute_script(script, "table3-table")[2] is False  # nothing is left to the right
    look(fresh, 1400)
    fresh.execute_async_script("requestAnimationFrame(() => setTimeout(arguments[0], 100))")
    assert fresh.execute_script(script, "narrow-table") == [True, False, False]


@pytest.mark.parametrize("how", ["click", "keyboard"])
def test_a_number_leads_to_its_cell_and_its_run(fresh, page, how):
    group = "#table3-table tbody[data-cells]"
    title = fresh.find_element("css selector", f"{group} td.rate").get_attribute("title")
    if how == "click":
        fresh.find_element("css selector", f"{group} td.rate").click()
    else:
        fresh.find_element("css selector", f"{group} button.behind").send_keys(keys.ENTER)
    dialog = fresh.find_element("id", "behind")
    assert dialog.is_displayed()
    assert dialog.find_element("css selector", "h2").text.startswith("nafp, aug full")
    said = dialog.find_element("css selector", "p").text.split("\n")
    assert said[0] == f"exact: {title}" and len(said) == (1 if how == "click" else 18)
    links = [link.get_attribute("href") for link in dialog.find_elements("css selector", "a")]
    cell, answers = (page.parent / unquote(link.split(f"{page.parent.name}/", 1)[1]) for link in links[:2])
    assert Cell.read(cell).fields["aug"] == "full" and answers == table_beside(cell) and answers.is_file()
    dialog.find_element("css selector", "form button").click()
    assert not dialog.is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
def test_the_heat_map_is_legible_at_every_length(fresh, width, scheme):
    """Numbers lie inside their cells and stand out from them (WCAG: 4.5 to 1); the cells are inside the window."""
    script = """const canvas = new OffscreenCanvas(1, 1).getContext('2d', {willReadFrequently: true});
      const luminance = (colour) => {
        canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((x) => x / 255)
          .map((x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      return [...document.querySelectorAll('.heat td[title]')].filter((cell) => cell.checkVisibility()).map((cell) => {
        const style = getComputedStyle(cell), range = document.createRange();
        range.selectNodeContents(cell);
        const [text, box] = [range.getBoundingClientRect(), cell.getBoundingClientRect()];
        const [low, high] = [luminance(style.color), luminance(style.backgroundColor)].sort((a, b) => a - b);
        return [(high + 0.05) / (low + 0.05), text.left >= box.left && text.right <= box.right, box.right <= innerWidth];
      })"""
    look(fresh, width, scheme)
    lengths = fresh.find_elements("css selector", "[data-heat] option")
    assert len(lengths) == 6
    for length in lengths:
        length.click()
        cells = fresh.execute_script(script)
        assert len(cells) == 2 * 18
        assert min(contrast for contrast, _, _ in cells) >= 4.5
        assert all(inside and visible for _, inside, visible in cells)


def test_a_strength_is_heard_when_its_number_is_clicked(fresh):
    button = fresh.find_element("css selector", ".ladders:not([hidden]) button.hear")
    fresh.execute_script("arguments[0].click()", button)
    assert "playing" in button.get_attribute("class")
    name = button.get_attribute("data-sound")
    assert fresh.execute_script("return !document.getElementById(arguments[0]).paused", name)
    fresh.execute_script("arguments[0].click()", button)
    assert "playing" not in button.get_attribute("class")


def test_a_print_has_all_that_the_screen_has_and_no_controls(fresh):
    look(fresh, 760, media="print")
    script = """const seen = (e) => e.checkVisibility();
      return [...document.querySelectorAll('.controls, .hint, nav, audio')].filter(seen).length"""
    assert fresh.execute_script(script) == 0
    fresh.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert fresh.execute_script("return [...document.querySelectorAll('details')].every((one) => one.open)")
    assert fresh.execute_script("return document.documentElement.scrollWidth") <= 760
    hidden = """return [...document.querySelectorAll('.segment, .missed, dl, tr')]
      .filter((e) => !e.checkVisibility()).length"""
    assert fresh.execute_script(hidden) == 0


def test_each_printed_page_repeats_the_headers_of_its_table(fresh):
    """As text: Chromium leaves buttons out where it repeats a header."""
    look(fresh, 760, media="print")
    boxes = "return [...document.querySelectorAll('thead button')].map((e) => getComputedStyle(e).display)"
    assert set(fresh.execute_script(boxes)) == {"contents"}


@pytest.mark.parametrize("width, scheme", [(1400, "light"), (390, "dark")])
def test_the_page_is_accessible(fresh, width, scheme):
    """No violation of WCAG 2.1 AA that axe-core finds: names, roles, headings, table headers, contrast."""
    look(fresh, width, scheme)
    fresh.execute_script(AXE)
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
    script = "const done = arguments[1]; axe.run(document, arguments[0]).then((found) => done([found.violations, found.passes]))"
    violations, passed = fresh.execute_async_script(script, options)
    said = [f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}" for one in violations]
    assert said == []
    assert {"color-contrast", "td-headers-attr", "button-name", "heading-order"} <= {one["id"] for one in passed}


def test_hostile_names_are_text(fresh):
    assert fresh.title == HOSTILE[0]
    assert fresh.find_element("css selector", "h1").text == HOSTILE[0]
    assert fresh.execute_script("return document.scripts.length") == 2  # the library of the charts and the page's own
    assert fresh.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    shown = fresh.execute_script("return document.getElementById('hostile-table').textContent")
    assert all(name in shown for name in HOSTILE)


# ---------------------------------------------------------------- charts

CHARTS = 4 + 5 + 3  # of the first study, of the hostile one, of none


def settled(browser):
    """Wait for what a change of the window or a click draws again."""
    browser.execute_async_script("setTimeout(() => requestAnimationFrame(arguments[0]), 400)")


def mouse(browser, kind, place, **more):
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": kind, "x": place[0], "y": place[1], **more})


def click(browser, place):
    mouse(browser, "mouseMoved", place)
    for kind in ("mousePressed", "mouseReleased"):
        mouse(browser, kind, place, button="left", clickCount=1)
    settled(browser)


def middle(browser, selector, number=0):
    """Where an element is, once it has been scrolled to."""
    script = """const e = document.querySelectorAll(arguments[0])[arguments[1]];
      e.scrollIntoView({block: 'center', behavior: 'instant'});
      const box = e.getBoundingClientRect();
      return [box.x + box.width / 2, box.y + box.height / 2]"""
    return browser.execute_script(script, selector, number)


def opacities(browser, chart):
    script = """return [...document.querySelectorAll(`[data-chart="${arguments[0]}"] .role-mark path`)]
      .map((e) => +(e.getAttribute('opacity') ?? 1)).filter((o) => o > 0)"""
    return browser.execute_script(script, chart)


def axis_labels(browser, chart):
    script = """return [...document.querySelectorAll(`[data-chart="${arguments[0]}"] .role-axis-label text`)]
      .map((e) => e.textContent).sort()"""
    return browser.execute_script(script, chart)


def test_every_chart_is_drawn_once(fresh):
    count = "return [...document.querySelectorAll('[data-chart]')].map((e) => e.querySelectorAll(arguments[0]).length)"
    counts = fresh.execute_script(count, "svg")
    assert counts == [1] * CHARTS
    labels = "return [...document.querySelectorAll('[data-chart]')].map((e) => e.getAttribute('aria-label'))"
    said = [label.split("?")[0] for label in fresh.execute_script(labels)]
    assert said == [*(f"Figure {i}" for i in (*range(4), *range(5))), *(f"Chart {i}" for i in range(3))]
    marks = fresh.execute_script(
        "return [...document.querySelectorAll('[data-chart]')].map((e) => e.querySelectorAll('.role-mark > *').length)"
    )
    assert min(marks) >= 1
    links = fresh.execute_script(
        "return [...document.querySelectorAll('.beside a')].map((e) => e.getAttribute('href'))"
    )
    assert links[:3] == [f"figure%200.{kind}" for kind in ("svg", "png", "pdf")]


@pytest.mark.parametrize("chart", [0, 4])
def test_pointing_at_a_marker_says_value_interval_and_n(fresh, chart):
    script = """const groups = [...document.querySelectorAll(`[data-chart="${arguments[0]}"] .mark-symbol.role-mark`)];
      groups.at(-1).lastElementChild.id = 'target'"""  # places that answer are above all markers
    fresh.execute_script(script, chart)
    place = middle(fresh, "#target")
    mouse(fresh, "mouseMoved", [place[0] - 2, place[1]])
    mouse(fresh, "mouseMoved", place)
    settled(fresh)
    assert fresh.find_element("css selector", "#vg-tooltip-element").is_displayed()
    rows = """return [...document.querySelectorAll('#vg-tooltip-element tr')]
      .map((row) => [...row.cells].map((cell) => cell.textContent))"""
    said = dict(fresh.execute_script(rows))
    assert said["query length, s"] in {f"{s:g} s" for s in (1, 2, 3, 5, 6, 10)}
    assert 0 <= float(said["top-1 hit rate, %"]) <= 100
    if said["n"] != "published":
        low, high = map(float, said["95 % interval"].split(" to "))
        assert low <= float(said["top-1 hit rate, %"]) + 0.05 and float(said["top-1 hit rate, %"]) <= high + 0.05
        assert said["n"].endswith("queries in 40 songs")
    assert (
        fresh.execute_script(
            "return document.querySelectorAll('#vg-tooltip-element script, #vg-tooltip-element img').length"
        )
        == 0
    )


@pytest.mark.parametrize("chart", [0, 3, 8, 9, 11])
def test_a_click_on_the_legend_dims_the_others_and_another_adds(fresh, chart):
    before = opacities(fresh, chart)
    click(fresh, middle(fresh, f'[data-chart="{chart}"] .role-legend-label text', 0))
    one = opacities(fresh, chart)
    dim = [o for o in one if o < 0.11]
    assert 0 < len(dim) < len(one)
    click(fresh, middle(fresh, f'[data-chart="{chart}"] .role-legend-label text', 1))
    assert 0 <= sum(o < 0.11 for o in opacities(fresh, chart)) < len(dim)
    for number in (0, 1):
        click(fresh, middle(fresh, f'[data-chart="{chart}"] .role-legend-label text', number))
    assert opacities(fresh, chart) == before


def test_the_wheel_scrolls_the_page_and_zooms_with_ctrl_alone(fresh):
    before = axis_labels(fresh, 0)
    place = middle(fresh, '[data-chart="0"] svg')
    place = [place[0], place[1] - 60]
    at = fresh.execute_script("return scrollY")
    mouse(fresh, "mouseWheel", place, deltaX=0, deltaY=-100)
    settled(fresh)
    assert fresh.execute_script("return scrollY") < at
    assert axis_labels(fresh, 0) == before
    place = middle(fresh, '[data-chart="0"] svg')
    place = [place[0], place[1] - 60]
    at = fresh.execute_script("return scrollY")
    mouse(fresh, "mouseWheel", place, deltaX=0, deltaY=-150, modifiers=2)
    settled(fresh)
    assert fresh.execute_script("return scrollY") == at
    assert axis_labels(fresh, 0) != before
    for count in (1, 2):
        for kind in ("mousePressed", "mouseReleased"):
            mouse(fresh, kind, place, button="left", clickCount=count)
    settled(fresh)
    assert axis_labels(fresh, 0) == before


def fingers(browser, kind, *places):
    points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
    browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_two_fingers_zoom_and_one_scrolls_the_page(fresh):
    fresh.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})
    before = axis_labels(fresh, 0)
    x, y = middle(fresh, '[data-chart="0"] svg')
    y -= 60
    at = fresh.execute_script("return scrollY")
    for apart in (20, 30, 40, 50):
        fingers(fresh, "touchStart" if apart == 20 else "touchMove", (x - apart, y), (x + apart, y))
    fingers(fresh, "touchEnd")
    settled(fresh)
    assert axis_labels(fresh, 0) != before
    assert fresh.execute_script("return [scrollY, visualViewport.scale]") == [at, 1]
    for apart in (50, 40, 30, 20):
        fingers(fresh, "touchStart" if apart == 50 else "touchMove", (x - apart, y), (x + apart, y))
    fingers(fresh, "touchEnd")
    settled(fresh)
    assert axis_labels(fresh, 0) == before
    for up in (0, 40, 80, 120):
        fingers(fresh, "touchMove" if up else "touchStart", (x, y - up))
    fingers(fresh, "touchEnd")
    settled(fresh)
    assert fresh.execute_script("return scrollY") > at
    assert axis_labels(fresh, 0) == before
    fresh.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})


def test_a_chart_is_shown_in_its_whole_size(fresh):
    fresh.execute_script("document.querySelector('[data-whole=\"0\"]').click()")
    settled(fresh)
    size = "return document.querySelector(arguments[0]).getBoundingClientRect().width"
    assert fresh.execute_script(size, "#whole svg") > 1.8 * fresh.execute_script(size, '[data-chart="0"] svg')
    assert fresh.find_element("css selector", "#whole p").text == "Figure 0? It is one."
    fresh.find_element("css selector", "#whole button").click()
    assert not fresh.find_element("css selector", "#whole").is_displayed()
    assert fresh.execute_script("return document.querySelectorAll('#whole svg').length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_of_charts_is_large_enough_and_stands_out_on_a_phone(fresh, scheme):
    """12 px at least, inside the window, and 4.5 to 1 (WCAG); no chart has a ground of its own."""
    look(fresh, 390, scheme)
    settled(fresh)
    settled(fresh)
    script = """const shade = (colour) => {
        const linear = (x) => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
      const [r, g, b] = colour.match(/[\\d.]+/g).map((x) => linear(x / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ground = shade(getComputedStyle(document.body).backgroundColor);
      const texts = [...document.querySelectorAll('[data-chart] svg text')];
      return texts.filter((e) => e.textContent.trim() && e.checkVisibility()).map((e) => {
        const to = e.getScreenCTM(), style = getComputedStyle(e), box = e.getBoundingClientRect();
        const [low, high] = [shade(style.fill), ground].sort((a, b) => a - b);
        const size = parseFloat(style.fontSize) * Math.hypot(to.a, to.b);
        return [size, (high + 0.05) / (low + 0.05), box.left, box.right, e.textContent];
      })"""
    texts = fresh.execute_script(script)
    assert len(texts) > 100
    assert min(size for size, *_ in texts) >= 12
    assert min(contrast for _, contrast, *_ in texts) >= 4.5
    outside = [text for _, _, left, right, text in texts if left < 0 or right > 390]
    assert outside == []
    painted = """return [...document.querySelectorAll('[data-chart], [data-chart] svg')]
      .map((e) => getComputedStyle(e).backgroundColor).filter((c) => c !== 'rgba(0, 0, 0, 0)')"""
    grounds = fresh.execute_script(painted)
    assert grounds == []
    if scheme == "dark":
        filled = fresh.execute_script(
            "return [...document.querySelectorAll('[data-chart] .background')].map((e) => e.getAttribute('fill'))"
        )
        assert not {"white", "#fff", "#ffffff"} & set(filled)


def test_the_same_name_has_the_same_colour_in_all_charts_of_a_study(fresh):
    script = """return [0, 2].map((n) => {
      const [legend] = document.querySelectorAll(`[data-chart="${n}"] .role-legend`);
      const symbols = [...legend.querySelectorAll('.role-legend-symbol path')].map((e) => e.getAttribute('stroke'));
      const names = [...legend.querySelectorAll('.role-legend-label text')].map((e) => e.textContent);
      return Object.fromEntries(names.map((name, i) => [name, symbols[i]]));
    })"""
    first, second = fresh.execute_script(script)
    shared = set(first) & set(second)
    assert len(shared) >= 4
    assert {name: first[name] for name in shared} == {name: second[name] for name in shared}


def test_charts_are_printed_in_light_colours(fresh):
    look(fresh, 760, "dark", "print")
    settled(fresh)
    fill = "return getComputedStyle(document.querySelector('[data-chart] .role-axis-label text')).fill"
    assert fresh.execute_script(fill) == "rgb(0, 0, 0)"
    assert (
        fresh.execute_script(
            "return [...document.querySelectorAll('.beside')].filter((e) => e.checkVisibility()).length"
        )
        == 0
    )
