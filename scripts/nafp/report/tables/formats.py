"""A laid-out table as Markdown and LaTeX, and the lines under it."""

import re
from collections.abc import Iterable
from itertools import zip_longest

import pandas as pd

from nafp.evaluation.metrics import METRICS, said
from nafp.evaluation.statistics import LEVEL, fewest_differing
from nafp.report.tables.layout import OF_METHODS, Entry, Layout, layout
from nafp.report.tables.study import NOT_RUN, OURS

_TEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "–": "--", "▲": r"$^{+}$", "▼": r"$^{-}$"},
    **{"±": r"$\pm$", "·": r"$\cdot$", "\N{MINUS SIGN}": "$-$"},
}


def caption(table: pd.DataFrame) -> str:
    """The line under a table: data set, queries, protocol, database, intervals, baseline, what is missing or not comparable."""
    ours, parts = table[table["source"].eq(OURS)], []
    done = ours[ours["state"].ne(NOT_RUN)]
    if len(done):
        queries, songs, size = (_one_or_more(done[name]) for name in ("queries", "songs", "database_segments"))
        names = {
            name: ", ".join(sorted(done[name].dropna().astype(str).unique()))
            for name in ("dataset", "protocol", "epoch")
        }
        parts.append(
            f"Data set {names['dataset']}: {queries} queries in {songs} songs (protocol {names['protocol']}), database of {size} "
            f"segments{_generated(done)}, epoch {names['epoch']}. {_rate(done)} in % with its 95 % interval over "
            f"{_sampled(done)}; bold: our best per match."
        )
    for name, metric in METRICS.items():
        if metric.caption and (shown := done["match"].eq(name)).any():
            parts.append(said(metric.caption, done.loc[shown, "queries"].min()))
    if done["p"].notna().any():
        parts.append(
            "▲ better, ▼ worse than the baseline: exact permutation test, song by song, p < 0.05 after Holm's correction over "
            "the table" + (", and all seeds agree in the direction." if done["seeds"].gt(1).any() else ".")
        )
    left = int(done["p_holm"].ge(LEVEL).sum())
    few = int(done["songs_differing"].between(1, fewest_differing(left) - 1).sum()) if left else 0
    if few:
        parts.append(
            f"{few} of {done['p'].notna().sum()} differences could have no mark, whatever their size: fewer than "
            f"{fewest_differing(left)} songs differ."
        )
    absent = ours.loc[ours["state"].eq(NOT_RUN), "row"].nunique()
    if absent:
        parts.append(f"{absent} of {ours['row'].nunique()} rows have not run yet.")
    if done["index"].isna().any() and done[list(OF_METHODS)].notna().any(axis=None):
        parts.append(
            "Costs are for an hour of the music that is searched (7,200 segments); of networks, those of the index and of "
            "searching it, without fingerprinting."
        )
    others = table.loc[table["source"].ne(OURS), "comparable"]
    if others.eq("yes").any():
        parts.append(
            "Under the interval: our rate minus the published one, in points, where augmentation chain, loss, N, d, database, "
            "test sequences, protocol and index are the same; features, encoder and the rest of the training may differ. "
            "The paper's copy of its database still held songs that were in both test and dummy; the published data set, which "
            "the users' re-run searched, does not, and gives higher rates."
        )
    if others.ne("yes").any():
        apart = table.loc[others.index[others.ne("yes")]].drop_duplicates(["source", "comparable"])
        reasons = [f"{row.source} ({row.comparable.removeprefix('no: ')})" for row in apart.itertuples()]
        parts.append(f"Published rows marked as not comparable: {', '.join(reasons)}.")
    return " ".join(parts)


def _rate(done: pd.DataFrame) -> str:
    return "Hit rate" if done["match"].isin(["top3", "top10"]).any() else "Top-1 hit rate"


def _sampled(done: pd.DataFrame) -> str:
    return "songs and seeds" if done["seeds"].gt(1).any() else "songs"


def _generated(done: pd.DataFrame) -> str:
    """How many segments of the database no song has; nothing if all are of songs."""
    if not done["generated_segments"].any():
        return ""
    return f", {_one_or_more(done['generated_segments'])} of them drawn from a model of the dummy songs"


def _one_or_more(numbers: pd.Series) -> str:
    return " or ".join(f"{n:,.0f}" for n in sorted(numbers.dropna().unique()))


