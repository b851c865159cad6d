"""Matches held against annotations: hand-computed examples, those of the toolkit's text, and a recount second by second."""

import math
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest

from nafp.commands import judge as command
from nafp.errors import UserError
from nafp.evaluation.annotated import ENDS, PAIR, Box, judge, of_boxes, of_seconds, read_boxes, summarised

ANNOTATED = Box((15, 40), (20, 45), 1.0)


def box(reference, query, tempo=1.0):
    return Box(reference, query, tempo)


@pytest.mark.parametrize(
    ("matched", "counts"),
    [
        (
            [box((30, 45), (33, 51))],
            (10, 6, 15, 2),
        ),  # the toolkit's example 1; the query's 2 s more are not counted against it
        ([box((50, 65), (33, 51))], (0, 6, 25, 12)),  # example 3, a refrain: 12 s may be right
        ([box((15, 40), (20, 45))], (25, 0, 0, 0)),
        ([box((15, 30), (20, 35)), box((25, 40), (30, 45))], (25, 0, 0, 0)),  # what overlaps counts once
        ([box((15, 40), (60, 85))], (0, 25, 25, 0)),  # the right part of the song in another place of the query
        ([], (0, 0, 25, 0)),
    ],
)
def test_seconds_by_hand(matched, counts):
    assert tuple(of_seconds([ANNOTATED], matched).values()) == counts


def test_a_match_of_another_reference_counts_with_its_own_tempo():
    """The toolkit's example 2: its program takes the 18 s of the query for the 15 s of the reference that they are matched to."""
    assert of_seconds([], [box((30, 45), (33, 51))]) == {"tp": 0, "fp": 15, "fn": 0, "up": 0}


def test_seconds_of_a_query_at_another_tempo_are_those_of_the_reference():
    """20 s of the query at 125 % are 25 s of the reference; of those 12 are found: 12 x 1.25 = 15 s."""
    fast = box((0, 25), (100, 120), 1.25)
    assert of_seconds([fast], [box((0, 15), (100, 112))]) == {"tp": 15, "fp": 0, "fn": 10, "up": 0}
    longer = [box((0, 15), (100, 113))]  # 13 s of the query are 16.25, so 1 s whole more than in the reference
    assert of_seconds([fast], longer) == {"tp": 15, "fp": 0, "fn": 10, "up": 1}


def test_boxes_by_hand():
    """10 of 25 s and 12 of 25 s; 10 of 15 s and 12 of 18 s."""
    found = of_boxes([ANNOTATED], [box((30, 45), (33, 51))])
    assert found == {"recall": pytest.approx(0.4 * 0.48), "precision": pytest.approx(10 / 15 * 12 / 18)}
    assert of_boxes([ANNOTATED], []) == {"recall": 0, "precision": 1}
    assert of_boxes([], [ANNOTATED]) == {"recall": 0, "precision": 0}
    assert of_boxes([ANNOTATED], [box((50, 65), (33, 51))]) == {"recall": 0, "precision": 0}


def by_seconds(annotated, matched):
    """``of_seconds`` counted second by second, in sets."""

    def seconds(span):
        return set(range(*span))

    def both(one, others):
        hit = [(seconds(one.reference) & seconds(o.reference), seconds(one.query) & seconds(o.query)) for o in others]
        hit = [pair for pair in hit if all(pair)]
        return set().union(*(a for a, _ in hit)), set().union(*(b for _, b in hit))

    def near(value, target):
        return math.ceil(value) if target > value else math.floor(value)

    tp = fp = fn = up = 0
    for one in annotated:
        a, b = both(one, matched)
        tp += min(len(a), near(len(b) * one.tempo, len(seconds(one.reference))))
        fn += max(len(seconds(one.reference) - a), near(len(seconds(one.query) - b) * one.tempo, 0))
    for one in matched:
        met = [other for other in annotated if seconds(one.query) & seconds(other.query)]
        tempo = met[-1].tempo if met else len(seconds(one.reference)) / len(seconds(one.query))
        a = both(one, annotated)[0]
        b = near(
            len(set().union(*(seconds(one.query) & seconds(other.query) for other in met))) * tempo,
            len(seconds(one.reference)),
        )
        fp += max(
            len(seconds(one.reference)) - max(len(a), b),
            near(len(seconds(one.query)) * tempo, len(seconds(one.reference))) - b,
            0,
        )
        up += abs(len(a) - b)
    return {"tp": tp, "fp": fp, "fn": fn, "up": up}


def test_seconds_are_those_of_a_count_second_by_second():
    rng, found = np.random.default_rng(0), 0
    for _ in range(300):
        drawn = []
        for count in rng.integers(0, 4, 2):
            spans = [
                [(int(b), int(b + n)) for b, n in zip(rng.integers(0, 40, 2), rng.integers(1, 30, 2), strict=True)]
                for _ in range(count)
            ]
            drawn.append([box(*pair, float(rng.choice([1, 0.8, 1.25, 0.93]))) for pair in spans])
        counts = of_seconds(*drawn)
        assert counts == by_seconds(*drawn)
        found += counts["tp"] > 0
    assert found > 50


def table(rows):
    return pd.DataFrame(rows, columns=[*PAIR, *ENDS]).assign(tempo=1.0)


