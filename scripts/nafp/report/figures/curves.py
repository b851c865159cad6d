"""Curves of hit rates: over query length, over a field that a study varies, and over false accepts."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from nafp.evaluation import openset
from nafp.report.figures.colour import FAINT, GREY, OVER, Palette
from nafp.report.figures.drawing import DASHED, SOLID, Axis, Drawing, Panel, rows_of
from nafp.report.figures.style import short, short_names
from nafp.report.tables.cells import label, pool_seeds, shown_fields, with_intervals
from nafp.report.tables.published import why_not_comparable

MOST_CURVES = 8  # curves in colour; the others are grey
FALSE_ACCEPT_SHARES = np.geomspace(0.001, 1, 301)  # places on the axis of open-set curves
X_AXES = {
    "bsz": "batch size N",
    "dim": "dimensions d of a fingerprint",
    "aug": "augmentation chain",
    "snr_db": "signal-to-noise ratio of the queries, dB",
}
NEAR = "near (± 1 segment)"


def hit_rate_over_length(
    cells: pd.DataFrame,
    varied: Sequence[str],
    published: pd.DataFrame | None = None,
    palette: Palette | None = None,
) -> Drawing:
    """The top-1 hit rate (%) over the query length (s), one colour per configuration, seeds pooled.

    Exact is solid with its 95 % interval as a band, near is dashed; with `published`, the paper's curve for N=640, d=128 is grey,
    and named by why it does not compare, if so. Of more than MOST_CURVES configurations the best are coloured.
    """
    cells, level = with_a_level(cells)
    pooled = pool_seeds(cells[cells["match"].isin(["exact", "near"])], keep_seeds="seed" in varied)
    pooled = named(with_intervals(pooled), cells, varied)
    best = best_of(pooled)
    shown = pooled[pooled["name"].isin(best)]
    lines = {"exact": level, "near": NEAR}
    exact = shown["match"].eq("exact").to_numpy()
    rows = _curves(shown, shown["seconds"], shown["match"].map(lines))
    parts = [others_of(pooled, best), rows.assign(dot=exact, spread=exact)]
    colours = colours_of(shown, palette, varied) | {name: FAINT for name in parts[0]["name"].unique()}
    if published is not None and level == "exact":
        parts.append(_paper_curve(published, lines, cells))
        colours |= {name: GREY for name in parts[-1]["name"].unique()}
    seconds = sorted(cells["seconds"].unique())
    rows = pd.concat(parts, ignore_index=True)
    x = Axis("query length, s", {s: f"{s:g}" for s in seconds}, (0, 1.02 * seconds[-1]))
    panel = Panel(rows, x, Axis("top-1 hit rate, %", domain=percent(rows)), band=True)
    styles = {level: SOLID} | ({NEAR: DASHED} if level == "exact" else {})
    return Drawing([panel], colours, styles, f"{asked_of(cells)}; band: 95 % interval")


def with_a_level(cells: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The cells, and the kind of hits that stands as exact in them: the right song where no place is judged."""
    if cells["match"].eq("exact").any():
        return cells, "exact"
    return cells[cells["match"].eq("song")].assign(match="exact"), "song"


def hit_rate_over(
    cells: pd.DataFrame,
    over: str,
    varied: Sequence[str],
    published: pd.DataFrame | None = None,
    order: Sequence | None = None,
    palette: Palette | None = None,
) -> Drawing:
    """The exact top-1 hit rate (%) over one field: a key of X_AXES.

    A colour per configuration of the other fields; solid at the shortest query, dashed at the longest; bars are 95 % intervals.
    ``order``: values of a field that is not a number.
    """
    cells, level = with_a_level(cells.dropna(subset=[over]))  # query sets without noise have no level
    numeric = pd.api.types.is_numeric_dtype(cells[over])
    ends = {cells["seconds"].min(): SOLID, cells["seconds"].max(): DASHED}
    ends = dict(sorted(ends.items()))
    beside = published is not None and level == "exact" and over in ("bsz", "dim")
    paper = _paper_over(published, over, min(ends)) if beside else None
    values = set(cells[over]) | set(paper[over] if paper is not None else [])
    order = sorted(values) if numeric or order is None else [v for v in order if v in values]
    at = {value: float(value) if numeric and over == "snr_db" else float(i) for i, value in enumerate(order)}
    said = {value: f"{value:g}" if numeric else short(str(value), 24) for value in at}

    pooled = pool_seeds(cells[cells["match"].eq("exact") & cells["seconds"].isin(ends)])
    pooled = with_intervals(pooled)
    pooled = named(pooled, cells, varied, leave_out=_of_axis(pooled, over))
    best = best_of(pooled)
    shown = pooled[pooled["name"].isin(best)]
    lines = {seconds: f"queries of {seconds:g} s" for seconds in ends}
    rows = _curves(shown, shown[over].map(at), shown["seconds"].map(lines), at=shown[over].map(said))
    rows = rows.sort_values("x", kind="stable")
    colours = colours_of(shown, palette, varied, OVER[over])
    if paper is not None and len(paper):
        name = f"{_paper(paper, cells)}, {'d=128' if over == 'bsz' else 'N=640'}, {min(ends):g} s"
        line = {"name": name, "series": name, "line": lines[min(ends)], "asked": "published", "faint": True}
        line |= {"x": paper[over].map(at), "y": paper["top1_hit_rate_pct"], "at": paper[over].map(said)}
        rows, colours = pd.concat([rows, rows_of(**line)], ignore_index=True), colours | {name: GREY}
    x = Axis(X_AXES[over], {place: said[value] for value, place in at.items()}, _wider(list(at.values())))
    panel = Panel(rows, x, Axis(f"top-1 hit rate ({level}), %", domain=percent(rows)))
    styles = {lines[seconds]: line for seconds, line in ends.items()}
    return Drawing([panel], colours, styles, f"{asked_of(cells)}; bar: 95 % interval{_left_out(pooled, best)}")


