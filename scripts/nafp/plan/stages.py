"""What a target costs before it runs: jobs, hours, disk and memory of each stage, each with the source of its figures."""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from functools import cached_property

from nafp import grid
from nafp.config import overlay
from nafp.datasets.sources import SOURCES, dataset_of
from nafp.errors import UserError
from nafp.methods import kind_of
from nafp.model.encoders import encoder_of
from nafp.model.shapes import head_parameters, image_shape
from nafp.plan.rates import USUAL_DIM, Rates, search_flops, step_flops
from nafp.plan.songs import Songs
from nafp.resources import MEMORY
from nafp.search.types import index_type_of

DEVICES = ("gpu", "cpu")
PACK_JOBS = 11  # a job a split
RULES = {  # stage -> its rules
    "download": ("download", "fetch_test_ids"),
    "unpack": ("unpack", "remove_archive"),
    "train": ("train", "take_checkpoint"),
    "fingerprint": (
        "import_pretrained",
        "fingerprint",
        "list_distractors",
        "generate_distractors",
        "gather_fingerprints",
    ),
    "scoreboard": (
        *(
            "make_table",
            "find_limits",
            "plot",
            "plot_scale",
            "plot_beyond",
            "plot_misses",
            "plot_similarity",
            "measure_scale",
        ),
        *("extrapolate", "tabulate_beyond", "listen", "build_page", "scoreboard"),
    ),
}
STATE_COPIES = 8  # weights kept of a run: best, last, and two states with Adam's two moments
GB_PER_QUERY = 6e-7  # disk space of a query in a cell's per-query table
SCOREBOARD_JOBS, SCOREBOARD_HOURS, SCOREBOARD_DISK_GB, SCOREBOARD_MEMORY_GB = 4, 0.01, 0.01, 3.0


@dataclass(frozen=True)
class Stage:
    """One line of the plan: hours of GPUs and of CPU cores over all jobs, memory of the largest job."""

    stage: str
    jobs: int
    gpu_hours: float
    cpu_hours: float
    disk_gb: float
    memory_gb: float
    source: str


def target_cells(config: Mapping, target: str) -> list[grid.CellKey]:
    """The cells of a study, or of all; UserError for an unknown one."""
    studies = {name: study for name, study in config["studies"].items() if study}
    if target not in ("all", *studies):
        raise UserError(f"unknown target {target!r}; known: all, {', '.join(studies)}")
    chosen = studies.values() if target == "all" else [studies[target]]
    return list(dict.fromkeys(cell for study in chosen for cell in grid.study_cells(study, config)))


@dataclass(frozen=True)
class Work:
    """What is to be done: cells on songs, at known rates. ``songs_source``: where the numbers of songs are from."""

    config: Mapping
    cells: Sequence[grid.CellKey]
    songs: Mapping[str, Songs]
    songs_source: str
    rates: Rates
    device: str

    @cached_property
    def runs(self) -> list[str]:
        """Runs to train, in the order of the cells."""
        return list(dict.fromkeys(cell.run for cell in self.cells if kind_of(cell.run).trained))

    @cached_property
    def searched_cells(self) -> list[grid.CellKey]:
        """Cells of runs with fingerprints; what other methods cost is not known."""
        return [cell for cell in self.cells if kind_of(cell.run).searched]

    @cached_property
    def searched_runs(self) -> list[str]:
        """Runs with fingerprints, in the order of the cells."""
        return list(dict.fromkeys(cell.run for cell in self.searched_cells))

    @property
    def clips(self) -> int:
        """Files of the data set: songs, and the queries of validation and test."""
        return sum(songs.number for songs in self.songs.values()) + self.songs["val"].number + self.songs["test"].number

    @property
    def audio_mb(self) -> float:
        """MB of all these files."""
        megabytes = {split: songs.megabytes for split, songs in self.songs.items()}
        return sum(megabytes.values()) + megabytes["val"] + megabytes["test"]

    @property
    def downloads(self) -> bool:
        """Whether the pipeline downloads the archive, and deletes it once the data set is verified."""
        return SOURCES[dataset_of(self.config)["source"]].downloads

    @property
    def unpacked_mb(self) -> float:
        """MB of the unpacked data set: as configured, else of its songs."""
        return 1e3 * dataset_of(self.config).get("unpacked_gb", 0) or self.audio_mb

    @property
    def archive_gb(self) -> float:
        """GB of the archive that the data set is unpacked from, if not configured as large as that; 0 if there is none."""
        dataset = dataset_of(self.config)
        if SOURCES[dataset["source"]].bring is None:
            return 0.0
        return dataset.get("archive_gb", self.unpacked_mb / 1e3)

    @property
    def database(self) -> int:
        """Fingerprints in the database of a cell."""
        generated = dataset_of(self.config).get("generated")
        distractors = Songs(generated["songs"], generated["seconds"]) if generated else self.songs["dummy"]
        return distractors.segments + self.songs["test"].segments

    def query_sets(self, run: str) -> int:
        """Number of query sets that a run is asked."""
        return len({cell.query_set for cell in self.cells if cell.run == run})

    def fingerprints(self, run: str) -> int:
        """Fingerprints made by a run: of all songs, and of the queries."""
        test = self.songs["test"].segments
        return self.songs["dummy"].segments + test + self.query_sets(run) * test

    def vectors(self, run: str) -> int:
        """Fingerprints of a run that are kept: with those that are generated in place of the dummy songs'."""
        generated = self.database - self.songs["test"].segments if dataset_of(self.config).get("generated") else 0
        return self.fingerprints(run) + generated

    @property
    def queries(self) -> int:
        """Queries of a cell, by the config's ``test_ids``."""
        ids, all_of_them = self.config["search"]["test_ids"], self.songs["test"].segments
        return {"icassp": 2000, "all": all_of_them}.get(ids, ids if isinstance(ids, int) else all_of_them)

    def hours_on_device(self, flops: float) -> dict[str, float]:
        """Hours of the device that trains and fingerprints."""
        hours = flops / (self.rates.tflops * 1e12) / 3600
        return {
            "gpu_hours": hours if self.device == "gpu" else 0.0,
            "cpu_hours": hours if self.device == "cpu" else 0.0,
        }

    def largest_vectors_mb(self) -> float:
        """MB of the largest database of fingerprints."""
        return max((4 * dim_of(run) * self.database / 1e6 for run in self.searched_runs), default=0.0)


