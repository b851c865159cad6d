"""What happens to every rule when its job is killed, memory or disk runs out, ...

    PYTHONPATH=scripts python tests/support/faults.py > benchmarks/faults.md

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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pandas as pd
from archives import zipped
from kaggle_server import HANDLE, KEY, POINT, USER, Remote, serving
from wavs import data_set
from workflow import FULL, copy_project, snakemake, tiny

from nafp.datasets.layout import SPLITS
from nafp.identify.places import label

RUN = f"{FULL}/epoch=best"
FAULTS = ("SIGKILL", "SIGTERM", "power cut", "out of memory", "disk full", "read-only", "corrupt input")
TMPFS_MB = 400
# Run at the start of every Python process: the job's script meets its fault when it first writes below results/.
SABOTAGE = """
import os, resource, signal, sys

def sabotage(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path, writes = os.fsdecode(arguments[0]), arguments[2] & (os.O_WRONLY | os.O_RDWR)
    elif event == "os.link":
        path, writes = os.fsdecode(arguments[1]), True
    else:
        return
    if not writes or "results/" not in path or not os.path.exists(os.environ["FAULT"]):
        return
    name = open(os.environ["FAULT"]).read()
    logs = "/logs/" in path
    # not where PyTorch waits for ever for threads that it cannot start
    if name == "out of memory" and logs != ("torch" in sys.modules) and resource.getrlimit(resource.RLIMIT_AS)[0] < 0:
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + 2**20, used + 2**20))
    if logs:
        return
    if name in ("SIGKILL", "SIGTERM", "power cut"):
        os.remove(os.environ["FAULT"])
        with open(path, "ab") as half:
            half.write(b"half")
        if name == "power cut":
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), getattr(signal, name))

if "FAULT" in os.environ and sys.orig_argv[-1].endswith("." + os.environ["FAULTY_RULE"] + ".py"):
    sys.addaudithook(sabotage)
