"""How fast things go: as given, else as measured by earlier jobs and by the benchmarks, else as assumed."""

import csv
import json
import math
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from nafp.files import atomic_write, read_json
from nafp.model.encoders import encoder_of
from nafp.model.shapes import image_shape
from nafp.search.types import index_type_of
from nafp.search.types.base import RECALL_SEGMENTS, IndexType
from nafp.yaml_text import parse_yaml

USUAL_DIM = 128  # dimensions of fingerprints that others made
SHORTEST_JOB_S = 10  # seconds of CPU; in shorter jobs, starting Python is most of it
ASSUMED = {  # rate -> its value unless something else is known, and what it counts
    "tflops": (30, "TFLOP/s sustained by training and fingerprinting, of a GPU or of a CPU core"),
    "files_per_s": (200, "files checked by a core"),
    "download_mb_per_s": (20, "MB downloaded"),
    "mb_per_s": (50, "MB unpacked or packed by a core"),
    "build_gflops": (45, "GFLOP/s of training and filling an index, of a core"),
    "search_gflops": (35, "GFLOP/s of searching one and of its recall, of a core"),
}
Measured = Mapping[str, tuple[float, str]]  # rate -> its value, and a sentence on its source


@dataclass(frozen=True)
class Rates:
    """The rates of ASSUMED; ``sources``: rate -> "measured: ...", "given: ..." or "assumed: ..."."""

    tflops: float
    files_per_s: float
    download_mb_per_s: float
    mb_per_s: float
    build_gflops: float
    search_gflops: float
    sources: Mapping[str, str]


def choose_rates(given: Mapping[str, float | None], measured: Measured) -> Rates:
    """Each rate as given; if it was not, as measured; otherwise as assumed."""
    values: dict[str, float] = {}
    sources: dict[str, str] = {}
    for name, (assumed, _) in ASSUMED.items():
        values[name], sources[name] = measured.get(name, (assumed, f"assumed: {assumed:g} {name}"))
        if (rate := given[name]) is not None:
            values[name], sources[name] = rate, f"given: {rate:g} {name}"
    return Rates(**values, sources=sources)


# ---------------------------------------------------------------- earlier jobs


def clips_in(manifest: Path) -> int:
    """Rows of a manifest; FileNotFoundError if it is not there."""
    with open(manifest, encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.DictReader(file))


def index_work(results: Path, job: str) -> tuple[IndexType, int, dict]:
    """Index type, dimensions and facts of a cell; FileNotFoundError if it has not run."""
    cell = json.loads((results / f"scores/{job}.json").read_text(encoding="utf-8"))
    return index_type_of(cell["index"], cell["index_options"]), cell["fields"].get("dim", USUAL_DIM), cell


def gflop_built(results: Path, job: str, train_max: int) -> float:
    """GFLOP of the index of a cell."""
    index, dim, cell = index_work(results, job)
    distractors, songs = cell["database"].values()
    return index.build_flops(dim, distractors + songs, min(distractors, train_max)) / 1e9


def gflop_searched(results: Path, job: str, _: int) -> float:
    """GFLOP of a cell's search."""
    index, dim, cell = index_work(results, job)
    distractors, songs = cell["database"].values()
    return search_flops(index, dim, distractors + songs, min(cell["queries"] * max(cell["lengths"]), songs)) / 1e9


def search_flops(index: IndexType, dim: int, vectors: int, segments: int) -> float:
    """FLOPs of searching ``segments`` in an index of so many vectors, and of an exhaustive search for its recall."""
    recall = 2.0 * dim * vectors * min(RECALL_SEGMENTS, segments)
    return segments * index.search_flops(dim, vectors) + recall


WORK = {  # rule -> its rate, and the work of a job, by its results folder, wildcards and search.train_max
    "verify": ("files_per_s", lambda results, job, _: clips_in(results / "data/manifest.csv")),
    "pack": ("mb_per_s", lambda results, job, _: (results / f"data/packed/{job}.npy").stat().st_size / 1e6),
    "build_index": ("build_gflops", gflop_built),
    "score": ("search_gflops", gflop_searched),
}


