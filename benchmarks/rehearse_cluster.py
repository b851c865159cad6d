"""A rehearsal of table3 on a cluster, through profiles/slurm: real rules, jobs that sleep. python benchmarks/rehearse_cluster.py

It is the study of config/full.yaml with as many seeds and index types as make --jobs jobs. The cluster is simulated
(standin/simulated_slurm.py), or with --slurm a real one of one node (tests/support/cluster.py). Options of snakemake follow --.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
STANDIN = ROOT / "benchmarks/standin"
INDEXES = ("l2", "sq8", "ivf", "ivfpq", "ivfpq-rr", "ivfpq-fastscan", "ivf-rabitq", "hnsw")
RUNS = 6  # runs of table3 for each seed
CONFIGS = [str(ROOT / "config/mini.yaml"), str(ROOT / "config/full.yaml"), "rehearsal.yaml"]
SNAKEMAKE = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--configfile", *CONFIGS]
PROFILE = ["--profile", str(ROOT / "profiles/slurm")]
PLAN = [*SNAKEMAKE, "-n", "--quiet", "rules", "--", "table3"]
MB = 1024  # kB


def prepare(project: Path, jobs: int, indexes: int) -> None:
    """The folder that Snakemake works in: the study, and the folders of a data set that planning looks at."""
    sys.path.append(str(ROOT / "scripts"))
    from nafp.datasets.layout import SPLITS

    for folder in SPLITS.values():
        place = project / "data/full" / folder / "a.wav"
        place.parent.mkdir(parents=True)
        place.touch()
    seeds = max(1, round(jobs / (RUNS * (4 + 2 * indexes))))
    study = {"seed": list(range(seeds)), "index": list(INDEXES[:indexes])}
    (project / "rehearsal.yaml").write_text(yaml.safe_dump({"studies": {"table3": study}}))


def files_of_jobs(project: Path):
    """A function: rule and wildcards -> (path, whether it is a folder) of all files that the job makes, as the rules say."""
    from snakemake.api import SnakemakeApi
    from snakemake.io import is_flagged
    from snakemake.iocontainers import Wildcards
    from snakemake.settings.enums import Quietness
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    here = Path.cwd()
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(nodes=1),
            config_settings=ConfigSettings(configfiles=[Path(project, file) for file in CONFIGS]),
            snakefile=ROOT / "Snakefile",
            workdir=project,
        )._workflow
    os.chdir(here)

    def files(name: str, wildcards: dict[str, str]) -> list[tuple[str, bool]]:
        rule, values = workflow.get_rule(name), Wildcards(fromdict=wildcards)
        made = [(str(file), is_flagged(file, "directory")) for file in rule.expand_output(values)[0]]
        beside = [*rule.expand_log(values), rule.expand_benchmark(values)]
        return made + [(str(file), False) for file in beside if file]

    return files


@dataclass
class Watched:
    """What was seen of one process of Snakemake."""

    log: Path
    status: int | None = None
    seconds: float = 0.0  # from its start, or from the signal that stopped it
    stopped: float | None = None  # time of that signal
    cpu_s: float = 0.0
    rss_mb: float = 0.0
    submitted: list[tuple[float, int]] = field(default_factory=list)  # (s, submissions until then)

    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def submissions(self) -> int:
        return len(re.findall(r"has been submitted with SLURM jobid", self.text()))


def facts_of(process: int) -> tuple[float, float]:
    """(MB at most until now, seconds of CPU) of a process; zeros when it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
        times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        cpu = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / MB, cpu
    except (OSError, TypeError):
        return 0.0, 0.0


def watch(command: list[str], project: Path, environment: dict, log: Path, quiet_s: float, stop=None) -> Watched:
    """Run Snakemake to its end; ``stop`` is (signal, submissions after which it is sent).

    Snakemake that writes nothing for ``quiet_s`` hangs: it is killed, which its status says.
    """
    seen, start = Watched(log), time.monotonic()
    with open(log, "w") as out:
        process = subprocess.Popen(
            command, cwd=project, env=environment, stdout=out, stderr=out, start_new_session=True
        )
    try:
        watch_process(process, seen, start, quiet_s, stop)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    seen.status, seen.seconds = process.returncode, time.monotonic() - (seen.stopped or start)
    return seen


