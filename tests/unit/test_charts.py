"""Charts of the page: their rows are those of the per-query tables, they can be drawn, and names stay names."""

import json
import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import vl_convert
from boards import FIELDS, LENGTHS, PUBLISHED, ROWS_A_SONG, tabulated, write_cell, write_grid, write_ladders
from recount import passed_by_few, recounted

from nafp.errors import UserError
from nafp.evaluation import openset
from nafp.evaluation.cell import table_beside
from nafp.evaluation.starts import ICASSP_IDS_SHA256
from nafp.grid import CellKey, parse_run, run_name
from nafp.report.figures import charts, colour, curves, misses, pareto, plots, similarity, trends
from nafp.report.figures.differences import differences_over_length
from nafp.report.figures.job import Look, draw_learning, draw_misses, draw_study
from nafp.report.page.charts import Charts, Shown, library, script_json
from nafp.report.page.job import figure_of
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.beyond import Beyond
from nafp.report.tables.cells import load_cells
from nafp.report.tables.ladders import matrix_of
from nafp.report.tables.published import load_published
from nafp.report.tables.study import Study

VEGA_LITE = "6.4"  # the version in the page's script
HOSTILE = [
    "</script><script>alert(1)</script>",
    "<!--",
    "\"'><img src=x onerror=alert(1)>",
    "Песня 歌 \u2028",
    "${1} \\'",
    "_a & b",
]
PUBLISHED_ROWS = load_published(PUBLISHED)


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    """Cells of two augmentations and three batch sizes, as (paths, cells, table of the study)."""
    runs = [{"aug": aug, "bsz": size} for aug in ("full", "none") for size in (60, 120, 240)]
    paths = write_grid(tmp_path_factory.mktemp("grid"), runs, ["l2"], queries=300)
    study = Study("table3", ["aug", "bsz"], baseline=(run_name(FIELDS | runs[0]), "l2"))
    return paths, *tabulated(paths, study)


@pytest.fixture(scope="module")
def alike(tmp_path_factory):
    """The same of ten index types that find nearly the same."""
    folder = tmp_path_factory.mktemp("alike")
    paths = [write_cell(folder, {}, f"type{i}", 300, 0.03 * i - 0.8, 3) for i in range(10)]
    return paths, *tabulated(paths, Study("index_types", ["index"], baseline=(run_name(FIELDS), "type0")))


def rows_in(chart):
    """The rows of a chart, those of a concatenated one together, with what is stored once a curve."""
    rows = []
    for panel in chart.get("concat", [chart]):
        (lookup,) = panel["transform"]
        series = {one["s"]: one for one in lookup["from"]["data"]["values"]}
        rows += [series[row["s"]] | row for row in panel["data"]["values"]]
    return rows


def test_rates_are_those_counted_again(grid):
    paths, cells, _ = grid
    rows = rows_in(charts.chart_of(curves.hit_rate_over_length(cells, ["aug", "bsz"], PUBLISHED_ROWS)))
    found = {(row["c"], row["l"], row["x"]): row for row in rows}
    assert len(found) == len(rows)
    assert sum(row["n"] != "published" for row in rows) == len(paths) * len(LENGTHS) * 2
    for path, fields in zip(paths, cells.drop_duplicates("run").to_dict("records"), strict=True):
        name = f"aug {fields['aug']}, N={fields['bsz']}"
        for length in LENGTHS:
            for match, line in (("exact", "exact"), ("near", curves.NEAR)):
                row = found[name, line, (length + 1) / 2]
                again = recounted([table_beside(path)], match, length, ROWS_A_SONG)
                asked, interval = again["said"].split("; ")
                queries, songs = row["n"].split(" in ")
                assert f"{row['y']:.2f} % of {queries} of {row['at']} in {songs}" == asked
                low, high = map(float, re.fullmatch("95 % interval (.*) to (.*) %", interval).groups())
                assert (low, high) == pytest.approx((row["low"], row["high"]), abs=0.00501)  # charts have six digits
    paper = {row["x"]: row["y"] for row in rows if row["n"] == "published" and row["l"] == "exact"}
    assert paper == {1: 62.2, 2: 83.2, 3: 87.4, 5: 92, 6: 93.3, 10: 95.6}  # Table 3, N = 640, d = 128