def cpu_seconds(benchmark: Path) -> float:
    """Seconds of CPU in a benchmark file of Snakemake, repetitions added up; what it could not measure counts as 0."""
    total = 0.0
    with open(benchmark, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            with suppress(ValueError):
                seconds = float(row["cpu_time"])
                total += 0.0 if math.isnan(seconds) else seconds
    return total


def measured_rates(results: Path, indexes: Collection[str], train_max: int) -> dict[str, tuple[float, str]]:
    """Rate -> work per second of CPU of earlier jobs, and where they ran.

    ``results``: the folder with a folder a data set. Jobs that are too short do not count, nor those of other ``indexes``.
    ``train_max``: vectors that an index was trained on at most.
    """
    found = {}
    for rule, (rate, work_of) in WORK.items():
        work, seconds = 0.0, 0.0
        places: set[str] = set()
        for path in sorted([*results.glob(f"*/benchmarks/{rule}.tsv"), *results.glob(f"*/benchmarks/{rule}/**/*.tsv")]):
            folder = results / path.relative_to(results).parts[0]
            job = path.relative_to(folder / "benchmarks").with_suffix("").as_posix().removeprefix(f"{rule}/")
            took = cpu_seconds(path)
            wanted = rule in ("verify", "pack") or Path(job).name in indexes
            if took >= SHORTEST_JOB_S and wanted:
                with suppress(FileNotFoundError):
                    work += work_of(folder, job, train_max)
                    seconds += took
                    places.add(str(folder))
        if work:
            found[rate] = work / seconds, f"measured: {work / seconds:,.4g} {rate} in {', '.join(sorted(places))}"
    return found


# ---------------------------------------------------------------- benchmarks


@dataclass(frozen=True)
class TrainingSpeed:
    """Anchors/s of whole training steps, as a benchmark or an earlier training measured them.

    ``flops``: forward, of one image; ``device``: cpu or gpu; ``cores``: CPU cores used, 1 for a GPU; ``source``: file with
    the whole measurement; ``machine``: date, processor and versions; ``precision``: float32, tf32 or bfloat16.
    """

    model: str
    flops: int
    batch: int
    device: str
    cores: int
    anchors_per_s: float
    source: str
    machine: str
    precision: str = "float32"


def read_speeds(path: Path) -> list[TrainingSpeed]:
    """The speeds in a rates file; none if there is no such file, UserError if it is damaged."""
    return [TrainingSpeed(**speed) for speed in read_json(path, "training")["training"]] if path.is_file() else []


def write_speeds(path: Path, speeds: Sequence[TrainingSpeed]) -> None:
    """Write speeds into a rates file, in place of those that it has of the same devices."""
    devices = {speed.device for speed in speeds}
    kept = [speed for speed in read_speeds(path) if speed.device not in devices]
    with atomic_write(path) as part:
        part.write_text(json.dumps({"training": [asdict(s) for s in [*kept, *speeds]]}, indent=2) + "\n", "utf-8")


def step_flops(flops: int, replicas: int) -> float:
    """FLOPs of an anchor and its replicas in a training step: forward (``flops`` an image), and twice that backward."""
    return 3 * (1 + replicas) * flops


def measured_tflops(
    speeds: Sequence[TrainingSpeed], flops: int, device: str, precision: str = "float32", batch: int | None = None
) -> tuple[float, str] | None:
    """Sustained TFLOP/s of training on a GPU or a CPU core, and their source; None if no speed is of this device.

    ``flops``: of an image. Speeds in the same precision come first, then those of the model whose arithmetic is nearest, then
    of the nearest batch size.
    """
    ours = [speed for speed in speeds if speed.device == device]
    if not ours:
        return None

    def distance(speed: TrainingSpeed) -> tuple:
        return (
            speed.precision != precision,
            abs(speed.flops - flops),
            abs(math.log(speed.batch / batch)) if batch else 0,
        )

    nearest = min(ours, key=distance)
    on_cores = f" on {nearest.cores} cores" if device == "cpu" else f", {nearest.precision}"
    source = f"measured: {nearest.source}, {nearest.model}, {nearest.anchors_per_s:g} anchors/s{on_cores}"
    return nearest.anchors_per_s * step_flops(nearest.flops, 1) / nearest.cores / 1e12, source


# ---------------------------------------------------------------- earlier trainings


def speeds_of_runs(results: Path) -> list[TrainingSpeed]:
    """Speeds of the trainings that have finished below ``results``, the folder with a folder a data set."""
    runs = [path.parent for path in sorted(results.glob("*/runs/*/history.csv"))]
    return [speed for speed in map(speed_of_run, runs) if speed]


def speed_of_run(run: Path) -> TrainingSpeed | None:
    """The median speed of a run's epochs; None if it was trained in several jobs or processes, or a file is missing."""
    if not all((run / name).is_file() for name in ("history.csv", "config.yaml", "provenance.json")):
        return None
    jobs = read_json(run / "provenance.json", "jobs")["jobs"]
    with open(run / "history.csv", encoding="utf-8", newline="") as file:
        speeds = [float(row["anchors_per_s"]) for row in csv.DictReader(file)]
    if len(jobs) != 1 or jobs[0].get("processes", 1) != 1 or not speeds:
        return None
    (job,), settings = jobs, parse_yaml((run / "config.yaml").read_text(encoding="utf-8"))
    gpu, computed = job["device"] != "CPU", job.get("precision", settings["precision"])
    return TrainingSpeed(
        model=run.name,
        flops=encoder_of(settings["model"]).flops(image_shape(settings["features"])),
        batch=settings["bsz"],
        device="gpu" if gpu else "cpu",
        cores=1 if gpu else job["threads"],
        anchors_per_s=round(median(speeds) * (1 + settings["positives"]) / 2, 1),  # as of one replica an anchor
        source=str(run / "history.csv"),
        machine=f"{job['date']}, {job['device'] if gpu else job['processor']}",
        precision="tf32" if gpu and settings["tf32"] and computed == "float32" else computed,
    )
