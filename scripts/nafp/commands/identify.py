"""Find which song a recording is: nafp identify --help"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from dataclasses import fields
from pathlib import Path

from nafp.commands import ERROR_STATUS
from nafp.identify.answers import filled, summary, to_json, to_text, write_csv
from nafp.identify.job import Task, run
from nafp.identify.options import Options
from nafp.identify.windows import Limits
from nafp.options import POSITIVE, number_of
from nafp.shipped import DEFAULT
from nafp.text import printable
from nafp.yaml_text import parse_yaml

CONFIG = Path(__file__).parents[3] / "config.yaml"  # the checkout's, if this is one


def cache() -> Path:
    """Folder of caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nafp"


def indexes() -> dict[str, Mapping]:
    """Name -> options of the indexes of a checkout's config.yaml, the usual one first; elsewhere exact search alone."""
    if not CONFIG.is_file():
        return {"l2": {}}
    known = parse_yaml(CONFIG.read_text(encoding="utf-8"))["indexes"]
    return {Options.index: known[Options.index]} | known


def number(schema: Mapping) -> Callable[[str], float]:
    """The type of an argument, by the JSON Schema of the option."""

    def parsed(text: str) -> float:
        try:
            return number_of(text, schema)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parsed


def add_options(parser: argparse.ArgumentParser, known: Mapping[str, Mapping]) -> None:
    """Add the options that the config has too; ``known``: indexes by name, the first one as default."""
    of_index = {"choices": known, "metavar": "NAME", "default": next(iter(known))}
    for one in fields(Options):
        about = of_index if one.name == "index" else {"type": number(one.metadata), "default": one.default}
        names = f": {', '.join(known)}" if one.name == "index" else ""
        default = "" if about["default"] is None else " (default %(default)s)"
        text = one.metadata["description"] + names + default
        parser.add_argument(f"--{one.name.replace('_', '-')}", help=text, **about)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fingerprint a folder of music and find which song, from when to when, a recording is. "
        "A second call fingerprints only what is new. Exit status: 0 something was recognised, 1 nothing was, 2 error.",
    )
    parser.add_argument("recordings", nargs="*", help="audio files, folders (with all below), or - for standard input")
    parser.add_argument("--queries", help="one more recording, folder, or -")
    parser.add_argument("--library", type=Path, required=True, help="folder of songs, in any format and any depth")
    parser.add_argument(
        "--run",
        default=DEFAULT,
        help="folder of a trained run, results/.../runs/aug=...; a .safetensors file of weights; or a model that comes with nafp "
        "(default %(default)s)",
    )
    parser.add_argument("--epoch", default="best", help="which of its weights: best, last or a number (default best)")
    parser.add_argument(
        "--store", type=Path, default=cache(), help="where fingerprints of libraries are kept (default %(default)s)"
    )
    parser.add_argument(
        "--matches", "--csv", type=Path, default=Path("matches.csv"), help="table to write (default %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, one object a line")
    parser.add_argument("--name", default="", help="name of the library in the store (default: that of its folder)")
    known = indexes()
    add_options(parser, known)
    parser.add_argument("--threads", type=number(POSITIVE), default=2, help="CPU threads (default %(default)s)")
    parser.set_defaults(answers=None)
    options = parser.parse_args()
    options.recordings += [options.queries] if options.queries else []
    if not options.recordings:
        parser.error("name at least one recording, a folder of recordings, or - for standard input")
    options.index_options = known[options.index]
    return options


def main(options: argparse.Namespace) -> int:
    """Identify, write the table, show it; returns the exit status."""
    folder = options.matches.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    # an OSError now, and not after the work
    tempfile.TemporaryFile(prefix=options.matches.name[:50], dir=folder).close()
    score = Limits.min_score if options.min_score is None else options.min_score
    with redirect_stdout(sys.stderr):  # standard output has the answers alone
        answers, limits = run(
            Task(
                library=options.library,
                queries=options.recordings,
                run=options.run,
                epoch=options.epoch,
                store=options.store,
                limits=Limits(score, options.min_margin, options.windows),
                false_positives=options.false_positives if options.min_score is None else None,
                index=(options.index, options.index_options),
                exact_up_to=options.exact_up_to,
                threads=options.threads,
                name=options.name,
            )
        )
    write_csv(answers, options.matches)
    said = f"{summary(answers)}: {printable(str(options.matches))}"
    text = f"{to_text(answers)}\n{filled(limits)}\n{filled(said)}\n"
    if options.answers:
        options.answers.write_text(text, encoding="utf-8")
    print(to_json(answers) if options.json else text, end="")
    if options.json:
        print(said, file=sys.stderr)
    if answers["from_s"].isna().all():
        return ERROR_STATUS["identify"]
    return 0 if answers["song"].notna().any() else 1
