"""What others hand in, from the config to the table: answers in a CSV, and fingerprints of another hop."""

import json
import shutil

import numpy as np
import pandas as pd
from workflow import FULL, planned, snakemake, tiny

KEPT = 10
TABLE = "results/demo/scoreboard/rivals.csv"


def as_rows(hits: pd.DataFrame, queries: pd.DataFrame, songs: pd.DataFrame) -> pd.DataFrame:
    """The answers of a per-query table as a CSV has them; songs have 15 segments of half a second each."""
    tables = []
    for rank in range(1, KEPT + 1):
        place, score = hits[f"place{rank}"].to_numpy(), hits[f"score{rank}"].to_numpy()
        song, segment = np.divmod(place, 15)
        answers = {"rank": rank, "song": songs["song"].to_numpy()[song], "offset_s": segment / 2, "score": score}
        tables.append(queries.assign(**answers)[place >= 0])
    return pd.concat(tables)


def test_answers_of_a_run_handed_in_score_as_it_does(finished, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    methods = {"theirs": {"type": "answers", "file": "theirs.csv"}}
    config = tiny(folder, methods=methods, studies={"rivals": {"runs": [{"aug": "full"}, {"method": "theirs"}]}})
    assert planned(folder, "list_queries", config=config) == {"list_queries": 1}
    missing = snakemake(folder, "rivals", "-n", config=config)
    assert missing.returncode != 0 and "theirs.csv" in missing.stdout
    done = snakemake(folder, "list_queries", config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    queries, songs = (pd.read_csv(folder / f"results/demo/exchange/{name}.csv") for name in ("queries", "songs"))
    cell = folder / f"results/demo/scores/{FULL}/epoch=best/l2.json"
    hits = pd.read_parquet(cell.with_suffix(".hits.parquet"))
    assert (queries["start_s"] == hits["start"]).all() and (queries["length_s"] == (hits["length"] + 1) / 2).all()
    assert (folder / "results/demo/data/corpus" / queries["query"][0]).is_file() and len(songs) == 12
    rows = as_rows(hits, queries, songs)
    rows.to_csv(folder / "theirs.csv", index=False)
    done = snakemake(folder, TABLE, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    ours, theirs = (json.loads(path.read_text()) for path in (cell, cell.parents[2] / "method=theirs/answers.json"))
    assert {**theirs["hits"], "open_set": 0} == {**ours["hits"], "open_set": 0}
    assert theirs["unanswered"] == [0, 0, 0] and "ms_per_query" not in theirs and "build_s" not in theirs
    table = pd.read_csv(folder / TABLE).query("method == 'theirs'")
    assert len(table) == 9 and table[["ms per query", "build s"]].isna().all(axis=None)

    rows[rows["query"] != queries["query"].iloc[-1]].to_csv(folder / "theirs.csv", index=False)
    done = snakemake(folder, "rivals", config=config)  # plots too: of a method without times, and without some answers
    log = (folder / "results/demo/logs/answer/theirs/answers.log").read_text()
    assert done.returncode == 0 and "queries of 3 s have no answer; they count as misses" in log
    rows.assign(song="unknown.wav").to_csv(folder / "theirs.csv", index=False)
    done = snakemake(folder, TABLE, config=config)
    assert done.returncode != 0 and "row 2: 'unknown.wav' is none of the songs that are searched" in done.stdout


def test_fingerprints_of_another_hop(finished, tmp_path):
    """One of 40 dimensions every second, random ones which the queries have with some noise, in a study beside a trained run."""
    folder = tmp_path / "project"
    shutil.copytree(finished, folder, copy_function=shutil.copy2)
    (folder / "theirs").mkdir()
    rng = np.random.default_rng(0)
    songs = {"db": rng.standard_normal((4 * 8, 40)), "dummy_db": rng.standard_normal((8 * 8, 40))}  # 8 s each
    for part, rows in (songs | {"query": songs["db"] + 0.1 * rng.standard_normal((4 * 8, 40))}).items():
        np.save(folder / f"theirs/{part}.npy", rows)
    entry = {"folder": "theirs", "hop_s": 1, "normalize": True}
    study = {"rivals": {"runs": [{"aug": "full"}, {"external": "theirs"}]}}
    config = tiny(folder, external={"theirs": entry}, studies=study)
    done = snakemake(folder, TABLE, config=config)
    assert done.returncode == 0, done.stdout[-3000:]
    cells = [
        folder / f"results/demo/scores/{run}/l2.json" for run in (f"{FULL}/epoch=best", "external=theirs/epoch=last")
    ]
    ours, theirs = (json.loads(cell.read_text()) for cell in cells)
    assert ours["database"] == theirs["database"] == {"dummy": 120, "db": 60} and theirs["fingerprints"] == 96
    tables = [pd.read_parquet(cell.with_suffix(".hits.parquet")) for cell in cells]
    asked = ["song", "start", "length", "truth"]
    pd.testing.assert_frame_equal(tables[0][asked], tables[1][asked])
    table, seconds = tables[1], tables[1]["length"].eq(1)
    assert table.loc[seconds, "place1"].ge(0).tolist() == table.loc[seconds, "start"].mod(1).eq(0).tolist()
    answered = table["place1"].ge(0)
    assert (
        answered[~seconds].all() and table.loc[answered, "top1_exact"].all() and theirs["hits"]["top1_exact"][1] == 44
    )
    for made in (folder / "results/demo").glob("*/external=theirs"):
        shutil.rmtree(made)
    cell, changed = (
        "results/demo/scores/external=theirs/epoch=last/l2.json",
        tiny(folder, external={"theirs": "theirs"}),
    )
    refused = snakemake(folder, cell, "-n", config=changed)
    says = "theirs/db.npy: has 32 fingerprints, but the test songs have 60 segments"
    assert refused.returncode != 0 and says in refused.stdout