def test_open_set_curves_are_those_counted_again(grid):
    paths, cells, _ = grid
    chart = charts.chart_of(curves.right_over_false_accepts(cells, ["aug", "bsz"]))
    curve = [row for row in rows_in(chart) if (row["c"], row["l"]) == ("aug none, N=60", "queries of 1 s")]
    shares = curves.FALSE_ACCEPT_SHARES[301 * curves.FALSE_ACCEPT_SHARES > 1]  # shares that 300 queries can set
    assert curve[0]["x"] == pytest.approx(100 / 301, rel=1e-5)
    rates = 100 * openset.mean_hit_rates(openset.of_length([table_beside(paths[3])], 1), shares)
    at = np.searchsorted([row["x"] for row in curve], 100 * shares * (1 + 1e-5), side="right") - 1
    np.testing.assert_allclose([curve[i]["y"] for i in at], rates, rtol=1e-5)  # level between the points that are kept
    assert len(curve) < len(rates) / 2
    hits = pd.read_parquet(table_beside(paths[3])).query("length == 1")
    passed = hits["top1_song"] & (hits["score1"] > passed_by_few(hits["other_score"]))
    (usual,) = np.flatnonzero(np.isclose(shares, openset.FALSE_ACCEPTS))
    assert rates[usual] == pytest.approx(100 * passed.mean())
    again = recounted([table_beside(paths[3])], "open set", 1, ROWS_A_SONG)
    row = curve[at[usual]]
    assert again["said"].startswith(f"{row['y']:.2f} % of 300 queries of 1 s in 40 songs")
    assert row["n"] == "300 queries in 40 songs"
    assert all(one["low"] <= one["y"] <= one["high"] for one in curve)


def test_curves_on_one_another_are_differences_to_the_baseline(alike, grid):
    _, cells, table = alike
    drawing = differences_over_length(cells, ["index"], table)
    rows = rows_in(charts.chart_of(drawing))
    tested = table[table["match"].eq("exact") & ~table["baseline"]]
    assert len(rows) == len(tested) == 9 * len(LENGTHS)
    found = {(row["c"], row["at"]): [row.get(end, np.nan) for end in ("y", "low", "high")] for row in rows}
    assert sum(not np.isnan(low) for _, low, _ in found.values()) > 20
    for row in tested.to_dict("records"):
        against = [row[name] for name in ("minus_baseline", "minus_baseline_low", "minus_baseline_high")]
        assert found[row["index"], f"{row['query_s']:g} s"] == pytest.approx(against, abs=1e-4, nan_ok=True)
    base = table[table["match"].eq("exact") & table["baseline"]].set_index("query_s")["hit_rate_pct"]
    assert tested["minus_baseline"].tolist() == pytest.approx(
        (tested["hit_rate_pct"] - tested["query_s"].map(base)).tolist()
    )
    assert drawing.panels[0].y.title == "difference to type0, points"
    assert differences_over_length(grid[1], ["aug", "bsz"], grid[2]) is None  # these can be told apart


def test_five_curves_on_one_another_are_still_told_apart(alike, tmp_path):
    paths = alike[0][:5]
    study = Study("few", ["index"], baseline=(run_name(FIELDS), "type0"))
    assert differences_over_length(load_cells(paths), ["index"], tabulated(paths, study)[1]) is None
    one_more = alike[0][:6]
    cells, table = tabulated(one_more, study)
    assert differences_over_length(cells, ["index"], table) is not None
    assert differences_over_length(cells, ["index"], table.assign(baseline=False)) is None  # nothing to compare with
    far = [*paths, write_cell(tmp_path, {}, "far", 300, -3.0, 3)]
    assert differences_over_length(load_cells(far), ["index"], tabulated(far, study)[1]) is None


def test_the_papers_point_stays_where_ours_end(grid):
    drawing = curves.hit_rate_over(grid[1], "bsz", ["aug", "bsz"], PUBLISHED_ROWS)
    rows = rows_in(charts.chart_of(drawing))
    assert {row["at"]: row["y"] for row in rows if row["n"] == "published"} == {"120": 55.9, "320": 61.0, "640": 62.2}
    assert {row["at"] for row in rows if row["n"] != "published"} == {"60", "120", "240"}
    assert list(drawing.panels[0].x.ticks.values()) == ["60", "120", "240", "320", "640"]


