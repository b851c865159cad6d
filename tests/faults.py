"""What happens to every rule when its job is killed, memory or disk runs out, ...: python tests/faults.py > benchmarks/faults.md

Each case takes one job of the finished tiny experiment, deletes its outputs, lets it run into one fault, says what the user
read and what was left, mends the fault, runs the same command again, and compares the outputs with those of the
undisturbed run. ``--rule`` and ``--fault`` choose some. Full disk and read-only folder need root, for a small tmpfs.
"""

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from workflow import FULL, copy_project, snakemake

RESULTS = Path("results/demo")
RUN = f"{FULL}/epoch=best"
FAULTS = ("SIGKILL", "SIGTERM", "power cut", "out of memory", "disk full", "read-only", "corrupt input")
TMPFS_MB = 400
# Run at the start of every Python process: the job's script meets its fault when it first writes below results/.
SABOTAGE = """
import os, resource, signal, sys

def sabotage(event, arguments):
    if event != "open" or not isinstance(arguments[0], (str, bytes, os.PathLike)):
        return
    path, mode = os.fsdecode(arguments[0]), arguments[1] or ""
    writes = any(letter in mode for letter in "wax+") and "results/" in path
    if not writes or not os.path.exists(os.environ["FAULT"]):
        return
    name = open(os.environ["FAULT"]).read()
    if "/logs/" in path:
        if name == "out of memory":
            used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, used + 2**20))
        return
    if name in ("SIGKILL", "SIGTERM", "power cut"):
        os.remove(os.environ["FAULT"])
        with open(path, "wb") as half:
            half.write(b"half")
        if name == "power cut":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), getattr(signal, name))

if "FAULT" in os.environ and sys.orig_argv[-1].endswith("." + os.environ["FAULTY_RULE"] + ".py"):
    sys.addaudithook(sabotage)
"""


@dataclass(frozen=True)
class Job:
    """A job of a rule: what it makes, below results/demo, and the input that is damaged."""

    outputs: tuple[str, ...]
    corrupt: str
    arguments: tuple[str, ...] = ()


MUSIC = "data/corpus/music"
JOBS = {
    "synthesise_queries": Job((f"{MUSIC}/test-query-db-500-30s/query",), f"{MUSIC}/test-query-db-500-30s/db/*/*.wav"),
    "verify": Job(("data/manifest.csv", "data/verification.json"), f"{MUSIC}/train-10k-30s/*/*.wav"),
    "pack": Job(("data/packed/test_db.npy", "data/packed/test_db.csv"), f"{MUSIC}/test-query-db-500-30s/db/*/*.wav"),
    "train": Job(
        tuple(f"runs/{FULL}/{file}" for file in ("epoch=last.safetensors", "epoch=best.safetensors", "history.csv")),
        "data/packed/val_db.npy",
    ),
    "fingerprint": Job((f"fingerprints/{RUN}/dummy.npy",), f"runs/{RUN}.safetensors"),
    "build_index": Job((f"indexes/{RUN}/ivfpq", f"indexes/{RUN}/ivfpq.json"), f"fingerprints/{RUN}/dummy.npy"),
    "score": Job((f"scores/{RUN}/ivfpq.json", f"scores/{RUN}/ivfpq.hits.parquet"), f"indexes/{RUN}/ivfpq/index.faiss"),
    "measure_scale": Job(
        (f"scores/{RUN}/l2.scale.csv", f"scores/{RUN}/l2.scale.parquet"), f"fingerprints/{RUN}/test_query.npy"
    ),
    "export": Job(
        tuple(f"exchange/{RUN}/{part}{end}" for part in ("db", "query", "dummy_db") for end in (".mm", "_shape.npy")),
        f"fingerprints/{RUN}/test_db.npy",
    ),
    "make_table": Job(("scoreboard/table3.csv", "scoreboard/table3.md"), f"scores/{RUN}/l2.json"),
    "plot": Job(("scoreboard/table3.hit_rate.svg",), f"scores/{RUN}/l2.json"),
    "plot_scale": Job(("scoreboard/scale.svg",), f"scores/{RUN}/l2.scale.csv"),
    "build_page": Job(("scoreboard/index.html", "scoreboard/summary.txt"), f"scores/{RUN}/l2.json"),
}


@dataclass(frozen=True)
class Outcome:
    """What a fault led to: what the user read, what was left that should not be, and the outputs after repair."""

    said: str
    left: str
    after: str


def run(folder: Path, job: Job, rule: str, fault: Path | None) -> subprocess.CompletedProcess:
    """The command of a case, with the fault whose name is in a file."""
    environment = {"PYTHONPATH": str(folder / "sabotage"), "FAULTY_RULE": rule}
    environment |= {"FAULT": str(fault)} if fault else {}
    target = str(RESULTS / job.outputs[0])
    return snakemake(folder, target, *job.arguments, "--retries", "0", environment=environment, start_new_session=True)


@contextlib.contextmanager
def on_tmpfs(folder: Path) -> Iterator[None]:
    """Results on a small file system of their own."""
    results = folder / "results"
    aside = folder / "aside"
    results.rename(aside)
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={TMPFS_MB}m", "tmpfs", str(results)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(results)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(results)], check=True)


