"""The key figures at the top of the page."""

import pandas as pd

from nafp.grid import FILES
from nafp.report.tables.cells import MEASURED, OF_POOL, label, pool_seeds, shown_fields, with_intervals


def headline(cells: pd.DataFrame) -> list[dict[str, str]]:
    """Key figures for the top of the page, each {"value": a large number, "text": the sentence that explains it}.

    The best configuration (seeds pooled) is the one with most exact hits at the shortest of the data set's own queries;
    empty without cells.
    """
    cells = cells[cells["query_set"].eq(FILES)]
    pooled = pool_seeds(cells)
    exact = pooled[pooled["match"] == "exact"]
    if exact.empty:
        return []
    short = exact[exact["seconds"] == exact["seconds"].min()]
    best = short.loc[short["hit_rate_pct"].idxmax()]
    fields = [name for name in ("aug", "bsz", "dim", *shown_fields(cells), "index") if name in cells.columns]
    same = exact[_alike(exact, best, but={"seconds"})]
    longest = same.loc[same["seconds"].idxmax()]
    rank = f"the best of {len(short)} configurations" if len(short) > 1 else "the only configuration"
    who = label(best, dict.fromkeys(fields))
    figures = [_figure(best, f"; {rank}: {who}.")]
    if longest["seconds"] > best["seconds"]:
        figures.append(_figure(longest, ", same configuration."))
    guess = 100 / best["database_segments"]
    size = {
        "value": f"{best['database_segments']:,}",
        "text": f"segments in the database: a guess is right {guess:.2g} % of the time.",
    }
    return [*figures, *_without_augmentation(short, best), size]


def _figure(row: pd.Series, ending: str) -> dict[str, str]:
    row = with_intervals(row.to_frame().T).iloc[0]
    interval = f"95 % interval {row['low_pct']:.1f} to {row['high_pct']:.1f} %"
    queries = f"{row['queries'] / row['seeds']:,.0f} queries of {row['seconds']:g} s in {row['songs']:,} songs"
    seeds = f", mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    text = f"of {queries} find the exact segment first ({interval}{seeds}){ending}"
    return {"value": f"{row['hit_rate_pct']:.1f} %", "text": text}


def _alike(rows: pd.DataFrame, one: pd.Series, but: set[str]) -> pd.Series:
    keys = [name for name in rows.columns if name not in MEASURED | OF_POOL | but]
    return pd.concat(
        [rows[name].eq(one[name]) | (rows[name].isna() & pd.isna(one[name])) for name in keys], axis=1
    ).all(axis=1)


def _without_augmentation(short: pd.DataFrame, best: pd.Series) -> list[dict[str, str]]:
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