"""


@dataclass(frozen=True)
class Job:
    """A job of a rule: what it makes, and the input that is damaged (None if it has none), below results/{dataset}.

    ``state``: what else must go so that it does all its work again. ``changes`` to tests/support/tiny.yaml and ``arguments`` of
    Snakemake: what its rule needs.
    """

    outputs: tuple[str, ...]
    corrupt: str | None
    state: tuple[str, ...] = ()
    changes: Mapping = field(default_factory=dict)
    arguments: tuple[str, ...] = ()

    @property
    def dataset(self) -> str:
        return self.changes.get("dataset", {"name": "demo"})["name"]


MUSIC = "data/corpus/music"
QUERIES = f"{MUSIC}/test-query-db-500-30s"
SPLIT_FOLDERS = ("aug", *(SPLITS[split] for split in ("train", "val_db", "test_db", "dummy")))
CORPUS = tuple(f"data/corpus/{folder}" for folder in SPLIT_FOLDERS)
OWN = {
    "music": f"results/demo/{MUSIC}/train-10k-30s",
    "noise": "results/demo/data/corpus/aug/bg",
    "impulse_responses": "results/demo/data/corpus/aug/ir",
}
BOARD = "scoreboard"
CLIMB = {
    "ladders": {"noise": {"strengths": [0], "chain": [{"background": {"snr_db": ["$", "$"]}}]}},
    "studies": {"climb": {"ladders": "noise", "query_set": "files"}},
}


def figure(name: str) -> tuple[str, ...]:
    """The files of a figure."""
    return tuple(f"{BOARD}/{name}.{kind}" for kind in ("svg", "png", "pdf", "vl.json"))


JOBS = {
    "compose_demo": Job(CORPUS, None),
    "import_audio": Job(
        ("data/imported.csv", *CORPUS),
        "../demo/data/corpus/aug/bg/*/*.wav",
        state=("data/decoded",),
        changes={"dataset": {"name": "mine", "source": "own", "own": OWN}},
    ),
    "download": Job(
        ("data/archives.json", "files.zip"),
        None,
        state=(".files.zip.sha256",),
        changes={"dataset": {"name": "remote", "source": "kaggle", "handle": HANDLE, "root": "results/remote/files"}},
    ),
    "unpack": Job(
        ("data/unpacked.json", "files"),
        "../remote/files.zip",
        state=("files.files.tsv",),
        changes={
            "dataset": {
                **{"name": "local", "source": "local", "root": "results/local/files"},
                **{"archive": "results/remote/files.zip"},
            }
        },
    ),
    "synthesise_queries": Job((f"{QUERIES}/query",), f"{QUERIES}/db/*/*.wav"),
    "verify": Job(("data/manifest.csv", "data/verification.json"), f"{MUSIC}/train-10k-30s/*/*.wav"),
    "pack": Job(("data/packed/test_db.npy", "data/packed/test_db.csv"), f"{QUERIES}/db/*/*.wav"),
    "degrade_queries": Job(
        ("data/packed/query_noisy.npy", "data/packed/query_noisy.csv"),
        "data/packed/test_db.npy",
        changes={"query_sets": {"noisy": [{"background": {"snr_db": [0, 0]}}]}},
    ),
    "write_augmented": Job(("augmented/test_db-full",), "data/packed/test_db.npy"),
    "train": Job(
        tuple(f"runs/{FULL}/{file}" for file in ("epoch=last.safetensors", "epoch=best.safetensors", "history.csv")),
        "data/packed/val_db.npy",
        state=(f"runs/{FULL}/.states",),
    ),
    "take_checkpoint": Job((f"runs/{FULL}/epoch=1.safetensors",), f"runs/{FULL}/.states/*/epoch=1.safetensors"),
    "fingerprint": Job((f"fingerprints/{RUN}/dummy.npy",), f"runs/{RUN}.safetensors"),
    "generate_distractors": Job(
        (f"fingerprints/{RUN}/generated.npy",),
        f"fingerprints/{RUN}/dummy.npy",
        changes={"dataset": {"name": "demo", "source": "demo", "generated": {"songs": 4, "seconds": 8, "shards": 1}}},
    ),
    "gather_fingerprints": Job(
        (f"fingerprints/{RUN}/dummy.json",),
        f"fingerprints/{RUN}/dummy/1-of-2.npy",
        changes={"fingerprint": {"shards": {"dummy": 2}}},
    ),
    "export": Job(
        tuple(f"exchange/{RUN}/{part}{end}" for part in ("db", "query", "dummy_db") for end in (".mm", "_shape.npy")),
        f"fingerprints/{RUN}/test_db.npy",
    ),
    "import_fingerprints": Job(
        ("fingerprints/external=theirs/epoch=last/dummy.npy",),
        f"exchange/{RUN}/dummy_db_shape.npy",
        changes={"external": {"theirs": f"results/demo/exchange/{RUN}"}},
    ),
    "build_index": Job((f"indexes/{RUN}/ivfpq", f"indexes/{RUN}/ivfpq.json"), f"fingerprints/{RUN}/dummy.npy"),
    "score": Job((f"scores/{RUN}/ivfpq.json", f"scores/{RUN}/ivfpq.hits.parquet"), f"indexes/{RUN}/ivfpq/index.faiss"),
    "list_queries": Job(("exchange/queries.csv", "exchange/songs.csv"), "data/packed/test_query.npy"),
    "measure_scale": Job(
        (f"scores/{RUN}/l2.scale.csv", f"scores/{RUN}/l2.scale.parquet"), f"fingerprints/{RUN}/test_query.npy"
    ),
    "extrapolate": Job((f"scores/{RUN}/extrapolation.csv",), f"fingerprints/{RUN}/test_query.npy"),
    "make_table": Job((f"{BOARD}/table3.csv", f"{BOARD}/table3.md", f"{BOARD}/table3.tex"), f"scores/{RUN}/l2.json"),
    "find_limits": Job(
        (f"{BOARD}/climb.heat_map.csv", f"{BOARD}/climb.limits.csv"),
        f"scores/{RUN}/l2.hits.parquet",
        changes=CLIMB,
    ),
    "plot": Job(figure("table3.hit_rate"), f"scores/{RUN}/l2.json"),
    "plot_heat_map": Job(figure("climb.heat_map")[:3], f"scores/{RUN}/l2.hits.parquet", changes=CLIMB),
    "plot_learning": Job(figure("learning"), f"runs/{FULL}/history.csv"),
    "tabulate_beyond": Job((f"{BOARD}/beyond.csv", f"{BOARD}/beyond.md"), f"scores/{RUN}/extrapolation.csv"),
    "plot_beyond": Job(figure("beyond"), f"scores/{RUN}/extrapolation.csv"),
    "plot_scale": Job(figure("scale"), f"scores/{RUN}/l2.scale.csv"),
    "plot_misses": Job((*figure("misses"), f"{BOARD}/misses.csv"), f"scores/{RUN}/l2.hits.parquet"),
    "plot_similarity": Job(figure("similarity"), f"fingerprints/{RUN}/test_query.npy"),
    "listen": Job((f"{BOARD}/listening.json",), "data/packed/bg_test.npy"),
    "hear_misses": Job((f"{BOARD}/heard_misses.json", f"{BOARD}/hard_songs.csv"), f"scores/{RUN}/l2.hits.parquet"),
    "build_page": Job((f"{BOARD}/index.html", f"{BOARD}/summary.txt"), f"{BOARD}/listening.json"),
    "scoreboard": Job((f"{BOARD}/so_far",), f"scores/{RUN}/l2.hits.parquet"),
    "calibrate": Job((f"runs/{RUN}.limits.json",), "data/packed/val_query.npy"),
    "ship": Job(("shipped/demo.safetensors", "shipped/demo.md"), f"runs/{RUN}.safetensors"),
    "identify": Job(
        (f"identify/{label(f'results/demo/{QUERIES}/query')}/matches.csv",),
        f"runs/{RUN}.safetensors",
        state=("identify/library",),
        changes={"identify": {"run": None, "min_score": 0.5, "min_margin": 0.0}},
        arguments=("--config", f"library=results/demo/{QUERIES}/db", f"queries=results/demo/{QUERIES}/query"),
    ),
}
UNTRIED = {
    "fetch_test_ids": "downloads from another site's server; tests/unit/test_download.py tries that with a server of its own",
    "answer": "needs a method, or a CSV of answers; tests/workflow/test_workflow.py and test_answers.py try them",
    "list_distractors": "reads nothing and writes a line a song",
    "import_recordings": "works as import_audio does; tests/workflow/test_recordings_workflow.py tries it",
    "import_pretrained": "downloads from another site's server; tests/unit/test_pretrained.py tries that with one of its own",
    "unknown_target": "has no job: it refuses what is asked for by mistake",
    "remove_archive": "would delete what download and unpack are tried with; tests/unit/test_sources.py tries it",
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
    target = f"results/{job.dataset}/{job.outputs[0]}"
    config = tiny(folder, **job.changes)
    arguments = (target, *job.arguments, "--retries", "0")
    return snakemake(folder, *arguments, config=config, environment=environment, start_new_session=True)


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
        damaged = sorted((results / job.dataset).glob(job.corrupt))[0]
        whole, stat = damaged.read_bytes(), damaged.stat()
        damaged.write_bytes(whole[: len(whole) // 2])
        os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        yield None
        damaged.write_bytes(whole)  # a repaired file is a new one
    else:
        note.write_text(fault)
        yield note
        note.unlink(missing_ok=True)


def sentence(output: str, returncode: int) -> str:
    """What a user reads of the end of a job: our sentence, the system's, or Snakemake's."""
    patterns = (
        r"^error: (.*)",
        r"^([\w.]*Error: .*)",
        r"^(libgomp: .*)",
        r"(died with <Signals.*?>)",
        r"^([\w.]*Error.*)",
    )
    for pattern in patterns:
        if found := re.findall(pattern, output, flags=re.MULTILINE):
            return re.sub(r"[\w./=-]*/results/\S*/|results/\S*/", ".../", found[0].replace("|", "/"))[:110]
    return f"nothing (exit status {returncode})" if returncode < 0 else output.strip().splitlines()[-1][:110]


def left_behind(folder: Path, job: Job, before: set[Path]) -> str:
    """Outputs and temporary files that the fault has left."""
    results = folder / "results" / job.dataset
    found = [str(path.relative_to(results)) for path in results.rglob("*") if path not in before]
    mine = [file for file in found if file.endswith(".part") or any(file == output for output in job.outputs)]
    return ", ".join(Path(file).name for file in sorted(mine)) or "nothing"


def comparable(path: Path) -> object:
    """A file's contents without the times that were measured."""
    if path.is_dir():
        return {file.relative_to(path): comparable(file) for file in sorted(path.rglob("*")) if file.is_file()}
    if path.suffix == ".json":
        facts = json.loads(path.read_text())
        times = ("ms_per_segment", "ms_per_query", "build_s", "provenance")
        return {k: v for k, v in facts.items() if k not in times} if isinstance(facts, dict) else facts
    if path.name == "history.csv":
        return pd.read_csv(path).drop(columns=["seconds", "anchors_per_s"]).to_csv()
    if path.name.endswith(".scale.csv"):
        return pd.read_csv(path).drop(columns="ms").to_csv()
    if path.name.endswith(".scale.parquet"):
        return pd.read_parquet(path).drop(columns="ms").to_csv()
    if path.name == "summary.txt":  # it says where the page is
        return [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("scoreboard ")]
    if path.name == "index.html":
        return "with times"
    return path.read_bytes()


