"""Packing beside cp, and checksums beside md5sum, on the same files; and the memory of packing ever more songs: two tables.

PYTHONPATH=scripts python benchmarks/data.py [--threads 2] [--folder /tmp] >> benchmarks/data.md

500 WAV files of 30 s, 240 MB, read once before anything is timed, so that the disk's reading speed does not decide. Each
figure is the median of several runs. Memory: hard links to one file, each number of songs in a process of its own.
"""

import argparse
import contextlib
import datetime
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from nafp.audio.packing import pack
from nafp.datasets.digests import Journal, digest_files
from nafp.jobfacts import processor

FILES, SECONDS = 500, 30
MEASURED = """
import resource, sys
from pathlib import Path
import pandas as pd
from nafp.audio.packing import pack
root, out, count, samples = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
clips = pd.DataFrame({"path": [f"{i // 1000}/{i}.wav" for i in range(count)], "samples": samples})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
pack(root, clips, out / "a.npy", out / "a.csv", int(sys.argv[5]))
print(before // 1024, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def write_files(folder: Path, count: int, seconds: float) -> list[Path]:
    """WAV files of noise, as the pipeline packs them."""
    paths = [folder / f"{i // 100}/{i}.wav" for i in range(count)]
    rng = np.random.default_rng(0)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, rng.integers(-9999, 9999, int(seconds * 8000), dtype=np.int16), 8000, subtype="PCM_16")
    return paths


def rate_of(work: Callable[[], object], after: Callable[[], object], megabytes: float, repeats: int) -> float:
    """MB/s, the median; ``after`` clears up between runs, and is not timed."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
        after()
    return megabytes / statistics.median(times)


def throughput(folder: Path, threads: int, repeats: int) -> pd.DataFrame:
    """One row a way of doing it: what, MB/s, and that over the tool's."""
    paths = write_files(folder / "in", FILES, SECONDS)
    megabytes = sum(path.stat().st_size for path in paths) / 1e6
    names = [path.relative_to(folder / "in").as_posix() for path in paths]
    clips = pd.DataFrame({"path": names, "samples": SECONDS * 8000})
    out = folder / "out"

    def clear() -> None:
        shutil.rmtree(out, ignore_errors=True)

    def run(*command: str) -> None:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def packed(count: int) -> None:
        pack(folder / "in", clips, out / "a.npy", out / "a.csv", count)

    def digested(count: int) -> None:
        digest_files(folder / "in", Journal(out / "j.tsv"), count)

    run("md5sum", *map(str, paths))
    ways = {
        "cp -r": (lambda: run("cp", "-r", str(folder / "in"), str(out)), "cp -r"),
        "packing, 1 thread": (lambda: packed(1), "cp -r"),
        f"packing, {threads} threads": (lambda: packed(threads), "cp -r"),
        "md5sum": (lambda: run("md5sum", *map(str, paths)), "md5sum"),
        "sha256sum": (lambda: run("sha256sum", *map(str, paths)), "md5sum"),
        "MD5 and SHA-256, 1 thread": (lambda: digested(1), "md5sum"),
        f"MD5 and SHA-256, {threads} threads": (lambda: digested(threads), "md5sum"),
    }
    rates = {name: rate_of(work, clear, megabytes, repeats) for name, (work, _) in ways.items()}
    rows = [
        (name, f"{rate:.0f}", f"{rate / rates[ways[name][1]]:.2f} x {ways[name][1]}") for name, rate in rates.items()
    ]
    return pd.DataFrame(rows, columns=["what", "MB/s", "beside the tool"])


def link_files(source: Path, folder: Path, count: int) -> None:
    """``count`` names of a file; a new copy now and then, because a file system allows some 65,000 names of one."""
    for i in range(count):
        path = folder / f"{i // 1000}/{i}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        if i % 30_000 == 0:
            shutil.copyfile(source, path)
            source = path
        else:
            os.link(source, path)


def memory(folder: Path, threads: int) -> pd.DataFrame:
    """Peak memory of a process that packs: songs, seconds of each, packed size, MB before and at most."""
    rows = []
    for count, seconds in ((100, 1), (10_000, 1), (100_000, 1), (10, 270), (500, 270)):
        link_files(write_files(folder / "one", 1, seconds)[0], folder / "links", count)
        arguments = [str(folder / "links"), str(folder / "out"), str(count), str(seconds * 8000), str(threads)]
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, *arguments], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        before, most = map(int, done.stdout.split()[-2:])
        size = (folder / "out/a.npy").stat().st_size / 1e9
        rows.append((f"{count:,}", seconds, f"{size:.2f}", before, most))
        for name in ("links", "out", "one"):
            shutil.rmtree(folder / name)
    return pd.DataFrame(rows, columns=["songs", "s each", "packed, GB", "MB before", "MB at most"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", help="on the disk that is measured (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as name, contextlib.redirect_stdout(sys.stderr):
        tables = [throughput(Path(name), options.threads, options.repeats)]
        shutil.rmtree(Path(name) / "in")
        tables.append(memory(Path(name), options.threads))
    print(f"\n## {datetime.date.today()}, {processor()}, {options.threads} threads\n")
    for table in tables:
        print(table.to_markdown(index=False, disable_numparse=True) + "\n")


if __name__ == "__main__":
    main()
