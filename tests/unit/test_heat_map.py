"""The robustness matrix: its rates and limits counted again from the per-query tables, as figure and on the page."""

import json
import math
import random
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from boards import EASE, LADDERS, ROWS_A_SONG, tabulated, write_ladders
from recount import by_song, recounted

from nafp.audio.splits import Split
from nafp.evaluation.cell import table_beside
from nafp.report.figures import ladders as figures
from nafp.report.figures import plots, trends
from nafp.report.page import listening
from nafp.report.page.heat import heat_of, read_matrix
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.cells import load_cells
from nafp.report.tables.job import write_limits
from nafp.report.tables.ladders import best_of, crossings, matrix_of, sentence

SYSTEMS = [({"aug": "full"}, 0.8), ({"aug": "none"}, -1.2), ({"method": "marks"}, 0.2)]
NAMES = ["nafp, aug full", "nafp, aug none", "marks"]
LENGTHS = {1: 1.0, 3: 2.0, 5: 3.0, 9: 5.0, 11: 6.0, 19: 10.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Cells of three systems on every strength, their study and its matrix."""
    paths, study = write_ladders(tmp_path_factory.mktemp("ladders"), SYSTEMS)
    return paths, study, matrix_of(load_cells(paths), study)


def tables_of(paths):
    """(configuration, query set) -> per-query table."""
    keys = [(name, query_set) for name in NAMES for query_set in EASE]
    return dict(zip(keys, map(table_beside, paths), strict=True))


def test_every_rate_is_that_of_its_queries(made):
    paths, _, matrix = made
    tables = tables_of(paths)
    assert len(matrix.rates) == len(tables) * len(LENGTHS)
    for length, seconds in LENGTHS.items():
        for row in matrix.rates[matrix.rates["query_s"] == seconds].to_dict("records"):
            again = recounted([tables[row["configuration"], row["query_set"]]], "exact", length, ROWS_A_SONG)
            said = (
                f"{row['hit_rate_pct']:.2f} % of {row['queries']:,.0f} queries of {seconds:g} s in {row['songs']} songs"
            )
            assert again["said"] == f"{said}; 95 % interval {row['low_pct']:.2f} to {row['high_pct']:.2f} %"


def ends_of(points):
    """The first places beside the best one of (place, rate) pairs at which the rate falls under 50, walked by hand."""
    best, found = max(range(len(points)), key=lambda i: (points[i][1], -i)), []
    for step in (-1, 1):
        i = best
        while 0 <= i < len(points) and points[i][1] >= 50:
            i += step
        if not 0 <= i < len(points):
            found.append(math.nan)
            continue
        (x0, y0), (x1, y1) = points[i - step], points[i]
        found.append(x0 + (y0 - 50) / (y0 - y1) * (x1 - x0))
    return found


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ladder", [ladder for ladder in LADDERS if ladder["curve"]], ids=lambda ladder: ladder["name"])
def test_a_limit_is_where_the_rate_falls_under_half(made, name, ladder):
    paths, _, matrix = made
    tables, log = tables_of(paths), ladder["scale"] == "log"
    songs = {s: by_song(tables[name, s], "exact", 5, ROWS_A_SONG) for s in ladder["sets"]}
    places = [math.log(at) if log else at for at in ladder["sets"].values()]

    def ends(drawn):
        rates = [100 * sum(songs[s][i][0] for i in drawn) / sum(songs[s][i][1] for i in drawn) for s in ladder["sets"]]
        return [math.exp(end) if log else end for end in ends_of(list(zip(places, rates, strict=True)))]

    count, rng = len(next(iter(songs.values()))), random.Random(3)
    expected = ends(range(count))
    drawn = [ends(rng.choices(range(count), k=count)) for _ in range(400)]
    chosen = (matrix.limits["configuration"] == name) & (matrix.limits["ladder"] == ladder["name"])
    (row,) = matrix.limits[chosen & (matrix.limits["query_s"] == 3)].to_dict("records")
    assert [row["from"], row["to"]] == pytest.approx(expected, nan_ok=True)
    assert not all(map(math.isnan, expected))
    for number, end in enumerate(("from", "to")):
        if not math.isnan(expected[number]):
            values = sorted(-math.inf if math.isnan(one[number]) else one[number] for one in drawn)
            low, high = values[10], values[-11]
            spread = abs(high - low) if math.isfinite(low) else 1.0
            assert row[f"{end}_low"] == pytest.approx(low, abs=0.35 * spread) or row[f"{end}_low"] == low
            assert row[f"{end}_high"] == pytest.approx(high, abs=0.35 * spread)


@pytest.mark.parametrize(
    "rates, place",
    [
        ([100, 60, 40], 1.5),
        ([100, 50, 0], 1.0),  # exactly half is found
        ([80, 70, 60], np.inf),
        ([40, 60, 20], 0.0),  # already under half at the first
        ([60, 40, 90, 0], 0.5),  # the first time
        ([70], np.inf),
        ([30], 0.0),
    ],
)
def test_where_rates_cross_half(rates, place):
    assert crossings(np.arange(len(rates), dtype=float), np.array([rates], float)) == pytest.approx([place])


@pytest.mark.parametrize(
    "rates, best",
    [
        ([90, 10, 90, 80, 70], 2),  # alone at one end, and the first of three
        ([100, 100, 100, 40, 100], 0),
        ([90, 95, 10, 80, 80, 80], 1),  # the highest wins
        ([10, 20, 20], 1),
    ],
)
def test_the_best_of_equal_strengths_is_where_most_is_found(rates, best):
    assert best_of(np.array(rates, float)) == best


@pytest.mark.parametrize(
    "strengths, rates, ends, says",
    [
        ([-10, 0], [10, 90], [-5, -7.25, -2, *[np.nan] * 3], "from −5.00 (−7.25 to −2.00) on"),
        ([500, 2000], [90, 10], [*[np.nan] * 3, 1240, 1100, np.inf], "up to 1,240 (1,100 to > 2,000)"),
        ([-5, 0, 5], [0, 90, 0], [-2, -np.inf, -1, 0.25, 0, 1], "from −2.00 (< −5 to −1.00) to 0.25 (0.00 to 1.00)"),
        ([1, 2], [90, 80], [np.nan] * 6, "at every strength"),
        (["mp3", "gsm"], [10, 20], [np.nan] * 6, "at no strength"),
        (["mp3", "gsm", "opus"], [90, 10, 20], [np.nan] * 6, "not with gsm, opus"),
        ([1, 2], [90, np.nan], [np.nan] * 6, "unknown until all strengths have run"),
    ],
)
def test_limits_in_words(strengths, rates, ends, says):
    assert sentence(pd.DataFrame({"strength": strengths, "hit_rate_pct": rates}), ends) == says


def test_the_limits_of_one_song_are_not_bounded(tmp_path):
    """Drawn with replacement, one song is always itself, which is no certainty."""
    paths, study = write_ladders(tmp_path / "cells", SYSTEMS[:1])
    for path in paths:
        pd.read_parquet(table_beside(path)).assign(song="one").to_parquet(table_beside(path), index=False)
        path.write_text(json.dumps(json.loads(path.read_text()) | {"songs": 1}))
    matrix = matrix_of(load_cells(paths), study)
    limits = matrix.limits.query("query_s == 3").set_index("ladder")
    for ladder, at in (("noise", "from"), ("low_pass", "from"), ("speed", "from"), ("speed", "to")):
        row = limits.loc[ladder]
        assert np.isfinite(row[at]) and (row[f"{at}_low"], row[f"{at}_high"]) == (-np.inf, np.inf)
    assert re.fullmatch(r"from −\d\.\d\d \(< −10 to > 10\) on", limits.loc["noise", "said"])
    figures.heat_map(matrix, tmp_path / "a.svg")
    write_limits(vars(study), paths, tmp_path / "rates.csv", tmp_path / "limits.csv")
    read = read_matrix(tmp_path / "rates.csv", tmp_path / "limits.csv", LADDERS).limits
    assert read["from_high"].equals(matrix.limits["from_high"])


def test_the_seeds_of_a_configuration_are_one_row(tmp_path):
    systems = [({"aug": "full", "seed": seed}, 0.2 * seed) for seed in (0, 1)]
    paths, study = write_ladders(tmp_path, systems)
    matrix = matrix_of(load_cells(paths), study)
    assert matrix.rates["configuration"].unique().tolist() == ["nafp"]
    row = matrix.rates.query("query_set == 'noise_m5' and query_s == 3").iloc[0]
    tables = [table_beside(path) for path in paths if "noise_m5" in path.parts]
    assert f"{row['hit_rate_pct']:.2f} % of 400 queries" in recounted(tables, "exact", 5, ROWS_A_SONG)["said"]


# ---------------------------------------------------------------- figures


def strengths(matrix, path):
    plots.draw(trends.strengths(matrix), path)


def test_the_same_data_draws_the_same_bytes(made, tmp_path):
    for draw in (figures.heat_map, strengths):
        for path in (tmp_path / "a.svg", tmp_path / "b.svg"):
            draw(made[2], path)
        assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
        assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


def test_the_heat_map_has_a_number_in_every_cell(made, monkeypatch, tmp_path):
    shown = []
    monkeypatch.setattr(figures.Axes, "text", lambda self, x, y, text, **style: shown.append(text))
    figures.heat_map(made[2], tmp_path / "a.svg")
    rates = made[2].rates.query("query_s == 3")
    assert sorted(shown) == sorted(f"{rate:.0f}" for rate in rates["hit_rate_pct"])


def test_what_is_missing_is_left_open(tmp_path):
    missing = ["noise_0", "gain_m20", "speed_m20", "speed_20", "speed_m5", "speed_5", "speed_m1", "speed_1"]
    paths, study = write_ladders(tmp_path / "cells", SYSTEMS[:1], missing)
    matrix = matrix_of(load_cells(paths), study)
    absent = matrix.rates[matrix.rates["hit_rate_pct"].isna()]
    assert set(absent["query_set"]) == set(missing)
    said = matrix.limits.query("query_s == 3").set_index("ladder")["said"]
    assert said["noise"] == said["gain"] == said["speed"] == "unknown until all strengths have run"
    assert said["low_pass"].startswith("from ")
    for draw in (figures.heat_map, strengths):
        draw(matrix, tmp_path / "a.svg")
    assert page_of(paths, study, matrix).panels["3"]["speed"].cells == [["–"] * 6]


def test_a_system_that_is_asked_less_in_another_order_stays_in_its_columns(made):
    paths, study, matrix = made
    rates = matrix.rates.sort_values("query_set", kind="stable")
    rates = rates[(rates["configuration"] != "marks") | rates["query_set"].isin(["files", "noise_0"])]
    panels = page_of(paths, study, replace(matrix, rates=rates)).panels["3"]
    whole = page_of(paths, study, matrix).panels["3"]
    for title in ("background noise", "speed"):
        assert panels[title].cells[:2] == whole[title].cells[:2]
    assert panels["background noise"].cells[2] == ["–", "–", whole["background noise"].cells[2][2], "–"]
    assert len(panels["speed"].cells) == 2


@pytest.mark.filterwarnings("ignore:Glyph")
def test_hostile_words_of_ladders_can_be_shown(made, tmp_path):
    paths, study, _ = made
    hostile = "<script>alert(1)</script> $\\frac{ Песня 歌"
    ladders = [{**ladder, "title": hostile, "unit": "\"'><img src=x>"} for ladder in LADDERS]
    ladders[4]["sets"] = {"codec_mp3": hostile, "codec_gsm": "_gsm"}
    matrix = matrix_of(load_cells(paths), replace(study, ladders=ladders))
    figures.heat_map(matrix, tmp_path / "a.svg")
    strengths(matrix, tmp_path / "b.svg")
    page = page_of(paths, study, matrix)
    assert page.html.count("<script>") == 1
    assert "<img src=x>" not in page.html


# ---------------------------------------------------------------- page


class Panels(HTMLParser):
    """The heat maps of a page: ``panels[seconds][title]`` with heads, names, cells (a list a row), titles and sounds."""

    class Panel:
        def __init__(self):
            self.title, self.heads, self.names, self.cells, self.titles, self.sounds = "", [], [], [], [], []

    def __init__(self, html: str):
        super().__init__()
        self.html, self.panels, self.hidden = html, {}, {}
        self.seconds = self.panel = self.place = None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if given.get("class") == "ladders":
            self.seconds = self.panels.setdefault(given["data-seconds"], {})
            self.hidden[given["data-seconds"]] = "hidden" in given
        if tag == "table":
            self.panel = self.Panel() if given.get("class") == "heat" else None
        if self.panel is None:
            return
        if tag in ("caption", "small"):
            self.place = tag
        elif tag == "th":
            self.place = "head" if given["scope"] == "col" else "name"
            (self.panel.heads if self.place == "head" else self.panel.names).append("")
        elif tag == "tr":
            self.row = []
        elif tag == "td" and "colspan" not in given:
            self.place = "cell"
            self.row.append("")
            self.panel.titles.append(given["title"])
            assert given["class"] in ("over", "under", "absent")
            assert re.fullmatch(r"--s:\d+%", given["style"])
        elif tag == "button":
            self.panel.sounds.append(given["data-sound"])

    def handle_endtag(self, tag):
        if self.panel is None:
            return
        if tag == "tr" and self.row:
            self.panel.cells.append(self.row)
        elif tag == "table":
            self.seconds[self.panel.title.strip()] = self.panel
            self.panel = None
        self.place = "name" if tag == "small" else None if tag in ("caption", "th", "td") else self.place

    def handle_data(self, data):
        if self.place == "caption":
            self.panel.title += data
            self.place = None
        elif self.place == "head":
            self.panel.heads[-1] += data
        elif self.place == "cell":
            self.row[-1] += data
        elif self.place in ("name", "small"):
            self.panel.names[-1] += data


def page_of(paths, study, matrix, sounds=None) -> Panels:
    _, table = tabulated(paths, study)
    section = Section("robustness", study.question, table, (), matrix)
    return Panels(Page("Robust", Top(), [section], listening={"ladders": sounds or {}}).html())


def test_every_number_of_the_page_is_that_of_its_queries(made, tmp_path):
    """By way of the files that the jobs hand on."""
    paths, study, matrix = made
    write_limits(vars(study), paths, tmp_path / "rates.csv", tmp_path / "limits.csv")
    page = page_of(paths, study, read_matrix(tmp_path / "rates.csv", tmp_path / "limits.csv", LADDERS))
    tables, checked = tables_of(paths), 0
    assert page.hidden == {f"{s:g}": s != 3 for s in LENGTHS.values()}
    for length, seconds in LENGTHS.items():
        for ladder in LADDERS:
            panel = page.panels[f"{seconds:g}"][ladder["title"]]
            titles = iter(panel.titles)
            for name, cells in zip(NAMES, panel.cells, strict=True):
                for query_set, cell in zip(ladder["sets"], cells, strict=True):
                    hits, queries = map(
                        sum, zip(*by_song(tables[name, query_set], "exact", length, ROWS_A_SONG), strict=True)
                    )
                    again = recounted([tables[name, query_set]], "exact", length, ROWS_A_SONG)
                    assert cell == f"{100 * hits / queries:.0f}"
                    low, high = re.search(r"interval ([\d.]+) to ([\d.]+)", again["said"]).groups()
                    found = re.fullmatch(r"([\d.]+) %, 95 % interval ([\d.]+) to ([\d.]+)", next(titles)).groups()
                    assert [float(one) for one in found] == pytest.approx(
                        [100 * hits / queries, float(low), float(high)], abs=0.06
                    )
                    checked += 1
    assert checked == len(tables) * len(LENGTHS)
    said = dict(zip(NAMES, page.panels["3"]["background noise"].names, strict=True))
    limits = matrix.limits.query("ladder == 'noise' and query_s == 3").set_index("configuration")["said"]
    for name in NAMES:
        assert said[name].replace("\xa0", " ") == f"{name} · ≥ 50 % {limits[name]}"


@pytest.mark.parametrize(("fields", "name"), [({"method": "marks"}, "marks"), ({}, "nafp")])
def test_one_system_alone_has_its_row(tmp_path, fields, name):
    paths, study = write_ladders(tmp_path / "cells", [(fields, 0.2)])
    write_limits(vars(study), paths, tmp_path / "rates.csv", tmp_path / "limits.csv")
    for shown in heat_of(read_matrix(tmp_path / "rates.csv", tmp_path / "limits.csv", LADDERS)):
        assert [[row["name"] for row in panel["rows"]] for panel in shown["panels"]] == [[name]] * len(LADDERS)


def test_strengths_can_be_heard_where_there_are_sounds(made):
    paths, study, matrix = made
    page = page_of(
        paths, study, matrix, {"noise_m10": "data:audio/mpeg;base64,AA", "noise_10": "data:audio/mpeg;base64,BB"}
    )
    assert page.panels["3"]["background noise"].sounds == ["sound-noise_m10", "sound-noise_10"]
    assert page.panels["3"]["codec"].sounds == []
    assert page.html.count("<audio ") == 2
    assert page.panels["3"]["low-pass"].heads == ["500", "1,000", "2,000", "3,500"]


def test_excerpts_are_the_same_seconds_of_the_song(monkeypatch):
    """Of a faster copy too, whose table says by how much."""
    songs = [(np.arange(96000) % 30000 + 1000 * n).astype(np.int16) for n in range(3)]
    db = Split.of_clips(songs, [f"{n}.wav" for n in range(3)])
    quick = Split.of_clips([song[::2] for song in songs], [f"{n}.wav" for n in range(3)])
    quick.clips["rate"] = 2.0
    (segment,) = np.flatnonzero((db.segments.clip == 1) & (db.segments.start == db.clips["start"][1] + 32000))
    heard = []
    monkeypatch.setattr(listening, "sound", heard.append)
    listening.excerpts(db, {"same": db, "quick": quick}, segment)
    np.testing.assert_allclose(heard[0] * 32768, songs[1][32000:48000])
    np.testing.assert_allclose(heard[1] * 32768, songs[1][32000:64000:2])