def watch_process(process: subprocess.Popen, seen: Watched, start: float, quiet_s: float, stop=None) -> None:
    """Note what a process needs and submits until it ends."""
    while process.poll() is None:
        rss, cpu = facts_of(process.pid)
        seen.rss_mb, seen.cpu_s = max(seen.rss_mb, rss), max(seen.cpu_s, cpu)
        seen.submitted.append((time.monotonic() - start, seen.submissions()))
        if stop and seen.submissions() >= stop[1]:
            process.send_signal(stop[0])
            seen.stopped, stop = time.monotonic(), None
        if time.time() - seen.log.stat().st_mtime > quiet_s:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(2)


def rate(seen: Watched) -> float:
    """Submissions a second, from the first to the last."""
    times = [(at, count) for at, count in seen.submitted if count]
    if not times:
        return 0.0
    (first, some), (last, all_) = times[0], next(pair for pair in times if pair[1] == times[-1][1])
    return (all_ - some) / max(last - first, 1e-9)


def count_files(project: Path) -> dict[str, tuple[int, int]]:
    """Part of the folder -> (files, folders)."""
    parts = {"results": project / "results", ".snakemake": project / ".snakemake"}
    counts = {}
    for name, part in parts.items():
        walked = [(len(files), 1) for _, _, files in os.walk(part)]
        counts[name] = (sum(files for files, _ in walked), len(walked))
    return counts


def overlap(record: Path) -> dict[str, tuple[int, int, float]]:
    """SLURM job -> (jobs of Snakemake in it, most that ran at a time, seconds from first to last), as nodes recorded them."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for line in (record / "jobs.tsv").read_text().splitlines():
        number, _, start, end, _ = line.split("\t")
        spans.setdefault(number, []).append((float(start), float(end)))
    return {
        number: (
            len(jobs),
            max(sum(start <= at < end for start, end in jobs) for at, _ in jobs),
            max(end for _, end in jobs) - min(start for start, _ in jobs),
        )
        for number, jobs in spans.items()
        if number != "local"
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=12000, help="jobs of the study, about")
    parser.add_argument("--indexes", type=int, default=len(INDEXES), help="index types, of 8")
    parser.add_argument("--sleep", type=float, default=1, help="seconds that a job sleeps")
    parser.add_argument("--fail", type=float, default=0.01, help="share of jobs whose first attempt fails")
    parser.add_argument(
        "--check-every", type=int, default=40, help="seconds between status checks (the plugin's default: 40)"
    )
    parser.add_argument(
        "--hangs-after", type=float, default=600, help="seconds without a line of Snakemake's, then it is killed"
    )
    parser.add_argument("--stop", choices=("INT", "TERM"), help="signal to send in the middle, before a second start")
    parser.add_argument("--after", type=int, default=40, help="submissions after which it is sent")
    parser.add_argument("--slurm", action="store_true", help="a real SLURM of one node (Debian's slurm-wlm and munge)")
    parser.add_argument("--keep", type=Path, help="folder to work in, which is kept; its path must be short")
    options, more = parser.parse_known_args()
    more = [word for word in more if word != "--"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that Snakemake and the cluster end too
    folder = (options.keep or Path(tempfile.mkdtemp(prefix="rehearsal"))).resolve()
    try:
        rehearse(options, more, folder)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def rehearse(options: argparse.Namespace, more: list[str], folder: Path) -> None:
    """Plan, run, perhaps stop and start again, and count; prints rows of a table as they are known."""

    def row(name: str, value: object) -> None:
        print(f"| {name} | {value} |", flush=True)

    project, record = folder / "project", folder / "record"
    project.mkdir(parents=True)
    record.mkdir()
    prepare(project, options.jobs, options.indexes)
    stood_in = {"REHEARSAL": str(record), "REHEARSAL_SLEEP": str(options.sleep), "PYTHONPATH": str(STANDIN)}
    row("command", f"`{' '.join(['python benchmarks/rehearse_cluster.py', *sys.argv[1:]])}`")
    start = time.monotonic()
    plan = subprocess.run(PLAN, cwd=project, capture_output=True, text=True, check=True)
    total = int(re.search(r"^total +(\d+)$", plan.stdout, re.MULTILINE)[1])
    row("jobs planned", f"{total:,}")
    row("s to plan (`-n`)", f"{time.monotonic() - start:.1f}")
    with ExitStack() as stack:
        if options.slurm:
            sys.path.append(str(ROOT / "tests/support"))
            from cluster import Cluster

            environment = stack.enter_context(Cluster(folder / "slurm")).environment | {
                "REHEARSAL_FAIL": str(options.fail)
            }
            slurm = None
        else:
            sys.path.append(str(STANDIN))
            from simulated_slurm import SimulatedSlurm

            os.environ["REHEARSAL_SIZES"] = "1"
            slurm = SimulatedSlurm(folder, files_of_jobs(project), sleep_s=options.sleep, fail=options.fail)
            stack.enter_context(slurm)
            environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
        checks = ["--slurm-init-seconds-before-status-checks", str(options.check_every)]
        checks += ["--seconds-between-status-checks", str(min(options.check_every, 10)), *more]
        command = [*SNAKEMAKE, *PROFILE, *checks, "--", "table3"]
        stop = options.stop and (getattr(signal, f"SIG{options.stop}"), options.after)
        seen = watch(command, project, environment | stood_in, folder / "first.log", options.hangs_after, stop)
        if options.stop:
            row(f"s from {options.stop} to the end of Snakemake, exit status", f"{seen.seconds:.0f}, {seen.status}")
            if slurm:
                states = Counter(one.state for one in slurm.submissions.values())
                row("submissions by state then", ", ".join(f"{name} {count:,}" for name, count in states.items()))
            if seen.status == -signal.SIGKILL:
                row("killed, since it wrote nothing more; before the second start", "`snakemake --unlock`")
                subprocess.run([*SNAKEMAKE, "--unlock"], cwd=project, capture_output=True, check=True)
            seen = watch(command, project, environment | stood_in, folder / "second.log", options.hangs_after)
        report(row, seen, slurm, options, project, record)
    start = time.monotonic()
    again = subprocess.run(PLAN, cwd=project, capture_output=True, text=True)
    said = (
        "nothing to do" if "Nothing to be done" in again.stdout + again.stderr else "JOBS LEFT: " + again.stdout[-300:]
    )
    row("a last `-n` says", f"{said}, in {time.monotonic() - start:.1f} s")


def job_of(name: str) -> tuple[str, dict[str, str]]:
    """Rule and wildcards of a job's name (``rehearsed.name_of``)."""
    rule, _, wildcards = name.partition(":")
    return rule, dict(re.findall(r"(\w+)=(.*?)(?=,\w+=|$)", wildcards))


