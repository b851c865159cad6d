"""What is to be done for a target: its cells and runs, the songs, and how many fingerprints and megabytes that makes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from nafp import grid
from nafp.datasets.sources import SOURCES, dataset_of
from nafp.errors import UserError
from nafp.methods import kind_of
from nafp.plan.rates import USUAL_DIM, Rates
from nafp.plan.songs import Songs

DEVICES = ("gpu", "cpu")


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

    @cached_property
    def degraded_sets(self) -> list[str]:
        """Query sets that are degraded copies of the test songs, in the order of the cells."""
        return [name for name in dict.fromkeys(cell.query_set for cell in self.cells) if name != grid.FILES]

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
    def generated(self) -> int:
        """Fingerprints that are generated in place of the dummy songs'; 0 if none are."""
        asked = dataset_of(self.config).get("generated")
        return Songs(asked["songs"], asked["seconds"]).segments if asked else 0

    @property
    def distractors(self) -> int:
        """Fingerprints in the database of a cell besides those of the test songs."""
        return self.generated or self.songs["dummy"].segments

    @property
    def database(self) -> int:
        """Fingerprints in the database of a cell."""
        return self.distractors + self.songs["test"].segments

    def query_sets(self, run: str) -> int:
        """Number of query sets that a run is asked."""
        return len({cell.query_set for cell in self.cells if cell.run == run})

    def fingerprints(self, run: str) -> int:
        """Fingerprints made by a run: of all songs, and of the queries."""
        test = self.songs["test"].segments
        return self.songs["dummy"].segments + test + self.query_sets(run) * test

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