def to_markdown(table: pd.DataFrame) -> str:
    """A table of `study.study_table` as Markdown, below its caption."""
    plan = layout(table)
    lines = [_markdown_row([escaped(entry.text) for entry in _head(plan)])]
    lines.append(
        "|" + "|".join(":--" if entry.kind in ("method", "index", "match") else "--:" for entry in _head(plan)) + "|"
    )
    lines += [_markdown_row([_markdown(entry) for entry in row]) for row in _rows(plan)]
    return f"{escaped(under(table, plan))}\n\n" + "\n".join(lines) + "\n"


def under(table: pd.DataFrame, plan: Layout) -> str:
    """The line under a table."""
    shared = f"All rows of this run: {plan.everywhere}. " if plan.everywhere else ""
    return shared + caption(table)


def _head(plan: Layout) -> list[Entry]:
    return [Entry("source", "method"), *plan.head]


def _rows(plan: Layout):
    """The table as full rows, one a match: source, labels, match, rates, costs."""
    for block in plan.blocks:
        source = block.source + (f" ({block.note.split(':')[0]})" if block.note else "")
        for group in block.groups:
            for row in group.rows:
                yield [Entry(source, "method"), *group.labels, *row, *group.costs]


def _markdown_row(texts: list[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _markdown(entry: Entry) -> str:
    text = escaped(entry.text)
    text = f"**{text}**" if entry.best else text
    return " ".join(part for part in (text, f"({'; '.join(entry.below)})" if entry.below else "", entry.mark) if part)


def escaped(text: str) -> str:
    """Text with Markdown's characters escaped, so that names become neither links nor HTML."""
    return re.sub(r"([\\|*<`\[\]])", r"\\\1", " ".join(text.split()))


def to_latex(table: pd.DataFrame, name: str, question: str = "") -> str:
    r"""A table of `study.study_table` as a LaTeX table environment with booktabs rules, to be read with ``\input``."""
    plan = layout(table)
    align = "".join("l" if entry.kind in ("method", "index", "match") else "r" for entry in plan.head)
    lines = [
        "% needs \\usepackage{booktabs,graphicx}",
        "\\begin{table}",
        "\\centering\\footnotesize\\setlength{\\tabcolsep}{2.5pt}",
        f"\\caption{{{tex(question or name)}}}",
    ]
    lines += [
        f"\\label{{tab:{re.sub('[^a-z0-9]+', '-', name.lower())}}}",
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%  no wider than the page",
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
    ]
    lines.append(_tex_row(map(_tex_head, plan.head)))
    for block in plan.blocks:
        title = block.source.capitalize() + (f" ({block.note})" if block.note else "")
        lines += ["\\midrule", f"\\multicolumn{{{len(plan.head)}}}{{l}}{{\\emph{{{tex(title)}}}}} \\\\"]
        for group in block.groups:
            for number, row in enumerate(group.rows):
                around = (group.labels, group.costs) if number == 0 else ([], [])
                labels = [tex(entry.text) for entry in around[0]] or [""] * len(group.labels)
                costs = [tex(entry.text) for entry in around[1]] or [""] * len(group.costs)
                lines.append(_tex_row([*labels, *_tex_rates(row), *costs]))
                for texts in zip_longest(
                    *(entry.below for entry in row), fillvalue=""
                ):  # they fit in lines of their own
                    below = [f"{{\\tiny {tex(text)}}}" if text else "" for text in texts]
                    lines.append(_tex_row([*[""] * len(labels), *below, *[""] * len(costs)]))
    lines += [
        "\\bottomrule",
        "\\end{tabular}}",
        f"\\par\\smallskip\\footnotesize {tex(under(table, plan))}",
        "\\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _tex_head(entry: Entry) -> str:
    """A heading; long names of costs are set one word a line."""
    words = [tex(word) for word in re.split(r" (?!\w+\))", entry.text)]
    return "\\shortstack[r]{" + r"\\".join(words) + "}" if entry.kind == "cost" else " ".join(words)


def _tex_row(texts: Iterable[str]) -> str:
    return " & ".join(texts) + r" \\"


def _tex_rates(row: list[Entry]) -> list[str]:
    """A match and its rates, or one remark if none of them has run."""
    match, *rates = map(_tex, row)
    if rates and set(rates) == {NOT_RUN}:
        return [match, f"\\multicolumn{{{len(rates)}}}{{c}}{{\\emph{{{NOT_RUN}}}}}"]
    return [match, *rates]


def _tex(entry: Entry) -> str:
    text = tex(entry.text)
    return (f"\\textbf{{{text}}}" if entry.best else text) + tex(entry.mark)


def tex(text: str) -> str:
    """Text with LaTeX's own characters escaped. Letters outside Latin-1 want LuaLaTeX."""
    return "".join(_TEX.get(character, character) for character in " ".join(text.split()))
