"""Build the scoreboard page and the summary."""

from pathlib import Path

from nafp.console import tee_to_log
from nafp.files import read_json
from nafp.report.page import provenance
from nafp.report.page.headline import headline
from nafp.report.page.page import Section, render_page
from nafp.report.tables.cells import load_cells, run_labels
from nafp.report.tables.study import load_table

CAPTIONS = {
    "hit_rate": "How much audio does a query need? Exact hits are solid; near ones, a segment (0.5 s) off at most, dashed.",
    "bsz": "Does a larger batch help? Exact hits of the shortest and the longest queries.",
    "dim": "How small may a fingerprint be? Exact hits of the shortest and the longest queries.",
    "aug": "What does the augmentation add? Exact hits of the shortest and the longest queries, by chain.",
    "snr_db": "How loud may the noise be? Exact hits of the shortest and the longest queries; to the left is more noise.",
    "open_set": "Can an answer be believed? Right songs accepted, over the queries of unknown songs that are accepted too.",
    "costs": "Which index is worth its time and size? Higher and further to the left is better.",
    "learning": "Was training long enough? It was where both curves are flat. Validation searches without an index.",
    "misses": "Where do wrong answers lie? Best answers to the shortest queries, run by run.",
    "similarity": "Can segments of one song be told apart? They can where the diagonal is bright and the rest is dark.",
    "scale": "What would a larger database do? Points are measured, lines fitted (log odds over log size).",
}


def captioned(figures: dict[str, str]) -> list[tuple[str, str]]:
    """(caption, SVG text) of figures."""
    return [(CAPTIONS[name], Path(path).read_text(encoding="utf-8")) for name, path in figures.items()]


with tee_to_log(snakemake.log[0]):
    params = snakemake.params
    sections = []
    for (name, study), path in zip(params.studies.items(), snakemake.input.tables, strict=True):
        sections.append(Section(name, study["question"], load_table(path), captioned(study["figures"])))
    cells = load_cells(params.cells)
    figures = headline(cells)
    places = Path(params.benchmarks), Path(params.verification)
    origin = provenance.collect(params.config, cells, params.cells, *places, snakemake.threads)
    listening = read_json(snakemake.input.listening)
    listening["names"] = run_labels(cells)
    missing = params.planned - len(params.cells)
    state = f"{missing} of {params.planned} cells {'has' if missing == 1 else 'have'} not run yet." if missing else ""
    title = f"Neural Audio Fingerprint: {params.dataset}"
    page = render_page(title, figures, sections, captioned(params.closer), listening, origin, state)
    Path(snakemake.output.page).write_text(page, encoding="utf-8")

    lines = [f"{entry['value']:>8}  {entry['text']}" for entry in figures] + [state] * bool(state)
    lines += ["", f"scoreboard  {Path(snakemake.output.page).resolve()}"]
    lines += [f"table       {Path(path).with_suffix('.md')}" for path in snakemake.input.tables]
    Path(snakemake.output.summary).write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{snakemake.output.page}: {len(page) / 1e6:.1f} MB")
