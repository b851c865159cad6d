"""What a target would cost: python scripts/plan.py --configfile config/mini.yaml --target table3

Jobs, GPU-hours, CPU-hours, disk and memory by stage, before anything is downloaded. Each line says which of its figures
are measured and which assumed; --help lists the assumptions that can be changed.
"""

import argparse
import sys
from pathlib import Path

import yaml

from nafp import grid
from nafp.errors import UserError
from nafp.plan import DEVICES, Rates, as_table, measured_tflops, plan, songs_of

ROOT = Path(__file__).parents[1]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--configfile", nargs="*", default=[], type=Path, help="laid over config.yaml, as for snakemake"
    )
    parser.add_argument("--target", default="all", help="a study, or all (default)")
    parser.add_argument("--device", choices=DEVICES, default="gpu", help="that trains and fingerprints (default gpu)")
    parser.add_argument(
        "--tflops",
        type=float,
        help="sustained in training: assumed 30 of a GPU; measured of a CPU (benchmarks/train.md)",
    )
    parser.add_argument("--songs", nargs="*", default=[], metavar="SPLIT=NxSECONDS", help="of train, val, test, dummy")
    for name in ("files_per_s", "mb_per_s", "vectors_per_s", "queries_per_s"):
        text = f"{Rates.__doc__.split(f'``{name}``')[1].split(';')[0].split(',')[0].strip()} (default {getattr(Rates, name)})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, default=getattr(Rates, name), help=text)
    return parser.parse_args()


def read_config(files: list[Path]) -> dict:
    """config.yaml with other files laid over it, checked."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file")
        config = grid.with_changes(config, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    grid.check_config(config, ROOT / "schemas/config.schema.yaml")
    return config


def parse_songs(given: list[str]) -> dict[str, tuple[int, float]]:
    """["dummy=1000x30"] -> {"dummy": (1000, 30.0)}."""
    try:
        pairs = [text.split("=") for text in given]
        return {split: (int(size.split("x")[0]), float(size.split("x")[1])) for split, size in pairs}
    except (ValueError, IndexError):
        raise UserError(f"--songs {' '.join(given)}: say SPLIT=SONGSxSECONDS, like dummy=10000x30") from None


def main(options: argparse.Namespace) -> None:
    config = read_config(options.configfile)
    name = "demo" if config["dataset"] == "demo" else config["dataset"]["name"]
    songs, source = songs_of(config, Path(f"results/{name}/data/manifest.csv"), parse_songs(options.songs))
    tflops, model = options.tflops, "given: --tflops"
    if tflops is None:
        benchmark = (ROOT / "benchmarks/train.md").read_text(encoding="utf-8")
        measured = measured_tflops(benchmark, config["model"]["width"]) if options.device == "cpu" else None
        tflops, model = measured or (30.0, "assumed: 30 TFLOP/s sustained")
    sources = {"model": model, "data": "assumed: --files-per-s, --mb-per-s", "search": "assumed: --vectors-per-s, ..."}
    rates = Rates(tflops, sources, options.files_per_s, options.mb_per_s, options.vectors_per_s, options.queries_per_s)
    stages = plan(config, options.target, songs, source, rates, options.device)
    print(as_table(stages).to_string(index=False, float_format=lambda number: f"{number:,.2f}"))


if __name__ == "__main__":
    try:
        main(arguments())
    except UserError as problem:
        sys.exit(f"error: {problem}")
