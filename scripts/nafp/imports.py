"""Which library modules a script loads: what the digest of its code covers. Read from the text: loading them takes seconds."""

import re
from functools import cache
from pathlib import Path

_IMPORT = re.compile(r"^[ \t]*from (nafp[\w.]*) import (\([^)]*\)|[^\n#]+)", re.MULTILINE)
_REGISTERED = re.compile(r"[\"'](nafp(?:\.\w+)+):\w+[\"']")  # what a registry names, as "module:class"
_COMMENT = re.compile(r"#[^\n]*")


@cache
def imported(path: Path, scripts: Path) -> frozenset[Path]:
    """The modules of the library in ``scripts`` that a file imports or registers, packages too, but for the library itself,
    which every import loads."""
    text = path.read_text(encoding="utf-8")
    names = set(_REGISTERED.findall(text))
    for module, imports in _IMPORT.findall(text):
        listed = _COMMENT.sub("", imports).strip("() \n").split(",")
        names |= {module, *(f"{module}.{name.split()[0]}" for name in listed if name.strip())}
    places = [scripts.joinpath(*name.split(".")) for name in names if name != "nafp"]
    files = {file for place in places for file in (place.with_suffix(".py"), place / "__init__.py")}
    return frozenset(file for file in files if file.is_file())


@cache
def modules(script: str, scripts: Path) -> tuple[str, ...]:
    """The paths of the library modules that a script of a folder imports, directly or not, and of their templates, sorted."""
    found: set[Path] = set()
    waiting = [scripts / f"{script}.py"]
    while waiting:
        named = imported(waiting.pop(), scripts) - found
        found |= named
        waiting += named
    templates = {template for module in found for template in module.parent.glob(f"{module.stem}.*.j2")}
    return tuple(sorted(map(str, found | templates)))