def test_the_paper_is_named_by_what_compares(grid):
    like_theirs = {
        "protocol": "release",
        "test_ids": f"sha256:{ICASSP_IDS_SHA256}",
        "index": "ivfpq",
        "dataset": "full",
    }
    like_theirs |= {"index_options": json.dumps({"nlist": 200, "nprobe": 40, "m": 64, "nbits": 8})}
    for changes, name in (
        ({}, "paper (other database, test-dummy-db-100k-full), "),
        ({**like_theirs, "database_segments": 54e6}, "paper, "),
        ({**like_theirs, "database_segments": 54e6, "protocol": "clip"}, "paper (other protocol), "),
    ):
        cells = grid[1].assign(**changes)
        for drawing in (
            curves.hit_rate_over_length(cells, ["aug", "bsz"], PUBLISHED_ROWS),
            curves.hit_rate_over(cells, "bsz", ["aug", "bsz"], PUBLISHED_ROWS),
        ):
            assert [one for one in drawing.colours if one.startswith(name)]
            assert sum(one.startswith("paper") for one in drawing.colours) == 1
    songs = grid[1][grid[1]["match"].eq("song")]  # the paper's exact hits are nothing beside them
    assert not any("paper" in one for one in curves.hit_rate_over_length(songs, ["aug", "bsz"], PUBLISHED_ROWS).colours)


def test_configurations_that_are_not_drawn_are_counted(alike, grid):
    assert curves.hit_rate_over(alike[1], "bsz", ["index"]).note.endswith("; 2 lower configurations not plotted")
    assert "not plotted" not in curves.hit_rate_over(grid[1], "bsz", ["aug", "bsz"]).note


def test_misses_of_unknown_places_are_not_drawn(tmp_path):
    hits = {"top1_song": [50] * len(LENGTHS)}
    cells = [write_cell(tmp_path, {}, queries=60, hits=hits)]
    with pytest.raises(UserError, match="misses: the table of queries does not say where in their songs"):
        draw_misses(cells, {}, tmp_path / "misses.svg")


def test_markers_at_100_percent_are_whole(grid, tmp_path, monkeypatch):
    drawing = curves.hit_rate_over_length(grid[1], ["aug", "bsz"])
    assert drawing.panels[0].rows["y"].max() == 100
    chart = charts.chart_of(drawing)
    low, high = chart["layer"][-1]["encoding"]["y"]["scale"]["domain"]
    pixels = (high - 100) / (high - low) * chart["height"]
    assert pixels >= np.sqrt(50 / np.pi)  # radius of a marker of 50 square pixels
    drawn = []
    plot = plots.Axes.plot
    monkeypatch.setattr(plots.Axes, "plot", lambda *given, **style: drawn.append(style) or plot(*given, **style))
    plots.draw(drawing, tmp_path / "a.svg")
    dotted = [style for style in drawn if style.get("marker")]
    assert dotted and not any(style["clip_on"] for style in dotted)


# ---------------------------------------------------------------- colours


def test_colours_are_seen_on_a_light_and_on_a_dark_page():
    """3 to 1, as WCAG asks of graphics, on the backgrounds of page.css.j2."""
    shown = [one for one, _ in zip(colour.colours(), range(60), strict=False)]
    assert len(set(shown)) == 60
    for one in [*shown, colour.GREY, colour.FAINT]:
        for ground in ("#fdfdfb", "#15181b"):
            low, high = sorted(map(colour.luminance, (one, ground)))
            assert (high + 0.05) / (low + 0.05) >= (3 if one != colour.FAINT else 2.5), (one, ground)


def test_a_configuration_has_one_colour_on_the_whole_board(grid, alike):
    def keys(cells):
        return [
            CellKey(*one) for one in dict.fromkeys(zip(cells["run"], cells["index"], cells["query_set"], strict=True))
        ]

    studies = [(keys(grid[1]), ["aug", "bsz"]), (keys(alike[1]), ["index"])]
    known = colour.of_board(studies)
    assert len(set(known.values())) == len(known)
    first = curves.hit_rate_over_length(grid[1], ["aug", "bsz"], palette=colour.Palette(known)).colours
    open_set = curves.right_over_false_accepts(grid[1], ["aug", "bsz"], colour.Palette(known)).colours
    some = grid[1][grid[1]["bsz"].eq(240) & grid[1]["aug"].eq("none")]
    alone = curves.hit_rate_over_length(some, ["aug", "bsz"], palette=colour.Palette(known)).colours
    assert first == open_set
    assert alone["aug none, N=240"] == first["aug none, N=240"]
    types = curves.hit_rate_over_length(alike[1], ["index"], palette=colour.Palette(known)).colours
    costs = pareto.index_costs(alike[1], colour.Palette(known))[1].colours
    assert len(types) == 9  # eight, and the others
    assert {name: costs[name] for name in types if name in costs} == {n: types[n] for n in types if n != "2 others"}
    over = curves.hit_rate_over(grid[1], "bsz", ["aug", "bsz"], palette=colour.Palette(known)).colours
    assert not set(over.values()) & set(first.values())  # a curve that joins configurations is none of them


