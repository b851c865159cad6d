"""The tables: hand-computed rates, pooled seeds, and Table 3 of the paper as it is printed."""

import json
from pathlib import Path

import pandas as pd
import pytest

from nafp.report import scoreboard
from nafp.report.cells import label, pool_seeds, run_labels

PUBLISHED = Path(__file__).parents[1] / "published" / "nafp.csv"

TABLE_3 = """
paper        | now-playing (replicated, 2 s unit)  | 320 | 128 | exact | –    | 44.3 | 60.1 | 73.6 | 81.0 | 86.1
paper        | now-playing (replicated, 2 s unit)  | 320 | 128 | near  | –    | 46.8 | 63.5 | 75.2 | 81.6 | 86.3
paper        | now-playing (modified for 1 s unit) | 320 | 64  | exact | 25.8 | 58.5 | 69.3 | 78.5 | 81.4 | 87.7
paper        | now-playing (modified for 1 s unit) | 320 | 64  | near  | 30.9 | 61.3 | 71.2 | 79.5 | 82.2 | 88.3
paper        | now-playing (modified for 1 s unit) | 320 | 128 | exact | 26.3 | 58.2 | 69.5 | 78.4 | 81.4 | 87.8
paper        | now-playing (modified for 1 s unit) | 320 | 128 | near  | 30.9 | 61.1 | 71.8 | 79.8 | 83.0 | 89.2
paper        | nafp                                | 640 | 64  | exact | 54.6 | 78.9 | 85.4 | 90.4 | 92.0 | 94.9
paper        | nafp                                | 640 | 64  | near  | 61.3 | 81.7 | 86.7 | 90.9 | 92.7 | 95.1
paper        | nafp                                | 640 | 128 | exact | 62.2 | 83.2 | 87.4 | 92.0 | 93.3 | 95.6
paper        | nafp                                | 640 | 128 | near  | 68.3 | 84.9 | 88.7 | 92.7 | 94.1 | 95.8
paper        | nafp                                | 320 | 128 | exact | 61.0 | 82.2 | 87.1 | 91.8 | 93.1 | 95.2
paper        | nafp                                | 320 | 128 | near  | 67.1 | 84.1 | 88.1 | 92.5 | 93.9 | 95.5
paper        | nafp                                | 120 | 128 | exact | 55.9 | 78.8 | 84.9 | 90.9 | 92.2 | 95.3
paper        | nafp                                | 120 | 128 | near  | 62.3 | 80.9 | 86.3 | 91.5 | 92.8 | 95.5
paper        | nafp (no augmentation)              | –   | 128 | exact | 0.0  | 0.0  | 0.0  | 0.0  | 0.0  | 0.0
paper        | nafp (no augmentation)              | –   | 128 | near  | 0.0  | 0.0  | 0.0  | 0.0  | 0.0  | 0.0
users' re-run| nafp (released code)                | 120 | 128 | exact | 68.0 | 88.9 | 94.3 | 97.4 | 98.1 | 99.2
users' re-run| nafp (released code)                | 120 | 128 | near  | 73.0 | 90.3 | 94.7 | 97.4 | 98.2 | 99.2
"""


@pytest.fixture(scope="module")
def published():
    return scoreboard.load_published(PUBLISHED)


@pytest.fixture
def cells_of(tmp_path):
    """A function that writes cells (each a dict laid over a default one) and loads them."""

    def write(*overrides):
        return scoreboard.load_cells([write_cell(tmp_path / f"{i}.json", **over) for i, over in enumerate(overrides)])

    return write


def write_cell(path, *, exact=(250, 400), near=(300, 410), seed=0, index="ivfpq", fields=None, **over):
    fields = {"aug": "full", "bsz": 120, "dim": 128, "loss": "ntxent", "seed": seed} | (fields or {})
    cell = {
        "dataset": "demo",
        "run": "_".join(f"{key}={value}" for key, value in fields.items()),
        "fields": fields,
        "epoch": "best",
        "index": index,
        "protocol": "clip",
        "database": {"dummy": 9440, "db": 2360},
        "queries": 500,
        "lengths": [1, 19],
        "seconds": [1, 10],
        "hits": {
            "top1_exact": list(exact),
            "top1_near": list(near),
            "top3_exact": [310, 420],
            "top10_exact": [330, 430],
        },
        "build_s": 0.5,
        "index_bytes": 1_180_000,
        "ms_per_query": [0.1, 0.4],
    }
    path.write_text(json.dumps(cell | over), encoding="utf-8")
    return path


def rates(table, match="exact"):
    ours = table[(table["source"] == "this run") & (table["match"] == match)]
    return ours[["1 s", "10 s"]].to_numpy().tolist()


