"""What a study, or all of them, will cost: nafp plan --configfile config/mini.yaml --target table3

Jobs, GPU-hours, CPU-hours, disk and memory by stage, before anything is downloaded. Each line says whether its speed was
measured (by benchmarks/, or by earlier jobs in results/), given, or assumed; --help lists what can be given.
"""

import argparse
import sys
from pathlib import Path

from nafp.config import overlay
from nafp.config.check import check_config
from nafp.config.keys import check_keys_once
from nafp.config.ladders import with_ladders
from nafp.datasets.sources import dataset_of
from nafp.errors import UserError
from nafp.model.encoders import encoder_of
from nafp.model.shapes import image_shape
from nafp.plan.jobs import jobs_by_rule
from nafp.plan.rates import ASSUMED, choose_rates, measured_rates, measured_tflops, read_speeds, speeds_of_runs
from nafp.plan.songs import Songs, count_songs
from nafp.plan.stages import as_table, plan
from nafp.plan.work import DEVICES, Work, target_cells
from nafp.yaml_text import parse_yaml

ROOT = Path(__file__).parents[3]  # the checkout


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--configfile", nargs="*", default=[], type=Path, help="laid over config.yaml, as for snakemake"
    )
    parser.add_argument("--target", default="all", help="a study of the config, or all of them (default all)")
    parser.add_argument(
        "--device", choices=DEVICES, default="gpu", help="device that trains and fingerprints (default gpu)"
    )
    parser.add_argument(
        "--songs",
        nargs="*",
        default=[],
        metavar="SPLIT=NxSECONDS",
        help="number and length of the songs of train, val, test, dummy",
    )
    for name, (assumed, text) in ASSUMED.items():
        text += f" (default: as measured here, else {assumed:,})"
        parser.add_argument(f"--{name.replace('_', '-')}", type=float, help=text)
    return parser.parse_args()


def read_config(files: list[Path]) -> dict:
    """config.yaml with other files laid over it, checked, and its ladders as query sets."""
    if not (ROOT / "config.yaml").is_file():
        raise UserError(f"{ROOT}: is not a checkout of the pipeline; install it from one, with  pip install -e .")
    check_keys_once([ROOT / "config.yaml", *files])
    config = parse_yaml((ROOT / "config.yaml").read_text(encoding="utf-8"))
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: no such file")
        config = overlay.with_changes(config, parse_yaml(file.read_text(encoding="utf-8")) or {})
    config = overlay.typed(overlay.named_run(config, [ROOT / "config.yaml", *files]))
    check_config(config, ROOT)
    return with_ladders(config)


def parse_songs(given: list[str]) -> dict[str, Songs]:
    """["dummy=1000x30"] -> {"dummy": Songs(1000, 30.0)}."""
    try:
        pairs = [text.split("=") for text in given]
        return {split: Songs(int(size.split("x")[0]), float(size.split("x")[1])) for split, size in pairs}
    except (ValueError, IndexError):
        raise UserError(f"--songs {' '.join(given)}: say SPLIT=SONGSxSECONDS, like dummy=10000x30") from None


def main(options: argparse.Namespace) -> None:
    config = read_config(options.configfile)
    name = dataset_of(config)["name"]
    songs, source = count_songs(config, Path(f"results/{name}/data/manifest.csv"), parse_songs(options.songs))
    cells = target_cells(config, options.target)
    measured = measured_rates(Path("results"), {cell.index for cell in cells}, config["search"]["train_max"])
    if found := training_speed(config, options.device):
        measured["tflops"] = found
    work = Work(config, cells, songs, source, choose_rates(vars(options), measured), options.device)
    print(as_table(plan(work, count_jobs(options))))


def training_speed(config: dict, device: str) -> tuple[float, str] | None:
    """TFLOP/s of training on a device and their source: of trainings in results/, else of the benchmarks."""
    flops = encoder_of(config["model"]).flops(image_shape(config["features"]))
    precision = config["train"]["precision"]
    precision = "tf32" if device == "gpu" and config["train"]["tf32"] and precision == "float32" else precision
    for speeds in (speeds_of_runs(Path("results")), read_speeds(ROOT / "benchmarks/rates.json")):
        if found := measured_tflops(speeds, flops, device, precision, config["run"]["bsz"]):
            return found
    return None


def count_jobs(options: argparse.Namespace) -> dict[str, int] | None:
    """Jobs of the target by rule; None, and a line that says why, where Snakemake cannot plan it here."""
    try:
        return jobs_by_rule(ROOT, options.target, options.configfile)
    except UserError as error:
        print(f"jobs are estimated, since snakemake -n cannot count them here: {error}", file=sys.stderr)
        return None
