"""Settings of Sphinx, which builds the site: `make docs`. The README is its front page, and lists the others."""

import re
from pathlib import Path

project = "Neural Audio Fingerprint, reproduced"
copyright = "the contributors of the repository"  # noqa: A001
extensions = ["myst_parser", "sphinxcontrib.mermaid"]
root_doc = "README"
include_patterns = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "benchmarks/*.md", "published/*.md"]
exclude_patterns = [".*", "data", "docs/_build", "results", "scripts", "tests"]  # folders that need no walk
myst_heading_anchors = 3  # the same as GitHub's, so that links work there and here
myst_fence_as_directive = ["mermaid"]  # a block of ```mermaid, which GitHub draws too
html_theme = "furo"
html_title = project

TOCTREE = "\n\n```{{toctree}}\n:hidden:\n:caption: {}\n\n{}\n```\n"


def add_contents(app, name: str, source: list[str]) -> None:
    """Append the pages that the README links to, and the measurements, as tables of contents, which GitHub would not hide."""
    if name == root_doc:
        linked = re.findall(r"\]\(((?:docs/)?[\w-]+)\.md\)", source[0].split("## Documentation")[1])
        measured = sorted(f"benchmarks/{path.stem}" for path in Path(app.srcdir, "benchmarks").glob("*.md"))
        source[0] += TOCTREE.format("Documentation", "\n".join(linked))
        source[0] += TOCTREE.format("Measurements", "\n".join([*measured, "published/README"]))


def write_front_page(app, exception: Exception | None) -> None:
    """index.html, which leads to the README's page."""
    if not exception:
        Path(app.outdir, "index.html").write_text('<meta http-equiv="refresh" content="0; url=README.html">\n')


def setup(app) -> None:
    """Register the two steps above."""
    app.connect("source-read", add_contents)
    app.connect("build-finished", write_front_page)
