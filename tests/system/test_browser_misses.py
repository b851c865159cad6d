"""The missed queries of the page in a real browser: by mouse, by keyboard, by ear and by name."""

import json

import pytest
from browsing import HOSTILE, look, needs_browser
from replays import FULL, NONE, made_up_replay

from nafp.report.misses.kinds import KINDS
from nafp.report.misses.replay import write_misses
from nafp.report.page.page import Page

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of missed queries alone, whose songs and runs have names that want to be markup."""
    folder = tmp_path_factory.mktemp("page")
    replay = made_up_replay(folder, {"files": 0.4, "noise_m5": 0.1}, titles=HOSTILE)
    write_misses(replay, folder / "misses.json", folder / "songs.csv", threads=1)
    missed = json.loads((folder / "misses.json").read_text()) | {"names": {FULL: HOSTILE[2], NONE: HOSTILE[1]}}
    (folder / "index.html").write_text(Page("Misses", misses=missed).html(), encoding="utf-8")
    return folder / "index.html"


def misses(browser):
    """[heading, kind, degradation, runs] of the missed queries that are seen."""
    script = """return [...document.querySelectorAll('.missed')].filter((e) => e.checkVisibility())
      .map((e) => [e.querySelector('h3').innerText, e.dataset.kind, e.dataset.degradation, e.dataset.runs])"""
    return browser.execute_script(script)


def pick(browser, by, text):
    """Choose an entry of a filter of the missed queries by what it says."""
    entries = browser.find_elements("css selector", f"[data-misses] select[data-by={by}] option")
    next(entry for entry in entries if text in entry.get_attribute("textContent")).click()


def turned(browser):
    """The missed queries that the filters leave, by going through all of them, and what is said of where one is."""
    said, seen = browser.find_element("css selector", "[data-misses] output"), []
    for _ in range(int(said.text.split()[2].rstrip(":"))):
        seen.append((said.text.split(":")[0], *misses(browser)[0][1:]))
        browser.find_element("css selector", "[data-turn='1']").click()
    return seen


def test_misses_are_turned_and_filtered(fresh):
    assert len(misses(fresh)) == 1
    everything = turned(fresh)
    assert [one[0] for one in everything] == [f"{i} of 24" for i in range(1, 25)]
    assert len({one[1] for one in everything}) == len(KINDS) - 2  # without hits and silence
    assert len({one[2] for one in everything}) == 2
    assert fresh.find_element("css selector", "[data-misses] output").text.startswith("1 of 24: ")  # round again
    pick(fresh, "degradation", "background noise")
    noisy = turned(fresh)
    assert len(noisy) == 12 and {one[2] for one in noisy} == {"1"}
    pick(fresh, "kind", "near")
    near = turned(fresh)
    assert near and len({one[1:3] for one in near}) == 1
    pick(fresh, "degradation", "all")
    pick(fresh, "kind", "all")
    pick(fresh, "runs", "found by")
    found = turned(fresh)
    assert len(found) == sum("found-1" in one[3] for one in everything) and all("found-1" in one[3] for one in found)
    pick(fresh, "runs", "missed by")
    assert len(turned(fresh)) == 24 - len(found)
    script = """const kinds = document.querySelector('[data-by=kind]');
      kinds.add(new Option('none', 'none')); kinds.value = 'none'; kinds.dispatchEvent(new Event('change', {bubbles: true}))"""
    fresh.execute_script(script)
    assert misses(fresh) == [] and fresh.find_element("css selector", "[data-none]").is_displayed()


def test_misses_by_keyboard(fresh):
    keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
    place = fresh.find_element("css selector", "[data-misses] output")
    viewer = fresh.find_element("css selector", ".viewer")
    viewer.send_keys(keys.ARROW_RIGHT)
    assert place.text.startswith("2 of 24")
    viewer.send_keys(keys.ARROW_LEFT, keys.ARROW_LEFT)
    assert place.text.startswith("24 of 24")
    viewer.send_keys("1")
    button = fresh.find_element("css selector", ".missed:not([hidden]) button.clip")
    assert "playing" in button.get_attribute("class")
    fresh.execute_script("arguments[0].focus()", button)
    button.send_keys(keys.ARROW_RIGHT)  # the button is hidden, the focus stays in the viewer
    assert place.text.startswith("1 of 24") and fresh.switch_to.active_element == viewer
    assert fresh.execute_script("return document.querySelectorAll('.missed .playing').length") == 0
    select = fresh.find_element("css selector", "[data-by=kind]")
    select.send_keys(keys.ARROW_DOWN)  # an arrow in a filter is the filter's
    assert len(misses(fresh)) == 1 and place.text.startswith("1 of ") and not place.text.startswith("1 of 24")


def test_misses_are_named_for_those_who_cannot_see_them(fresh):
    script = """return [...document.querySelectorAll('.missed')].map((card) => [
      document.getElementById(card.getAttribute('aria-labelledby')).textContent,
      ...[...card.querySelectorAll('button')].flatMap((b) => [b.getAttribute('aria-label'), b.firstElementChild.alt])])"""
    cards = fresh.execute_script(script)
    assert len(cards) == 24 and all(len(card) in (5, 7) and all(card) for card in cards)
    assert all(card[1].startswith("Play the query: ") and card[2].startswith("Log-mel image of ") for card in cards)
    assert any(HOSTILE[1] in card[0] for card in cards)
    names = """return [...document.querySelectorAll('#misses select, #songs input')].map((e) =>
      (e.labels[0]?.textContent ?? e.getAttribute('aria-label')).trim() !== '')"""
    assert fresh.execute_script(names) == [True] * 4
    assert fresh.find_element("css selector", "[data-misses] output").get_attribute("aria-live") == "polite"


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_of_a_miss_is_cut(fresh, width):
    look(fresh, width)
    cut = """return [...document.querySelectorAll('#misses *')].filter((e) => e.checkVisibility()
      && getComputedStyle(e).overflow === 'visible' && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
      .map((e) => e.outerHTML.slice(0, 80))"""
    for _ in range(24):
        assert fresh.execute_script(cut) == []
        assert fresh.execute_script("return document.documentElement.scrollWidth") <= width
        fresh.find_element("css selector", "[data-turn='1']").click()


def test_hard_songs_are_sorted_by_any_column(fresh):
    def column(number):
        script = """return [...document.querySelectorAll('#songs-table tbody tr')]
          .map((r) => r.cells[arguments[0]].dataset.value)"""
        return fresh.execute_script(script, number)

    assert sorted(map(float, column(2))) == list(map(float, column(2)))
    heads = fresh.find_elements("css selector", "#songs-table thead button")
    fresh.execute_script("arguments[0].click()", heads[5])
    assert sorted(map(float, column(5)), reverse=True) == list(map(float, column(5)))
    fresh.find_element("css selector", "[data-for=songs-table] input").send_keys("xxxx")
    shown = """return [...document.querySelectorAll('#songs-table tbody')].filter((e) => !e.hidden).map((e) => e.textContent)"""
    rows = fresh.execute_script(shown)
    assert rows and all("xxxx" in row for row in rows)
    assert fresh.find_element("css selector", "#songs a").get_attribute("href").endswith("/hard_songs.csv")


def test_hostile_names_of_songs_and_runs_are_text(fresh):
    assert fresh.title == "Misses"
    assert fresh.execute_script("return document.scripts.length") == 1
    assert fresh.execute_script("return document.querySelectorAll('img[src=x]').length") == 0
    shown = fresh.execute_script("return document.querySelector('main').textContent")
    assert all(name.rsplit("/", 1)[-1] in shown for name in HOSTILE)


def test_query_answer_and_right_segment_are_heard(fresh):
    script = """const done = arguments[0];
      Promise.all([...document.querySelectorAll('.missed:not([hidden]) button.clip')].map((b) => new Promise((say) => {
        const sound = document.getElementById(b.dataset.sound);
        sound.addEventListener('loadedmetadata', () => say(sound.duration));
        sound.addEventListener('error', () => say(-1));
        sound.load();
      }))).then(done)"""
    durations = fresh.execute_async_script(script)
    assert len(durations) in (2, 3) and all(0.9 < seconds < 1.3 for seconds in durations)
    button = fresh.find_element("css selector", ".missed:not([hidden]) button.clip")
    playing = """const [button, done] = arguments, sound = document.getElementById(button.dataset.sound);
      sound.addEventListener('timeupdate', () => { if (sound.currentTime > 0) done(sound.currentTime); });
      button.click();"""
    assert fresh.execute_async_script(playing, button) > 0