def test_cells_are_one_row_per_length_and_match_with_hand_computed_rates(cells_of):
    cells = cells_of({})
    assert len(cells) == 2 * 4
    assert set(cells["match"]) == {"exact", "near", "top3", "top10"}
    first = cells.iloc[0]
    assert (first["seconds"], first["match"], first["hits"], first["hit_rate_pct"]) == (1, "exact", 250, 50.0)
    assert first["database_segments"] == 11_800
    assert first["low_pct"] == pytest.approx(45.634, abs=1e-3)  # Wilson, 250 of 500, by hand
    assert first["high_pct"] == pytest.approx(54.366, abs=1e-3)
    assert list(cells[cells["match"] == "near"]["hit_rate_pct"]) == [60.0, 82.0]
    assert list(cells[cells["match"] == "exact"]["ms_per_query"]) == [0.1, 0.4]


@pytest.mark.parametrize(
    ("over", "complaint"),
    [
        ({"seconds": [1]}, "2 values for 1 query lengths"),
        ({"exact": (501, 3)}, "between 0 and the 500 queries"),
        ({"fields": {"epoch": 3}}, "may not be called epoch"),
    ],
)
def test_a_malformed_cell_is_named(cells_of, over, complaint):
    with pytest.raises(ValueError, match=f"0.json: .*{complaint}"):
        cells_of(over)


def test_the_same_cell_twice_is_refused(cells_of):
    with pytest.raises(ValueError, match="counted twice"):
        cells_of({}, {})


def test_seeds_are_pooled_and_counted_and_nothing_else_is(cells_of, published):
    cells = cells_of(
        {"seed": 0, "exact": (250, 400)},
        {"seed": 1, "exact": (300, 401)},
        {"fields": {"aug": "none"}, "exact": (5, 50)},
        {"fields": {"loss": "triplet"}, "exact": (100, 200)},
    )
    table = scoreboard.table(cells, published, "mine", ["aug"])
    assert rates(table) == [[55.0, 80.1], [1.0, 10.0], [20.0, 40.0]]  # (250 + 300) / 1000; (400 + 401) / 1000
    assert list(table["seeds"]) == [2, 2, 1, 1, 1, 1]
    assert list(table["method"].unique()) == [
        "nafp, aug full, ntxent",
        "nafp, aug none, ntxent",
        "nafp, aug full, triplet",
    ]
    assert list(table["match"]) == ["exact", "near"] * 3


def test_a_study_of_the_seed_keeps_seeds_apart(cells_of, published):
    table = scoreboard.table(cells_of({"seed": 0}, {"seed": 1}), published, "mine", ["seed"])
    assert list(table["method"].unique()) == ["nafp, seed 0", "nafp, seed 1"]


def test_more_seeds_do_not_narrow_the_interval_of_one_test_set(cells_of):
    one, two = pool_seeds(cells_of({})), pool_seeds(cells_of({"seed": 0}, {"seed": 1}))
    assert two["queries"].eq(1000).all()
    pd.testing.assert_frame_equal(one[["low_pct", "high_pct"]], two[["low_pct", "high_pct"]])


def test_table_3_of_the_paper_as_printed(published):
    table = scoreboard.table(scoreboard.load_cells([]), published, "table3", ["bsz"])
    text = scoreboard.formatted(table)
    lengths = ["1 s", "2 s", "3 s", "5 s", "6 s", "10 s"]
    assert list(table.columns) == ["source", "method", "N", "d", "index", "seeds", "match", *lengths, "comparable"]
    shown = text[["source", "method", "N", "d", "match", *lengths]].to_numpy().tolist()
    assert shown == [[part.strip() for part in line.split("|")] for line in TABLE_3.strip().splitlines()]
    assert set(table["comparable"]) == {"no: other data set"}


@pytest.mark.parametrize(
    ("study", "methods"),
    [
        ("table4", [("nafp", 16), ("nafp", 32), ("nafp", 64), ("nafp", 128)]),
        ("ablation_augmentation", [("nafp", 128)] * 2 + [("nafp (no augmentation)", 128)] * 2),
        ("indexes", []),
    ],
)
def test_published_rows_belong_to_their_study(published, study, methods):
    table = scoreboard.table(scoreboard.load_cells([]), published, study, [])
    assert list(zip(table["method"], table["d"], strict=True)) == methods


@pytest.mark.parametrize(("dataset", "expected"), [("full", {"yes"}), ("mini", {"no: other data set"})])
def test_only_the_full_data_set_compares(cells_of, published, dataset, expected):
    table = scoreboard.table(cells_of({"dataset": dataset}), published, "table3", ["bsz"])
    assert list(table["source"].unique()) == ["this run", "paper", "users' re-run"]
    assert set(table["comparable"].dropna()) == expected


