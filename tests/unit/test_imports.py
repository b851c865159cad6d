"""What the digest of a script's code covers, against Python's own parser."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from workflow import ROOT

from nafp.imports import imported, modules

SCRIPTS = ROOT / "scripts"


def parsed(path: Path) -> set[Path]:
    """The library modules that a file imports or registers, by its syntax tree."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and re.fullmatch(r"nafp(\.\w+)+:\w+", str(node.value)):
            names.add(node.value.partition(":")[0])
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nafp"):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    places = [SCRIPTS.joinpath(*name.split(".")) for name in names if name != "nafp"]
    return {file for place in places for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()}


def test_every_file_of_the_library_and_every_script():
    files = [*SCRIPTS.rglob("*.py")]
    assert len(files) > 100
    for file in files:
        assert imported(file, SCRIPTS) == parsed(file), file
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"^\s*import nafp\.", text, re.MULTILINE), file  # imports that are not looked for


@pytest.mark.parametrize(
    "text, found",
    [
        ("from nafp import compute\n", {"compute.py"}),
        ("def late():\n    from nafp.text import (\n        a,  # why (so)\n        b as c,\n    )\n", {"text.py"}),
        ("from nafp.audio import wav as sound  # from nafp.disk import x\n", {"audio/__init__.py", "audio/wav.py"}),
        ("X = {'x': 'nafp.disk:Disk'}\n", {"disk.py"}),
        ("import numpy\nfrom nafp.nothing import x\n", set()),
    ],
)
def test_all_ways_to_import(tmp_path, text, found):
    file = tmp_path / "x.py"
    file.write_text(text)
    assert {SCRIPTS / "nafp" / one for one in found} <= imported(file, SCRIPTS)
    assert imported(file, SCRIPTS) == parsed(file)


def test_a_script_depends_on_what_its_modules_import_and_on_their_templates():
    found = modules("train", SCRIPTS)
    assert str(SCRIPTS / "nafp/training/trainer.py") in found and str(SCRIPTS / "nafp/model/features.py") in found
    assert str(SCRIPTS / "nafp/report/page/page.py") not in found
    assert any(one.endswith(".j2") for one in modules("build_page", SCRIPTS))


@pytest.mark.parametrize(
    "module", ["report.figures.job", "report.tables.job", "report.page.job", "evaluation.hits", "search.index"]
)
def test_short_jobs_do_not_import_what_takes_seconds(module):
    """PyTorch, and parts of SciPy, take longer to import than a table or figure takes to make; there are dozens of them."""
    heavy = ["torch", "scipy.stats", "scipy.signal", "av", "pymilvus"]
    code = f"import sys, nafp.{module}; print([name for name in {heavy} if name in sys.modules])"
    environment = os.environ | {"PYTHONPATH": str(SCRIPTS)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