@contextlib.contextmanager
def trouble(fault: str, folder: Path, job: Job) -> Iterator[Path | None]:
    """The fault, and its repair at the end; yields the file that tells the job of it."""
    results, note = folder / "results", folder / "fault"
    if fault == "disk full":
        filler = results / "filler"
        with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield None
        filler.unlink()
    elif fault == "read-only":
        subprocess.run(["mount", "-o", "remount,ro", str(results)], check=True)
        yield None
        subprocess.run(["mount", "-o", "remount,rw", str(results)], check=True)
    elif fault == "corrupt input":
        damaged = sorted((folder / RESULTS).glob(job.corrupt))[0]
        whole, stat = damaged.read_bytes(), damaged.stat()
        damaged.write_bytes(whole[: len(whole) // 2])
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        yield None
        damaged.write_bytes(whole)
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    else:
        note.write_text(fault)
        yield note
        note.unlink(missing_ok=True)


def sentence(output: str, returncode: int) -> str:
    """What a user reads of the end of a job: our sentence, the system's, or Snakemake's."""
    patterns = (r"^error: (.*)", r"^(\w*Error: .*)", r"^(libgomp: .*)", r"(died with <Signals.*?>)", r"^(\w*Error.*)")
    for pattern in patterns:
        if found := re.findall(pattern, output, flags=re.MULTILINE):
            return re.sub(r"[\w./=-]*/results/\S*/|results/\S*/", ".../", found[0].replace("|", "/"))[:110]
    return f"nothing (exit status {returncode})" if returncode < 0 else output.strip().splitlines()[-1][:110]


def left_behind(folder: Path, job: Job, before: set[Path]) -> str:
    """Outputs and temporary files that the fault has left."""
    found = [str(path.relative_to(folder / RESULTS)) for path in (folder / RESULTS).rglob("*") if path not in before]
    mine = [file for file in found if file.endswith(".part") or any(file == output for output in job.outputs)]
    return ", ".join(Path(file).name for file in sorted(mine)) or "nothing"


def comparable(path: Path) -> object:
    """A file's contents without the times that were measured."""
    if path.is_dir():
        return {file.name: comparable(file) for file in sorted(path.rglob("*")) if file.is_file()}
    if path.suffix == ".json":
        facts = json.loads(path.read_text())
        return {
            name: value for name, value in facts.items() if name not in ("ms_per_segment", "ms_per_query", "build_s")
        }
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns=["seconds", "anchors_per_s"]).to_csv()
    if path.name.endswith(".scale.csv"):
        return pd.read_csv(path).drop(columns="ms").to_csv()
    if path.name.endswith(".scale.parquet"):
        return pd.read_parquet(path).drop(columns="ms").to_csv()
    if path.name == "index.html":
        return "with times"
    return path.read_bytes()


def try_case(base: Path, rule: str, fault: str, within: Path) -> Outcome:
    """One rule meets one fault."""
    job = JOBS[rule]
    folder = Path(tempfile.mkdtemp(dir=within)) / "project"
    shutil.copytree(base, folder, copy_function=shutil.copy2)
    (folder / "sabotage").mkdir()
    (folder / "sabotage/sitecustomize.py").write_text(SABOTAGE)
    with on_tmpfs(folder) if fault in ("disk full", "read-only") else contextlib.nullcontext():
        for output in job.outputs:
            path = folder / RESULTS / output
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        if rule == "train":
            shutil.rmtree(folder / RESULTS / f"runs/{FULL}/.states")
        before = set((folder / RESULTS).rglob("*"))
        with trouble(fault, folder, job) as note:
            failed = run(folder, job, rule, note)
            left = left_behind(folder, job, before)
        said = sentence(failed.stdout, failed.returncode) if failed.returncode else "nothing: the job did its work"
        if fault == "power cut":
            locked = run(folder, job, rule, None)
            assert "snakemake --unlock" in locked.stdout or "--unlock" in locked.stdout, locked.stdout
            snakemake(folder, "--unlock")
        again = run(folder, job, rule, None)
        if again.returncode:
            after = f"FAILS: {sentence(again.stdout, again.returncode)}"
        else:
            different = [
                output
                for output in job.outputs
                if comparable(folder / RESULTS / output) != comparable(base / RESULTS / output)
            ]
            after = f"DIFFERENT: {', '.join(different)}" if different else "the same"
    shutil.rmtree(folder.parent)
    return Outcome(said, left, after)


def finished_project(folder: Path) -> Path:
    """The tiny experiment with all that JOBS names."""
    copy_project(folder)
    done = snakemake(folder, "all", "scale", "export")
    assert done.returncode == 0, done.stdout[-3000:]
    return folder


def main(options: argparse.Namespace, say: Callable[[str], None] = print) -> None:
    with tempfile.TemporaryDirectory(prefix="faults") as within:
        base = Path(options.finished) if options.finished else finished_project(Path(within) / "finished")
        say("# What faults do, rule by rule\n\nWritten by `python tests/faults.py > benchmarks/faults.md`, on the tiny")
        say("experiment of the tests. A fault strikes when the job first writes a result, which is left half written.")
        say("*power cut* kills Snakemake too, so that the folder stays locked; *out of memory* is `ulimit -v`.")
        say("After repair the same command is run again, and its results compared with those of an undisturbed run,")
        say("byte by byte but for the times that they hold.\n")
        say("| rule | fault | the user reads | left behind | after repair |\n| --- | --- | --- | --- | --- |")
        for rule in options.rule or JOBS:
            for fault in options.fault or FAULTS:
                outcome = try_case(base, rule, fault, Path(within))
                said = outcome.said.replace(str(within), "...")
                say(f"| {rule} | {fault} | {said} | {outcome.left} | {outcome.after} |")
                sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rule", nargs="*", choices=JOBS)
    parser.add_argument("--fault", nargs="*", choices=FAULTS)
    parser.add_argument("--finished", help="folder of a finished tiny experiment (targets all, scale, export)")
    main(parser.parse_args())