def try_case(base: Path, rule: str, fault: str, within: Path) -> Outcome:
    """One rule meets one fault."""
    job = JOBS[rule]
    folder = Path(tempfile.mkdtemp(dir=within)) / "project"
    shutil.copytree(base, folder, copy_function=shutil.copy2)
    with_sabotage(folder)
    with on_tmpfs(folder) if fault in ("disk full", "read-only") else contextlib.nullcontext():
        results = folder / "results" / job.dataset
        for path in (results / file for file in (*job.outputs, *job.state)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        before = set(results.rglob("*"))
        with trouble(fault, folder, job) as note:
            failed = run(folder, job, rule, note)
            left = left_behind(folder, job, before) if failed.returncode else "its results"
        said = sentence(failed.stdout, failed.returncode) if failed.returncode else "nothing: the job did its work"
        if fault == "power cut" and failed.returncode:
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
                if comparable(results / output) != comparable(base / "results" / job.dataset / output)
            ]
            after = f"DIFFERENT: {', '.join(different)}" if different else "the same"
    shutil.rmtree(folder.parent)
    return Outcome(said, left, after)


def with_sabotage(folder: Path) -> None:
    """What the Python processes of a project run at their start."""
    (folder / "sabotage").mkdir(exist_ok=True)
    (folder / "sabotage/sitecustomize.py").write_text(POINT + SABOTAGE)