def right_over_false_accepts(cells: pd.DataFrame, varied: Sequence[str], palette: Palette | None = None) -> Drawing:
    """The share of queries (%) answered with the right song, over the share answered though their song is missing.

    Both shares are of answers above a threshold, which varies along the curve; seeds are averaged, one colour per configuration;
    solid at the shortest query, dashed at the longest.
    """
    ends = dict.fromkeys([cells["seconds"].min(), cells["seconds"].max()])
    ends = dict(zip(ends, (SOLID, DASHED), strict=False))
    pooled = pool_seeds(cells[cells["match"].eq("open set")], keep_seeds="seed" in varied)
    pooled = named(pooled, cells, varied)
    best = best_of(pooled)
    shown = pooled[pooled["name"].isin(best) & pooled["seconds"].isin(ends)]
    parts = [_accepted(row) for row in shown.to_dict("records")]
    x = Axis("false accepts: queries answered though their song is missing, %", domain=(0.1, 100), log=True)
    y, usual = Axis("right song accepted, %", domain=(0, 100)), [100 * openset.FALSE_ACCEPTS]
    panel = Panel(pd.concat(parts, ignore_index=True), x, y, steps=True, at_x=usual)
    note = asked_of(cells) + _left_out(pooled, best)
    styles = {f"queries of {seconds:g} s": line for seconds, line in ends.items()}
    return Drawing([panel], colours_of(shown, palette, varied), styles, note)


def _accepted(row: Mapping) -> pd.DataFrame:
    """The points of one curve at which it rises, and its ends, with their intervals: between them it is level.

    It begins at the least share that so many queries can set (`openset.threshold`).
    """
    seeds = openset.of_length(row["answers"], row["seconds"])
    least = 1 / (len(seeds[0].right) + 1)
    shares = np.unique(FALSE_ACCEPT_SHARES.clip(min=least))
    rates = openset.mean_hit_rates(seeds, shares)
    kept = np.flatnonzero(np.diff(rates, prepend=np.nan) != 0)
    kept = np.unique([*kept, len(rates) - 1])
    low, high = 100 * openset.interval(seeds, shares[kept])
    line = f"queries of {row['seconds']:g} s"
    texts = {"name": row["name"], "series": f"{row['name']}, {line}", "line": line, "asked": asked_by(row)}
    places = {"x": 100 * shares[kept], "y": 100 * rates[kept], "low": low, "high": high}
    return rows_of(**texts, **places, dot=False, spread=False)


# ---------------------------------------------------------------- names, colours, counts


def named(
    pooled: pd.DataFrame, cells: pd.DataFrame, varied: Sequence[str], leave_out: Sequence[str] = ()
) -> pd.DataFrame:
    """The rows with ``name``, that of their curve, by the fields that tell the cells apart."""
    fields = shown_fields(cells, varied) or [name for name in ("aug", "bsz", "dim") if name in cells.columns]
    fields = [name for name in fields if name not in leave_out]
    names = pd.Series(
        [label(row, fields) or "this run" for row in pooled.to_dict("records")], pooled.index, dtype=object
    )
    return pooled.assign(name=names.map(short_names(names)))


def _of_axis(pooled: pd.DataFrame, over: str) -> list[str]:
    """Fields shown by the x axis: query sets that differ in their level alone are points of one curve."""
    if over != "snr_db":
        return [over]
    rest = [name for name in shown_fields(pooled) if name not in ("query_set", "low_pct", "high_pct")]
    return ["snr_db"] if pooled.duplicated([*rest, "seconds", "snr_db"]).any() else ["snr_db", "query_set"]


def best_of(pooled: pd.DataFrame, most: int = MOST_CURVES) -> list[str]:
    """Names of the curves with the highest mean rate, the best first; near hits do not count."""
    rates = pooled[pooled["match"].ne("near")].groupby("name", sort=False)["hit_rate_pct"].mean()
    return rates.sort_values(ascending=False, kind="stable").index[:most].tolist()