def test_markdown_marks_our_best_and_what_is_missing(cells_of, published):
    cells = cells_of({"exact": (250, 400)}, {"fields": {"bsz": 60}, "exact": (200, 450)})
    table = scoreboard.table(cells, published, "table3", ["bsz"])
    lines = scoreboard.to_markdown(table, scoreboard.caption(cells, table)).splitlines()
    rows = [[part.strip() for part in line.strip("|").split("|")] for line in lines[2:]]
    assert lines[0].startswith("Data set demo: 500 queries (protocol clip), database of 11,800 segments, index ivfpq")
    assert "another database" in lines[0]
    first, second = (dict(zip(rows[0], rows[i], strict=True)) for i in (2, 4))
    assert (first["N"], first["1 s"], first["2 s"], first["10 s"]) == ("120", "**50.0**", "–", "80.0")
    assert (second["N"], second["1 s"], second["10 s"]) == ("60", "40.0", "**90.0**")
    assert all("**" not in "".join(row) for row in rows[6:])  # no published number is our best
    assert "nan" not in "\n".join(lines).lower().replace("none", "")


def test_markdown_escapes_names(cells_of, published):
    cells = cells_of({"fields": {"aug": "a|b <script>\n*x*"}})
    row = scoreboard.to_markdown(scoreboard.table(cells, published, "mine", ["aug"])).splitlines()[2]
    assert r"a\|b \<script> \*x\*" in row


def test_runs_are_named_by_what_tells_them_apart(cells_of):
    kinds = [("full", 0), ("full", 1), ("none", 0)]
    runs = [{"run": f"r{i}", "fields": {"aug": aug, "bsz": 120, "seed": seed}} for i, (aug, seed) in enumerate(kinds)]
    names = {"r0": "aug full, seed 0", "r1": "aug full, seed 1", "r2": "aug none, seed 0"}
    assert run_labels(cells_of(*runs)) == names
    assert run_labels(cells_of(runs[0], runs[2])) == {"r0": "aug full", "r2": "aug none"}
    assert run_labels(cells_of(runs[0])) == {"r0": "r0"}


def test_an_index_study_shows_what_an_index_costs(cells_of, published):
    cells = cells_of(
        {"index": "l2"}, {"index": "hnsw", "ms_per_query": [0.2, 0.8], "build_s": None, "recall": {"nearest": 0.987}}
    )
    table = scoreboard.table(cells, published, "indexes", ["index"])
    exact = table[table["match"] == "exact"]
    assert list(exact["index"]) == ["l2", "hnsw"]
    assert list(exact["MB"]) == [1.18, 1.18]
    assert list(exact["ms per query (10 s)"]) == [0.4, 0.8]
    assert list(scoreboard.formatted(exact.reset_index(drop=True))["build s"]) == ["0.5", "–"]
    assert list(scoreboard.formatted(exact.reset_index(drop=True))["recall %"]) == ["–", "98.7"]


def test_short_configurations_have_their_own_lengths(cells_of, published):
    over = {"seconds": [0.5, 2], "lengths": [1, 3]}
    table = scoreboard.table(cells_of(over), published, "mine", ["index"])
    assert [name for name in table.columns if name.endswith(" s") and name != "build s"] == ["0.5 s", "2 s"]
    assert "ms per query (2 s)" in table.columns


def test_headline_tells_the_best_the_longest_and_the_gain(cells_of):
    cells = cells_of({"exact": (250, 400)}, {"fields": {"aug": "none"}, "exact": (25, 60)})
    best, longest, bare, size = scoreboard.headline(cells)
    assert best["value"] == "50.0 %"
    assert "45.6 to 54.4 %" in best["text"]
    assert "best of 2 configurations: aug full, N=120, d=128, ivfpq" in best["text"]
    assert longest["value"] == "80.0 %"
    assert bare["value"] == "5.0 %"
    assert "10 times" in bare["text"]
    assert size["value"] == "11,800"


def test_headline_copes_with_one_run_none_found_and_nothing(cells_of):
    assert scoreboard.headline(scoreboard.load_cells([])) == []
    assert len(scoreboard.headline(cells_of({}))) == 3
    bare = scoreboard.headline(cells_of({}, {"fields": {"aug": "none"}, "exact": (0, 0)}))[2]
    assert (bare["value"], "times" in bare["text"]) == ("0.0 %", False)
    other = scoreboard.headline(cells_of({}, {"fields": {"aug": "none", "bsz": 60}, "exact": (1, 1)}))
    assert not any("without augmentation" in figure["text"] for figure in other)


def test_labels_use_the_symbols_of_the_paper():
    row = {"aug": "full", "bsz": 640, "dim": 128, "index": "l2", "seed": 3, "tau": 0.05}
    assert label(row, row) == "aug full, N=640, d=128, l2, seed 3, tau 0.05"
