"""What a study says in words: every number of it counted again from the per-query tables, by tests/support/recount.py."""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest
from boards import FIELDS, LENGTHS, ROWS_A_SONG, tabulated, write_cell, write_grid
from recount import apart, by_song, interval, judged, one_decimal, side_of
from scipy.stats import t as student

from nafp.evaluation.cell import table_beside
from nafp.grid import run_name
from nafp.report.page.page import Page, Section, Top
from nafp.report.tables.formats import caption
from nafp.report.tables.study import Study
from nafp.report.tables.verdict import difference, verdict

SIZES = (60, 120, 240)


@pytest.fixture(scope="module", params=[1, 3], ids=["one seed", "three seeds"])
def grid(request, tmp_path_factory):
    """The cells of each batch size, its seeds side by side."""
    folder, seeds = tmp_path_factory.mktemp("verdict"), range(request.param)
    paths = write_grid(folder, [{"bsz": bsz, "seed": seed} for bsz in SIZES for seed in seeds], ["l2"], queries=300)
    return [paths[len(seeds) * i : len(seeds) * (i + 1)] for i in range(len(SIZES))]


def said_of(grid, baseline: int) -> tuple[str, list]:
    """The verdict with one of the sizes as baseline, and the study's table."""
    stated = json.loads(grid[baseline][0].read_text())
    study = Study("sizes", ["bsz"], "?", ("exact", "near"), baseline=(stated["run"], "l2", "files"))
    table = tabulated([path for size in grid for path in size], study)[1]
    return verdict(table), table


def songs_of(size, length: int) -> list:
    return [by_song(path.with_suffix(".hits.parquet"), "exact", length, ROWS_A_SONG) for path in size]


def rate(songs) -> float:
    return 100 * sum(h for seed in songs for h, _ in seed) / sum(n for seed in songs for _, n in seed)


def points(text: str) -> float:
    return float(text.replace("\N{MINUS SIGN}", "-"))


NUMBER = "(\N{MINUS SIGN}?[0-9.]+)"
UNSURE = r"not significant(?:, seeds disagree| by the exact test, p = [0-9.]+)?"
UNSURE += r"|too few songs to tell, as \d+ differs? and at least \d+ are needed"
JUDGED = f"(significant|{UNSURE})"
APART = rf"\((?:95 % {NUMBER} to {NUMBER}|no song differs)"


@pytest.mark.parametrize("baseline", range(len(SIZES)))
def test_every_number_is_counted_again(grid, baseline):
    said, _ = said_of(grid, baseline)
    short, long = ([songs_of(size, length) for size in grid] for length in (LENGTHS[0], LENGTHS[-1]))
    rates = [rate(songs) for songs in short]
    winner = rates.index(max(rates))
    others = [i for i in range(len(SIZES)) if i != baseline]
    if winner == baseline:
        low, high = interval(short[winner])
        sure = [i for i in others if judged(short[i], short[baseline], 2) == "significant"]
        worse = [i for i in sure if rates[i] < rates[baseline]]
        opening = f"N = {SIZES[winner]} finds most: {one_decimal(max(rates))} % of queries of 1 s (95 % {one_decimal(low)} to "
        assert said.startswith(f"{opening}{one_decimal(high)}, 40 songs")
        assert f"; {('none of the 2 others is', '1 of the 2 others is', 'both others are')[len(worse)]} worse" in said
        said = said.split("beyond chance. ")[1]
        chosen = max(others, key=lambda i: rates[i])
    else:
        chosen = winner
    match = re.match(
        rf"N = (\d+) finds ([0-9.]+) points (more|fewer) than N = (\d+) at 1 s(?:: {JUDGED})? {APART}, 40 songs, "
        rf"(one seed|3 seeds); corrected for 2 comparisons\)\. At 10 s: {NUMBER} points(?:, {JUDGED})? {APART}\)\.$",
        said,
    )
    size, by, more, than, word, low, high, _, late, late_word, late_low, late_high = match.groups()
    assert (int(size), int(than)) == (SIZES[chosen], SIZES[baseline])
    assert (-1 if more == "fewer" else 1) * float(by) == pytest.approx(rates[chosen] - rates[baseline], abs=0.0501)
    for songs, shown, sizes in ((short, by, (word, low, high)), (long, late, (late_word, late_low, late_high))):
        mean, variance, freedom = apart(songs[chosen], songs[baseline])
        half = student.ppf(1 - 0.05 / 4, freedom) * math.sqrt(variance)  # for two comparisons
        ends = max(mean - half, -1), min(mean + half, 1)
        stated = [points(text) for text in sizes[1:] if text]
        assert stated == pytest.approx([100 * end for end in ends] if variance else [], abs=0.0501)
        assert sizes[0] == (judged(songs[chosen], songs[baseline], 2) if points(shown) else None)
    assert points(late) == pytest.approx(100 * apart(long[chosen], long[baseline])[0], abs=0.0501)


