"""A radio programme with known cues: how many songs are found, how many intervals are false, how precise their ends are.

PYTHONPATH=scripts:tests/support python benchmarks/monitoring.py --run RUN --corpus FOLDER >> benchmarks/monitoring.md

RUN is the folder of a trained run, FOLDER one in the layout of the paper's data set. The programme: excerpts of 10 to 30 s
of test songs, each followed by 5 to 10 s of a validation song that the library does not hold, crossfaded; then one
of the test impulse responses, and test noise at an SNR. The library: all test songs and the distractors.
"""

import argparse
import datetime
import os
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from programme import Excerpt, crossfaded, degraded, match_cues

from nafp import compute
from nafp.audio.open import read_any
from nafp.audio.segments import SAMPLE_RATE, count_segments
from nafp.datasets.layout import SPLITS
from nafp.identify.recognise import identify
from nafp.identify.recordings import Recording
from nafp.identify.windows import Catalogue, Limits
from nafp.jobfacts import processor
from nafp.model.fingerprint import fingerprint_clips
from nafp.model.weights import load_model
from nafp.search.vectors import Database

SNRS_DB = (None, 10, 5, 0)  # None: as it was mixed


def programme(root: Path, songs: int, fade_s: float, g: np.random.Generator) -> tuple[np.ndarray, pd.DataFrame]:
    """The mix and its cues."""
    known, others = (sorted((root / SPLITS[split]).rglob("*.wav")) for split in ("test_db", "val_db"))
    pieces = []
    for path in g.choice(known, min(songs, len(known)), replace=False):
        samples = read_any(path)
        length = min(round(g.uniform(10, 30) * SAMPLE_RATE), len(samples))
        begin = int(g.integers(0, len(samples) - length + 1))
        pieces.append(Excerpt(samples[begin : begin + length], path.stem, begin / SAMPLE_RATE))
        other = read_any(others[g.integers(len(others))])
        pieces.append(Excerpt(other[: round(g.uniform(5, 10) * SAMPLE_RATE)]))
    return crossfaded(pieces, fade_s)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--epoch", default="best")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--songs", type=int, default=12)
    parser.add_argument("--fade", type=float, default=2.0, help="seconds (default %(default)s)")
    parser.add_argument("--dummies", type=int, help="distractors in the library, at most (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    options = parser.parse_args()
    device, g = compute.set_up(options.threads), np.random.default_rng(options.seed)
    settings = yaml.safe_load((options.run / "config.yaml").read_text(encoding="utf-8"))
    weights = options.run / f"epoch={options.epoch}.safetensors"
    network = load_model(weights, settings["features"], settings["model"], settings["dim"]).to(device)

    library = sorted((options.corpus / SPLITS["test_db"]).rglob("*.wav"))
    library += sorted((options.corpus / SPLITS["dummy"]).rglob("*.wav"))[: options.dummies]
    clips = [read_any(path) for path in library]
    vectors, counts = fingerprint_clips(network, clips, device), count_segments([len(clip) for clip in clips])
    names, first = [path.stem for path in library], np.cumsum(counts) - counts
    owner = np.repeat(np.arange(len(library)), counts)

    mix, cues = programme(options.corpus, options.songs, options.fade, g)
    noise, response = (
        read_any(g.choice(sorted((options.corpus / folder).rglob("*.wav")))) for folder in ("aug/bg/ts", "aug/ir/ts")
    )
    lines = []
    for snr in SNRS_DB:
        loud = np.round(mix / np.abs(mix).max() * 0.9 * 32767).astype(np.int16)
        mixed = loud if snr is None else degraded(mix, noise, response, snr)
        query = fingerprint_clips(network, [mixed], device)
        recording = Recording("programme", query, len(mixed), int(np.abs(mixed.astype(np.int32)).max()))
        found = identify(recording, Catalogue(Database(vectors, vectors[:0]), names, first, owner), Limits())
        rows = match_cues(found, cues)
        of_cues = rows[rows["found"].notna()]
        errors = of_cues[["onset_s", "offset_s"]].abs().median()
        lines.append(
            {
                "degraded": "no" if snr is None else f"room, noise at {snr} dB",
                "songs found": f"{of_cues['found'].astype(bool).sum()} of {len(cues)}",
                "false intervals": rows["found"].isna().sum(),
                "onset, median error in s": f"{errors['onset_s']:.2f}",
                "offset, median error in s": f"{errors['offset_s']:.2f}",
                "largest error in s": f"{of_cues[['onset_s', 'offset_s']].abs().max().max():.2f}",
            }
        )
    size = f"{len(mix) / SAMPLE_RATE / 60:.1f} min, fades of {options.fade:g} s, {len(library)} songs in the library"
    print(f"\n## {datetime.date.today()}, {size}, {options.run.name}, {processor()}\n")
    print(pd.DataFrame(lines).to_markdown(index=False, disable_numparse=True))


if __name__ == "__main__":
    main()
