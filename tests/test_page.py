"""Page and pictures: hostile names stay text, nothing is fetched, and the same data gives the same bytes."""

import base64
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from nafp.report import plots, scoreboard
from nafp.report.page import render_page

PUBLISHED = Path(__file__).parents[1] / "published" / "nafp.csv"
HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "x" * 200,
    "Песня 歌 أغنية",
    "$\\frac{",
    "_hidden & co",
]
VOID = {"meta", "link", "img", "br"}


class Reader(HTMLParser):
    """Collects tags, attributes and text, and checks that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


def make_cells(names=("full", "none"), indexes=("l2", "ivfpq", "hnsw")):
    rows = []
    for i, aug in enumerate(names):
        for j, index in enumerate(indexes):
            for seconds in (1, 3, 10):
                for match in ("exact", "near"):
                    hits = 60 + 40 * seconds // (i + 1) - 5 * j + 10 * (match == "near")
                    cost = {
                        "ms_per_query": 0.1 * (j + 1),
                        "build_s": 0.5,
                        "index_bytes": 11_800 * 100 * (j + 1),
                        "recall_pct": 99.0,
                    }
                    fields = {"aug": aug, "bsz": 120, "dim": 128, "seed": 0}
                    cell = {"dataset": "demo", "run": f"{aug}-0", "epoch": "best", "index": index, "protocol": "clip"}
                    size = {
                        "queries": 500,
                        "database_segments": 11_800,
                        "seconds": seconds,
                        "match": match,
                        "hits": hits,
                    }
                    rates = {"hit_rate_pct": hits / 5, "low_pct": hits / 5 - 2, "high_pct": hits / 5 + 2}
                    rows.append(cell | fields | size | rates | cost)
    return pd.DataFrame(rows)


def history():
    epochs = np.arange(1, 11)
    found = np.where(epochs % 5 == 0, 4.0 * epochs, np.nan)
    return pd.DataFrame({"epoch": epochs, "loss": 4 / epochs, "val_top1_1s": found, "lr": 1e-4, "seconds": 2.0})


DRAWINGS = {
    "length": lambda cells, path: plots.hit_rate_over_length(
        cells, path, ["aug"], scoreboard.load_published(PUBLISHED)
    ),
    "time": plots.hit_rate_against_time,
    "learning": lambda cells, path: plots.learning_curves({name: history() for name in cells["aug"].unique()}, path),
}


def make_study(cells, name="table3", figures=()):
    table = scoreboard.table(cells, scoreboard.load_published(PUBLISHED), name, ["aug"])
    caption = scoreboard.caption(cells, table)
    return {
        "name": name,
        "question": "What does it cost?",
        "table": table,
        "figures": list(figures),
        "caption": caption,
    }


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_data_draws_the_same_bytes(tmp_path, name):
    cells = make_cells()
    for path in (tmp_path / "a.svg", tmp_path / "b.svg"):
        DRAWINGS[name](cells, path)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    assert b"<dc:date>" not in first
    assert ElementTree.fromstring(first).tag.endswith("svg")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", DRAWINGS)
def test_hostile_names_can_be_drawn(tmp_path, name):
    DRAWINGS[name](make_cells(HOSTILE, HOSTILE[:3]), tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")


def test_labels_of_points_do_not_overlap(tmp_path, monkeypatch):
    kept = []
    place = plots._free_place
    monkeypatch.setattr(plots, "_free_place", lambda *args: kept.append(place(*args)[0]) or (kept[-1], False))
    plots.hit_rate_against_time(
        make_cells(("full", "none"), ("l2", "ivf", "ivfpq", "ivfpq-rr", "hnsw")), tmp_path / "a.svg"
    )
    assert len(kept) == 10
    assert not any(one.count_overlaps(kept[:i]) for i, one in enumerate(kept))


def test_drawing_times_needs_times(tmp_path):
    with pytest.raises(ValueError, match="no cell has a search time"):
        plots.hit_rate_against_time(make_cells().assign(ms_per_query=np.nan), tmp_path / "a.svg")


def test_the_page_shows_numbers_blocks_and_figures():
    cells = make_cells(indexes=("ivfpq",))
    svg = '<svg xmlns="http://www.w3.org/2000/svg" id="same"/>'
    studies = [make_study(cells, figures=[("One", svg), ("Two", svg)]), make_study(cells, "index_types")]
    html = render_page(
        "Scoreboard", scoreboard.headline(cells), studies, {"packages": {"torch": "2.11.0"}, "seeds": [0, 1]}
    )
    reader = Reader(html)
    for words in ("Scoreboard", "20.0\u00a0%", "index types", "Paper", "Users' re-run", "62.2", "2.11.0", "0, 1", "–"):
        assert words in reader.text
    assert "not comparable: other data set" in reader.text
    assert "All rows of this run: index ivfpq, seeds 1." in reader.text
    assert 'id="same"' not in html  # embedded as images, so their ids cannot collide
    images = [value for tag, name, value in reader.attributes if (tag, name) == ("img", "src")]
    assert [base64.b64decode(uri.split(",")[1]).decode() for uri in images] == [svg, svg]
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_names_from_data_are_escaped_everywhere():
    studies = [make_study(make_cells([name]), name, [(name, "<svg/>")]) for name in HOSTILE]
    headline = [{"value": name, "text": name} for name in HOSTILE]
    reader = Reader(render_page(HOSTILE[0], headline, studies, {name: {name: [name]} for name in HOSTILE}))
    assert "script" not in reader.tags
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
    assert reader.tags.count("img") == len(HOSTILE)
    for name in HOSTILE:
        assert name in reader.text


def test_the_page_fetches_nothing():
    reader = Reader(
        render_page("T", [], [make_study(make_cells(), figures=[("c", "<svg/>")])], {"url": "https://example.org"})
    )
    links = [value for _, name, value in reader.attributes if name in ("src", "href", "srcset", "action", "data")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    style = Path(plots.__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    assert "@import" not in style
    assert "url(" not in style


def test_a_page_without_any_cell_still_renders():
    study = make_study(scoreboard.load_cells([]), "indexes")
    assert "No cell of this study" in Reader(render_page("Empty", [], [study], {})).text