def test_seeds_that_disagree_are_said(grid):
    """In the table, counted again; and where only they speak against a difference."""
    said, table = said_of(grid, 0)
    tested = table[table["p"].notna() & table["match"].eq("exact") & table["query_s"].eq(1)]
    sides = [side_of(songs_of(size, 1), songs_of(grid[0], 1)) for size in grid[1:]]
    assert tested["seeds_agree"].tolist() == [side != 0 for side in sides]
    assert table.loc[table["p"].isna(), "seeds_agree"].isna().all()
    sure, torn = (verdict(table.assign(p=table["p"] * 0, seeds_agree=agree)) for agree in (True, False))
    assert not re.search(UNSURE, sure)
    assert torn.count("not significant, seeds disagree") == len(re.findall(r"(?<!not )significant", sure)) > 0
    assert " others " not in said or "none of the 2 others is worse beyond chance" in torn


@pytest.mark.parametrize(("seeds", "said"), [((3, 1), "one seed against 3"), ((1, 3), "3 seeds against one")])
def test_the_seeds_of_both_sides_are_said(tmp_path, seeds, said):
    """And the seeds of one side stand for those of the other, in p and interval."""
    sides = [
        write_grid(tmp_path, [{"bsz": bsz, "seed": seed} for seed in range(count)], ["l2"], queries=300)
        for bsz, count in zip(SIZES[:2], seeds, strict=True)
    ]
    found, table = said_of(sides, 0)
    assert f", 40 songs, {said})." in found
    row = table[table["p"].notna() & table["match"].eq("exact") & table["query_s"].eq(1)].iloc[0]
    mean, variance, freedom = apart(songs_of(sides[1], 1), songs_of(sides[0], 1))
    half = student.ppf(0.975, freedom) * math.sqrt(variance)
    stated = row[["minus_baseline_low", "minus_baseline_high"]].tolist()
    assert stated == pytest.approx([100 * max(mean - half, -1), 100 * min(mean + half, 1)])


def test_studies_with_little_to_say(grid):
    study = Study("sizes", ["bsz"], "?", ("exact",))
    assert verdict(tabulated([], study)[1]) == ""
    alone = verdict(tabulated(grid[0], study)[1])
    assert re.fullmatch(
        r"\S+ finds [0-9.]+ % of queries of 1 s \(95 % [0-9.]+ to [0-9.]+, 40 songs, .* seeds?\)\.", alone
    )
    untested = verdict(tabulated([*grid[0], *grid[1]], study)[1])
    assert untested.endswith("Nothing was tested: the baseline has not run.") and " finds most: " in untested


def test_other_hits_than_exact_ones_are_named(grid):
    paths = [*grid[0], *grid[1]]
    said = {
        kinds: verdict(tabulated(paths, Study("sizes", ["bsz"], "?", kinds))[1])
        for kinds in (("song", "exact"), ("exact", "song"))
    }
    songs, exact = said.values()
    assert songs.startswith("By song hits, N = ") and exact.startswith("N = ")
    assert not exact.endswith(songs.removeprefix("By song hits, "))  # the numbers are those of the kind