def dim_of(run: str) -> int:
    """Dimensions of a run's fingerprints; of those of others, as usual."""
    return grid.parse_run(run).get("dim", USUAL_DIM)


def memory_gb(rule: str, input_mb: float = 0.0) -> float:
    """Memory that a job asks for."""
    base, per_mb = MEMORY[rule]
    return (base + per_mb * input_mb) / 1e3


def search_memory_gb(work: Work, rule: str) -> float:
    """Memory that the largest job of a rule that builds or searches indexes asks for."""
    names = {cell.index for cell in work.searched_cells}
    on_disk = {index_type_of(name, work.config["indexes"][name]).on_disk for name in names}
    return max((memory_gb("on_disk" if one else rule, work.largest_vectors_mb()) for one in on_disk), default=0.0)


def download(work: Work) -> Stage | None:
    """Bring the archive, which stays until the data set is verified; None where there is none."""
    if not work.archive_gb:
        return None
    hours = 1e3 * work.archive_gb / work.rates.download_mb_per_s / 3600 if work.downloads else 0.0
    source = work.rates.sources["download_mb_per_s"] if work.downloads else "you bring the archive"
    return Stage("download", 1, 0.0, hours, work.archive_gb, memory_gb("verify"), source)


def unpack(work: Work) -> Stage | None:
    """Unpack the archive; None where there is none."""
    if not work.archive_gb:
        return None
    hours = work.unpacked_mb / work.rates.mb_per_s / 3600
    return Stage("unpack", 1, 0.0, hours, work.unpacked_mb / 1e3, memory_gb("verify"), work.rates.sources["mb_per_s"])


def verify(work: Work) -> Stage:
    """Check every file's header and checksum."""
    source = f"{work.rates.sources['files_per_s']}; sizes {work.songs_source}"
    hours = work.clips / work.rates.files_per_s / 3600
    return Stage("verify", 1, 0.0, hours, 0.02, memory_gb("verify"), source)


def pack(work: Work) -> Stage:
    """Pack the splits."""
    source = f"{work.rates.sources['mb_per_s']}; sizes {work.songs_source}"
    hours = work.audio_mb / work.rates.mb_per_s / 3600
    return Stage("pack", PACK_JOBS, 0.0, hours, work.audio_mb / 1e3, memory_gb("pack"), source)


def train(work: Work) -> Stage:
    """Train every run."""
    flops = disk_gb = 0.0
    for run in work.runs:
        fields = grid.parse_run(run)
        sections = overlay.of_recipe(work.config, fields["recipe"])
        options, image, encoder = sections["train"], image_shape(sections["features"]), encoder_of(sections["model"])
        replicas = grid.positives(work.config["losses"][fields["loss"]])
        anchors = work.songs["train"].segments * options["data"]["fraction"] * options["epochs"]
        flops += step_flops(encoder.flops(image), replicas) * anchors
        parameters = encoder.parameters(image) + head_parameters(
            encoder.features(image), fields["dim"], sections["model"].get("head_norm", False)
        )
        disk_gb += STATE_COPIES * 4 * parameters / 1e9
    return Stage(
        stage="train",
        jobs=len(work.runs),
        **work.hours_on_device(flops),
        disk_gb=disk_gb,
        memory_gb=memory_gb("train", work.songs["train"].megabytes),
        source=work.rates.sources["tflops"],
    )


