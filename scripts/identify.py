"""Find which song a recording is: python scripts/identify.py --help"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from tqdm import tqdm

from nafp import compute
from nafp.console import logged
from nafp.errors import UserError
from nafp.identify.library import Library, decoded, find_audio, model_key
from nafp.identify.recognise import Limits, identify
from nafp.model.fingerprint import fingerprint_clips, load_model, on_device
from nafp.search.vectors import Database

CONFIG = Path(__file__).parents[1] / "config.yaml"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Fingerprint a folder of music and find which song, from when to when, a recording is. "
        "A second call fingerprints only what is new."
    )
    parser.add_argument("--library", type=Path, required=True, help="folder of songs: wav, flac, ogg, mp3, ...")
    parser.add_argument("--queries", type=Path, required=True, help="folder of recordings, or one file")
    parser.add_argument("--run", type=Path, required=True, help="folder of a trained run: results/.../runs/aug=...")
    parser.add_argument("--epoch", default="best", help="which of its weights: best, last or a number (default best)")
    parser.add_argument("--store", type=Path, required=True, help="where the library's fingerprints are kept")
    parser.add_argument("--matches", type=Path, default=Path("matches.csv"), help="the answer (default matches.csv)")
    parser.add_argument("--min-score", type=float, default=Limits.min_score, help="of a match (default %(default)s)")
    parser.add_argument(
        "--min-margin", type=float, default=Limits.min_margin, help="over other songs (default %(default)s)"
    )
    parser.add_argument("--windows", type=int, default=Limits.windows, help="that must agree (default %(default)s)")
    parser.add_argument("--index", default="ivfpq-rr", help="of config.yaml, for a large library (default %(default)s)")
    parser.add_argument(
        "--exact-up-to",
        type=int,
        default=10**6,
        help="fingerprints that are searched exhaustively (default %(default)s)",
    )
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    known = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))["indexes"]
    if options.index not in known:
        parser.error(f"unknown index {options.index!r}; known: {', '.join(known)}")
    options.index_options = known[options.index]
    return options


def run(options: argparse.Namespace) -> pd.DataFrame:
    """Bring the library up to date and identify every recording."""
    settings_path, weights = options.run / "config.yaml", options.run / f"epoch={options.epoch}.safetensors"
    for path in (settings_path, weights):
        if not path.is_file():
            raise UserError(f"{path}: not found; --run is the folder of a trained run, with config.yaml and weights")
    settings = yaml.safe_load(settings_path.read_text(encoding="utf-8"))
    device = compute.set_up(options.threads)
    heard = {"features": settings["features"], "model": settings["model"]}
    network = on_device(load_model(weights, **heard, dim=settings["dim"]), device)

    def embed(clips: list[np.ndarray]) -> np.ndarray:
        return fingerprint_clips(network, clips, device, disable=True)

    library = Library(options.store, model_key(weights, heard), settings["dim"])
    broken = library.update(options.library, embed)
    for song in broken.itertuples():
        print(f"skipped {song.path}: {song.problem}", file=sys.stderr)
    if not library.rows:
        raise UserError(f"{options.library}: none of its files could be read")
    vectors = library.vectors
    database = Database(vectors, vectors[:0])
    index = library.index(options.index, options.index_options) if len(database) > options.exact_up_to else None
    songs, owner = library.songs, library.song_of_row()
    print(f"{(songs['rows'] > 0).sum()} songs, {library.rows} fingerprints; {len(broken)} broken files skipped")
    paths = [options.queries] if options.queries.is_file() else find_audio(options.queries)
    tables = []
    for path, (samples, problem) in tqdm(zip(paths, decoded(paths), strict=True), total=len(paths), unit="recording"):
        name = path.name if options.queries.is_file() else path.relative_to(options.queries).as_posix()
        if samples is None:
            tables.append(pd.DataFrame([{"query": name, "note": f"cannot be read: {problem}"}]))
            continue
        names, first = songs["path"].tolist(), songs["first"].to_numpy()
        limits = Limits(options.min_score, options.min_margin, options.windows)
        tables.append(identify(name, samples, embed([samples]), database, names, first, owner, limits, index))
    return pd.concat(tables, ignore_index=True)


def of_rule(rule) -> argparse.Namespace:
    """The arguments of a job of the workflow."""
    params = rule.params
    paths = {**params.folders, "run": params.run, "store": params.store, "matches": rule.output[0]}
    paths = {name: Path(path) for name, path in paths.items()}
    return argparse.Namespace(
        **paths, **params.limits, index_options=params.index_options, epoch=params.epoch, threads=rule.threads
    )


def main(options: argparse.Namespace) -> None:
    matches = run(options)
    options.matches.parent.mkdir(parents=True, exist_ok=True)
    matches.round(3).to_csv(options.matches, index=False)
    print(matches.round(2).head(50).to_string(index=False, na_rep=""))
    print(f"{matches['song'].notna().sum()} matches of {matches['query'].nunique()} recordings: {options.matches}")


if "snakemake" in globals():
    with logged(snakemake.log[0]):
        main(of_rule(snakemake))
elif __name__ == "__main__":
    try:
        main(arguments())
    except UserError as problem:
        sys.exit(f"error: {problem}")