def at_another_speed(folder, skill: float) -> Path:
    """A cell of the first of FIELDS whose queries start elsewhere in the songs, as those of a set with a rate do."""
    path = write_cell(folder / "stretched", {}, skill=skill, query_set="stretched", query_chain=[])
    table = pd.read_parquet(table_beside(path))
    table.assign(start=table["start"] * 1.05).to_parquet(table_beside(path), index=False)
    return path


@pytest.mark.parametrize("best", ["none", "full"])
def test_the_best_of_those_that_were_asked_the_same(tmp_path, best):
    """Queries at another speed are easier: they are not held against the baseline, nor counted among the comparisons."""
    paths = [write_cell(tmp_path, {"aug": aug}, skill=0.3 * (aug == best), seed=1) for aug in ("full", "none")]
    study = Study("mine", ["aug", "query_set"], "?", ("exact",), baseline=(run_name(FIELDS), "l2", "files"))
    two = tabulated(paths, study)[1]
    three = tabulated([*paths, at_another_speed(tmp_path, 1.5)], study)[1]
    short = three[three["query_s"].eq(1)]
    assert "stretched" in short.loc[short["hit_rate_pct"].idxmax(), "method"]
    columns = ["minus_baseline", "minus_baseline_low", "minus_baseline_high", "p", "p_holm"]
    pd.testing.assert_frame_equal(three.loc[two.index, columns], two[columns])
    said, names = verdict(three), ("aug full, queries files", "aug none, queries files")
    opening = rf"{names[0]} finds most of those that were asked the same queries: \S+ % .*\. " if best == "full" else ""
    compared = rf"{names[1]} finds {NUMBER} points {'fewer' if best == 'full' else 'more'} than {names[0]} at 1 s: "
    ending = "Asked other queries, so not tested: aug full, queries stretched."
    assert re.fullmatch(rf"{opening}{compared}(not )?significant .*, one seed\)\. At 10 s: .*\. {ending}", said)


def test_why_nothing_was_tested(tmp_path):
    paths = [write_cell(tmp_path, {"aug": aug}, skill=skill) for aug, skill in (("full", 0.2), ("none", 0.0))]
    fast = at_another_speed(tmp_path, 1.5)
    files = (run_name(FIELDS), "l2", "files")

    def why(cells, matches=("exact",), baseline=files) -> str:
        said = verdict(tabulated(cells, Study("mine", ["aug", "query_set"], "?", matches, baseline=baseline))[1])
        assert " finds most: " in said
        return said.split("Nothing was tested: ")[1]

    assert why([paths[0], fast]) == "no other was asked the same queries."
    assert why(paths, ("open set", "exact")) == "there is no paired test of open set hits."
    assert why([paths[1], fast]) == "the baseline has not run."
    stated = json.loads(paths[0].read_text())
    paths[0].write_text(json.dumps(stated | {"hits": {"open_set": stated["hits"]["open_set"]}}))
    assert why([paths[1], fast, paths[0]], ("exact", "open set")) == "exact hits of the baseline are not known."


def test_equal_systems_are_said_to_be_equal(tmp_path):
    """The same answers under two names: no song differs, and no interval is made of that."""
    paths = [write_cell(tmp_path, {"bsz": bsz}, skill=0.3) for bsz in (60, 120)]
    stated = json.loads(paths[0].read_text())
    study = Study("same", ["bsz"], "?", ("exact",), baseline=(stated["run"], "l2", "files"))
    said = verdict(tabulated(paths, study)[1])
    assert re.match(r"All 2 find the same: [0-9.]+ % of queries of 1 s \(95 % ", said) and "most" not in said
    assert "N = 120 finds as many as N = 60 at 1 s (no song differs, 40 songs, one seed)." in said
    untested = verdict(tabulated(paths, Study("same", ["bsz"], "?", ("exact",)))[1])
    assert re.match(r"All 2 find the same: .*\)\. Nothing was tested: the baseline has not run\.$", untested)