def report(row, seen: Watched, slurm, options: argparse.Namespace, project: Path, record: Path) -> None:
    """Rows on a run that has ended."""
    finished = len(re.findall(r"^Finished jobid", seen.text(), re.MULTILINE))
    row("exit status", seen.status)
    row("jobs finished, in s", f"{finished:,} in {seen.seconds:.0f}")
    first = next((at for at, count in seen.submitted if count), 0)
    row("s from the start to the first submission", f"{first:.0f}")
    row("submissions, a second", f"{seen.submissions():,}, {rate(seen):.2f}")
    row("jobs finished a second, while submitting", f"{finished / max(seen.seconds - first, 1e-9):.2f}")
    row("CPU of the Snakemake process, s, a job", f"{seen.cpu_s:.0f}, {seen.cpu_s / max(finished, 1):.3f}")
    row("memory of the Snakemake process, MB at most", f"{seen.rss_mb:.0f}")
    for part, (files, folders) in count_files(project).items():
        row(f"files and folders below `{part}`", f"{files:,} + {folders:,}")
    errors = re.findall(r"SLURM status is: '(\w+)'|SLURM (sbatch failed)", seen.text())
    row("failures with SLURM's status in the log (not those of groups)", dict(Counter(a or b for a, b in errors)))
    row("jobs that it started again", len(re.findall(r"Trying to restart job", seen.text())))
    if slurm:
        row("failures injected", dict(Counter(slurm.injected.values())))
        lost = [
            name
            for name in slurm.injected
            if not all((project / path).exists() for path, _ in slurm.files(*job_of(name)))
        ]
        row("jobs without their files at the end", len(lost))
        row("submissions at a time, at most", slurm.most_at_a_time)
        row("calls of SLURM's programs", dict(slurm.calls))
        asked: Counter = Counter()
        for one in slurm.submissions.values():
            rules = sorted(Counter(rule for rule, _ in one.jobs).items())
            given = [one.asked.get(option, "-") for option in ("--cpus-per-task", "--mem", "-t")]
            asked[" + ".join(f"{count} {rule}" for rule, count in rules), "{} CPUs, {} MB, {} min".format(*given)] += 1
        for (rules, request), count in asked.most_common(12):
            row(f"requested by {count:,}: {rules}", request)
    else:
        spans = overlap(record)
        groups = {number: span for number, span in spans.items() if span[0] > 1}
        row(
            "groups: jobs, most at a time, s",
            ", ".join(f"{n} jobs, {m} at a time, {s:.0f} s" for n, m, s in groups.values()),
        )


if __name__ == "__main__":
    main()
