"""Find which song a recording is: nafp identify --help"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from pathlib import Path

from nafp.commands import ERROR_STATUS
from nafp.identify.answers import filled, summary, to_json, to_text, write_csv
from nafp.identify.job import Task, run
from nafp.identify.windows import Limits
from nafp.shipped import DEFAULT
from nafp.text import printable
from nafp.yaml_text import parse_yaml

USUAL = "ivfpq-rr"
CONFIG = Path(__file__).parents[3] / "config.yaml"  # the checkout's, if this is one


def cache() -> Path:
    """Folder of caches."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nafp"


def indexes() -> dict[str, Mapping]:
    """Name -> options of the indexes of a checkout's config.yaml, the usual one first; elsewhere exact search alone."""
    if not CONFIG.is_file():
        return {"l2": {}}
    known = parse_yaml(CONFIG.read_text(encoding="utf-8"))["indexes"]
    return {USUAL: known[USUAL]} | known


def checked(kind: Callable, holds: Callable[[float], bool], what: str) -> Callable[[str], float]:
    """A type of numbers on the command line; ``what`` says in words what ``holds`` for those that are taken."""

    def parsed(text: str) -> float:
        try:
            if holds(value := kind(text)):
                return value
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")

    return parsed


COUNT = checked(int, lambda n: n >= 1, "a whole number from 1 on")
SHARE = checked(float, lambda x: 0 < x < 1, "a share between 0 and 1, such as 0.01 for 1 %")
SCORE = checked(float, lambda x: -1 <= x <= 1, "a score, which is from -1 to 1")
MARGIN = checked(float, lambda x: 0 <= x <= 2, "a difference of scores, which is from 0 to 2")
LIMIT = checked(int, lambda n: n >= 0, "a whole number from 0 on")


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
    parser.add_argument(
        "--min-score",
        type=SCORE,
        help=f"score of a match, at least (default: by the model's calibration, else {Limits.min_score:g})",
    )
    parser.add_argument(
        "--false-positives",
        type=SHARE,
        default=0.01,
        help="accepted share of unknown recordings that are recognised, by the model's calibration (default %(default)s)",
    )
    parser.add_argument(
        "--min-margin",
        type=MARGIN,
        default=Limits.min_margin,
        help="difference of scores to other songs, at least (default %(default)s)",
    )
    parser.add_argument(
        "--windows", type=COUNT, default=Limits.windows, help="number of windows that must agree (default %(default)s)"
    )
    known = indexes()
    parser.add_argument(
        "--index",
        default=next(iter(known)),
        choices=known,
        metavar="NAME",
        help=f"index for a large library: {', '.join(known)} (default %(default)s)",
    )
    parser.add_argument(
        "--exact-up-to",
        type=LIMIT,
        default=10**6,
        help="fingerprints up to which search is exhaustive (default %(default)s)",
    )
    parser.add_argument("--threads", type=COUNT, default=2, help="CPU threads (default %(default)s)")
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
    rate = options.false_positives if options.min_score is None else None
    with redirect_stdout(sys.stderr):  # standard output has the answers alone
        answers, limits = run(
            Task(
                options.library,
                options.recordings,
                options.run,
                options.epoch,
                options.store,
                Limits(score, options.min_margin, options.windows),
                rate,
                (options.index, options.index_options),
                options.exact_up_to,
                options.threads,
                options.name,
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
