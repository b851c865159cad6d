"""What is said of hit rates beyond the data: sentences, Markdown and the page, from made-up extrapolations."""

import re

import numpy as np
import pandas as pd
import pytest
from test_page import HOSTILE, Reader

from nafp.evaluation.extremes import CHECKED, EXTREMES, GENERATED, PREDICTED, TREND
from nafp.report.page.beyond import beyond_of
from nafp.report.page.page import Page
from nafp.report.tables.beyond import Beyond, size_text, to_markdown
from nafp.report.tables.job import read_beyond, write_beyond

SIZES = [11_800, 1e6, 1e9]


def made_up(drop: float = 30.0, lengths=(1, 3, 19), methods=(EXTREMES, TREND), names=("l2",)) -> pd.DataFrame:
    """Both methods begin with 90 %; by the last size extreme values have lost 10 points and the trend 10 + ``drop``."""
    rows = []
    for length in lengths:
        for method in methods:
            lost = np.array([0, 0.5, 1]) * (10 + (drop if method == TREND else 0))
            for segments, rate in zip(SIZES, 90 - lost, strict=True):
                one = {"kind": PREDICTED, "method": method, "length": length, "hit_rate_pct": rate}
                one |= {"segments": segments, "songs": segments / 59, "low_pct": rate - 8, "high_pct": rate + 6}
                rows.append(one | {f"{name}_gb": segments * 512e-9 for name in names})
            for part, off in enumerate([-2.0, 1.0, 4.0], start=1):
                one = {"kind": CHECKED, "method": method, "length": length, "part": part, "segments": SIZES[0]}
                one |= {"hit_rate_pct": 90 + off, "measured_pct": 90.0, "difference": off, "songs": 200}
                rows.append(one | {"difference_low": off - 2.5, "difference_high": off + 2.5, "fitted_songs": 60})
    return pd.DataFrame(rows).assign(queries=1640, query_songs=40)


def test_the_sentences():
    checked, parted = Beyond(made_up()).says
    assert checked == (
        "Fitted to 60 random songs and held against all 200, extreme values were 2.3 points off on average, inside the 95 % "
        "interval 6 of 9 times; the trend was 2.3 points off on average, inside the 95 % interval 6 of 9 times."
    )
    assert parted == (
        "From 1 million segments on (queries of 1, 2, 10 s), the intervals of extreme values and trend do not overlap: the "
        "data do not say which is right."
    )
    assert Beyond(made_up(drop=5)).says[1] == "The intervals of extreme values and trend overlap at every size."
    assert Beyond(made_up(methods=[EXTREMES])).says[1:] == []


@pytest.mark.parametrize(
    "number, text", [(4720, "4,720"), (1e6, "1 million"), (16.949e6, "16.9 million"), (1e9, "1 billion")]
)
def test_sizes_in_words(number, text):
    assert size_text(number) == text


def test_the_files(tmp_path):
    made_up().to_csv(tmp_path / "extrapolation.csv", index=False)
    write_beyond(tmp_path / "extrapolation.csv", tmp_path / "beyond.csv")
    times = made_up()["segments"].map({SIZES[0]: 1, SIZES[1]: 84.7458, SIZES[2]: 84745.7627})
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "beyond.csv"), made_up().assign(times=times), check_dtype=False
    )
    text = (tmp_path / "beyond.md").read_text(encoding="utf-8")
    assert "| 1 s | extreme values | 90.0 (82–96) | 85.0 (77–91) | 80.0 (72–86) |" in text
    assert "| 10 s | trend | 90.0 (82–96) | 70.0 (62–76) | 50.0 (42–56) |" in text
    assert "|  | songs | 200 | 16,949 | 16.9 million |" in text
    assert "|  | l2, GB | 0.00604 | 0.512 | 512 |" in text
    assert "| 2 s | trend | 60 | 200 | 91.0 | 90.0 | 2.3 | 2 of 3 |" in text
    assert "| query | method | 11,800 | 1 million | 1 billion\\* |" in text
    assert "\n\n\\* more than 100 times the data.\n" in text
    near = made_up()[lambda rows: rows["segments"] < 1e9]
    assert "\\*" not in to_markdown(Beyond(near))
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({line.count("|") for line in block.splitlines()}) == 1 for block in tables) and len(tables) == 2


def test_too_few_songs(tmp_path):
    made_up().iloc[:0].to_csv(tmp_path / "extrapolation.csv", index=False)
    write_beyond(tmp_path / "extrapolation.csv", tmp_path / "beyond.csv")
    assert "too few songs" in (tmp_path / "beyond.md").read_text()
    empty = read_beyond(tmp_path / "beyond.csv")
    assert beyond_of(empty) == {} and beyond_of(None) == {}
    assert 'id="beyond"' not in Page("t", beyond=empty).html()


def test_the_page_shows_the_shortest_and_the_longest_queries():
    page = Reader(Page("title", beyond=Beyond(made_up())).html())
    assert ("a", "href", "#beyond") in page.attributes and ("section", "id", "beyond") in page.attributes
    assert page.tags.count("table") == 2
    words = re.sub(r"\s+", " ", page.text.replace("\u00a0", " "))
    assert "Queries of 1 s extreme values 90.0 82–96 85.0 77–91 80.0 72–86 trend 90.0 82–96 70.0" in words
    assert "Queries of 10 s" in words and "Queries of 2 s" not in words
    assert (
        "1 billion* 16.9 million songs" in words and "1 million 16,949 songs" in words
    )  # 85,000 and 85 times the data
    assert "2 s trend 60 200 91.0 90.0 2.3 2 of 3" in words
    assert "1,640 queries in 40 songs" in words


def test_generated_songs_end_where_they_were_generated():
    """Their rows end with a dash; how their best scores compare is said."""
    table = made_up(methods=[EXTREMES, TREND, GENERATED])
    of_them = table["method"] == GENERATED
    table = table[~(of_them & (table["segments"] == 1e9))]
    table.loc[of_them & (table["kind"] == CHECKED), "best_higher"] = [-0.04, -0.05, -0.06] * 3
    found = Beyond(table)
    assert "generated songs were 2.3 points off" in found.says[0]
    assert found.says[1] == "The best of the generated songs scored 0.050 below that of as many held-out songs."
    assert "| 1 s | generated songs | 90.0 (82–96) | 85.0 (77–91) | – |" in to_markdown(found)
    words = " ".join(Reader(Page("title", beyond=found).html()).text.split())
    assert "generated songs 90.0 82–96 85.0 77–91 –" in words


def test_hostile_names_of_indexes_stay_text():
    page = Page("title", beyond=Beyond(made_up(names=HOSTILE))).html()
    reader = Reader(page)
    assert all(name in reader.text for name in HOSTILE)
    assert "script" not in reader.tags[: reader.tags.index("main")] and reader.tags.count("script") == 1
    assert not any(name.startswith("on") for _, name, _ in reader.attributes)