def test_few_methods_asked_many_query_sets_have_the_first_colours():
    runs = [run_name(FIELDS), "method=landmarks", "method=chromaprint"]
    cells = [CellKey(run, "", query_set) for run in runs for query_set in ("files", *(f"noise_{i}" for i in range(30)))]
    palette = colour.Palette(colour.of_board([(cells, ["query_set"])]))
    assert [palette.of_run(run, "") for run in runs] == colour.FIRST[:3]
    assert [palette.of_run(run, "", "noise_3", ("seed", "query_set")) for run in runs] == colour.FIRST[:3]


def test_seeds_share_a_colour_unless_they_are_what_varies():
    cells = [CellKey(run_name(FIELDS | {"seed": seed}), "l2") for seed in range(3)]
    assert len(colour.of_board([(cells, [])])) == 1
    assert len(colour.of_board([(cells, ["seed"])])) == 3
    palette = colour.Palette(colour.of_board([(cells, [])]))
    assert len({palette.of_run(cell.run, "l2") for cell in cells}) == 1
    noisy = colour.configuration_of(
        CellKey(cells[0].run, "l2", "noise"), parse_run(cells[0].run), ("seed", "query_set")
    )
    assert noisy in palette.known  # curves over strengths have the colour of the data set's own queries


def test_learning_curves_have_the_colours_of_their_configurations(tmp_path):
    runs = [run_name(FIELDS | {"aug": aug, "seed": seed}) for aug in ("full", "none") for seed in (0, 1)]
    for run in runs:
        (tmp_path / run).mkdir()
        pd.DataFrame({"epoch": [1, 2], "loss": [2.0, 1.0], "val_top1_1s": [10.0, 20.0]}).to_csv(
            tmp_path / run / "history.csv", index=False
        )
    known = colour.of_board([([CellKey(run, "l2") for run in runs], ["aug"])])
    draw_learning([tmp_path / run / "history.csv" for run in runs], Look([], 9, "l2", known), tmp_path / "learning.svg")
    chart = json.loads((tmp_path / "learning.vl.json").read_text(encoding="utf-8"))
    scale = chart["concat"][0]["layer"][0]["encoding"]["color"]["scale"]
    assert scale["domain"] == ["aug full, seed 0", "aug full, seed 1", "aug none, seed 0", "aug none, seed 1"]
    assert scale["range"] == [colour for colour in list(known.values())[:2] for _ in range(2)]
    assert [(row["x"], row["y"]) for row in rows_in(chart)][:2] == [(1, 2.0), (2, 1.0)]


# ---------------------------------------------------------------- drawing them


def history():
    epochs = np.arange(1, 11)
    found = np.where(epochs % 5 == 0, 4.0 * epochs, np.nan)
    return pd.DataFrame({"epoch": epochs, "loss": 4 / epochs, "val_top1_1s": found, "collapsed": epochs > 8})


def scale_table(length):
    sizes = [1000, 3000, 10000, 100000]
    columns = {"length": length, "segments": sizes, "fitted": [90, 85, 80, 70], "low": 60, "high": 95, "queries": 100}
    return pd.DataFrame(columns | {"measured": [91, 84, 80, np.nan], "ms": [0.1, 0.3, 1, 10], "songs": 40})


def beyond_table(lengths=(1, 5, 19)):
    """Predictions of three methods: the data, and databases up to ten billion segments; generated songs end early."""
    sizes = {"extreme values": [5700, 1e5, 1e10], "trend": [5700, 1e5, 1e10], "generated songs": [5700, 1e5]}
    rows = [
        (length, method, size) for length in lengths for method, all_of_them in sizes.items() for size in all_of_them
    ]
    table = pd.DataFrame(rows, columns=["length", "method", "segments"]).assign(
        kind="prediction", queries=400, query_songs=40
    )
    rate = 95 - 5 * np.log10(table["segments"] / 5700) - 10 * (table["length"] == 1)
    return Beyond(table.assign(songs=table["segments"] / 59, hit_rate_pct=rate, low_pct=rate - 3, high_pct=rate + 2))


