"""Keys of the config, as YAML reads them: they must be text, and a file must have each only once."""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

import yaml

from nafp.errors import UserError
from nafp.options import is_number
from nafp.yaml_text import compose_yaml

MERGE = "tag:yaml.org,2002:merge"  # tag of the key <<, which may be there for several mappings
NUMBERED = "ladders.*.strengths"  # place whose keys may be numbers


def keys_that_are_no_text(part: object, place: str = "") -> list[str]:
    """Keys at any depth of the config that YAML takes for something else than text, one sentence each."""
    inside = part.items() if isinstance(part, Mapping) else enumerate(part) if isinstance(part, list) else ()
    problems = []
    for key, value in inside:
        numbered = isinstance(part, list) or fnmatch(place, NUMBERED)
        if not isinstance(key, str) and not (numbered and is_number(key)):
            why = " (no, off, on and yes are truth values)" if isinstance(key, bool) else ""
            problems.append(f"{place or 'config'}: YAML reads a key as {key}, which is no text{why}; put it in quotes")
        problems += keys_that_are_no_text(value, f"{place}.{key}" if place else str(key))
    return problems


def check_keys_once(files: Iterable[Path | str]) -> None:
    """UserError if a file of the config has a key twice in one place: YAML would drop all but the last without a word.

    A file that is no YAML is left to those who read it.
    """
    for file in files:
        try:
            root = compose_yaml(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        for key, first, again in repeated_keys(root):
            raise UserError(
                f"{file}, line {again}: the key {key!r} is there a second time; that of line {first} would count for "
                "nothing: join them, or take one out"
            )


def repeated_keys(root: yaml.Node | None) -> Iterator[tuple[str, int, int]]:
    """Keys that are twice in one mapping of a YAML document: the key, the line of the first and of the next."""
    waiting, seen = [root], set()
    while waiting:
        node = waiting.pop()
        if node is None or id(node) in seen:  # an alias is the node that it stands for
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            lines: dict[tuple[str, str], int] = {}
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.tag == MERGE:
                    continue
                name, line = (key.tag, key.value), key.start_mark.line + 1
                if name in lines:
                    yield key.value, lines[name], line
                lines.setdefault(name, line)
            waiting += [value for _, value in reversed(node.value)]
