"""From cells and published numbers to tables: the last stage before pictures and the page. Nothing here plots."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from nafp.report.cells import MEASURED, label, load_cells, plain, pool_seeds, shown_fields

__all__ = [
    "best_mask",
    "caption",
    "formatted",
    "headline",
    "load_cells",
    "load_published",
    "table",
    "to_markdown",
]

OURS, PAPER, RERUN = "this run", "paper", "users' re-run"
MISSING = "–"
FULL_DATABASE = "test-dummy-db-100k-full"

_OWN_COLUMN = {"bsz", "dim", "index"}  # fields the wide table shows beside the method, not inside its name


def load_published(path: str | Path) -> pd.DataFrame:
    """Read the published numbers: columns as in `published/README.md`, query_s in seconds, hit rates in percent."""
    return pd.read_csv(path, dtype={"batch_size": "Int64", "dim": "Int64", "note": str})


def _rerun(published: pd.DataFrame) -> pd.Series:
    return published["table"].str.startswith("user re-run")


def _augmentation(published: pd.DataFrame) -> pd.Series:
    best = published["method"].eq("nafp") & published["batch_size"].eq(640) & published["dim"].eq(128)
    return published["table"].eq("Table 3") & (best | published["method"].eq("nafp (no augmentation)"))


PUBLISHED_ROWS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "table3": lambda published: published["table"].eq("Table 3") | _rerun(published),
    "table4": lambda published: published["table"].eq("Table 4"),
    "ablation_augmentation": _augmentation,
    "augmentation": _augmentation,
}


def table(cells: pd.DataFrame, published: pd.DataFrame, study_name: str, varied: Sequence[str]) -> pd.DataFrame:
    """The wide table of a study, shaped like Table 3 of the paper: ours first, then the published rows of that study.

    One row per configuration x match (exact, near). Columns: source ("this run", "paper", "users' re-run"), method, N, d,
    index, seeds, match, one per query length ("1 s": percent, one decimal, NaN where not measured), for a study of the
    index also "build s", "MB" (10^6 bytes on disk), "MB in memory" (by the index's structure), "recall %" (segments whose
    nearest neighbour the index finds), "ms per segment" (neighbour search alone) and "ms per query (10 s)" or the longest
    length; comparable (None for ours).
    """
    records = _our_records(cells, varied)
    choose = PUBLISHED_ROWS.get(study_name)
    if choose is not None:
        full = not cells.empty and set(cells["dataset"]) == {"full"}
        records += _published_records(published[choose(published)], full)
    lengths = sorted({key for record in records for key in record if not isinstance(key, str)})
    costs = [key for key in dict.fromkeys(key for record in records for key in record) if is_cost(key)]
    names = ["source", "method", "N", "d", "index", "seeds", "match"]
    wide = pd.DataFrame(records, columns=[*names, *lengths, *costs, "comparable"])
    wide[["N", "d", "seeds"]] = wide[["N", "d", "seeds"]].convert_dtypes()
    wide[lengths] = wide[lengths].astype(float).map(_one_decimal)
    return wide.rename(columns={s: f"{s:g} s" for s in lengths})


def _our_records(cells: pd.DataFrame, varied: Sequence[str]) -> list[dict[Any, Any]]:
    if cells.empty:
        return []
    pooled = pool_seeds(cells, keep_seeds="seed" in varied)
    named = [name for name in shown_fields(cells, varied) if name not in _OWN_COLUMN]
    measured = {"match", "seconds", "seeds", *MEASURED}
    keys = [name for name in pooled.columns if name not in measured]
    longest = 10 if (cells["seconds"] == 10).any() else cells["seconds"].max()
    records = []
    for _, rows in pooled.groupby(keys, sort=False, dropna=False):
        first = rows.iloc[0]
        name = ", ".join(part for part in ("nafp", label(first, named)) if part)
        shared = {"source": OURS, "method": name, "N": first.get("bsz"), "d": first.get("dim"), "index": first["index"]}
        shared["seeds"] = rows["seeds"].max()
        if "index" in varied:
            timed = rows.loc[rows["seconds"] == longest, "ms_per_query"]
            shared |= {"build s": first["build_s"], "MB": first["index_bytes"] / 1e6}
            shared["MB in memory"] = first.get("memory_bytes", np.nan) / 1e6
            shared["recall %"] = first["recall_pct"]
            shared["ms per segment"] = first.get("ms_per_segment", np.nan)
            shared[f"ms per query ({longest:g} s)"] = timed.mean()
        records += _by_match(rows, shared, "seconds", "hit_rate_pct")
    return records


def _published_records(rows: pd.DataFrame, full: bool) -> list[dict[Any, Any]]:
    records = []
    keys = ["source", "method", "batch_size", "dim", "database"]
    for (source, method, size, dim, database), group in rows.groupby(keys, sort=False, dropna=False):
        shared = {"source": PAPER if source.startswith("arXiv") else RERUN, "method": method, "N": size, "d": dim}
        shared["index"] = "ivfpq" if method.startswith("nafp") else None  # see published/README.md
        shared["comparable"] = "yes" if full and database.startswith(FULL_DATABASE) else "no: other data set"
        records += _by_match(group, shared, "query_s", "top1_hit_rate_pct")
    return records


def _by_match(rows: pd.DataFrame, shared: dict[Any, Any], seconds: str, rate: str) -> list[dict[Any, Any]]:
    by_match = {match: rows[rows["match"] == match] for match in ("exact", "near")}
    return [
        {**shared, "match": match, **dict(zip(group[seconds], group[rate], strict=True))}
        for match, group in by_match.items()
        if len(group)
    ]


def _one_decimal(value: float) -> float:
    return np.floor(value * 10 + 0.5 + 1e-6) / 10  # half up, as people round: 97.35 is 97.4


def _is_rate(name: Any) -> bool:
    return bool(re.fullmatch(r"[\d.]+ s", str(name)))


def is_cost(name: Any) -> bool:
    """True for a column of `table` that says what an index costs: time or size."""
    return name in ("build s", "MB", "MB in memory", "recall %", "ms per segment") or str(name).startswith(
        "ms per query"
    )


def best_mask(wide: pd.DataFrame) -> pd.DataFrame:
    """Boolean table of the shape of `wide`: True at our best hit rate of each query length, per match; ties all count."""
    mask = pd.DataFrame(False, index=wide.index, columns=wide.columns)
    ours = wide["source"] == OURS
    for name in filter(_is_rate, wide.columns):
        best = wide[name].where(ours).groupby(wide["match"]).transform("max")
        mask[name] = ours & wide[name].eq(best)
    return mask


def formatted(wide: pd.DataFrame) -> pd.DataFrame:
    """`wide` as text: hit rates with one decimal, costs with three digits, an en dash where nothing was measured."""
    return pd.DataFrame({name: [_text(name, value) for value in wide[name]] for name in wide.columns}, dtype=object)


def _text(name: str, value: Any) -> str:
    if value is None or pd.isna(value):
        return MISSING
    if _is_rate(name):
        return f"{value:.1f}"
    if is_cost(name):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return plain(value)


def caption(cells: pd.DataFrame, wide: pd.DataFrame) -> str:
    """One line for under a table: data set, queries, protocol, index, database size, precision, what does not compare."""
    parts = []
    if not cells.empty:
        joined = {
            key: ", ".join(map(str, cells[key].dropna().unique())) for key in ("dataset", "protocol", "index", "epoch")
        }
        queries = " or ".join(f"{n:,}" for n in sorted(cells["queries"].unique()))
        segments = " or ".join(f"{n:,}" for n in sorted(cells["database_segments"].unique()))
        parts.append(
            f"Data set {joined['dataset']}: {queries} queries (protocol {joined['protocol']}), database of {segments} segments, "
            f"index {joined['index']}, epoch {joined['epoch']}."
        )
        pooled = pool_seeds(cells)
        half = (pooled["high_pct"] - pooled["low_pct"]).max() / 2
        parts.append(f"Top-1 hit rate in %; 95 % intervals reach up to ±{half:.1f} points. Bold: our best per match.")
    if (wide["source"] != OURS).any():
        parts.append(_published_note(wide))
    return " ".join(parts)


def _published_note(wide: pd.DataFrame) -> str:
    if wide["comparable"].eq("yes").any():
        return (
            "Published rows come from another copy of the 100k-full database: the paper's was not yet cleared of duplicates, "
            "the users' re-run is on the release."
        )
    return "Published rows come from another database (100k-full, about 56 million segments) and do not compare."


def to_markdown(wide: pd.DataFrame, caption: str = "") -> str:
    """`wide` as a Markdown table under its caption: our best in bold, missing values as an en dash, names escaped."""
    text = formatted(wide).map(_escape).mask(best_mask(wide).to_numpy(), lambda cells: "**" + cells + "**")
    words = {"source", "method", "index", "match", "comparable"}
    align = ["left" if name in words else "right" for name in wide.columns]
    body = text.to_markdown(index=False, disable_numparse=True, colalign=align if len(text) else None)
    return f"{_escape(caption)}\n\n{body}\n" if caption else f"{body}\n"


def _escape(text: str) -> str:
    return re.sub(r"([|*<`])", r"\\\1", " ".join(text.split()))


def headline(cells: pd.DataFrame) -> list[dict[str, str]]:
    """Key figures for the top of the page, each {"value": a large number, "text": the sentence that explains it}.

    The best configuration (seeds pooled) is the one with most exact hits at the shortest query; empty without cells.
    """
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
    interval = f"95 % interval {row['low_pct']:.1f} to {row['high_pct']:.1f} %"
    queries = f"{row['queries'] / row['seeds']:,.0f} queries of {row['seconds']:g} s"
    seeds = f", mean of {row['seeds']} seeds" if row["seeds"] > 1 else ""
    text = f"of {queries} find the exact segment first ({interval}{seeds}){ending}"
    return {"value": f"{row['hit_rate_pct']:.1f} %", "text": text}


def _alike(rows: pd.DataFrame, one: pd.Series, but: set[str]) -> pd.Series:
    keys = [name for name in rows.columns if name not in MEASURED | {"seeds"} | but]
    return pd.concat(
        [rows[name].eq(one[name]) | (rows[name].isna() & pd.isna(one[name])) for name in keys], axis=1
    ).all(axis=1)


def _without_augmentation(short: pd.DataFrame, best: pd.Series) -> list[dict[str, str]]:
    if "aug" not in short.columns or best["aug"] == "none":
        return []
    bare = short[_alike(short.assign(aug=best["aug"]), best, but=set()) & short["aug"].eq("none")]
    if bare.empty:
        return []
    row = bare.iloc[0]
    text = f"of queries of {row['seconds']:g} s without augmentation, all else equal"
    ratio = best["hit_rate_pct"] / row["hit_rate_pct"] if row["hits"] else None
    gain = f": augmentation finds about {ratio:.{0 if ratio >= 10 else 1}f} times as many." if ratio else "."
    return [{"value": f"{row['hit_rate_pct']:.1f} %", "text": text + gain}]
