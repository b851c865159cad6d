"""What is written twice about the checks of the code agrees."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_a_commit_is_checked_as_by_make_lint():
    """But for Snakemake's own lint, which takes some seconds."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)[1]
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe.splitlines() if "snakemake" not in line]
    # pre-commit appends the files of the commit, make the folders
    assert [hook["entry"] for hook in hooks] == [re.sub(r"( \.| Snakefile rules)$", "", line) for line in commands]