CHARTS = {
    "length": lambda cells, names: charts.chart_of(curves.hit_rate_over_length(cells, ["aug"], PUBLISHED_ROWS)),
    "over": lambda cells, names: charts.chart_of(curves.hit_rate_over(cells, "aug", ["aug"], order=names)),
    "open set": lambda cells, names: charts.chart_of(curves.right_over_false_accepts(cells, ["aug"])),
    "costs": lambda cells, names: charts.chart_of(pareto.index_costs(cells)[1]),
    "learning": lambda cells, names: charts.chart_of(trends.learning_curves({name: history() for name in names}, 3000)),
    "scale": lambda cells, names: charts.chart_of(
        trends.scale({name: pd.concat([scale_table(1), scale_table(19)]) for name in names})
    ),
    "misses": lambda cells, names: misses.chart_of_answers(
        {name: pd.Series([50, 20, 10, 10, 5, 4, 1, 0], index=list(misses.KINDS)) for name in names}, 1, 40
    ),
    "similarity": lambda cells, names: similarity.chart_of_matrices({name: np.eye(20) for name in names}),
}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Cells with augmentations and indexes whose names want to be markup or code."""
    paths = write_grid(tmp_path_factory.mktemp("hostile"), [{"aug": name} for name in HOSTILE], HOSTILE[:2], 60)
    return load_cells(paths)


@pytest.mark.parametrize("kind", CHARTS)
def test_every_chart_can_be_drawn_with_any_names(hostile, kind):
    chart = CHARTS[kind](hostile, HOSTILE)
    svg = vl_convert.vegalite_to_svg(json.loads(json.dumps(chart, allow_nan=False)), vl_version=VEGA_LITE)
    assert svg.startswith("<svg")
    assert "<script" not in svg and "<img" not in svg
    assert "NaN" not in svg and "undefined" not in svg
    assert "Песня" in svg


def test_a_heat_map_is_drawn_over_strengths_too(tmp_path):
    paths, study = write_ladders(tmp_path, [({"aug": "full"}, 0.8), ({"method": HOSTILE[0]}, 0)])
    matrix = matrix_of(load_cells(paths), study)
    chart = charts.chart_of(trends.strengths(matrix))
    rates = matrix.rates.query("query_s == 3")
    assert len(rows_in(chart)) == sum(2 * len(one["sets"]) for one in study.ladders if one["curve"])
    rows = {(row["c"], row["at"]): row["y"] for row in rows_in(chart)}
    (wanted,) = rates.query("query_set == 'noise_m5' and configuration == 'nafp'")["hit_rate_pct"]
    assert rows["nafp", "−5 dB SNR"] == pytest.approx(wanted, abs=1e-4)
    assert vl_convert.vegalite_to_svg(chart, vl_version=VEGA_LITE).startswith("<svg")


def test_panels_without_a_row_are_left_out(tmp_path):
    never = history().drop(columns="val_top1_1s")
    chart = charts.chart_of(trends.learning_curves({"a": never, "b": never}, 9))
    assert chart["title"]["text"] == "training loss" and "concat" not in chart
    missing = ["noise_m10", "noise_m5", "noise_0", "noise_10"]
    paths, study = write_ladders(tmp_path / "some", [({}, 0.8)], missing)
    some = charts.chart_of(trends.strengths(matrix_of(load_cells(paths), study)))
    assert [panel["layer"][-1]["encoding"]["x"]["axis"]["title"] for panel in some["concat"]] == [
        "low-pass, Hz",
        "speed, %",
    ]
    none = [name for ladder in study.ladders if ladder["curve"] for name in ladder["sets"]]
    paths, study = write_ladders(tmp_path / "none", [({}, 0.8), ({"aug": "none"}, 0)], none)
    empty = charts.chart_of(trends.strengths(matrix_of(load_cells(paths), study)))
    for one in (chart, some, empty):
        assert vl_convert.vegalite_to_svg(json.loads(json.dumps(one, allow_nan=False)), vl_version=VEGA_LITE)


def test_the_version_that_draws_here_is_that_of_the_page():
    assert vl_convert.get_vegalite_versions()[-1] == VEGA_LITE
    assert re.search(r'"6\.4\.\d+"', library())


def test_the_job_writes_a_chart_beside_the_pictures(alike, tmp_path):
    paths, cells, table = alike
    table.to_csv(tmp_path / "index_types.csv", index=False)
    planned = [{"run": run_name(FIELDS), "index": f"type{i}", "query_set": "files", **FIELDS} for i in range(10)]
    study = {"name": "index_types", "varied": ["index"], "planned": planned}
    svg = tmp_path / "index_types.hit_rate.svg"
    draw_study("hit_rate", study, paths, tmp_path / "index_types.csv", PUBLISHED, Look([], 1), svg)
    assert all(svg.with_suffix(f".{kind}").stat().st_size > 5000 for kind in ("svg", "png", "pdf"))
    chart = json.loads(svg.with_suffix(".vl.json").read_text(encoding="utf-8"))
    assert chart["title"]["text"] == "difference to type0, points"
    assert chart == json.loads(json.dumps(charts.chart_of(differences_over_length(cells, ["index"], table))))
    assert figure_of("hit_rate", svg).caption.startswith("Do they differ?")  # which has no dashed curves
    draw_study("hit_rate", study, paths[:2], tmp_path / "index_types.csv", PUBLISHED, Look([], 1), svg)
    assert figure_of("hit_rate", svg).caption.startswith("How much audio does a query need?")


# ---------------------------------------------------------------- on the page


def page_with(cells, figures):
    return Page("T", Top(), [Section("table3", "?", tabulated([], Study("empty"))[1], figures)]).html()


def test_the_page_holds_library_and_charts_once(grid, hostile):
    shown = [
        Shown("One? Yes.", charts.chart_of(curves.hit_rate_over_length(cells, ["aug"])), f"a{number}")
        for number, cells in enumerate((grid[1], hostile))
    ]
    page = page_with(hostile, shown)
    opened = [at.start() for at in re.finditer("<script", page)]
    closed = [at.start() for at in re.finditer("</script", page)]
    assert len(opened) == len(closed) == 2  # the library and the page's own
    assert all(a < b for a, b in pairwise(sorted([*opened, *closed])))
    assert "<!--" not in page
    assert page.count("window.vegaEmbed=") == 1
    held = json.loads(re.search(r"^const charts = (.*);$", page, flags=re.MULTILINE)[1])
    assert [chart["data"] for chart in held] == [figure.chart["data"] for figure in shown]
    assert {row["c"] for row in rows_in(held[1])} == set(
        shown[1].chart["layer"][0]["encoding"]["color"]["scale"]["domain"]
    )
    for kind in ("svg", "png", "pdf"):
        assert f'<a href="a0.{kind}">{kind.upper()}</a>' in page
    assert "<noscript>" in page
    assert "n = 300 queries in 40 songs; band: 95\u00a0% interval" in page


def test_a_page_without_charts_has_no_library(grid):
    page = page_with(grid[1], [])
    assert "vegaEmbed" not in page
    assert Charts().library == ""
    assert len(page) < 60_000


def test_text_in_a_script_does_not_end_it():
    text = script_json(["</script><!-- \u2028 & é"])
    assert not {"<", "\u2028"} & set(text)
    assert json.loads(text) == ["</script><!-- \u2028 & é"]


def test_beyond_the_data_the_shortest_and_the_longest_queries_are_shown_with_what_is_predicted_open():
    drawing = trends.beyond(beyond_table())
    (panel,) = drawing.panels
    assert list(drawing.colours) == ["extreme values", "trend", "generated songs"]
    assert drawing.lines == {"queries of 1 s": "solid", "queries of 10 s": "dashed"}
    assert len(panel.rows) == 2 * (3 + 3 + 2)
    assert (panel.rows["open"] == (panel.rows["x"] > 5700)).all()
    assert (panel.rows["low"] == panel.rows["y"] - 3).all()
    assert drawing.note.startswith("n = 400 queries in 40 songs")
    svg = vl_convert.vegalite_to_svg(charts.chart_of(drawing), vl_version=VEGA_LITE)
    assert "100,000" in svg and "10 B" in svg and "NaN" not in svg and "undefined" not in svg
    none = trends.beyond(Beyond(beyond_table().table.iloc[:0]))
    assert none.note == "not extrapolated: there are too few songs"
    assert none.panels[0].rows.empty


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.05, "0.05"), (1000, "1,000"), (1e5, "100,000"), (1e6, "1 M"), (5e8, "500 M"), (1e10, "10 B")],
)
def test_numbers_on_an_axis_of_ratios(value, text):
    assert plots.number_text(value) == text