def _left_out(pooled: pd.DataFrame, best: Sequence[str]) -> str:
    """How many curves are not drawn, for the note; nothing if all are."""
    count = pooled["name"].nunique() - len(best)
    return f"; {count} lower configuration{'s' if count > 1 else ''} not plotted" if count else ""


def others_of(pooled: pd.DataFrame, best: Sequence[str]) -> pd.DataFrame:
    """Curves without a colour, which share one entry of the legend."""
    rest = pooled[~pooled["name"].isin(best) & pooled["match"].eq("exact")]
    name = f"{rest['name'].nunique()} others"
    rows = _curves(rest, rest["seconds"], "exact")
    return rows.assign(name=name, dot=False, spread=False, faint=True)


def _curves(pooled: pd.DataFrame, x: pd.Series, line: pd.Series | str, at: pd.Series | None = None) -> pd.DataFrame:
    """Rows of a panel of named rows with intervals, x and kind of line being given."""
    at = [f"{s:g} s" for s in pooled["seconds"]] if at is None else at
    series = pooled["name"].str.cat(pd.Series(line, pooled.index, dtype=object).astype(str), sep=", ")
    rates = {"y": pooled["hit_rate_pct"], "low": pooled["low_pct"], "high": pooled["high_pct"]}
    asked = [asked_by(row) for row in pooled.to_dict("records")]
    line = line.to_numpy() if isinstance(line, pd.Series) else line
    return rows_of(name=pooled["name"], series=series, line=line, at=at, asked=asked, x=x, **rates)


def colours_of(
    pooled: pd.DataFrame, palette: Palette | None, varied: Sequence[str], joined: Sequence[str] = ()
) -> dict[str, str]:
    """Name -> colour, in the order in which the names come."""
    palette = Palette() if palette is None else palette
    without = (*joined, *(() if "seed" in varied and not joined else ("seed",)))
    firsts = pooled.drop_duplicates("name").to_dict("records")
    return {row["name"]: palette.of_row(row, without) for row in firsts}


def percent(rows: pd.DataFrame) -> tuple[float, float]:
    """Ends of an axis of hit rates: from 0, or from higher where all of them are high, so that they can be told apart."""
    low = rows["low"].where(rows["spread"], rows["y"]).fillna(rows["y"])
    lowest = min(rows["y"].min(), low.min())
    return (10 * ((lowest - 2) // 10) if 40 <= lowest <= 100 else 0), 100


def _wider(places: Sequence[float]) -> tuple[float, float]:
    margin = 0.08 * (places[-1] - places[0]) or 0.5
    return places[0] - margin, places[-1] + margin


def asked_by(row: Mapping) -> str:
    """How many queries a row of `pool_seeds` was asked, in words."""
    seeds = f", mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    return f"{row['queries'] / row['seeds']:,.0f} queries in {row['songs']:,} songs{seeds}"


def asked_of(cells: pd.DataFrame) -> str:
    """How many queries the cells were asked, in words."""
    queries, songs = (" or ".join(f"{n:,}" for n in sorted(cells[name].unique())) for name in ("queries", "songs"))
    return f"n = {queries} queries in {songs} songs"


# ---------------------------------------------------------------- the paper


def _paper(rows: pd.DataFrame, cells: pd.DataFrame) -> str:
    """The name of published rows, all of one database: with the reason, if they compare with none of the cells."""
    reason = why_not_comparable(rows["database"].iloc[0], cells)
    return f"paper ({reason})" if reason else "paper"


def _paper_curve(published: pd.DataFrame, lines: Mapping[str, str], cells: pd.DataFrame) -> pd.DataFrame:
    chosen = published["table"].eq("Table 3") & published["method"].eq("nafp") & published["match"].isin(lines)
    rows = published[chosen & published["batch_size"].eq(640) & published["dim"].eq(128)].sort_values("query_s")
    name, line = f"{_paper(rows, cells)}, N=640, d=128", rows["match"].map(lines)
    at = [f"{s:g} s" for s in rows["query_s"]]
    texts = {"name": name, "series": name + line, "line": line, "at": at, "asked": "published"}
    return rows_of(**texts, x=rows["query_s"], y=rows["top1_hit_rate_pct"], dot=False, faint=True)


def _paper_over(published: pd.DataFrame, over: str, seconds: float) -> pd.DataFrame:
    """The paper's points, at values that were measured here or not: Table 3 with d=128, or Table 4 with N=640."""
    rows = published.rename(columns={"batch_size": "bsz"})
    rows = rows[rows["table"].eq("Table 3" if over == "bsz" else "Table 4") & rows["method"].eq("nafp")]
    rows = rows[rows["match"].eq("exact") & rows["query_s"].eq(seconds) & (rows["dim"].eq(128) | (over == "dim"))]
    return rows.dropna(subset=[over]).sort_values(over)
