"""The library's rooms: each imports only those before it, and the README's table has them in that order."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "scripts/nafp"
LEAVES = [
    "secrets",
    "errors",
    "text",
    "files",
    "walk",
    "disk",
    "memory",
    "npy",
    "options",
    "jobfacts",
    "jobtimes",
    "console",
    "resources",
    "yaml_text",
    "imports",
]
LEAVES += ["compute", "shipped"]
FOLDERS = [
    "audio",
    "datasets",
    "demo",
    "augment",
    "model",
    "pretrained",
    "training",
    "search",
    "methods",
    "evaluation",
    "identify",
]
LAST = ["grid", "report", "config", "plan", "api", "commands"]
FORMER = {"data"}  # names of modules before they moved
ORDER = [*LEAVES, *FOLDERS, *LAST]


def room_of(path: Path) -> str:
    """The folder of the library that a file is in, or its name."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return {name.split(".")[1] for name in names if name.startswith("nafp.")}


@pytest.mark.parametrize("room", sorted({room_of(path) for path in LIBRARY.rglob("*.py")} - {"__init__"} - FORMER))
def test_a_room_imports_only_those_before_it(room):
    files = [path for path in LIBRARY.rglob("*.py") if room_of(path) == room]
    before = set(ORDER[: ORDER.index(room) + 1])
    assert {(path.name, other) for path in files for other in imported(path) - before} == set()


def test_the_readme_has_the_rooms_in_their_order():
    rows = re.findall(r"^\| &emsp;(.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    listed = [name for row in rows for name in re.findall(r"`(\w+)(?:/|\.py)`", row)]
    assert listed == [room for room in ORDER if room in listed]
    assert {path.name for path in LIBRARY.iterdir() if (path / "__init__.py").exists()} - FORMER <= set(listed)
