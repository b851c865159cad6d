"""How long `snakemake -n` thinks about a grid of 500 runs by 8 indexes: python benchmarks/grid.py"""

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
INDEXES = ("l2", "sq8", "ivf", "ivfpq", "ivfpq-rr", "ivfpq-fastscan", "ivf-rabitq", "hnsw")
COMMAND = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--snakefile", str(ROOT / "Snakefile")]


def plan(folder: Path, shards: int) -> tuple[int, float, float]:
    """(jobs, seconds, seconds of CPU) of planning the grid in an empty folder."""
    studies = dict.fromkeys(yaml.safe_load((ROOT / "config.yaml").read_text())["studies"])
    studies["grid"] = {"question": "all", "seed": list(range(500)), "index": list(INDEXES)}
    overlay = folder / "grid.yaml"
    overlay.write_text(yaml.safe_dump({"studies": studies, "fingerprint": {"shards": {"dummy": shards}}}))
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [*COMMAND, "--directory", str(folder), "--configfile", str(overlay), "--", "grid"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return int(re.search(r"^total +(\d+)$", done.stdout, flags=re.MULTILINE)[1]), seconds, cpu


def main() -> None:
    argparse.ArgumentParser(description=__doc__).parse_args()
    print("| dummy database in | jobs | s | CPU, s |\n| --- | --- | --- | --- |")
    for shards in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            jobs, seconds, cpu = plan(Path(folder), shards)
        print(f"| {shards} part{'s' * (shards > 1)} | {jobs:,} | {seconds:.1f} | {cpu:.1f} |", flush=True)


if __name__ == "__main__":
    main()
