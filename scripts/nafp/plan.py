"""What a target costs before it runs: jobs, hours, disk and memory of each stage, each figure with where it comes from."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path

import pandas as pd

from nafp import grid
from nafp.audio.segments import SAMPLE_RATE, count_segments
from nafp.config import overlay
from nafp.datasets.layout import MUSIC, SPLITS
from nafp.errors import UserError
from nafp.model.encoders import encoder_of
from nafp.model.encoders.separable import Separable
from nafp.model.shapes import head_parameters, image_shape
from nafp.resources import MEMORY
from nafp.search.types import index_type_of
from nafp.walk import files_below, is_wav

PUBLISHED = {  # split -> songs and seconds of each (the dummy songs of full: on average)
    "mini": {"train": (10_000, 30), "val": (500, 30), "test": (500, 30), "dummy": (10_000, 30)},
    "full": {"train": (10_000, 30), "val": (500, 30), "test": (500, 30), "dummy": (100_000, 270)},
}
BENCHMARKED = 256, 32  # mels and frames of benchmarks/train.md
STATE_COPIES = 8  # weights kept of a run: best, last, and two states with Adam's two moments
DEVICES = ("gpu", "cpu")


LONG_ENOUGH_S = 10  # of CPU: in shorter jobs, starting Python is most of it
ASSUMED = {  # rate -> how fast things go unless something else is known, and what it counts
    "tflops": (30, "TFLOP/s sustained by training and fingerprinting, of a GPU or of a CPU core"),
    "files_per_s": (200, "files checked by a core"),
    "mb_per_s": (50, "MB packed by a core"),
    "vectors_per_s": (10_000, "vectors added to an index by a core"),
    "queries_per_s": (20, "queries (of all lengths) searched for among a million vectors by a core"),
}


@dataclass(frozen=True)
class Rates:
    """The rates of ASSUMED; ``sources``: name of a rate -> "measured: ...", "given: ..." or "assumed: ..."."""

    tflops: float
    files_per_s: float
    mb_per_s: float
    vectors_per_s: float
    queries_per_s: float
    sources: Mapping[str, str]


def rates_of(given: Mapping[str, float | None], measured: Mapping[str, tuple[float, str]]) -> Rates:
    """Each rate as given; if it was not, as measured; otherwise as assumed."""
    values, sources = {}, {}
    for name, (assumed, _) in ASSUMED.items():
        values[name], sources[name] = measured.get(name, (assumed, f"assumed: {assumed:g} {name}"))
        if given[name] is not None:
            values[name], sources[name] = given[name], f"given: {given[name]:g} {name}"
    return Rates(**values, sources=sources)


def searched_in(results: Path, job: str) -> tuple[int, int]:
    """(queries, fingerprints in the database) of a cell; FileNotFoundError if it has not run."""
    cell = json.loads((results / f"scores/{job}.json").read_text(encoding="utf-8"))
    return cell["queries"], sum(cell["database"].values())


WORK = {  # rule -> its rate, and what a job did, by its results folder and wildcards
    "verify": ("files_per_s", lambda results, job: len(pd.read_csv(results / "data/manifest.csv"))),
    "pack": ("mb_per_s", lambda results, job: (results / f"data/packed/{job}.npy").stat().st_size / 1e6),
    "build_index": ("vectors_per_s", lambda results, job: searched_in(results, job)[1]),
    "score": ("queries_per_s", lambda results, job: prod(searched_in(results, job)) / 1e6),
}


def measured_rates(results: Path, indexes: Collection[str]) -> dict[str, tuple[float, str]]:
    """Name of a rate -> what the jobs of earlier runs reached in a second of CPU, and where that comes from.

    ``results``: the folder with a folder a data set. Jobs that are too short do not count, nor those of other ``indexes``.
    """
    found = {}
    for rule, (rate, work_of) in WORK.items():
        work, seconds, places = 0.0, 0.0, set()
        for path in sorted([*results.glob(f"*/benchmarks/{rule}.tsv"), *results.glob(f"*/benchmarks/{rule}/**/*.tsv")]):
            folder = results / path.relative_to(results).parts[0]
            job = path.relative_to(folder / "benchmarks").with_suffix("").as_posix().removeprefix(f"{rule}/")
            took = pd.to_numeric(pd.read_csv(path, sep="\t")["cpu_time"], errors="coerce").sum()
            wanted = rule in ("verify", "pack") or Path(job).name in indexes
            if took >= LONG_ENOUGH_S and wanted:
                with suppress(FileNotFoundError):
                    work, seconds, places = work + work_of(folder, job), seconds + took, places | {str(folder)}
        if work:
            found[rate] = work / seconds, f"measured: {work / seconds:,.4g} {rate} in {', '.join(sorted(places))}"
    return found


@dataclass(frozen=True)
class Stage:
    """One line of the plan; hours are of GPUs or of CPU cores, over all jobs; memory is that of the largest job."""

    stage: str
    jobs: int
    gpu_hours: float
    cpu_hours: float
    disk_gb: float
    memory_gb: float
    source: str


def measured_tflops(text: str, flops: int, device: str) -> tuple[float, str] | None:
    """Sustained TFLOP/s of training on a GPU or a CPU core, from the text of benchmarks/train.md; None if it has none.

    ``flops``: of an image. Of the benchmarked models, the one whose are nearest counts.
    """
    known = {name: Separable(width).flops(BENCHMARKED) for name, width in (("full", 128), ("corpus", 32), ("demo", 16))}
    for section in text.split("\n## ")[1:]:
        machine = section.splitlines()[0]
        rows = re.findall(r"^\| (\w+) +\| \d+ +\| float32 +\| whole +\|(.*)\|$", section, flags=re.MULTILINE)
        rows = [(name, cells.split("|")) for name, cells in rows if name in known]
        if rows and (device == "cpu") == ("no GPU" in machine):
            name, cells = min(rows, key=lambda row: abs(known[row[0]] - flops))
            rate = float(cells[3].replace(",", ""))  # the whole step, anchors/s
            cores = int(re.search(r"(\d+) of \d+ CPUs", machine)[1]) if device == "cpu" else 1
            said = f"measured: benchmarks/train.md, {name}, {rate:g} anchors/s" + f" on {cores} cores" * (
                device == "cpu"
            )
            return rate * step_flops(known[name], 1) / cores / 1e12, said
    return None


def step_flops(flops: int, replicas: int) -> float:
    """Arithmetic of an anchor and its replicas in a training step: forward, of so many an image, and twice that backward."""
    return 3 * (1 + replicas) * flops


def counted(root: Path) -> dict[str, tuple[int, float]]:
    """split -> (songs, seconds of each on average) of a folder in the paper's layout, by the sizes of its WAV files."""
    found = {}
    for split in ("train", "val_db", "test_db", "dummy"):
        sizes = [path.stat().st_size for path in files_below(root / SPLITS[split], is_wav)]
        if sizes:
            found[split.removesuffix("_db")] = len(sizes), sum(sizes) / len(sizes) / (2 * SAMPLE_RATE)
    return found


