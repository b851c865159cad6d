"""Snakemake in a fork of a process that has imported it: each start saves a second, and half of a small plan's time."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "jsonschema",
        "snakemake.api",
        "snakemake.cli",
        "snakemake.executors.local",
        "snakemake.jobs",
        "snakemake.report",
        "snakemake.script",
        "snakemake.workflow",
        "snakemake_executor_plugin_slurm",
    ]
)


def forked_snakemake(arguments: list[str], folder: Path, environment: dict, output: Path, timeout: float) -> int:
    """Run ``python -m snakemake`` in ``folder``, with stdout and stderr in ``output``; returns the exit status."""
    process = CONTEXT.Process(target=_run, args=(arguments, folder, environment, output))
    process.start()
    process.join(timeout)
    if process.exitcode is None:
        process.kill()
        raise subprocess.TimeoutExpired(arguments, timeout)
    return process.exitcode


def _run(arguments: list[str], folder: Path, environment: dict, output: Path) -> None:
    """In the fork: become what a new process would be, and end with Snakemake's status."""
    import snakemake.cli

    with open(output, "wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    ours = [ROOT, ROOT / "scripts", ROOT / "tests"]  # the tests' own modules, which are not the copied project's
    sys.path[:] = [str(folder), *(path for path in sys.path if path and not _below(Path(path), ours))]
    sys.argv = [str(Path(snakemake.cli.__file__).with_name("__main__.py")), *arguments]
    snakemake.cli.main()


def _below(path: Path, folders: list[Path]) -> bool:
    """Whether a path is one of the folders, or below one but the first."""
    return path in folders or any(path.is_relative_to(folder) for folder in folders[1:])