@pytest.mark.parametrize(
    ("found", "songs", "seeds", "p", "said"),
    [
        (
            (5.0, math.nan, math.nan),
            *(3, 1, 0.25),
            "5.0 points more than l2 at 1 s: too few songs to tell, as 3 differ and at least 6 are needed (the same in "
            "every song, 3 songs, one seed)",
        ),
        (
            (5.0, 0.1, 9.9),
            *(40, 1, 0.0612),
            "5.0 points more than l2 at 1 s: not significant by the exact test, p = 0.061 (95 % 0.1 to 9.9, 40 songs, one seed)",
        ),
        (
            (5.0, -0.1, 10.1),
            *(40, 1, 0.0612),
            "5.0 points more than l2 at 1 s: not significant (95 % −0.1 to 10.1, 40 songs, one seed)",
        ),
        (
            (51.2, math.nan, math.nan),
            *(1, 2, 1.0),
            "51.2 points more than l2 at 1 s: too few songs to tell, as 1 differs and at least 6 are needed (no interval "
            "from one song, 1 song, 2 seeds)",
        ),
        ((0.0, math.nan, math.nan), 1, 1, 1.0, "as many as l2 at 1 s (no song differs, 1 song, one seed)"),
        ((0.04, -2.0, 2.1), 2, 1, 0.9, "as many as l2 at 1 s (95 % −2.0 to 2.1, 2 songs, one seed)"),
        (
            (-4.0, -5.0, -3.0),
            *(40, 1, 0.01),
            "4.0 points fewer than l2 at 1 s: significant (95 % −5.0 to −3.0, 40 songs, one seed)",
        ),
    ],
)
def test_a_difference_without_an_interval_says_why(found, songs, seeds, p, said):
    names = ("minus_baseline", "minus_baseline_low", "minus_baseline_high")
    row = {
        "query_s": 1.0,
        "songs": songs,
        "songs_differing": songs,
        "seeds": seeds,
        "p": p,
        **dict(zip(names, found, strict=True)),
    }
    assert difference(row | {"seeds_agree": True}, "l2", 1) == said
    assert ": significant" not in difference(row | {"seeds_agree": False}, "l2", 1)


@pytest.mark.parametrize(
    ("songs", "sizes", "needed"), [(5, (60, 120), 6), (6, (60, 120), 0), (6, SIZES, 7), (7, SIZES, 0)]
)
def test_few_songs_are_said_to_be_too_few(tmp_path, songs, sizes, needed):
    """However large the difference: what finds all in so many songs is better by chance in 2 of 2^songs cases."""
    paths = [write_cell(tmp_path, {"bsz": bsz}, skill=99 if bsz > 60 else -99) for bsz in sizes]
    for path in paths:
        table = pd.read_parquet(table_beside(path))
        kept = table[table["song"].isin(sorted(table["song"].unique())[:songs])]
        kept.to_parquet(table_beside(path), index=False)
        stated = json.loads(path.read_text())
        queries = len(kept) // len(LENGTHS)
        hits = {name: (kept.groupby("length")[name].sum()).tolist() for name in stated["hits"]}
        path.write_text(json.dumps(stated | {"songs": songs, "queries": queries, "hits": hits}))
    study = Study("few", ["bsz"], "?", ("exact",), baseline=(json.loads(paths[0].read_text())["run"], "l2", "files"))
    table = tabulated(paths, study)[1]
    few = f": too few songs to tell, as {songs} differ and at least {needed} are needed (the same in every song"
    assert (few if needed else ": significant (the same in every song") in verdict(table)
    assert table["songs_differing"].dropna().eq(songs).all()
    tests = table["p"].notna().sum()
    assert f"{tests} of {tests} differences could have no mark, whatever their size: fewer than " in caption(table)


def test_the_page_says_it_under_the_question(grid):
    said, table = said_of(grid, 0)
    page = Page("T", Top(), [Section("sizes", "What does a larger batch add?", table)]).html()
    assert f'<p class="verdict">{said}</p>'.replace(" ", "") in page.replace("\u00a0", " ").replace(" ", "")
