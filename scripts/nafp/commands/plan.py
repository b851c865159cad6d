"""What a target would cost: nafp plan --configfile config/mini.yaml --target table3

Jobs, GPU-hours, CPU-hours, disk and memory by stage, before anything is downloaded. Each line says whether its speed was
measured, by the benchmarks here and those of jobs in results/, given, or is assumed; --help lists what can be given.
"""

import argparse
import sys
from pathlib import Path

import yaml

from nafp.config import overlay
from nafp.config.check import check_config
from nafp.errors import UserError
from nafp.model.encoders import encoder_of
from nafp.model.shapes import image_shape
from nafp.plan import (
    ASSUMED,
    DEVICES,
    as_table,
    cells_of,
    measured_rates,
    measured_tflops,
    plan,
    rates_of,
    songs_of,
)

ROOT = Path(__file__).parents[3]  # the checkout


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--configfile", nargs="*", default=[], type=Path, help="laid over config.yaml, as for snakemake"
    )
    parser.add_argument("--target", default="all", help="a study, or all (default)")
    parser.add_argument("--device", choices=DEVICES, default="gpu", help="that trains and fingerprints (default gpu)")
    parser.add_argument("--songs", nargs="*", default=[], metavar="SPLIT=NxSECONDS", help="of train, val, test, dummy")
    for name, (assumed, text) in ASSUMED.items():
        text += f" (default: as measured here, else {assumed:,})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, help=text)
    return parser.parse_args()


def read_config(files: list[Path]) -> dict:
    """config.yaml with other files laid over it, checked."""
    if not (ROOT / "config.yaml").is_file():
        raise UserError(f"{ROOT}: is no checkout of the pipeline; install it with  pip install -e .  in one")
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file")
        config = overlay.with_changes(config, yaml.safe_load(file.read_text(encoding="utf-8")) or {})
    check_config(config, ROOT)
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
    indexes = {cell.index for cell in cells_of(config, options.target)}
    benchmark = (ROOT / "benchmarks/train.md").read_text(encoding="utf-8")
    measured = measured_rates(Path("results"), indexes)
    if found := measured_tflops(
        benchmark, encoder_of(config["model"]).flops(image_shape(config["features"])), options.device
    ):
        measured["tflops"] = found
    rates = rates_of(vars(options), measured)
    stages = plan(config, options.target, songs, source, rates, options.device)
    print(as_table(stages).to_string(index=False, float_format=lambda number: f"{number:,.2f}"))


def command() -> None:
    """What is typed; an error ends it with one sentence and status 1."""
    try:
        main(arguments())
    except UserError as problem:
        sys.exit(f"error: {problem}")