def fingerprint(work: Work) -> Stage:
    """Fingerprint database and queries by every run, in shards that are gathered afterwards."""
    shards = work.config["fingerprint"]["shards"]
    jobs_of = {split: count + (count > 1) for split, count in shards.items()}  # one more gathers them
    flops, disk_gb, jobs = 0.0, 0.0, 0
    for run in work.searched_runs:
        if not run.startswith("external="):  # of other people's weights, as if they were of the config's model
            sections = overlay.of_recipe(work.config, grid.parse_run(run).get("recipe", "base"))
            flops += encoder_of(sections["model"]).flops(image_shape(sections["features"])) * work.fingerprints(run)
        disk_gb += 4 * dim_of(run) * work.vectors(run) / 1e9
        jobs += jobs_of["test_db"] + jobs_of["dummy"] + work.query_sets(run) * jobs_of["test_query"]
    shard_mb = max(work.songs["dummy"].megabytes / shards["dummy"], work.songs["test"].megabytes / shards["test_db"])
    return Stage(
        stage="fingerprint",
        jobs=jobs,
        **work.hours_on_device(flops),
        disk_gb=disk_gb,
        memory_gb=memory_gb("fingerprint", shard_mb),
        source=work.rates.sources["tflops"],
    )


def build_index(work: Work) -> Stage:
    """Build the indexes of every run, in which all its query sets are searched."""
    disk_gb, flops, built = 0.0, 0.0, sorted({(cell.run, cell.index) for cell in work.searched_cells})
    trained = min(work.database - work.songs["test"].segments, work.config["search"]["train_max"])
    for run, index in built:
        index_type = index_type_of(index, work.config["indexes"][index])
        disk_gb += index_type.bytes_per_vector(dim_of(run)) * work.database / 1e9
        flops += index_type.build_flops(dim_of(run), work.database, trained)
    hours = flops / (work.rates.build_gflops * 1e9) / 3600
    memory = search_memory_gb(work, "build_index")
    return Stage("build_index", len(built), 0.0, hours, disk_gb, memory, work.rates.sources["build_gflops"])


def score(work: Work) -> Stage:
    """Search for the queries of every cell."""
    flops, segments = 0.0, min(work.queries * max(work.config["search"]["lengths"]), work.songs["test"].segments)
    for cell in work.searched_cells:
        index_type = index_type_of(cell.index, work.config["indexes"][cell.index])
        flops += search_flops(index_type, dim_of(cell.run), work.database, segments)
    return Stage(
        "score",
        len(work.searched_cells),
        0.0,
        flops / (work.rates.search_gflops * 1e9) / 3600,
        len(work.searched_cells) * work.queries * GB_PER_QUERY,
        search_memory_gb(work, "score"),
        work.rates.sources["search_gflops"],
    )


def scoreboard(work: Work) -> Stage:
    """Write tables, figures and the page."""
    source = f"assumed: {SCOREBOARD_HOURS:g} hours"
    return Stage("scoreboard", SCOREBOARD_JOBS, 0.0, SCOREBOARD_HOURS, SCOREBOARD_DISK_GB, SCOREBOARD_MEMORY_GB, source)


STAGES = (download, unpack, verify, pack, train, fingerprint, build_index, score, scoreboard)


def plan(work: Work, jobs: Mapping[str, int] | None = None) -> list[Stage]:
    """The stages of a target, in their order.

    ``jobs``: rule -> number of jobs, as Snakemake counts them (`nafp.plan.jobs`); without, they are estimated. Rules of no
    stage are one line more, without hours.
    """
    stages = [stage for stage in (make(work) for make in STAGES) if stage]
    if jobs is None:
        return stages
    rules = {stage.stage: RULES.get(stage.stage, (stage.stage,)) for stage in stages}
    counted = [replace(stage, jobs=sum(jobs.get(rule, 0) for rule in rules[stage.stage])) for stage in stages]
    others = {rule: count for rule, count in jobs.items() if not any(rule in some for some in rules.values())}
    if not others:
        return counted
    said = ", ".join(f"{count} {rule}" for rule, count in others.items())
    return [*counted, Stage("others", sum(others.values()), 0.0, 0.0, 0.0, 0.0, f"hours not known: {said}")]


def as_table(stages: Sequence[Stage]) -> str:
    """The plan as text, a line a stage and one with the totals; memory is not added up but that of the largest job.

    Disk is that of all stages together, the peak; an archive that was downloaded is deleted on the way.
    """
    total = Stage(
        stage="total",
        jobs=sum(stage.jobs for stage in stages),
        gpu_hours=sum(stage.gpu_hours for stage in stages),
        cpu_hours=sum(stage.cpu_hours for stage in stages),
        disk_gb=sum(stage.disk_gb for stage in stages),
        memory_gb=max(stage.memory_gb for stage in stages),
        source="",
    )
    rows = [[f"{x:,.2f}" if isinstance(x, float) else str(x) for x in astuple(stage)] for stage in (*stages, total)]
    columns = list(zip([field.name for field in fields(Stage)], *rows, strict=True))
    padded = [[text.rjust(max(map(len, column))) for text in column] for column in columns]
    return "\n".join(f"{'  '.join(row)} {source}" for *row, source in zip(*padded, strict=True))
