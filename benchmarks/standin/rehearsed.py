"""What a job's script does in a rehearsal: it sleeps and makes its outputs, or fails.

Environment: REHEARSAL, a folder for what is recorded; REHEARSAL_SLEEP, seconds a job; REHEARSAL_FAIL, the share of jobs whose
first attempt fails; REHEARSAL_SIZES, if outputs shall have the sizes below.
"""

import hashlib
import os
import struct
import time
from pathlib import Path

END = "######## snakemake preamble end"
GB = 10**9
SIZES = {  # bytes of outputs whose size decides on what later jobs request; sparse files of the full data set's sizes
    "packed/dummy.npy": 430 * GB,
    "packed/train.npy": int(4.8 * GB),
    "best/dummy.npy": int(27.5 * GB),
}
CLIPS = "path,samples\n" + "".join(
    f"{kind}/{i}.wav,240000\n" for kind in ("room", "mic") for i in range(250)
)  # 30 s each
IDS = struct.pack("<2000q", *range(2000))  # as many test ids as the paper's, which planning reads
HEADER = b"{'descr': '<i8', 'fortran_order': False, 'shape': (2000,), }".ljust(117) + b"\n"
TEST_IDS = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(HEADER)) + HEADER + IDS


def name_of(rule: str, wildcards: dict[str, str]) -> str:
    """Name of a job: the rule and its wildcards, sorted."""
    return f"{rule}:{','.join(f'{key}={value}' for key, value in sorted(wildcards.items()))}"


def make(path: str, folder: bool = False) -> None:
    """Make an output: a folder with one file, or a file that planning can read, as large as ``SIZES`` says."""
    place = Path(path)
    if folder:
        place.mkdir(parents=True, exist_ok=True)
        place /= "index"
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.name.startswith("test_ids"):
        place.write_bytes(TEST_IDS)
        return
    clips = CLIPS if path.endswith(".csv") and place.parent.name == "packed" else ""
    place.write_text("{}\n" if place.suffix == ".json" else clips)
    for end, size in SIZES.items():
        if path.endswith(end) and "REHEARSAL_SIZES" in os.environ:
            os.truncate(place, size)


def draw(job: str) -> float:
    """A number from 0 to 1 that depends on a job's name alone."""
    return int.from_bytes(hashlib.sha256(job.encode()).digest()[:6]) / 2**48


def fails(job: str, share: float, record: Path) -> bool:
    """Whether this attempt fails: the first one, of a share of the jobs."""
    if draw(job) >= share:
        return False
    try:
        os.close(os.open(record / f"failed-{hashlib.sha256(job.encode()).hexdigest()[:16]}", os.O_CREAT | os.O_EXCL))
        return True
    except FileExistsError:
        return False


def stand_in(script: str) -> int:
    """Do as a job's script would, as far as Snakemake sees it; returns the exit status."""
    start = time.time()
    facts = {"__file__": script}
    exec(Path(script).read_text().split(END)[0], facts)  # Snakemake's preamble, which defines the job
    job = facts["snakemake"]
    record, name = Path(os.environ["REHEARSAL"]), name_of(job.rule, dict(job.wildcards.items()))
    time.sleep(float(os.environ.get("REHEARSAL_SLEEP", 0)))
    failed = fails(name, float(os.environ.get("REHEARSAL_FAIL", 0)), record)
    for output in list(job.output)[: 1 if failed else None]:  # a failed one leaves something behind
        make(output, folder=not Path(output).suffix)
    for log in job.log:
        Path(log).write_text("slept\n")
    ended = "failed" if failed else "done"
    line = f"{os.environ.get('SLURM_JOB_ID', 'local')}\t{name}\t{start:.2f}\t{time.time():.2f}\t{ended}\n"
    with open(record / "jobs.tsv", "a") as table:
        table.write(line)
    return int(failed)