def test_means_over_pairs_and_sums():
    """Three pairs: found whole, missed, and invented; one second in four is found of the first pair."""
    annotations = table([("q1", "r1", 0, 20, 0, 20), ("q1", "r2", 0, 20, 20, 40)])
    matches = table([("q1", "r1", 0, 5, 0, 5), ("q2", "r1", 0, 10, 0, 10)])
    found = summarised(judge(annotations, matches))
    assert found["pairs"].tolist() == [3, 3, 3]
    assert found["recall"].round(3).tolist() == [33.333, round(100 * 0.25**2 / 3, 3), round(100 * 0.25 / 3, 3)]
    assert found["precision"].round(3).tolist() == [66.667, 66.667, 66.667]  # the invented pair alone has 0
    r, p = 1 / 3, 2 / 3
    assert found.loc["files", "F"] == pytest.approx(100 * 10 * r * p / (9 * r + p))
    assert found.loc["files", ["tp", "fp", "fn", "up"]].tolist() == [1, 1, 1, 0]
    assert found.loc["seconds", ["tp", "fp", "fn", "up"]].tolist() == [5, 10, 35, 0]
    assert found.loc["seconds", "recall of all"] == 12.5 and np.isnan(found.loc["boxes", "tp"])


def write(path, text):
    path.write_text(text)
    return path


def test_tables_of_both_formats(tmp_path):
    theirs = write(
        tmp_path / "a.csv",
        "reference_id,query_id,reference_begin,reference_end,query_begin,query_end,tempo,pitch\n007,q1,1,9,2,12,80,\n008,q1,0,5,12,17,,\n",
    )
    assert read_boxes(theirs).to_numpy().tolist() == [["q1", "007", 1, 9, 2, 12, 0.8], ["q1", "008", 0, 5, 12, 17, 1.0]]
    ours = write(
        tmp_path / "m.csv",
        "\ufeffquery,from_s,to_s,song,offset_s,score,runner_up,margin,copies,note\n"
        "d/q1.mp3,2.5,11.5,000/007.wav,0.5,0.9,,,,\nd/q2.mp3,0,8,,,,,,,\nd/'-q3.v2,0,8,'-x.flac,-0.5,1,,,,\n",
    )
    assert read_boxes(ours).to_numpy().tolist() == [
        ["q1", "007", 0, 10, 2, 12, 1.0, []],
        ["'-q3.v2", "-x", 0, 8, 0, 8, 1.0, []],
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "reference_id,query\n",
            "has no column query_id; a table of annotations or matches has query_id, reference_id, ref",
        ),
        ("", "cannot be read as a CSV"),
        (
            "reference_id,query_id,reference_begin,reference_end,query_begin,query_end\na,b,0,5,0,5\na,b,5,5,0,5\n",
            "row 3: reference_begin '5' and ref",
        ),
        (
            "reference_id,query_id,reference_begin,reference_end,query_begin,query_end\na,b,0,5,0,x\n",
            "row 2: query_begin '0' and query_end 'x' are no",
        ),
        (
            "reference_id,query_id,reference_begin,reference_end,query_begin,query_end,tempo\na,b,0,5,0,5,fast\n",
            "row 2: tempo 'fast' is no number",
        ),
        (
            "query,from_s,to_s,song,offset_s\nq1.wav,0,9,,\nq1.wav,,9.5,r1.wav,0\n",
            r"a.csv: row 3: from_s '', to_s '9.5', offset_s '0' are no times in seconds; let identify write",
        ),
        (
            "query,from_s,to_s,song,offset_s\nq1.wav,0,inf,r1.wav,0\n",
            "row 2: from_s '0', to_s 'inf', offset_s '0' are no",
        ),
        ("query,from_s,to_s,song,offset_s\nq1.wav,5,5,r1.wav,0\n", "row 2: from_s '5', to_s '5', offset_s '0' are no"),
        (
            "query,from_s,to_s,song,offset_s\nq1.wav,0,5,r1.wav,-5\n",
            "row 2: from_s '0', to_s '5', offset_s '-5' are no",
        ),
    ],
)
def test_a_table_that_is_none(tmp_path, text, says):
    with pytest.raises(UserError, match=says):
        read_boxes(write(tmp_path / "a.csv", text))


def test_the_command(tmp_path, capsys):
    annotations = write(tmp_path / "a.csv", "reference_id,query_id\nr1,q1\nr2,q1\n")
    matches = write(tmp_path / "m.csv", "query,from_s,to_s,song,offset_s\nq1.wav,0,9.5,r1.wav,0\n")
    files = {name: tmp_path / f"{name}.csv" for name in ("csv", "write")}
    command.main(Namespace(annotations=annotations, matches=matches, **files))
    said = capsys.readouterr().out
    assert "files      2   50.00     100.00" in said and "Boxes and seconds need reference_begin" in said
    assert files["write"].read_text().splitlines() == [f"{','.join([*PAIR, *ENDS])}", "q1,r1,0,10,0,10"]
    assert len(pd.read_csv(files["csv"])) == 2


def test_a_copy_that_is_annotated_counts(tmp_path, capsys):
    """Not where the song itself is annotated, in another query, or where no copy is."""
    annotations = write(tmp_path / "a.csv", "reference_id,query_id\nalbum,q1\nsingle,q1\nalbum,q2\nother,q3\n")
    rows = ["q1.wav,0,9,single.mp3,0,x/album.wav", "q2.wav,0,9,single.mp3,0,live.mp3; x/album.wav"]
    rows += ["q3.wav,0,9,single.mp3,0,x/album.wav", "q3.wav,10,19,other.mp3,0,"]
    matches = write(tmp_path / "m.csv", "\n".join(["query,from_s,to_s,song,offset_s,copies", *rows, ""]))
    written = tmp_path / "w.csv"
    command.main(Namespace(annotations=annotations, matches=matches, csv=None, write=written))
    table = pd.read_csv(written)
    assert table["reference_id"].tolist() == ["single", "album", "single", "other"]
    assert table.columns.tolist() == [*PAIR, *ENDS]
