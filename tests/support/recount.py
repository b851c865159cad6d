"""What a page says, and the same counted again from the per-query tables; shares no code with the library."""

import json
import math
import re
from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student


@cache
def answers(file: Path, length: int, rows_a_song: int) -> pd.DataFrame:
    """Of every query: song, and by places and scores alone whether it is a hit, ties counting against it, and 1 / rank."""
    rows = []
    for row in pd.read_parquet(file).query(f"length == {length}").to_dict("records"):
        ranked = [(row[f"place{i}"], row[f"score{i}"]) for i in range(1, 11) if row[f"place{i}"] >= 0]
        truth, best = row["truth"], [place for place, score in ranked if score == ranked[0][1]]
        known = len(best) > 0 and row["next_score"] != ranked[0][1]  # eleven with one score may be more
        in_song = all(place // rows_a_song == truth // rows_a_song for place in best)
        own = [score for place, score in ranked if place == truth]
        ended = own and own[0] != row["next_score"]
        rank = 1 + sum(score >= own[0] for place, score in ranked if place != truth) if ended else math.inf
        rows.append(
            {
                "of": row["song"],
                "exact": rank == 1,
                "near": known and in_song and all(abs(place - truth) <= 1 for place in best),
                "song": known and in_song,
                "rr": 1 / rank,
                "score": row["score1"],
                "other": row["other_score"],
            }
        )
    table = pd.DataFrame(rows)
    table["open set"] = table["song"] & (table["score"] > passed_by_few(table["other"]))
    return table


def passed_by_few(scores: Sequence[float]) -> float:
    """The score that another one is above with a probability of 1 %; the highest of fewer than 99."""
    return sorted(scores, reverse=True)[max((len(scores) + 1) // 100, 1) - 1]


@cache
def threshold_interval(files: tuple[Path, ...], length: int, rows_a_song: int) -> tuple[float, float]:
    """Of the open-set rate, percent: Student's on log odds; the spread is that of samples of songs, each with a threshold."""
    means, rates, reached = np.zeros(1000), [], []
    for file in files:
        table = answers(file, length, rows_a_song)
        songs = sorted(set(table["of"]))
        random, which = np.random.default_rng(0), np.array([songs.index(song) for song in table["of"]])
        right, others = np.where(table["song"], table["score"], -np.inf), table["other"].to_numpy()
        for i in range(len(means)):
            taken = np.repeat(
                np.arange(len(table)), random.multinomial(len(songs), [1 / len(songs)] * len(songs))[which]
            )
            means[i] += (right[taken] > passed_by_few(others[taken])).mean() / len(files)
        rates.append((right > passed_by_few(others)).mean())
        reached.append(len(set(which[others >= passed_by_few(others)])))
    rate, n = sum(rates) / len(rates), len(table)
    odds = [math.log((p * n + 0.5) / ((1 - p) * n + 0.5)) for p in (rate, *means)]
    half = student.ppf(0.975, max(min(reached) - 1, 3)) * math.sqrt(variance_of(odds[1:]))
    ends = [100 / (1 + math.exp(-(odds[0] + sign * half))) for sign in (-1, 1)]
    return min(ends[0], 100 * rate), max(ends[1], 100 * rate)


def by_song(file: Path, match: str, length: int, rows_a_song: int) -> list[tuple[int, int]]:
    """(hits, queries) of each song."""
    songs = answers(file, length, rows_a_song).groupby("of")[match]
    return list(zip(songs.sum().tolist(), songs.size().tolist(), strict=True))


def variance_of(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return sum((value - mean) ** 2 for value in values) / (len(values) - 1)


def interval(seeds: Sequence[Sequence[tuple[int, int]]]) -> tuple[float, float]:
    """Of the mean rate of some seeds, each a list of (hits, queries) of songs: percent."""
    queries = [n for _, n in seeds[0]]
    songs, total = len(queries), sum(queries)
    hits = [sum(seed[i][0] for seed in seeds) / len(seeds) for i in range(songs)]
    p = sum(hits) / total
    largest = sum(n * n for n in queries) / total
    effect, few = largest, min(sum(h > 0 for h in hits), sum(h < n for h, n in zip(hits, queries, strict=True)))
    if 0 < p < 1:
        between = sum((h - p * n) ** 2 for h, n in zip(hits, queries, strict=True)) * songs / (songs - 1)
        effect = min(max(between / total / (p * (1 - p)), 1), largest)
    effect += (largest - effect) / (1 + few) ** 2
    variance, freedom = p * (1 - p) * effect / total, min(max(few, 3), songs - 1) if few and largest > 1 else math.inf
    n = total / effect
    if len(seeds) > 1 and variance:
        seed_part = variance_of([sum(h for h, _ in seed) / total for seed in seeds]) / len(seeds)
        both = variance + seed_part
        freedom = both**2 / (variance**2 / freedom + seed_part**2 / (len(seeds) - 1))
        n = p * (1 - p) / both
    z = student.ppf(0.975, freedom)
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return tuple(100 * min(max((centre + sign * half) / (1 + z * z / n), 0), 1) for sign in (-1, 1))


def p_of(ours: Sequence[Sequence[tuple[int, int]]], theirs: Sequence[Sequence[tuple[int, int]]]) -> float:
    """Two-sided p of two systems, each a list of seeds: all signs of the songs' differences, and seeds and songs together."""
    songs = len(ours[0])
    a, b = ([[h for h, _ in seed] for seed in side] for side in (ours, theirs))
    whole = [sum(s[i] for s in a) * len(b) - sum(s[i] for s in b) * len(a) for i in range(songs)]
    ways = {0: 1}
    for size in whole:
        counted = {}
        for reached, count in ways.items():
            for one in (reached + size, reached - size):
                counted[one] = counted.get(one, 0) + count
        ways = counted
    p = sum(count for reached, count in ways.items() if abs(reached) >= abs(sum(whole))) / 2**songs
    if len(a) == len(b) == 1:
        return p
    mean, variance, freedom = apart(ours, theirs)
    return max(p, 2 * student.sf(abs(mean) / math.sqrt(variance), freedom)) if variance else p


def side_of(ours: Sequence[Sequence[tuple[int, int]]], theirs: Sequence[Sequence[tuple[int, int]]]) -> int:
    """1 or -1 where every seed finds more, or fewer, than the other system does on average; otherwise 0."""
    totals = [[sum(h for h, _ in seed) for seed in side] for side in (ours, theirs)]
    a, b = (sum(side) / len(side) for side in totals)
    off = [one - b for one in totals[0]] + [a - one for one in totals[1]]
    return 1 if min(off) > 0 else -1 if max(off) < 0 else 0


def judged(ours: Sequence[Sequence[tuple[int, int]]], theirs: Sequence[Sequence[tuple[int, int]]], count: int) -> str:
    """Whether two systems differ, in words, of ``count`` comparisons."""
    if count * p_of(ours, theirs) >= 0.05:
        differ = songs_apart(ours, theirs)
        needed = next(n for n in range(99) if count * 2.0 ** (1 - n) < 0.05)
        if differ < needed:
            differ = f"{differ} differs" if differ == 1 else f"{differ} differ"
            return f"too few songs to tell, as {differ} and at least {needed} are needed"
        mean, variance, freedom = apart(ours, theirs)
        if abs(mean) > student.ppf(1 - 0.025 / count, freedom) * math.sqrt(variance):
            return f"not significant by the exact test, p = {min(count * p_of(ours, theirs), 1):.2g}"
        return "not significant"
    return "significant" if side_of(ours, theirs) else "not significant, seeds disagree"


def songs_apart(ours: Sequence[Sequence[tuple[int, int]]], theirs: Sequence[Sequence[tuple[int, int]]]) -> int:
    """In how many songs the mean hits of two systems differ."""
    a, b = ([sum(seed[i][0] for seed in side) for i in range(len(side[0]))] for side in (ours, theirs))
    return sum(x * len(theirs) != y * len(ours) for x, y in zip(a, b, strict=True))


def apart(
    ours: Sequence[Sequence[tuple[int, int]]], theirs: Sequence[Sequence[tuple[int, int]]]
) -> tuple[float, float, float]:
    """The difference of two systems' rates, its variance over songs and seeds, and its degrees of freedom."""
    songs, total = len(ours[0]), sum(n for _, n in ours[0])
    a, b = ([[h for h, _ in seed] for seed in side] for side in (ours, theirs))
    each = [sum(s[i] for s in a) / len(a) - sum(s[i] for s in b) / len(b) for i in range(songs)]
    mean = sum(each) / total
    off = sum((one - mean * n) ** 2 for one, (_, n) in zip(each, ours[0], strict=True))
    parts = [(off * songs / (songs - 1) / total**2, songs - 1)]
    for x, other in ((a, b), (b, a)):
        if len(x) > 1:  # and where the other has one seed, it varies as these do
            shares = 1 / len(x) + (len(other) == 1)
            parts.append((variance_of([sum(s) / total for s in x]) * shares, len(x) - 1))
    variance = sum(part for part, _ in parts)
    return mean, variance, variance**2 / sum(part**2 / free for part, free in parts) if variance else 1


def corrected(p: Sequence[float]) -> list[float]:
    """Holm's correction."""
    order, result, so_far = sorted(range(len(p)), key=lambda i: p[i]), [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        so_far = max(so_far, p[i] * (len(p) - rank))
        result[i] = min(so_far, 1)
    return result


def recounted(files: Sequence[Path], match: str, length: int, rows_a_song: int) -> dict[str, str]:
    """The texts of a number of one configuration, from the per-query tables of its seeds."""
    seeds = [by_song(file, match, length, rows_a_song) for file in files]
    songs, n = len(seeds[0]), sum(n for _, n in seeds[0])
    rate = 100 * sum(h for seed in seeds for h, _ in seed) / n / len(seeds)
    low, high = interval(seeds)
    if match == "open set":
        lowest, highest = threshold_interval(tuple(files), length, rows_a_song)
        low, high = min(low, lowest), max(high, highest)
    asked = f"{n:,} queries of {(length + 1) / 2:g} s in {songs:,} songs"
    ranks = pd.concat([answers(file, length, rows_a_song)["rr"] for file in files])
    return {
        "rate": one_decimal(rate),
        "interval": f"{one_decimal(low)}–{one_decimal(high)}",
        "said": f"{rate:.2f} % of {asked}; 95 % interval {low:.2f} to {high:.2f} %",
        "mrr": f"mean reciprocal rank {ranks.mean():.3f}" if match == "exact" else "",
    }


def one_decimal(value: float) -> str:
    return f"{math.floor(10 * value + 0.5 + 1e-6) / 10:.1f}"


def costs(files: Sequence[Path]) -> dict[str, str]:
    """The texts of what an index costs, from the cells of its seeds."""
    cells = [json.loads(file.read_text()) for file in files]

    def mean(of) -> str:
        values = [of(cell) for cell in cells]
        if None in values:
            return "–"
        value = sum(values) / len(values)
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"

    return {
        "build s": mean(lambda c: c["build_s"]),
        "MB on disk": mean(lambda c: c["index_bytes"] / 1e6),
        "MB in memory": mean(lambda c: c["memory_bytes"] / 1e6 if c.get("memory_bytes") is not None else None),
        "build s per hour": mean(lambda c: c["build_s"] and c["build_s"] / sum(c["database"].values()) * 7200),
        "MB per hour": mean(lambda c: c["index_bytes"] / sum(c["database"].values()) * 7200 / 1e6),
        "bytes per fingerprint": mean(lambda c: c["index_bytes"] / sum(c["database"].values())),
        "recall %": mean(lambda c: 100 * c["recall"]["nearest"] if "recall" in c else None),
        "ms per segment": mean(lambda c: c.get("ms_per_segment")),
        f"ms per query ({max(cells[0]['seconds']):g} s)": mean(lambda c: c["ms_per_query"][-1]),
    }


class Tables(HTMLParser):
    """The tables of a page: ``read[id]`` is a list of (source, [{text, below, title, mark}, ...] a cell), the head first."""

    def __init__(self, page: str):
        super().__init__()
        self.read, self.table, self.source, self.cell, self.small = {}, None, "", None, False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "table":
            self.table = self.read.setdefault(given.get("id", ""), [])
        elif tag == "tbody":
            self.source = given.get("data-source", "")
        elif tag == "tr" and self.table is not None:
            self.table.append((self.source, []))
        elif tag in ("td", "th") and self.table is not None:
            self.cell = {"text": "", "below": "", "title": given.get("title", ""), "mark": ""}
            self.table[-1][1].append(self.cell)
        elif tag == "small":
            self.small = given.get("class") != "folded" and self.cell is not None and not self.cell["below"]

    def handle_endtag(self, tag):
        if tag == "table":
            self.table, self.source = None, ""
        elif tag in ("td", "th"):
            self.cell = None
        elif tag == "small":
            self.small = False

    def handle_data(self, data):
        if self.cell is not None:
            self.cell["mark"] += "".join(one for one in data if one in "▲▼")
            self.cell["below" if self.small else "text"] += data.replace("\u00a0", " ").strip("▲▼\n")


def check_table(
    page: str,
    table: str,
    configurations: Sequence[Sequence[Path]],
    lengths: Sequence[int],
    rows_a_song: int,
    baseline: int | None = None,
):
    """Every number of our rows in a table of a page is the one counted again; returns how many there are.

    ``configurations``: the cells of the seeds of each configuration, in the order of the page. ``baseline``: the number of the
    one that the others are tested against.
    """
    (_, head), *rows = Tables(page).read[table]
    names = [re.sub(r"\s+", " ", cell["text"]) for cell in head]
    rows = [
        [dict(cell) for cell in cells] for source, cells in rows if source == "this run" and len(cells) == len(names)
    ]
    matches = list(dict.fromkeys(row[names.index("match")]["text"] for row in rows))
    assert len(rows) == len(configurations) * len(matches)
    hits = [[file.with_suffix(".hits.parquet") for file in files] for files in configurations]
    checked = 0
    for (i, files), (j, match), length in product(enumerate(hits), enumerate(matches), lengths):
        row = rows[i * len(matches) + j]
        cell = row[names.index(f"{(length + 1) / 2:g} s")]
        again = recounted(files, match, length, rows_a_song)
        assert (cell["text"], cell["below"]) == (again["rate"], again["interval"]), (files, match, length)
        assert again["said"] in cell["title"]
        assert again["mrr"] in cell["title"]
        checked += 3 + (match == "exact")
    for i, files in enumerate(configurations):
        for name, text in costs(files).items():
            if name in names:
                assert rows[i * len(matches)][names.index(name)]["text"] == text, (files, name)
                checked += 1
    if baseline is not None:
        checked += check_tests(rows, names, hits, matches, lengths, rows_a_song, baseline)
    return checked


def check_tests(rows, names, hits, matches, lengths, rows_a_song, baseline) -> int:
    """The p values of a table against its baseline, and their marks, are those counted again; returns how many there are."""
    tests = [key for key in product(range(len(hits)), range(len(matches)), lengths) if key[0] != baseline]
    tests = [key for key in tests if matches[key[1]] != "open set"]  # no test counts its threshold
    p, signs = [], []
    for i, j, length in tests:
        ours, theirs = ([by_song(file, matches[j], length, rows_a_song) for file in hits[k]] for k in (i, baseline))
        p.append(p_of(ours, theirs))
        signs.append({1: "▲", -1: "▼", 0: ""}[side_of(ours, theirs)])
    for (i, j, length), one, holm, sign in zip(tests, p, corrected(p), signs, strict=True):
        cell = rows[i * len(matches) + j][names.index(f"{(length + 1) / 2:g} s")]
        said = re.search("against the baseline p = (.*), (.*) corrected", cell["title"]).groups()
        assert all(math.isclose(float(x), y, rel_tol=0.051) for x, y in zip(said, (one, holm), strict=True)), (
            cell,
            one,
        )
        assert cell["mark"] == (sign if holm < 0.05 else "")
    return len(tests)