def songs_of(config: Mapping, manifest: Path, given: Mapping[str, tuple[int, float]]) -> tuple[dict, str]:
    """split -> (songs, seconds of each), and where that comes from; UserError if nothing says it.

    From the manifest of a verified data set; before that, as given, by the files in its folder, or as published.
    """
    if config["dataset"] == "demo":
        songs = config["demo"]["songs"]
        return {name: (count, config["demo"]["clip_s"]) for name, count in songs.items()}, "config"
    name = config["dataset"]["name"]
    if manifest.is_file():
        clips = pd.read_csv(manifest)
        sizes = clips[clips["split"].isin(MUSIC)].groupby("split")["seconds"].agg(["size", "mean"])
        found = {split.removesuffix("_db"): (int(n), mean) for split, n, mean in sizes.itertuples()}
        return found, f"measured: {manifest}"
    there = counted(Path(config["dataset"].get("root", f"data/{name}")))
    found = PUBLISHED.get(name, {}) | there | dict(given)
    if lacking := sorted({"train", "val", "test", "dummy"} - set(found)):
        raise UserError(
            f"how many songs has {name}? It was not verified yet, so say --songs "
            + " ".join(f"{split}=1000x30" for split in lacking)
            + " (songs x seconds of each)"
        )
    if isinstance(most := config["dataset"].get("dummy"), int):
        found["dummy"] = min(most, found["dummy"][0]), found["dummy"][1]
    return found, "given" if given else "measured: its files" if there else "published"


def cells_of(config: Mapping, target: str) -> list[grid.Cell]:
    """The cells of a study, or of all; UserError for an unknown one."""
    studies = {name: study for name, study in config["studies"].items() if study}
    if target not in ("all", *studies):
        raise UserError(f"unknown target {target!r}; known: all, {', '.join(studies)}")
    chosen = studies.values() if target == "all" else [studies[target]]
    return list(dict.fromkeys(cell for study in chosen for cell in grid.study_cells(study, config)))


def segments_of(songs: tuple[int, float]) -> int:
    """Segments of (songs, seconds of each)."""
    count, seconds = songs
    return int(count * count_segments([int(seconds * SAMPLE_RATE)])[0])


