"""Build the scoreboard page and the summary."""

from pathlib import Path

from nafp.console import logged
from nafp.report import provenance
from nafp.report.page import render_page
from nafp.report.scoreboard import caption, headline, load_cells, load_published, table

CAPTIONS = {
    "hit_rate": "Top-1 hit rate over query length",
    "speed": "Hit rate against search time",
    "learning": "Training loss and validation hit rate over epochs",
}

with logged(snakemake.log[0]):
    params = snakemake.params
    published = load_published(snakemake.input.published)
    studies = []
    for name, study in params.studies.items():
        cells = load_cells(study["cells"])
        wide = table(cells, published, name, study["varied"])
        figures = [(CAPTIONS[f], Path(svg).read_text(encoding="utf-8")) for f, svg in study["figures"].items()]
        studies.append(
            {
                "name": name,
                "question": study["question"],
                "table": wide,
                "figures": figures,
                "caption": caption(cells, wide),
            }
        )
    figures = headline(load_cells(dict.fromkeys(snakemake.input.cells)))
    origin = provenance.collect(params.config, Path(params.benchmarks))
    page = render_page(f"Neural Audio Fingerprint: {params.dataset}", figures, studies, origin)
    Path(snakemake.output.page).write_text(page, encoding="utf-8")

    lines = [f"{entry['value']:>8}  {entry['text']}" for entry in figures]
    lines += ["", f"scoreboard  {Path(snakemake.output.page).resolve()}"]
    lines += [f"table       {Path(snakemake.output.page).with_name(name + '.md')}" for name in params.studies]
    Path(snakemake.output.summary).write_text("\n".join(lines) + "\n", encoding="utf-8")
