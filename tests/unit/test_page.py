"""Page and pictures: hostile names stay text, nothing is fetched, and the same data gives the same bytes."""

import json
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from boards import FIELDS, LENGTHS, PUBLISHED, ROWS_A_SONG, tabulated, write_cell, write_grid
from recount import check_table, recounted

from nafp.audio.pools import AudioPool
from nafp.audio.segments import SEGMENT
from nafp.audio.splits import Split
from nafp.errors import UserError
from nafp.evaluation.cell import table_beside
from nafp.grid import run_name
from nafp.model.features import LogMel
from nafp.report.figures import curves, misses, pareto, similarity, trends
from nafp.report.figures.plots import draw
from nafp.report.figures.style import short_names
from nafp.report.misses import kinds
from nafp.report.page import listening, media, provenance
from nafp.report.page import page as page_module
from nafp.report.page.charts import Shown
from nafp.report.page.headline import headline
from nafp.report.page.page import ORIGINS, Page, Section, Top
from nafp.report.page.sound_demo import Demo, write_demo
from nafp.report.tables.cells import load_cells
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "x" * 200,
    "Песня 歌 أغنية",
    "$\\frac{",
    "_hidden & co",
]
VOID = {"meta", "link", "img", "br", "input"}


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


@pytest.fixture
def made(tmp_path):
    """A function of augmentation names and indexes: (cells, section) of made-up results."""

    def make(names=("full", "none"), indexes=("l2", "ivfpq", "hnsw"), name="table3", figures=()):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        paths = write_grid(folder, [{"aug": aug} for aug in names], indexes, queries=60)
        study = Study(name, ["aug"], "What does it cost?", baseline=(run_name(FIELDS | {"aug": names[0]}), indexes[0]))
        cells, table = tabulated(paths, study)
        return cells, Section(name, study.question, table, figures)

    return make


def test_collapsed_epochs_are_crossed_out(tmp_path):
    runs = {"full": history(), "loud": history().assign(collapsed=lambda rows: rows["epoch"] >= 5)}
    draw(trends.learning_curves({"full": runs["full"]}, 3000), tmp_path / "healthy.svg")
    draw(trends.learning_curves(runs, 3000), tmp_path / "collapsed.svg")
    assert "collapsed, all fingerprints are alike" not in (tmp_path / "healthy.svg").read_text(encoding="utf-8")
    assert "collapsed, all fingerprints are alike" in (tmp_path / "collapsed.svg").read_text(encoding="utf-8")


def history():
    epochs = np.arange(1, 11)
    found = np.where(epochs % 5 == 0, 4.0 * epochs, np.nan)
    return pd.DataFrame({"epoch": epochs, "loss": 4 / epochs, "val_top1_1s": found, "lr": 1e-4, "seconds": 2.0})


def draw_misses(cells, path):
    shares = pd.Series([50, 20, 10, 10, 5, 4, 1, 0], index=list(kinds.KINDS))
    misses.plot_answers({name: shares for name in cells["aug"].unique()}, 1, 40, path)


def draw_similarity(cells, path):
    matrix = np.random.default_rng(0).random((20, 20))
    similarity.plot_matrices({name: matrix for name in cells["aug"].unique()}, path)


def draw_costs(cells, path):
    points, drawing = pareto.index_costs(cells)
    pareto.draw_costs(points, drawing.colours, path)


DRAWINGS = {
    "length": lambda cells, path: draw(curves.hit_rate_over_length(cells, ["aug"], load_published(PUBLISHED)), path),
    "over": lambda cells, path: draw(curves.hit_rate_over(cells, "aug", ["aug"], load_published(PUBLISHED)), path),
    "costs": draw_costs,
    "learning": lambda cells, path: draw(
        trends.learning_curves({name: history() for name in cells["aug"].unique()}, 3000), path
    ),
    "misses": draw_misses,
    "similarity": draw_similarity,
}


