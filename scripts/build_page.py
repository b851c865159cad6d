"""Build the scoreboard page and the summary."""

import json
from pathlib import Path

from nafp.console import logged
from nafp.report import provenance
from nafp.report.cells import load_cells, run_labels
from nafp.report.headline import headline
from nafp.report.page import Section, render_page
from nafp.report.tables import load_table

CAPTIONS = {
    "hit_rate": "Top-1 hit rate over query length",
    "bsz": "Hit rate over batch size",
    "dim": "Hit rate over the dimension of the fingerprint",
    "aug": "Hit rate by augmentation chain",
    "snr_db": "Hit rate over the noise of the queries",
    "costs": "Index types: hit rate against time and size",
    "learning": "Training loss and validation hit rate over epochs",
    "misses": "Where the answers lie",
    "similarity": "How alike the degraded queries of one test song are to its segments",
    "scale": "Hit rate and time over the size of the database",
}


def captioned(figures: dict[str, str]) -> list[tuple[str, str]]:
    """(caption, SVG text) of figures."""
    return [(CAPTIONS[name], Path(path).read_text(encoding="utf-8")) for name, path in figures.items()]


with logged(snakemake.log[0]):
    params = snakemake.params
    sections = []
    for (name, study), path in zip(params.studies.items(), snakemake.input.tables, strict=True):
        sections.append(Section(name, study["question"], load_table(path), captioned(study["figures"])))
    cells = load_cells(params.cells)
    figures = headline(cells)
    origin = provenance.collect(params.config, cells, Path(params.benchmarks), Path(params.verification))
    listening = json.loads(Path(snakemake.input.listening).read_text(encoding="utf-8"))
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
