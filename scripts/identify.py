"""Find which song a recording is: python scripts/identify.py --help"""

import argparse
from pathlib import Path

from nafp.commands import run_command
from nafp.commands.identify import main
from nafp.console import tee_to_log


def of_rule(rule) -> argparse.Namespace:
    """The arguments of a job of the workflow."""
    return argparse.Namespace(
        **rule.params.task,
        **{name: Path(path) for name, path in rule.params.paths.items()},
        matches=Path(rule.output.matches),
        answers=Path(rule.output.answers),
        json=False,
        threads=rule.threads,
    )


if "snakemake" in globals():
    with tee_to_log(snakemake.log[0]):
        main(of_rule(snakemake))
elif __name__ == "__main__":
    run_command("identify")