def training(config: Mapping, runs: Sequence[str], segments: int, rates: Rates) -> tuple[float, float]:
    """(hours of a GPU or a core, GB on disk) of all trainings."""
    hours = disk = 0.0
    for run in runs:
        fields = grid.parse_run(run)
        sections = overlay.of_recipe(config, fields["recipe"])
        train, image = sections["train"], image_shape(sections["features"])
        encoder = encoder_of(sections["model"])
        replicas = grid.positives(config["losses"][fields["loss"]])
        flops = step_flops(encoder.flops(image), replicas)
        hours += flops * segments * train["data"]["fraction"] * train["epochs"] / (rates.tflops * 1e12) / 3600
        disk += (
            STATE_COPIES
            * 4
            * (encoder.parameters(image) + head_parameters(encoder.features(image), fields["dim"]))
            / 1e9
        )
    return hours, disk


def plan(config: Mapping, target: str, songs: Mapping, songs_source: str, rates: Rates, device: str) -> list[Stage]:
    """The stages of a target, in their order."""
    cells = cells_of(config, target)
    runs = list(dict.fromkeys(cell.run for cell in cells))
    shards = config["fingerprint"]["shards"]
    counts = {split: segments_of(n) for split, n in songs.items()}
    audio_mb = {split: n * seconds * SAMPLE_RATE * 2 / 1e6 for split, (n, seconds) in songs.items()}
    clips = sum(n for n, _ in songs.values()) + songs["val"][0] + songs["test"][0]
    all_mb = sum(audio_mb.values()) + audio_mb["val"] + audio_mb["test"]
    searched = counts["dummy"] + counts["test"]
    fingerprinted = searched + counts["test"]

    def on_device(hours: float) -> tuple[float, float]:
        return (hours, 0.0) if device == "gpu" else (0.0, hours)

    def memory(rule: str, mb: float) -> float:
        base, per_mb = MEMORY[rule]
        return (base + per_mb * mb) / 1e3

    train_hours, train_gb = training(config, runs, counts["train"], rates)
    forward = embed_mb = searched_mb = index_gb = 0.0
    for run in runs:
        fields = grid.parse_run(run)
        sections = overlay.of_recipe(config, fields["recipe"])
        one = encoder_of(sections["model"]).flops(image_shape(sections["features"]))
        forward += one * fingerprinted / (rates.tflops * 1e12) / 3600
        embed_mb += 4 * fields["dim"] * fingerprinted / 1e6
        searched_mb = max(searched_mb, 4 * fields["dim"] * searched / 1e6)
    for cell in cells:
        index_type = index_type_of(cell.index, config["indexes"][cell.index])
        index_gb += index_type.bytes_per_vector(grid.parse_run(cell.run)["dim"]) * searched / 1e9
    piece_mb = max(audio_mb["dummy"] / shards["dummy"], audio_mb["test"] / shards["test_db"])
    queries = config["search"]["test_ids"]
    queries = {"icassp": 2000, "all": counts["test"]}.get(
        queries, queries if isinstance(queries, int) else counts["test"]
    )
    gathers = sum(count > 1 for count in shards.values())
    search_hours = len(cells) * queries * max(searched / 1e6, 0.01) / rates.queries_per_s / 3600
    source = rates.sources
    size = f"sizes {songs_source}"
    return [
        Stage(
            "verify",
            1,
            0,
            clips / rates.files_per_s / 3600,
            0.02,
            memory("verify", 0),
            f"{source['files_per_s']}; {size}",
        ),
        Stage(
            "pack",
            11,
            0,
            all_mb / rates.mb_per_s / 3600,
            all_mb / 1e3,
            memory("pack", 0),
            f"{source['mb_per_s']}; {size}",
        ),
        Stage(
            *("train", len(runs), *on_device(train_hours), train_gb, memory("train", audio_mb["train"])),
            source["tflops"],
        ),
        Stage(
            *("fingerprint", len(runs) * (sum(shards.values()) + gathers), *on_device(forward), embed_mb / 1e3),
            *(memory("fingerprint", piece_mb), source["tflops"]),
        ),
        Stage(
            *("build_index", len(cells), 0, len(cells) * searched / rates.vectors_per_s / 3600, index_gb),
            *(memory("build_index", searched_mb), source["vectors_per_s"]),
        ),
        Stage(
            *("score", len(cells), 0, search_hours, len(cells) * queries * 6e-7, memory("score", searched_mb)),
            source["queries_per_s"],
        ),
        Stage("scoreboard", 4, 0, 0.01, 0.01, 3.0, "assumed: 0.01 hours"),
    ]


def as_table(stages: Sequence[Stage]) -> pd.DataFrame:
    """The plan with its totals; memory is not added up."""
    table = pd.DataFrame([vars(stage) for stage in stages])
    total = table[["jobs", "gpu_hours", "cpu_hours", "disk_gb"]].sum()
    last = {"stage": "total", **total, "memory_gb": table["memory_gb"].max(), "source": ""}
    table = pd.concat([table, pd.DataFrame([last])], ignore_index=True)
    return table.astype({"jobs": int})
