"""What the page begins with: the key figures, and whether the best configuration is the best beyond chance."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from nafp.evaluation.song_hits import paired_tests, read_hits
from nafp.evaluation.statistics import LEVEL
from nafp.grid import AXES, FILES, CellKey
from nafp.report.tables.cells import MEASURED, OF_POOL, label, pool_seeds, shown_fields, with_intervals
from nafp.report.tables.layout import one_decimal
from nafp.report.tables.study import AGAINST
from nafp.report.tables.verdict import difference


def headline(cells: pd.DataFrame) -> list[dict[str, str]]:
    """Key figures for the top of the page, each {"value": a large number, "text": the sentence that explains it}.

    The best configuration (seeds pooled) is the one with most exact hits at the shortest of the data set's own queries; its
    interval is simultaneous for all of them, since the best of many is chosen for its luck, too. Empty without cells.
    """
    cells = cells[cells["query_set"].eq(FILES)]
    exact, short = contenders(cells)
    if short.empty:
        return []
    best = short.loc[short["hit_rate_pct"].idxmax()]
    fields = [name for name in ("aug", "bsz", "dim", *shown_fields(cells), "index") if name in cells.columns]
    same = exact[_alike(exact, best, but={"seconds"})]
    longest = same.loc[same["seconds"].idxmax()]
    rank = f"the best of {len(short)} configurations" if len(short) > 1 else "the only configuration"
    who = f"{rank}: {label(best, dict.fromkeys(fields))}"
    if len(short) > 1 and short["hit_rate_pct"].nunique() == 1:
        who = f"all {len(short)} configurations find the same"
    figures = [_figure(best, f"; {who}.", len(short))]
    if longest["seconds"] > best["seconds"]:
        figures.append(_figure(longest, ", same configuration.", len(short)))
    size = {
        "value": f"{best['database_segments']:,}",
        "text": "segments in the database; a random guess is right once in that many.",
    }
    return [*figures, *_without_augmentation(short, best), size]


def winner(cells: pd.DataFrame, default: CellKey | None = None) -> str:
    """Whether the best configuration is better than the default one, or, if it is that, than the next: a sentence.

    Corrected for being the best of many, as `nafp.report.tables.verdict` does. ``default``: a cell of the default
    configuration. Empty if there is nothing to compare, or the two were asked different queries.
    """
    short = contenders(cells)[1].sort_values("hit_rate_pct", ascending=False, kind="stable")
    if len(short) < 2:
        return ""
    best, second = short.iloc[0], short.iloc[1]
    if short["hit_rate_pct"].nunique() == 1:
        rate = f"{one_decimal(best['hit_rate_pct'])} % of queries of {best['seconds']:g} s"
        return f"All {len(short)} configurations find the same: {rate}."
    usual = [
        default in map(CellKey, runs, [index] * len(runs))
        for runs, index in zip(short["runs"], short["index"], strict=True)
    ]
    theirs = short[usual].iloc[0] if any(usual[1:]) else second
    count, seconds = len(short) - 1, best["seconds"]
    ours, others = ([read_hits(path) for path in row["answers"]] for row in (best, theirs))
    test = paired_tests(ours, others, ["exact"], 1 - LEVEL / count).get(("exact", seconds))
    if test is None:
        return ""
    row = {
        "query_s": seconds,
        "songs": best["songs"],
        "seeds": best["seeds"],
        "baseline_seeds": theirs["seeds"],
        "p": test.p,
        "seeds_agree": test.seeds_agree,
        "songs_differing": test.differing,
        **{column: 100 * getattr(test, name) for column, name in AGAINST.items()},
    }
    names = _names(short, best, theirs)
    role = "the default" if any(usual[1:]) else "the second best"
    first = f"The best configuration, the default ({names[0]})," if usual[0] else f"The best configuration ({names[0]})"
    return f"{first} finds {difference(row, f'{role} ({names[1]})', count)}."


def _names(short: pd.DataFrame, *rows: pd.Series) -> list[str]:
    """What tells some configurations from the others; a trained run among other methods is "nafp"."""
    fields = [name for name in (*shown_fields(short), "index") if short[name].nunique(dropna=False) > 1]
    trained = "nafp" if set(fields) & set(AXES) else ""
    kinds = ["" if any(pd.notna(row.get(axis)) for axis in AXES) else trained for row in rows]
    labels = [label(row, dict.fromkeys(fields)) for row in rows]
    return [", ".join(filter(None, parts)) or "the other" for parts in zip(kinds, labels, strict=True)]


def contenders(cells: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Configurations (seeds pooled) by their exact hits on the data set's own queries: at all lengths, and at the shortest."""
    pooled = pool_seeds(cells[cells["query_set"].eq(FILES)])
    exact = pooled[pooled["match"] == "exact"]
    return exact, exact[exact["seconds"] == exact["seconds"].min()]


def _figure(row: pd.Series, ending: str, count: int) -> dict[str, str]:
    """A rate with its interval, simultaneous for ``count`` configurations."""
    row = with_intervals(row.to_frame().T, 1 - LEVEL / count).iloc[0]
    corrected = f", corrected for the best of {count}" if count > 1 else ""
    interval = f"95 % interval{corrected}: {row['low_pct']:.1f} to {row['high_pct']:.1f} %"
    queries = f"{row['queries'] / row['seeds']:,.0f} queries of {row['seconds']:g} s in {row['songs']:,} songs"
    trained = f"; mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    text = f"of {queries} are answered with the exact segment first ({interval}{trained}){ending}"
    return {"value": f"{row['hit_rate_pct']:.1f} %", "text": text}


def _alike(rows: pd.DataFrame, one: pd.Series, but: set[str]) -> pd.Series:
    keys = [name for name in rows.columns if name not in MEASURED | OF_POOL | but]
    return pd.concat(
        [rows[name].eq(one[name]) | (rows[name].isna() & pd.isna(one[name])) for name in keys], axis=1
    ).all(axis=1)


def _without_augmentation(short: pd.DataFrame, best: Mapping[str, Any]) -> list[dict[str, str]]:
    """The best configuration with augmentation of which a run without it, equal in all else, exists; both rates."""
    if "aug" not in short.columns or best["aug"] == "none":
        return []
    for _, full in short[short["aug"].ne("none")].sort_values("hit_rate_pct", ascending=False).iterrows():
        bare = short[_alike(short, full, but={"aug"}) & short["aug"].eq("none")]
        if len(bare):
            break
    else:
        return []
    row = bare.iloc[0]
    beside = "" if full["hit_rate_pct"] == best["hit_rate_pct"] else f" (with it {full['hit_rate_pct']:.1f} %)"
    text = f"of queries of {row['seconds']:g} s without augmentation{beside}, all else equal"
    ratio = full["hit_rate_pct"] / row["hit_rate_pct"] if row["hits"] else None
    gain = f": augmentation finds about {ratio:.{0 if ratio >= 10 else 1}f} times as many." if ratio else "."
    return [{"value": f"{row['hit_rate_pct']:.1f} %", "text": text + gain}]
