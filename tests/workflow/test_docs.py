"""The pages: a site without a broken link, and a rule graph that is the workflow's."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from workflow import ROOT, copy_project

from nafp.augment.steps import STEPS
from nafp.commands import COMMANDS
from nafp.config.check import check_config
from nafp.config.overlay import with_changes
from nafp.config.schema import RENAMED
from nafp.datasets.checks import OWN_ROLES, SHARES
from nafp.datasets.sources import SOURCES
from nafp.evaluation.metrics import METRICS
from nafp.methods import METHODS
from nafp.model.encoders import ENCODERS
from nafp.search.types import INDEX_TYPES

sys.path.insert(0, str(ROOT / "docs"))
import rulegraph  # noqa: E402


def test_the_site_builds_without_a_warning(tmp_path):
    """Sphinx warns of links to pages and headings that are not there, and of pages that no other one leads to."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: make install")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-W",
        "--keep-going",
        "-q",
        "-c",
        "docs",
        "-d",
        str(tmp_path / "doctrees"),
    ]
    done = subprocess.run([*command, ".", str(tmp_path / "site")], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "README.html" in (tmp_path / "site/index.html").read_text()
    assert 'class="mermaid' in (tmp_path / "site/docs/rule-graph.html").read_text()


def test_the_readme_is_short_and_leads_to_every_page():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}
    assert pages | {"CONTRIBUTING.md", "CHANGELOG.md"} <= set(re.findall(r"\]\(([^)#]+)", text))


def test_files_that_the_pages_link_to_are_there():
    """Those that are no pages, which Sphinx copies, and what GitHub would not find."""
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\(((?!https?://|#)[^)#]+)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == [], page.name


def test_every_config_file_is_described():
    text = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert {path.name for path in (ROOT / "config").glob("*.yaml")} == set(re.findall(r"`([a-z_-]+\.yaml)`", text))


def test_every_setting_of_the_default_config_has_its_reason_on_its_line():
    """But for entries that have names of their own, such as chains and indexes."""
    lines = (ROOT / "config.yaml").read_text(encoding="utf-8").splitlines()
    named = {"chains", "recipes", "losses", "indexes", "studies"}

    def bare(node, where=()):
        for key, value in node.value:
            path = (*where, key.value)
            deeper = isinstance(value, yaml.MappingNode) and not value.flow_style
            if path[0] not in named and path != ("demo", "queries"):
                if deeper:
                    yield from bare(value, path)
                elif "#" not in lines[key.start_mark.line]:
                    yield ".".join(path)

    assert list(bare(yaml.compose("\n".join(lines)))) == []


def test_every_measurement_is_listed():
    text = (ROOT / "docs/files.md").read_text(encoding="utf-8")
    assert {path.name for path in (ROOT / "benchmarks").glob("*.md")} == set(re.findall(r"benchmarks/(\w+\.md)", text))


def test_an_example_of_recordings_is_a_config_that_runs():
    """Its weights of others want no licence to be accepted, which a copied example would not say."""
    text = (ROOT / "docs/data-sets.md").read_text(encoding="utf-8")
    example = yaml.safe_load(re.search(r"```yaml\n(dataset: .*?)```", text, re.DOTALL)[1])
    config = with_changes(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), example)
    check_config(config, ROOT)
    named = config["studies"]["phone"]["pretrained"]
    assert [name for name in named if "licence" in config["pretrained"][name]] == []


def test_the_example_of_own_music_is_a_config_with_the_usual_shares():
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", (ROOT / "docs/own-music.md").read_text(), re.DOTALL)[1])
    check_config(with_changes(yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8")), example), ROOT)
    assert example["dataset"]["own"]["shares"] == SHARES
    assert set(example["dataset"]["own"]) == {*OWN_ROLES, "shares", "seed"}


def test_one_version_everywhere():
    """The newest release of the changelog is the package's version and the citation's, with its date."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    version, date = re.search(r"^## ([0-9.]+) - ([0-9-]+)$", changelog, re.MULTILINE).groups()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert citation["version"] == package["version"] == version
    assert str(citation["date-released"]) == date


def test_badges_and_catalog_say_what_the_workflow_needs():
    readme, snakefile = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "Snakefile"))
    package = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = re.search(r'min_version\("([0-9.]+)"\)', snakefile)[1], package["requires-python"].lstrip(">=")
    assert re.findall(r"badge/(?:snakemake|python)-%E2%89%A5%20([0-9.]+)-", readme) == list(needed)
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))["usage"]
    assert usage["software-stack-deployment"]["conda"] == any((ROOT / "envs").glob("*.yaml"))
    assert usage["software-stack-deployment"]["apptainer"] == any((ROOT / "container").glob("*.def"))


def test_the_changelog_has_every_renamed_key():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").split("### Renamed")[1].split("\n###")[0]
    cells = [
        [re.findall(r"`(\w+)", cell) for cell in line.split("|")[2:4]] for line in text.splitlines() if "`" in line
    ]
    told = {pair for old, new in cells for pair in zip(old, new, strict=False)}
    assert {pair for names in RENAMED.values() for pair in names.items()} <= told


@pytest.mark.parametrize(
    "page, names",
    [
        ("training.md", [*STEPS, *ENCODERS]),
        ("evaluation.md", [*INDEX_TYPES, *METRICS]),
        ("data-sets.md", [*SOURCES]),
        ("methods.md", [*METHODS]),
        ("python.md", [f"nafp {name}" for name in COMMANDS]),
    ],
)
def test_a_page_has_every_entry_of_the_registries(page, names):
    """The line of docs that a new one wants."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text and f"**{name}**" not in text] == []


def test_the_rule_graph_is_that_of_the_workflow(tmp_path):
    """`python docs/rulegraph.py` draws it again."""
    assert rulegraph.written_graph() == rulegraph.planned_graph(copy_project(tmp_path))