@pytest.mark.parametrize("name", DRAWINGS)
def test_the_same_data_draws_the_same_bytes(made, tmp_path, name):
    cells, _ = made()
    for path in (tmp_path / "a.svg", tmp_path / "b.svg"):
        DRAWINGS[name](cells, path)
    first = (tmp_path / "a.svg").read_bytes()
    assert first == (tmp_path / "b.svg").read_bytes()
    for kind in ("png", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()
    assert b"<dc:date>" not in first
    assert ElementTree.fromstring(first).tag.endswith("svg")


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("name", DRAWINGS)
def test_hostile_names_can_be_drawn(made, tmp_path, name):
    DRAWINGS[name](made(HOSTILE, HOSTILE[:3])[0], tmp_path / "a.svg")
    ElementTree.parse(tmp_path / "a.svg")


@pytest.mark.parametrize("field", ["bsz", "dim", "snr_db"])
def test_hit_rates_can_be_drawn_over_numbers(tmp_path, field):
    values = {"bsz": (120, 640), "dim": (16, 128), "snr_db": (-5, 0, 20)}[field]
    paths = [write_cell(tmp_path, {field: value} if field != "snr_db" else {}, f"l{value}", 50) for value in values]
    cells = load_cells(paths).assign(index="l2")
    cells = cells.assign(snr_db=np.repeat(values, len(cells) // len(values))) if field == "snr_db" else cells
    draw(curves.hit_rate_over(cells, field, [field], load_published(PUBLISHED)), tmp_path / "a.svg")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_of_many_configurations_the_best_are_coloured():
    rates = pd.DataFrame({"name": [f"c{i}" for i in range(20)], "match": "exact", "hit_rate_pct": np.arange(20.0)})
    rates = rates.assign(low_pct=rates["hit_rate_pct"], high_pct=rates["hit_rate_pct"], seconds=1, queries=9)
    best = curves.best_of(rates)
    assert best == [f"c{i}" for i in range(19, 11, -1)]
    others = curves.others_of(rates.assign(songs=3, seeds=1), best)
    assert set(others["name"]) == {"12 others"}  # one entry of the legend
    assert others["series"].nunique() == 12
    assert others["faint"].all() and not others[["dot", "spread"]].any(axis=None)


def test_labels_of_points_do_not_overlap(made, tmp_path, monkeypatch):
    kept = []
    place = pareto._free_place
    monkeypatch.setattr(pareto, "_free_place", lambda *args: kept.append(place(*args)[0]) or (kept[-1], False))
    cells, _ = made(("full", "none"), ("l2", "ivf", "ivfpq", "ivfpq-rr", "hnsw"))
    draw_costs(cells, tmp_path / "a.svg")
    assert len(kept) == 20
    for panel in (kept[:10], kept[10:]):
        assert not any(one.count_overlaps(panel[:i]) for i, one in enumerate(panel))


def test_drawing_times_needs_times(made):
    with pytest.raises(ValueError, match="no cell has a search time"):
        pareto.index_costs(made()[0].assign(ms_per_query=np.nan))


def test_runs_whose_names_end_differently_stay_apart():
    """Long names lose their middle; those that are still alike are numbered."""
    runs = [f"aug full, N=120, d=128, ntxent, recipe images, seed {seed}" for seed in range(3)]
    alike = [f"{'x' * 30}{letter}{'y' * 30}" for letter in "abc"]
    names = short_names([*runs, *alike])
    assert len(set(names.values())) == 6 and all(len(name) <= 44 for name in names.values())
    assert all(
        names[run].startswith("aug full") and names[run].endswith(f"seed {seed}") for seed, run in enumerate(runs)
    )
    panels = trends.learning_curves({run: history() for run in runs}, 3000).panels
    assert all(panel.rows["series"].nunique() == 3 for panel in panels)
    shares = pd.Series(1.0, index=misses.KINDS)
    chart = misses.chart_of_answers(dict.fromkeys(runs, shares), 1.0, 40)
    assert all(json.dumps(names[run], ensure_ascii=False) in json.dumps(chart, ensure_ascii=False) for run in runs)


def test_costs_of_queries_of_unknown_place_are_of_song_hits(made):
    cells = made()[0]
    points, drawing = pareto.index_costs(cells[cells["match"].eq("song")])
    assert {panel.y.title for panel in drawing.panels} == {"top-1 hit rate (song), %"} == set(points["rate"])
    shortest = cells[cells["match"].eq("song") & cells["seconds"].eq(cells["seconds"].min())]
    assert sorted(points["hit_rate_pct"]) == sorted(shortest["hit_rate_pct"])


def test_what_no_other_index_beats():
    points = pd.DataFrame(
        {"hit_rate_pct": [90, 90, 80, 80, 70], "ms_per_query": [2, 1, 0.5, 0.5, 0.4], "bytes": [100, 100, 50, 60, 10]}
    )
    assert pareto.dominated(points).tolist() == [True, False, False, True, False]
    for one, best in (([90, 0.3], [5]), ([60, 3], [1, 2, 4])):  # index of an unknown size: only hits and time count
        unknown = pd.DataFrame([[*one, np.nan]], columns=points.columns)
        found = pareto.dominated(pd.concat([points, unknown], ignore_index=True))
        assert np.flatnonzero(~found).tolist() == best


def test_costs_are_of_the_shortest_query_that_was_timed(made):
    """One whose cells have no time at all is not plotted."""
    cells = made()[0]
    shortest = cells["seconds"].min()
    points, _ = pareto.index_costs(cells.assign(ms_per_query=cells["ms_per_query"].where(cells["seconds"] > shortest)))
    assert set(points["seconds"]) == {sorted(cells["seconds"].unique())[1]}
    lost = cells["index"].eq(cells["index"].iloc[0])
    some, _ = pareto.index_costs(cells.assign(ms_per_query=cells["ms_per_query"].where(~lost)))
    assert set(some["index"]) == set(cells["index"]) - {cells["index"].iloc[0]} and some["seconds"].eq(shortest).all()


def test_kinds_of_answers_by_hand():
    songs = np.repeat([0, 1, 2, 3], 10)  # two distractors, then two test songs
    hits = pd.DataFrame({"truth": [20] * 11, "place1": [20, 21, 25, 35, 5, -1, 25, 20, 20, 21, 25]})
    hits["top1_exact"] = hits["place1"].eq(20) & (
        hits.index != 8
    )  # the last three share their score with another place:
    hits["top1_near"] = hits["place1"].isin([20, 21]) & (
        hits.index < 8
    )  # the right one and its neighbour with one far off,
    hits["top1_song"] = hits["place1"].between(20, 29) & (hits.index < 10)  # another time of the song with another song
    quiet = np.array([False] * 6 + [True, True] + [False] * 3)  # a miss in silence, and a hit there
    hits.loc[len(hits)] = [20, 19, False, True, False]  # beside the right one in another song, by protocol: release
    counts = kinds.kinds_of_answers(hits, songs, 20, np.append(quiet, False))
    assert counts.to_dict() == {
        "exact": 2,
        "near (± 1 segment)": 1,
        "same song, another time": 1,
        "another test song": 1,
        "a distractor song": 2,
        "silence": 1,
        "several equally good": 3,
        "nothing found": 1,
    }


def test_silence_is_below_60_db():
    loud, soft = np.full(SEGMENT, 40, np.int16), np.full(SEGMENT, 30, np.int16)  # -58 and -61 dBFS
    split = Split.of_clips([loud, soft, np.zeros(100, np.int16)], ["a/a", "a/b", "a/c"])
    assert kinds.silent(split, np.array([0, 1, 2])).tolist() == [False, True, True]


@pytest.mark.parametrize("runs", [1, 2, 3, 4, 5])
def test_similarity_matrices_of_any_number_of_runs(tmp_path, runs):
    matrix = np.random.default_rng(0).random((20, 20))
    similarity.plot_matrices({f"run {i}": matrix for i in range(runs)}, tmp_path / "x.svg")
    assert {path.suffix for path in tmp_path.iterdir()} == {".svg", ".png", ".pdf"}


def test_a_similarity_matrix_is_of_one_song():
    clips = pd.DataFrame({"path": ["a", "b", "c"], "samples": [8000, 16_000, 12_000]})  # 1, 3 and 2 segments
    rows, right = similarity.pairs(clips, clips)
    assert rows.tolist() == right.tolist() == [1, 2, 3]
    parts = pd.DataFrame({"samples": [8000, 12_000], "song": ["c", "b"], "song_start_s": [0.5, 0.5]})
    rows, right = similarity.pairs(clips, parts)
    assert (rows.tolist(), right.tolist()) == ([1, 2], [2, 3])
    with pytest.raises(UserError, match="similarity: the table of queries does not say where in their songs"):
        similarity.pairs(clips, parts.assign(song_start_s=[0.5, np.nan]))


def test_the_page_shows_numbers_blocks_and_figures(made):
    cells, first = made(indexes=("ivfpq",), figures=[Shown("One", {"name": "same"}), Shown("Two", {"name": "same"})])
    _, second = made(indexes=("ivfpq",), name="index_types")
    origin = {"packages": {"torch": "2.11.0"}, "seeds": [0, 1]}
    html = Page(
        "Scoreboard",
        Top(figures=headline(cells)),
        [first, second],
        [Shown("Three", {"name": "same"}, "three")],
        provenance=origin,
        state="2 cells are missing.",
    ).html()
    reader = Reader(html)
    for words in (
        "Scoreboard",
        "index types",
        "Paper",
        "Users' re-run",
        "62.2",
        "2.11.0",
        "0, 1",
        "–",
        "2 cells are missing.",
    ):
        assert words in reader.text
    assert all(origin in reader.text for origin in ORIGINS.values())
    assert "not comparable: other database, test-dummy-db-100k-full" in reader.text
    assert "All rows of this run: N = 120, d = 64, index ivfpq, one seed. " in reader.text
    drawn = [(name, value) for _, name, value in reader.attributes if name in ("data-chart", "aria-label")]
    assert [value for name, value in drawn if name == "data-chart"] == ["0", "1", "2"]
    assert all(("aria-label", caption) in drawn for caption in ("One", "Two", "Three")) and "three.svg" in reader.text
    assert 'const charts = [{"name":"same"},{"name":"same"},{"name":"same"}];' in html
    ids = [value for _, name, value in reader.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_names_from_data_are_escaped_everywhere(made):
    sections = [
        made([name], name=name, figures=[Shown(name, {"description": name, "title": name})])[1] for name in HOSTILE
    ]
    top = Top(HOSTILE[0], [{"value": name, "text": name} for name in HOSTILE], HOSTILE[1])
    stored = {"m": {"sound": "data:audio/mpeg;base64,", "picture": "data:image/webp;base64,"}}
    answers = [
        {"run": name, "verdict": "miss", "song": name, "at_s": 1, "score": 0.5, "match": "m"} for name in HOSTILE
    ]
    heard = [{"snr_db": 0, "query": "m", "answers": answers}]
    steps = [
        {"step": name, "settings": {name: name}, "sound": "", "image": "data:image/webp;base64,"} for name in HOSTILE
    ]
    queries = [{"song": name, "at_s": 0, "original": "m", "heard": heard} for name in HOSTILE]
    shown = {"media": stored, "queries": queries, "steps": steps, "names": {}, "f_min": 300, "f_max": 4000}
    origin = {name: {name: [name]} for name in HOSTILE}
    reader = Reader(Page(HOSTILE[0], top, sections, [], shown, origin, HOSTILE[0]).html())
    assert reader.tags.count("script") == 2  # the library of charts and the page's own
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
    pictures = len(queries) * (2 + len(answers)) + len(steps)
    assert reader.tags.count("img") == pictures
    for name in HOSTILE:
        assert name in reader.text


def test_the_page_fetches_nothing(made):
    section = made(figures=[Shown("c", {})])[1]
    html = Page("T", Top(), [section], provenance={"url": "https://example.org"}).html()
    addresses = [one for one in Reader(html).attributes if one[1] in ("src", "href", "srcset", "action", "data")]
    links = [value for tag, _, value in addresses if tag == "a"]
    fetched = [value for tag, _, value in addresses if tag != "a"]
    assert "table3.csv" in links and not any(re.match(r"[a-z]*:|/", value) for value in links)  # files beside the page
    assert fetched and all(value.startswith("data:") for value in fetched)
    template = Path(page_module.__file__).with_name("page.html.j2").read_text(encoding="utf-8")
    for fetching in ("@import", "url(", "fetch(", "XMLHttpRequest", "import("):
        assert fetching not in template


def test_what_the_check_of_the_data_set_found(tmp_path):
    file = tmp_path / "verification.json"
    found = {"root": "music", "splits": {"train": {"clips": 1200, "hours": 2.5}}, "md5": "a", "published_md5": None}

    def said(**changes) -> dict:
        file.write_text(json.dumps(found | {"warnings": []} | changes))
        return provenance.data(file)

    assert said() == {
        "verification": "passed: 1,200 files are whole, 8 kHz, 16 bits, mono; not compared with a published checksum",
        "folder": "music",
        "train": "1,200 clips, 2.50 h",
    }
    assert said(published_md5="a")["verification"].endswith("; MD5 as published")
    one = said(warnings=["a.wav: truncated"], published_md5="b")
    assert one["verification"].startswith("passed with 1 warning: ")
    assert one["verification"].endswith("; MD5 NOT as published")
    assert one["warnings"] == {1: "a.wav: truncated"}
    many = said(warnings=[f"{i}.wav: truncated" for i in range(25)])
    assert many["verification"].startswith("passed with 25 warnings: ")
    assert (len(many["warnings"]), many["warnings"][21]) == (21, "and 5 more")
    assert "24.wav" not in Reader(Page("T", provenance={"data": many}).html()).text
    assert provenance.data(tmp_path / "none.json") == {"verification": "has not run yet"}


def test_times_per_stage_are_said_as_people_say_them(tmp_path):
    for rule, seconds in {"score": [2.0, 5.5], "train": [3600.0, 5400.0], "pack": [150.0]}.items():
        (tmp_path / rule).mkdir()
        for job, one in enumerate(seconds):
            (tmp_path / rule / f"{job}.tsv").write_text(f"s\th:m:s\n{one}\t0:00:00\n")
    (tmp_path / "verify.tsv").write_text("s\th:m:s\n12.5\t0:00:00\n")  # a rule without wildcards
    assert provenance.time_per_rule(tmp_path) == {
        "verify": "12.5 s in 1 job",
        "pack": "2 min in 1 job",
        "score": "7.5 s in 2 jobs",
        "train": "2.5 h in 2 jobs",
    }


def test_the_page_says_why_there_is_nothing_to_hear(made):
    reader = Reader(Page("T", Top(), [made()[1]], listening={"note": "no run has finished yet"}).html())
    assert "Nothing to hear: no run has finished yet." in reader.text


def test_a_page_without_any_cell_still_renders():
    _, table = tabulated([], Study("indexes"))
    assert "No cell of this study" in Reader(Page("Empty", Top(), [Section("indexes", "?", table)]).html()).text


def test_every_number_on_the_page_is_one_of_the_per_query_tables(tmp_path):
    """Rates, intervals, p values, n, mean reciprocal ranks and costs, seeds pooled or not: again by tests/support/recount.py."""
    plain = write_grid(tmp_path / "plain", [{"aug": "full"}, {"aug": "none"}], ["l2", "ivfpq"], queries=300)
    seeds = write_grid(
        tmp_path / "seeds", [{"bsz": 60, "seed": seed} for seed in range(3)], ["l2", "hnsw"], queries=200
    )
    sections, expected = [], {}
    plain_groups, seed_groups = [[path] for path in plain], [seeds[i::2] for i in range(2)]
    for name, paths, groups in (("costs", plain, plain_groups), ("pooled", seeds, seed_groups)):
        first = json.loads(groups[0][0].read_text())
        study = Study(name, ["aug", "index"], "?", ("exact", "near", "song"), baseline=(first["run"], first["index"]))
        cells, table = tabulated(paths, study)
        sections.append(Section(name, "?", table))
        expected[f"{name}-table"] = groups
    page = Page("T", Top(figures=headline(load_cells(plain))), sections).html()
    counted = [check_table(page, table, groups, LENGTHS, ROWS_A_SONG, 0) for table, groups in expected.items()]
    of_rates = 6 * (3 * 3 + 1)  # six lengths; rate, interval and n of three matches, and a mean reciprocal rank
    of_tests = 6 * 3  # a p of each number of the other configurations
    assert counted == [4 * (of_rates + 7) + 3 * of_tests, 2 * (of_rates + 7) + of_tests]
    assert "300 queries in 40 songs" in page and "over songs and seeds" in page
    short, long = (
        {path: recounted([table_beside(path)], "exact", length, ROWS_A_SONG)["rate"] for path in plain}
        for length in (1, 19)
    )
    best = max(plain[:2], key=lambda path: float(short[path]))  # the first two have augmentation, and the greater skill
    bare = plain[2 + plain.index(best)]
    assert float(short[best]) == max(map(float, short.values()))
    assert re.findall(r"<dd>([\d.]+)\u00a0%</dd>", page) == [short[best], long[best], short[bare]]


# ---------------------------------------------------------------- listening


def test_test_segments_are_chosen_from_as_many_songs_as_there_are():
    clips = [np.zeros(5 * SEGMENT, np.int16)] * 4
    db = Split.of_clips(clips, [f"a/{i}" for i in range(4)])
    assert sorted(db.segments.clip[listening.choose(db, 4, 0)]) == [0, 1, 2, 3]
    assert len(listening.choose(db, 9, 0)) == 9
    assert (listening.choose(db, 4, 0) == listening.choose(db, 4, 0)).all()
    assert (listening.choose(db, 4, 0) != listening.choose(db, 4, 1)).any()


def test_sounds_do_not_clip():
    tone = np.sin(np.arange(SEGMENT) / 5).astype(np.float32)
    tone /= np.abs(tone).max()
    assert media.sound(4 * tone) == media.sound(tone) != media.sound(tone / 4)


def test_verdicts():
    songs = np.repeat([0, 1], 20)
    rows = {row: listening.verdict([row, 30], [0.9, 0.8], 10, songs) for row in (9, 10, 11, 12)}
    assert rows == {9: "near", 10: "hit", 11: "near", 12: "miss"}
    ties = {other: listening.verdict([10, other], [0.9, 0.9], 10, songs) for other in (11, 12, 30)}
    assert ties == {11: "near", 12: "miss", 30: "miss"}
    assert listening.verdict([10, 11], [np.nan, np.nan], 10, songs) == "miss"
    borders = {row: listening.verdict([row, 30], [0.9, 0.8], 20, songs) for row in (19, 20, 21)}
    assert borders == {19: "miss", 20: "hit", 21: "near"}


def test_places_are_named_by_song_and_second():
    dummy, db = (Split.of_clips([np.arange(2 * SEGMENT, dtype=np.int16)], [f"x/{name}.wav"]) for name in ("d", "t"))
    songs = listening.HeardSongs(dummy, db)  # three segments each
    assert songs.place(2) == {"song": "d", "at_s": 1.0}
    assert songs.place(4) == {"song": "t", "at_s": 0.5}
    np.testing.assert_allclose(songs.cut(4) * 32768, np.arange(SEGMENT // 2, 3 * SEGMENT // 2))


@pytest.fixture
def song() -> tuple[Split, dict[str, AudioPool]]:
    """A training song of noise, and other noise to mix with it."""
    rng = np.random.default_rng(0)
    song, noise = (rng.normal(0, 3000, 8 * SEGMENT).astype(np.int16) for _ in range(2))
    return Split.of_clips([song], ["x/song.wav"]), {"bg": AudioPool(Split.of_clips([noise], ["x/noise.wav"]))}


def panels_of(song: tuple[Split, dict[str, AudioPool]], steps: list, monkeypatch) -> tuple[list[str], np.ndarray]:
    """Names of the panels of a chain, and the samples (n, SEGMENT) that are heard in them."""
    train, pools = song
    heard = []
    monkeypatch.setattr(listening, "sound", heard.append)
    shown = listening.chain_steps(train, steps, pools, LogMel(n_mels=64), 0)
    return [one["step"] for one in shown], np.stack(heard)


def test_every_step_that_is_shown_acts(song, monkeypatch):
    """Whatever its probability; they are in the order in which a chain applies them."""
    steps = [{"low_pass": {"p": 0.0}}, {"time_offset": {"max_s": 0.2}}, {"speed": {"p": 0.0}}, {"splice": {"p": 0.0}}]
    steps += [{"background": {"snr_db": [0, 0], "p": 0.0}}]
    names, heard = panels_of(song, steps, monkeypatch)
    assert names == ["original", "time_offset", "speed", "low_pass", "background", "splice"]
    assert all(np.abs(after - before).max() > 1e-3 for before, after in pairwise(heard))


def test_a_splice_is_heard_from_its_place_on(song, monkeypatch):
    names, heard = panels_of(song, [{"splice": {"at_s": [0.25, 0.25]}}, {"background": {}}], monkeypatch)
    assert names == ["original", "background", "splice"]
    apart = np.abs(heard[2] - heard[1])
    assert apart[:2000].max() == 0 and apart[2000:].max() > 1e-3


def test_steps_are_shown_with_the_band_of_their_images(song, tmp_path, made):
    train, _ = song
    files = {split: tmp_path / f"{split}.npy" for split in ("train", "test_db", "dummy")}
    for file in files.values():
        np.save(file, train.audio)
        train.clips.to_csv(file.with_suffix(".csv"), index=False)
    features = {"n_mels": 64, "f_min": 160, "f_max": 3500}
    packed = {split: str(file) for split, file in files.items()}
    demo = Demo({}, packed, 1, [0], [{"time_offset": {}}], features, seed=0)
    write_demo(demo, tmp_path / "listening.json", threads=1)
    shown = json.loads((tmp_path / "listening.json").read_text())
    assert "(160 to 3,500\u00a0Hz)" in Reader(Page("T", Top(), [made()[1]], listening=shown).html()).text
