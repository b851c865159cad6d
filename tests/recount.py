"""What a page says, and the same counted again from the per-query tables; shares no code with the library."""

import json
import math
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd


def recounted(files: Sequence[Path], match: str, length: int, rows_a_song: int) -> dict[str, str]:
    """The texts of a number of one configuration, from the per-query tables of its seeds."""
    rows = pd.concat([pd.read_parquet(file).query(f"length == {length}") for file in files])
    place, truth, n = rows["place1"], rows["truth"], len(rows) / len(files)
    off = (place - truth).abs().where(place >= 0, math.inf)
    hit = {"exact": off == 0, "near": off <= 1, "song": (place // rows_a_song == truth // rows_a_song) & (place >= 0)}
    p, z = hit[match].mean(), 1.959964
    centre, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = (100 * (centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    found = rows[[f"place{i}" for i in range(1, 11)]].eq(truth, axis=0)
    ranks = (1 / found.idxmax(axis=1).str.removeprefix("place").astype(int)).where(found.any(axis=1), 0)
    said = f"{100 * p:.2f} % of {n:,.0f} queries of {(length + 1) / 2:g} s; 95 % interval {low:.2f} to {high:.2f} %"
    mrr = f"mean reciprocal rank {ranks.mean():.3f}" if match == "exact" else ""
    return {
        "rate": one_decimal(100 * p),
        "interval": f"{one_decimal(low)}–{one_decimal(high)}",
        "said": said,
        "mrr": mrr,
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
        "bytes per fingerprint": mean(lambda c: c["index_bytes"] / sum(c["database"].values())),
        "recall %": mean(lambda c: 100 * c["recall"]["nearest"]),
        "ms per segment": mean(lambda c: c.get("ms_per_segment")),
        f"ms per query ({max(cells[0]['seconds']):g} s)": mean(lambda c: c["ms_per_query"][-1]),
    }


class Tables(HTMLParser):
    """The tables of a page: ``read[id]`` is a list of (source, [{text, below, title}, ...] a cell), the head first."""

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
            self.cell = {"text": "", "below": "", "title": given.get("title", "")}
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
            self.cell["below" if self.small else "text"] += data.replace("\u00a0", " ").strip("▲▼\n")


def check_table(
    page: str, table: str, configurations: Sequence[Sequence[Path]], lengths: Sequence[int], rows_a_song: int
):
    """Every number of our rows in a table of a page is the one counted again; returns how many there are.

    ``configurations``: the cells of the seeds of each configuration, in the order of the page.
    """
    (_, head), *rows = Tables(page).read[table]
    names = [re.sub(r"\s+", " ", cell["text"]) for cell in head]
    rows = [
        [dict(cell) for cell in cells] for source, cells in rows if source == "this run" and len(cells) == len(names)
    ]
    matches = list(dict.fromkeys(row[names.index("match")]["text"] for row in rows))
    assert len(rows) == len(configurations) * len(matches)
    checked = 0
    for i, files in enumerate(configurations):
        hits = [file.with_suffix(".hits.parquet") for file in files]
        for row in rows[i * len(matches) : (i + 1) * len(matches)]:
            match = row[names.index("match")]["text"]
            for length in lengths:
                cell = row[names.index(f"{(length + 1) / 2:g} s")]
                again = recounted(hits, match, length, rows_a_song)
                assert (cell["text"], cell["below"]) == (again["rate"], again["interval"]), (files, match, length)
                assert again["said"] in cell["title"]
                assert again["mrr"] in cell["title"]
                checked += 3 + (match == "exact")
        for name, text in costs(files).items():
            if name in names:
                assert rows[i * len(matches)][names.index(name)]["text"] == text, (files, name)
                checked += 1
    return checked
