"""Targets that are not there: which part of a name or path is unknown, and what is known instead."""

import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from nafp.methods import KINDS, Trained

SECTIONS = {  # field -> section of the config that defines its names
    "aug": "chains",
    "index": "indexes",
    "loss": "losses",
    "recipe": "recipes",
    "query_set": "query_sets",
    "pretrained": "pretrained",
    "external": "external",
    "method": "methods",
}
WORDS = {"aug": "augmentation", "query_set": "query set"}  # field -> its name in sentences, where that differs


def sentence_of_target(target: str, names: Collection[str], config: Mapping) -> str:
    """Why there is no such target. ``names``: the targets that are names; a path is compared with the config."""
    if "/" not in target:
        return f"unknown target {target!r}{likely(target, names)}; known: {', '.join(names)}"
    problems = problems_of_path(target, config)
    return f"{target}: {'; '.join(problems) or 'no rule makes this file'}"


def likely(name: str, names: Collection[str]) -> str:
    """In brackets, a question with the most similar of some names, if one is similar."""
    found = get_close_matches(name, names, n=1)
    return f" (did you mean {found[0]!r}?)" if found else ""


def problems_of_path(path: str, config: Mapping) -> list[str]:
    """What is unknown in a path below ``results/{dataset}/``, one sentence a part."""
    _, _, kind, *parts = path.split("/")
    run, parts = (parts[0], parts[1:]) if parts else ("", [])
    problems = problems_of_run_name(run, config)
    searched = not run.startswith("method=")  # with an index, of an epoch's fingerprints
    if searched and kind in ("scores", "indexes", "fingerprints"):
        epoch, parts = (parts[0], parts[1:]) if parts else ("", [])
        if not re.fullmatch(r"epoch=(best|last|\d+)", epoch):
            problems.append(
                f"unknown epoch {epoch.removeprefix('epoch=')!r}; known: best, last, or a number, as in epoch=best"
            )
    if kind == "scores" and parts and parts[0].startswith("queries="):
        problems += unknown("query set", parts[0].removeprefix("queries="), config["query_sets"])
        parts = parts[1:]
    if searched and kind in ("scores", "indexes") and parts:
        problems += unknown("index", parts[-1].split(".")[0], config["indexes"])
    return problems


def problems_of_run_name(run: str, config: Mapping) -> list[str]:
    """What is unknown in the name of a run."""
    fields: dict[str, str] = dict(
        field.partition("=")[::2] for field in re.split(rf"_(?=(?:{'|'.join(Trained.fields)})=)", run)
    )
    if tuple(fields) not in [kind.fields for kind in KINDS]:
        example = "_".join(f"{name}={config['run'][name]}" for name in Trained.fields)
        return [f"{run!r} is not the name of a run, which is like {example}"]
    problems = []
    for name, value in fields.items():
        if name in SECTIONS:
            problems += unknown(WORDS.get(name, name), value, config[SECTIONS[name]])
        elif not value.isdecimal():
            problems.append(f"{name}={value}: not a number")
    return problems


def unknown(what: str, name: str, known: Collection[str] | Sequence[str]) -> list[str]:
    """A sentence if a name is not among the known ones."""
    if name in known:
        return []
    return [f"unknown {what} {name!r}{likely(name, known)}; known: {', '.join(known) or 'none'}"]
