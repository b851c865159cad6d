"""What a rehearsal took, beside what the plan says: the jobs of results/rehearsal, their memory and time, and the hit rates.

snakemake rehearsal --cores 2 --configfile config/rehearsal.yaml
PYTHONPATH=scripts python benchmarks/rehearsal.py [--results results/rehearsal] >> benchmarks/rehearsal.md
"""

import argparse
import datetime
import os
from pathlib import Path

import pandas as pd

from nafp.commands.plan import read_config
from nafp.evaluation.cell import Cell
from nafp.jobfacts import processor
from nafp.plan.rates import cpu_seconds, gflop_built, gflop_searched

GIB = 1024  # MiB, in which Snakemake records memory
JOBS = {"build_index": gflop_built, "score": gflop_searched}


def jobs_of(results: Path, train_max: int) -> pd.DataFrame:
    """One row an index: what its two jobs took."""
    rows = []
    for path in sorted((results / "benchmarks/score").rglob("*.tsv")):
        job = path.relative_to(results / "benchmarks/score").with_suffix("").as_posix()
        cell = Cell.read(results / f"scores/{job}.json")
        row = {"index": cell.index, "MB": cell.index_bytes / 1e6, "recall, %": 100 * cell.recall["nearest"]}
        for rule, work in JOBS.items():
            benchmark = results / f"benchmarks/{rule}/{job}.tsv"
            (took,) = pd.read_csv(benchmark, sep="\t").to_dict("records")
            cpu, gflop = cpu_seconds(benchmark), work(results, job, train_max)
            row |= {
                f"{rule}: s": took["s"],
                f"{rule}: CPU s": cpu,
                f"{rule}: GFLOP": gflop,
                f"{rule}: GFLOP/s": gflop / cpu,
            }
            row |= {f"{rule}: GiB": took["max_rss"] / GIB, f"{rule}: own GiB": took["max_uss"] / GIB}
        row |= {"ms a segment": cell.ms_per_segment, "ms a query of 10 s": cell.ms_per_query[-1]}
        rows.append(row | rates_of(cell))
    return pd.DataFrame(rows)


def rates_of(cell: Cell) -> dict[str, float]:
    """Exact hit rates in percent by length."""
    return {
        f"{s:g} s": 100 * hits / cell.queries for s, hits in zip(cell.seconds, cell.hits["top1_exact"], strict=True)
    }


def main(results: Path, configfile: Path) -> None:
    jobs = jobs_of(results, read_config([configfile])["search"]["train_max"])
    print(f"\n## {datetime.date.today()}, {processor()}, {os.cpu_count()} CPUs\n")
    print(jobs.set_index("index").T.to_markdown(floatfmt=",.4g"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--results", type=Path, default=Path("results/rehearsal"))
    parser.add_argument("--configfile", type=Path, default=Path("config/rehearsal.yaml"))
    options = parser.parse_args()
    main(options.results, options.configfile)