def finished_project(folder: Path) -> Path:
    """The tiny experiment with all that JOBS names."""
    copy_project(folder)
    with_sabotage(folder)
    done = snakemake(folder, "all", "scale", "export", "augmented")
    assert done.returncode == 0, done.stdout[-3000:]
    for rule, job in JOBS.items():
        done = run(folder, job, rule, None)
        assert done.returncode == 0, f"{rule}: {done.stdout[-3000:]}"
    return folder


def machine() -> str:
    """What this runs on."""
    names = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), flags=re.MULTILINE)
    return f"{len(names)} cores of {names[0]}"


@contextlib.contextmanager
def kaggle(within: Path) -> Iterator[None]:
    """A server with a small data set, which jobs of this process take for Kaggle."""
    root = data_set(within / "neural-audio-fp-dataset", clips=2, seconds=4)
    files = {path.relative_to(within).as_posix(): path.read_bytes() for path in root.rglob("*.wav")}
    with serving(Remote(zipped(within / "archive.zip", files).read_bytes())) as remote:
        os.environ |= {"KAGGLE_SERVER": remote.api, "KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}
        yield


def main(options: argparse.Namespace, say: Callable[[str], None] = print) -> None:
    with tempfile.TemporaryDirectory(prefix="faults") as name, kaggle(Path(name)):
        within = Path(name)
        base = Path(options.finished) if options.finished else within / "finished"
        if not options.finished:
            finished_project(base)
        say("# What faults do, rule by rule\n")
        say(
            "Written by `PYTHONPATH=scripts python tests/support/faults.py > benchmarks/faults.md`, on the tiny experiment of the"
        )
        say(
            f"tests, {date.today()}, {machine()}. A fault strikes when the job first writes a result, which is left half"
        )
        say(
            "written. *power cut* kills Snakemake too, so that the folder stays locked; *out of memory* is `ulimit -v`;"
        )
        say("*corrupt input* is cut to its half. After repair the same command is run again, and its results compared")
        say("with those of an undisturbed run, byte by byte but for the times that they hold.\n")
        say("".join(f"Not tried: `{rule}`, which {why}.\n" for rule, why in UNTRIED.items()))
        say("| rule | fault | the user reads | left behind | after repair |\n| --- | --- | --- | --- | --- |")
        for rule in options.rule or JOBS:
            for fault in options.fault or FAULTS:
                if fault == "corrupt input" and JOBS[rule].corrupt is None:
                    continue
                outcome = try_case(base, rule, fault, within)
                said = outcome.said.replace(name, "...")
                say(f"| {rule} | {fault} | {said} | {outcome.left} | {outcome.after} |")
                sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rule", nargs="*", choices=JOBS)
    parser.add_argument("--fault", nargs="*", choices=FAULTS)
    parser.add_argument("--finished", help="folder of a finished tiny experiment with all that is tried")
    main(parser.parse_args())
