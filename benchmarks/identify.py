"""How often identify finds the right song, names a wrong one, and recognises what the library does not hold; and how fast.

PYTHONPATH=scripts python benchmarks/identify.py --run RUN --corpus FOLDER >> benchmarks/identify.md
PYTHONPATH=scripts python benchmarks/identify.py --run RUN --library SONGS --known RECORDINGS --unknown RECORDINGS

RUN is the folder of a trained run. FOLDER is one in the layout of the paper's data set, as the demo composes it: test queries are
looked for in a library of all test songs and distractors, and, as unknown recordings, they and the test songs
themselves in the distractors alone. Or your own folders: a known recording has the name of its song, its suffix aside.
"""

import argparse
import datetime
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import torch
import yaml

from nafp import compute
from nafp.audio.landmarks import landmarks
from nafp.audio.open import open_audio
from nafp.audio.segments import SAMPLE_RATE
from nafp.datasets.layout import SPLITS
from nafp.identify.calibration import learned
from nafp.identify.places import find_audio
from nafp.identify.recognise import identify
from nafp.identify.recordings import Recording
from nafp.identify.windows import Catalogue, Limits
from nafp.jobfacts import processor
from nafp.model.fingerprint import fingerprint_clips
from nafp.model.weights import load_model
from nafp.search.vectors import Database


@dataclass(frozen=True)
class Case:
    """Recordings to look for in a library: both are files. ``known``: the library has the song of a recording's name."""

    title: str
    library: Sequence[Path]
    recordings: Sequence[Path]
    known: bool


def cases_of_corpus(root: Path) -> Iterator[Case]:
    songs, queries, dummy = (find_audio(root / SPLITS[split]) for split in ("test_db", "test_query", "dummy"))
    yield Case("known, degraded", [*songs, *dummy], queries, True)
    yield Case("unknown, degraded", dummy, queries, False)
    yield Case("unknown, clean", dummy, songs, False)


def cases_of_folders(library: Path, known: Path | None, unknown: Path | None) -> Iterator[Case]:
    songs = find_audio(library)
    for folder, is_known in ((known, True), (unknown, False)):
        if folder:
            yield Case(f"{'known' if is_known else 'unknown'}: {folder.name}", songs, find_audio(folder), is_known)


def read(path: Path) -> np.ndarray:
    """(T,) int16, a whole file."""
    with open_audio(path) as audio:
        return np.concatenate(list(audio.blocks()))


class Libraries:
    """Catalogues of files; each file is fingerprinted once."""

    def __init__(self, embed: Callable[[np.ndarray], np.ndarray]):
        self.embed, self.known = embed, {}

    def of(self, paths: Sequence[Path]) -> Catalogue:
        for path in paths:
            if path not in self.known:
                samples = read(path)
                self.known[path] = self.embed(samples), landmarks(samples)
        vectors = np.concatenate([self.known[path][0] for path in paths])
        counts = np.array([len(self.known[path][0]) for path in paths])
        owner, names = np.repeat(np.arange(len(paths)), counts), [path.stem for path in paths]
        marks = [self.known[path][1] for path in paths]
        return Catalogue(Database(vectors, vectors[:0]), names, np.cumsum(counts) - counts, owner, marks.__getitem__)


def tried(case: Case, seconds: float, catalogue: Catalogue, embed: Callable, limits: Limits) -> dict:
    """A row: recordings that are found, and those that get another song's name too or instead; milliseconds each."""
    found = wrong = 0
    spent = []
    for path in case.recordings:
        samples = read(path)[: round(seconds * SAMPLE_RATE)]
        began = time.perf_counter()
        peak = int(np.abs(samples.astype(np.int32)).max())
        answers = identify(Recording(path.stem, embed(samples), len(samples), peak), catalogue, limits)
        spent.append(time.perf_counter() - began)
        rows = answers[answers["song"].notna()]
        right = [path.stem in (row.song, *row.copies) for row in rows.itertuples()]
        found += case.known and any(right)
        wrong += not all(right) if case.known else len(right) > 0
    return {
        "recordings": case.title,
        "s": f"{seconds:g}",
        "number": len(spent),
        "found": found if case.known else "",
        "wrong": wrong if case.known else "",
        "false accepts": "" if case.known else wrong,
        "ms each": f"{1e3 * np.median(spent):.0f}",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--epoch", default="best")
    parser.add_argument("--corpus", type=Path, help="folder in the layout of the paper's data set")
    parser.add_argument("--library", type=Path, help="folder of your songs")
    parser.add_argument("--known", type=Path, help="recordings of them, each with the name of its song")
    parser.add_argument("--unknown", type=Path, help="recordings of other songs")
    parser.add_argument("--lengths", type=float, nargs="+", default=[5, 10, 30], help="seconds from the beginning")
    parser.add_argument("--false-positives", type=float, default=0.01)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if bool(options.corpus) == bool(options.library):
        parser.error("name either --corpus, or --library with --known or --unknown or both")
    device = compute.set_up(options.threads, keep_memory=False)
    faiss.omp_set_num_threads(options.threads)
    settings = yaml.safe_load((options.run / "config.yaml").read_text(encoding="utf-8"))
    weights = options.run / f"epoch={options.epoch}.safetensors"
    network = load_model(weights, settings["features"], settings["model"], settings["dim"]).to(device)

    def embed(samples: np.ndarray) -> np.ndarray:
        return fingerprint_clips(network, [samples], device)

    if options.corpus:
        cases = cases_of_corpus(options.corpus)
    else:
        cases = cases_of_folders(options.library, options.known, options.unknown)
    libraries, lines, said = Libraries(embed), [], []
    for case in cases:
        catalogue = libraries.of(case.library)
        path = options.run / f"epoch={options.epoch}.limits.json"
        limits, sentence = learned(path, len(catalogue.database), options.false_positives, Limits())
        said.append(f"{case.title}: {len(case.library)} songs in the library; {sentence}")
        lines += [tried(case, seconds, catalogue, embed, limits) for seconds in options.lengths]
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{processor()}, {options.threads} threads"
    print(f"\n## {datetime.date.today()}, {options.run.name}, {where}\n")
    print("\n".join(f"* {line.replace(str(options.run), 'RUN')}" for line in said), end="\n\n")
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
