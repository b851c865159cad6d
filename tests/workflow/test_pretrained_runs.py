"""Weights that others trained through the real workflow: downloaded, in a study beside trained runs, and in identify."""

import hashlib
import json
import shutil

import pandas as pd
import soundfile as sf
from archives import zipped
from bundles import write_original
from workflow import FULL, copy_project, planned, snakemake, tiny
from zenodo_server import RECORD, zenodo


def archive_in(folder) -> bytes:
    """A zip with a narrow model of NMFP in it."""
    prefix = write_original(folder / "packed/ckpt-1", norm=True)
    return zipped(folder / "model.zip", {path.name: path.read_bytes() for path in prefix.parent.iterdir()}).read_bytes()


def test_from_a_record_into_tables_and_answers(finished, tmp_path):
    folder, content = tmp_path / "project", archive_in(tmp_path)
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    study = {
        "question": "Whose weights are better",
        "baseline": {"aug": "full"},
        "runs": [{}, {"pretrained": "theirs"}],
    }
    with zenodo(content) as remote:
        theirs = {"record": RECORD, "md5": hashlib.md5(content).hexdigest(), "licence": "AGPL-3.0"}
        config = tiny(
            folder,
            pretrained={"theirs": theirs | {"api": f"{remote.api}/api/records"}},
            studies={"whose": study, "table3": None, "index_types": None, "song_level": None},
        )
        refused = snakemake(folder, "whose", "-n", config=config)
        assert refused.returncode != 0
        assert "pretrained theirs: these weights are under AGPL-3.0" in refused.stdout
        assert "--config accept_licence=AGPL-3.0" in refused.stdout
        done = snakemake(folder, "whose", "--config", "accept_licence=AGPL-3.0", config=config)
        assert done.returncode == 0, done.stdout[-3000:]
    run = folder / "results/demo/runs/pretrained=theirs"
    assert json.loads((run / "provenance.json").read_text())["jobs"][0]["licence"] == "AGPL-3.0"
    cell = json.loads((folder / "results/demo/scores/pretrained=theirs/epoch=last/l2.json").read_text())
    assert cell["fields"] == {"pretrained": "theirs"} and cell["queries"] > 0
    table = pd.read_csv(folder / "results/demo/scoreboard/whose.csv").query("source == 'this run'")
    assert table["method"].drop_duplicates().tolist() == ["nafp", "theirs"]

    songs = sorted((folder / "results/demo/data/corpus/music").rglob("*.wav"))[:2]
    library = tmp_path / "songs"
    library.mkdir()
    for i, path in enumerate(songs):
        shutil.copy(path, library / f"{i}.wav")
    samples, rate = sf.read(songs[1])
    sf.write(tmp_path / "piece.flac", samples[2 * rate : 6 * rate], rate)
    command = (
        "identify",
        "--config",
        f"library={library}",
        f"queries={tmp_path / 'piece.flac'}",
        "run=pretrained=theirs",
    )
    accepted = (*command, "accept_licence=AGPL-3.0")
    assert "train" not in planned(folder, *accepted, config=config)
    done = snakemake(folder, *accepted, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "train" not in done.stdout.split("Job stats")[1].split("total")[0]
    (matches,) = (folder / "results/demo/identify").glob("piece*/matches.csv")
    assert matches.exists() and (run / "epoch=last.limits.json").exists()


def test_names_of_runs_that_are_not_there(tmp_path):
    folder = copy_project(tmp_path / "project")
    for name, says in (
        ("pretrained=nmfp-triple", "unknown pretrained 'nmfp-triple' (did you mean 'nmfp-triplet'?)"),
        (FULL.replace("full", "ful"), "unknown augmentation 'ful'"),
        ("nonsense", "'nonsense' is not the name of a run"),
        ("external=theirs", "external=theirs has no weights to fingerprint with"),
    ):
        given = ("--config", f"library={folder}", f"queries={folder}", f"run={name}", "external={theirs: x}")
        done = snakemake(folder, "identify", "-n", *given)
        assert done.returncode != 0 and f"identify.run: {says}" in done.stdout, done.stdout[-1500:]
