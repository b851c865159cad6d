"""The command identify, as a person uses it: what it prints, writes, returns and keeps. With an untrained model."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
import torch
import yaml
from safetensors.torch import save_file

from nafp import compute
from nafp.commands import identify as script
from nafp.errors import UserError
from nafp.identify.answers import WIDTH, gathered, to_json, to_text, write_csv
from nafp.identify.calibration import bound, calibrate, highest_passed, learned
from nafp.identify.library import Library
from nafp.identify.recognise import identify as identified
from nafp.identify.recordings import Recording
from nafp.identify.windows import Catalogue, Limits
from nafp.model.model import build_model
from nafp.search.vectors import Database
from nafp.text import printable, shortened, spreadsheet_cell

SCRIPT = Path(__file__).parents[2] / "scripts/identify.py"


def song(seed: int, seconds: float = 8) -> np.ndarray:
    """Noise whose colour changes four times a second: even an untrained model tells such songs apart."""
    g = np.random.default_rng(seed)
    tones = [np.sin(2 * np.pi * f * np.arange(2000) / 8000) for f in g.uniform(300, 3900, round(seconds * 4))]
    return np.round(8000 * np.concatenate(tones) + g.normal(0, 300, round(seconds * 4) * 2000)).astype(np.int16)


def write_run(folder: Path, seed: int) -> Path:
    """The folder of a trained run, but for the training."""
    settings = {"features": {"n_mels": 64}, "model": {"variant": "release", "width": 4}, "dim": 16}
    torch.manual_seed(seed)
    network = build_model(settings["features"], settings["model"], settings["dim"])
    folder.mkdir(exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in network.state_dict().items()},
        folder / "epoch=best.safetensors",
    )
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a run, a library of three songs and a recording of one of them, in which commands are run."""
    write_run(tmp_path / "run", 0)
    for folder in ("songs", "recordings"):
        (tmp_path / folder).mkdir()
    for seed in range(3):
        sf.write(tmp_path / f"songs/{seed}.wav", song(seed), 8000)
    sf.write(tmp_path / "recordings/part.wav", song(1)[16000:56000], 8000)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def identify(monkeypatch, capsys):
    """Runs the command in this process; returns its exit status and what it printed."""

    def command(*arguments: str, library: str = "songs", run: str = "run"):
        always = ["--library", library, "--run", run, "--store", "store", "--min-score", "0.9", "--min-margin", "0"]
        monkeypatch.setattr(sys, "argv", ["identify.py", *always, *arguments])
        status = script.main(script.arguments())
        return status, capsys.readouterr()

    return command


def matches() -> pd.DataFrame:
    return pd.read_csv("matches.csv", keep_default_na=False)


def test_exit_status_and_answers(place, identify):
    status, printed = identify("recordings/part.wav")
    assert status == 0
    assert "part.wav" in printed.out
    assert "1.wav" in printed.out
    assert printed.out.splitlines()[-1] == "1 of 1 recordings recognised: matches.csv"
    (row,) = matches().to_dict("records")
    assert (row["query"], row["song"], row["offset_s"], row["from_s"], row["to_s"]) == ("part.wav", "1.wav", 2, 0, 5)
    assert identify("recordings/part.wav", "--min-margin", "2")[0] == 1
    assert matches()["note"].str.startswith("no match; the nearest is").all()


def test_old_names_of_options_work(place, identify):
    assert identify("--queries", "recordings", "--matches", "old.csv")[0] == 0
    assert pd.read_csv("old.csv")["song"].tolist() == ["1.wav"]


def test_recordings_below_folders_and_several(place, identify):
    (place / "recordings/deep/er").mkdir(parents=True)
    shutil.copy("recordings/part.wav", "recordings/deep/er/PART.WAV")
    identify("recordings")
    assert matches()["query"].tolist() == ["deep/er/PART.WAV", "part.wav"]
    identify("recordings", "recordings/part.wav")
    assert matches()["query"].tolist() == ["recordings/deep/er/PART.WAV", "recordings/part.wav", "recordings/part.wav"]


def test_standard_input(place):
    """As a process of its own, which is told of errors by its exit status."""
    command = [sys.executable, str(SCRIPT), "--library", "songs", "--run", "run", "--store", "store", "--json"]
    command += ["--min-score", "0.9", "--min-margin", "0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, "-"], input=Path("recordings/part.wav").read_bytes(), capture_output=True, env=environment
    )
    assert done.returncode == 0, done.stderr.decode()
    (row,) = map(json.loads, done.stdout.splitlines())
    assert (row["query"], row["song"], row["copies"]) == ("standard input", "1.wav", [])
    done = subprocess.run([*command, "nowhere.wav"], capture_output=True, env=environment, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "error: nowhere.wav: is not there; name a recording, or a folder of them"


def test_standard_output_has_the_answers_alone(place, identify, monkeypatch):
    set_up = compute.set_up

    def talking(*arguments, **options):
        print("GPU 0: shared with another job, since no other is free", flush=True)
        return set_up(*arguments, **options)

    monkeypatch.setattr(compute, "set_up", talking)
    status, printed = identify("recordings", "--json")
    assert status == 0 and [json.loads(line)["song"] for line in printed.out.splitlines()] == ["1.wav"]
    assert "GPU 0: shared" in printed.err


def test_no_recording_can_be_read(place, identify):
    (place / "recordings/part.wav").write_bytes(b"no music")
    (place / "recordings/other.m4a").write_bytes(bytes(100))
    status, printed = identify("recordings")
    assert status == 2
    assert printed.out.splitlines()[-1] == "none of the 2 recordings could be read: matches.csv"
    assert matches()["query"].tolist() == ["other.m4a", "part.wav"]
    assert matches()["note"].str.startswith("cannot be read: ").all()
    assert matches()["note"].str.count("cannot be read").eq(1).all()


def test_what_decoders_say_is_passed_on(place, identify, monkeypatch):
    """Half a file is no whole one: of songs it is printed, of recordings it is in the table."""
    from nafp.identify import library, recordings

    @contextlib.contextmanager
    def halved(path):
        yield SimpleNamespace(blocks=lambda: iter([sf.read(path, dtype="int16")[0]]), note=f"half of {path.name}")

    for module in (library, recordings):
        monkeypatch.setattr(module, "open_audio", halved)
    _, printed = identify("recordings")
    assert "1.wav: half of 1.wav" in printed.err
    assert matches()[["song", "note"]].to_numpy().tolist() == [["1.wav", "half of part.wav"]]


def test_no_table_of_a_recording_is_kept(place, identify, monkeypatch):
    """Tables of a thousand recordings, each allocated between large arrays, took half a gigabyte."""
    from nafp.identify import job, recognise

    made, alive = [], []

    def watched(*arguments):
        alive.append(sum(table() is not None for table in made))
        table = recognise.identify(*arguments)
        made.append(weakref.ref(table))
        return table

    monkeypatch.setattr(job, "identify", watched)
    for number in range(8):
        shutil.copy("recordings/part.wav", f"recordings/{number}.wav")
    assert identify("recordings")[0] == 0
    assert (len(made), max(alive)) == (9, 0)


def test_one_of_several_recordings_cannot_be_read(place, identify):
    (place / "recordings/broken.mp3").write_bytes(b"no music")
    status, printed = identify("recordings")
    assert status == 0
    assert "1 of 2 recordings recognised; 1 could not be read: matches.csv" in printed.out
    assert matches()["song"].tolist() == ["", "1.wav"]


def test_a_library_of_which_nothing_can_be_read_is_listed(place, identify):
    (place / "bad").mkdir()
    for name in ("a.wav", "=b.m4a"):
        (place / "bad" / name).write_bytes(b"no music")
    with pytest.raises(UserError, match="bad: none of its 2 files could be read; (.*left_out.csv) says why") as raised:
        identify("recordings", library="bad")
    table = pd.read_csv(str(raised.value).split("; ")[1].split(" says")[0])
    assert table["path"].tolist() == ["'=b.m4a", "a.wav"]
    assert table["problem"].str.len().gt(10).all()


def test_places_are_looked_at_before_anything_is_done(place, identify, monkeypatch):
    monkeypatch.setattr("nafp.identify.job.load_model", lambda *args, **kwargs: pytest.fail("loaded"))
    (place / "empty").mkdir()
    for wrong in ("nowhere", "empty"):
        with pytest.raises(UserError, match=f"^{wrong}: (is not|has no)"):
            identify(wrong)
        with pytest.raises(UserError, match=f"^{wrong}: (is not|has no)"):
            identify("recordings", library=wrong)


def test_another_library_forgets_nothing(place, identify):
    """A second folder, with files of the same names, sizes and times, has its own songs; the first one keeps its."""
    shutil.copytree("songs", "others")
    for seed in range(3):
        status = (place / f"songs/{seed}.wav").stat()
        sf.write(f"others/{seed}.wav", song((seed + 1) % 3), 8000)
        os.utime(f"others/{seed}.wav", ns=(status.st_atime_ns, status.st_mtime_ns))
    identify("recordings")
    assert matches()["song"].tolist() == ["1.wav"]
    identify("recordings", library="others")
    assert matches()["song"].tolist() == ["0.wav"]
    before = {path: path.stat().st_mtime_ns for path in place.glob("store/*/*/*/fingerprints.f32")}
    assert len(before) == 2
    identify("recordings", library=str(place / "songs"))  # its absolute path too
    assert matches()["song"].tolist() == ["1.wav"]
    assert {path: path.stat().st_mtime_ns for path in place.glob("store/*/*/*/fingerprints.f32")} == before


def test_a_retrained_model_fingerprints_anew_and_says_what_to_type(place, identify):
    identify("recordings")
    (old,) = place.glob("store/*/*")
    write_run(place / "run", 1)
    status, printed = identify("recordings")
    assert (status, matches()["song"].tolist()) == (0, ["1.wav"])
    assert f"type:  rm -r '{old.relative_to(place)}'" in printed.err
    assert len(list(place.glob("store/*/*"))) == 2


def test_a_store_of_an_older_form_is_no_hindrance(place, identify):
    (place / "store/0").mkdir(parents=True)
    (place / "store/library.json").write_text('{"model": "m", "dim": 16, "generation": 0}')
    status, printed = identify("recordings")
    assert status == 0
    assert "type:  rm -r 'store/library.json' 'store/0'" in printed.err


def test_two_commands_on_one_store(place, identify):
    identify("recordings")
    (store,) = place.glob("store/*/*")
    facts = json.loads((store / "library.json").read_text())
    with (
        Library(store, "songs", facts["model"], facts["dim"]),
        pytest.raises(UserError, match="another identify is at work on this library"),
    ):
        identify("recordings")


def test_names_of_any_bytes_in_every_output(place, identify):
    names = [b"caf\xe9.wav", b"=cmd|' C calc'!A0.wav", "a\nb\u2028c\rd\x85e.wav".encode(), b"n" * 251 + b".wav"]
    for name in names:
        with open(b"recordings/" + name, "wb") as file:
            file.write(Path("recordings/part.wav").read_bytes())
    shutil.copy("songs/1.wav", os.fsdecode(b"songs/-ol\xe9.wav"))
    Path("songs/1.wav").unlink()
    status, printed = identify("recordings")
    assert status == 0
    assert max(map(len, printed.out.splitlines())) <= WIDTH
    table = matches()
    assert set(table["song"]) == {"'-ol\\xe9.wav"}
    assert set(table["query"]) == {
        *("part.wav", "caf\\xe9.wav", "'=cmd|' C calc'!A0.wav", "a\\nb\\u2028c\\rd\\x85e.wav", "n" * 251 + ".wav")
    }
    assert len(Path("matches.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(table)
    _, printed = identify("recordings", "--json")
    assert [json.loads(line)["song"] for line in printed.out.splitlines()] == ["-ol\\xe9.wav"] * 5


# ---------------------------------------------------------------- tables


ANSWER = {
    "query": "x.wav",
    "from_s": 3.0,
    "to_s": 4000.5,
    "song": "s.wav",
    "offset_s": 0.5,
    "score": 0.91234,
    "runner_up": "t.wav",
    "margin": -0.25,
    "copies": ("u.wav", "v" * 200),
    "note": "12 of 13 seconds",
}


def test_text_fits_a_terminal():
    answers = gathered([ANSWER | {"query": "long " * 40, "song": "name " * 40}] * 60)
    lines = to_text(answers).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "0:03  1:06:40" in lines[1]
    assert lines[-1] == "... and 10 more rows"


def test_a_table_opens_in_spreadsheets(tmp_path):
    write_csv(gathered([ANSWER]), tmp_path / "m.csv")
    content = (tmp_path / "m.csv").read_bytes()
    assert content.startswith(b"\xef\xbb\xbfquery,from_s")
    (row,) = pd.read_csv(io.BytesIO(content)).to_dict("records")
    assert (row["margin"], row["score"], row["copies"]) == (-0.25, 0.912, f"u.wav; {'v' * 200}")
    assert json.loads(to_json(gathered([ANSWER])))["copies"] == list(ANSWER["copies"])


def test_what_people_see():
    assert printable("Ünï\u00a0coдe 音") == "Ünï\u00a0coдe 音"
    assert printable("a\tb\x1b[31m\udcff\ud800") == "a\\tb\\x1b[31m\\xff\\ud800"
    assert [spreadsheet_cell(text) for text in ("=1", "+1", "-1", "@x", "a=1")] == ["'=1", "'+1", "'-1", "'@x", "a=1"]
    assert shortened("abcdefghij", 5) == "ab…ij"
    assert shortened("abc", 5) == "abc"


# ---------------------------------------------------------------- limits


def unit(x: np.ndarray) -> np.ndarray:
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def walk(g: np.random.Generator, n: int, dim: int = 16) -> np.ndarray:
    """(n, dim) fingerprints of a song: neighbours resemble each other, and so do songs, more or less."""
    return unit(g.standard_normal(dim) * 0.5 + g.standard_normal((n, dim)))


def recorded(songs: list[np.ndarray], silent: int = 0) -> list[Recording]:
    """Fingerprints as recordings; ``silent``: how many of their last segments have no sound."""
    peaks = [np.where(np.arange(len(song)) < len(song) - silent, 9000, 0) for song in songs]
    return [Recording("", song, 0, 9000, peaks=of) for song, of in zip(songs, peaks, strict=True)]


def test_the_highest_limit_that_is_passed():
    found = pd.DataFrame(
        {"start": range(5), "song": [0, 0, 0, 1, 1], "score": [0.9, 0.6, 0.7, 0.8, 0.8], "runner_up": 1.0}
    )
    found["place"] = found["start"] + 7
    assert highest_passed(found, 2, 3) == pytest.approx(0.6, abs=0.005)
    assert highest_passed(found, 2, 2) == pytest.approx(0.8, abs=0.005)
    assert highest_passed(found, 2, 1) == pytest.approx(0.9, abs=0.005)


def test_limits_keep_the_rate_that_they_are_for(tmp_path):
    """Learned from 30 songs, then 300 unknown ones: as many are recognised as was asked for, or fewer."""
    g = np.random.default_rng(0)
    songs, others, unknown = ([walk(g, 30) for _ in range(count)] for count in (30, 50, 300))
    facts = calibrate({"clean": recorded(songs)}, recorded(songs), recorded(others), Limits(windows=1))
    assert facts["fingerprints"] == 79 * 30
    path = tmp_path / "limits.json"
    path.write_text(json.dumps(facts))
    library = np.concatenate([*songs, *others])
    passed, places = [], len(library) - 8  # places of nine neighbours
    for recording in unknown:
        sums = recording @ library.T
        passed.append(sum(sums[i : i + 22, i : i + places] for i in range(9)).max() / 9)
    for rate in (0.2, 0.05, 0.01):
        limits, said = learned(path, 80 * 30, rate, Limits())
        assert 0.2 * rate <= np.mean(np.array(passed) >= limits.min_score) <= 2 * rate + 0.01, rate
        assert f"for {100 * rate:g} % of unknown recordings" in said
    assert learned(path, 800 * 30, 0.01, Limits())[0].min_score > learned(path, 80 * 30, 0.01, Limits())[0].min_score


def test_limits_keep_their_rate_at_any_length(tmp_path):
    """Unknown recordings that are shorter, as long, and longer than those of the calibration."""
    g = np.random.default_rng(0)
    songs, others, unknown = ([walk(g, 30, 64) for _ in range(count)] for count in (30, 30, 90))
    limits = Limits(min_margin=-np.inf)
    facts = calibrate({"clean": recorded(songs)}, recorded(songs), recorded(others), limits)
    assert (facts["segments"], [*facts["shorter"]]) == (30, ["1", "3", "5", "9"])
    means = [facts["shorter"][n]["clean"]["mean"] for n in ("1", "3", "5", "9")]
    assert sorted(means, reverse=True) == means
    (tmp_path / "limits.json").write_text(json.dumps(facts))
    library = np.concatenate([*songs, *others])
    first = np.arange(0, len(library), 30)
    catalogue = Catalogue(Database(library, library[:0]), [str(row) for row in first], first, np.repeat(range(60), 30))
    limits, said = learned(tmp_path / "limits.json", len(library), 0.05, limits)
    assert f"score {limits.min_score:g} at 15.5 s (1 s: {limits.of(1).min_score:g}, 2 s: " in said
    longer = [np.concatenate(unknown[at : at + 5]) for at in range(0, 90, 3)]
    for length in (1, 2, 4, 7, 10, 11, 30, 150):
        queries = longer if length == 150 else [one[:length] for one in unknown]
        found = [identified(Recording("", one, 8000 + 4000 * len(one), 9000), catalogue, limits) for one in queries]
        assert np.mean([one["song"].notna().any() for one in found]) <= 0.12, length


def test_limits_by_length():
    limits = Limits(by_segments=((1, 0.9), (3, 0.7), (9, 0.5), (18, 0.6)))
    scores = [limits.of(n).min_score for n in (0, 1, 2, 3, 5, 9, 10, 18, 1000)]
    assert scores == [0.9, 0.9, 0.9, 0.7, 0.7, 0.5, 0.6, 0.6, 0.6]
    assert Limits(0.4).of(7) == Limits(0.4)


def silence(n: int) -> np.ndarray:
    """(n, 16) fingerprints of silence: all alike."""
    return np.tile(unit(np.ones((1, 16))), (n, 1))


def test_silence_does_not_raise_a_limit():
    """Neither silent songs, nor songs that end in silence, nor recordings without sound, in a library with as much silence."""
    g = np.random.default_rng(0)
    songs, others = ([walk(g, 30) for _ in range(count)] for count in (10, 10))
    limits = Limits(windows=1)
    plain = calibrate({"clean": recorded(songs)}, recorded(songs), recorded(others), limits)
    silent = [*recorded([silence(30)] * 2, 30)]
    with_silent_songs = [*recorded(songs), *silent]
    facts = calibrate({"clean": with_silent_songs}, with_silent_songs, [*recorded(others), *silent], limits)
    assert facts["unknown"] == plain["unknown"]
    ending = recorded([np.concatenate([song, silence(30)]) for song in songs], 30)
    (found,) = calibrate({"clean": ending}, ending, recorded(others), limits)["unknown"].values()
    (known,) = plain["unknown"].values()
    assert found["songs"] == 10 and found["mean"] < known["mean"] + 2 * known["sd"] < 0.9
    nothing = calibrate({"clean": silent}, silent, recorded(others), limits)
    assert nothing["unknown"] == {"clean": {"mean": 0.0, "sd": 0.0, "songs": 0}}


def test_bounds_and_what_is_said(tmp_path):
    assert bound(0.5, 0.1, 10**6, 0.01) == pytest.approx(0.5 + 0.1 * 2.326, abs=1e-3)
    assert bound(0.5, 0.1, 10, 0.01) == pytest.approx(0.5 + 0.1 * 2.821 * np.sqrt(1.1), abs=1e-3)
    assert bound(0.5, 0.0, 1, 0.01) == 1
    none, said = learned(tmp_path / "no.json", 100, 0.01, Limits())
    assert (none, said.startswith("limits: the general ones")) == (Limits(), True)
    assert f"snakemake --cores all {tmp_path / 'no.json'}  makes it" in said
    facts = {"unknown": {"clean": {"mean": 0.9, "sd": 0.1, "songs": 3}}, "windows": 5, "fingerprints": 10}
    (tmp_path / "few.json").write_text(json.dumps(facts))
    limits, said = learned(tmp_path / "few.json", 100, 0.01, Limits())
    assert limits.min_score == 0.95 and limits.of(1) == limits.of(1000) == limits
    assert "of recordings that are shorter or longer than these songs, more may be recognised" in said
    assert (
        "too few to rely on, with 5 windows; " in said
        and "; in a library of this size the model cannot keep that rate" in said
    )
    (tmp_path / "few.json").write_text("{")
    with pytest.raises(UserError, match="few.json: cannot be read"):
        learned(tmp_path / "few.json", 100, 0.01, Limits())


def test_a_model_with_limits_uses_them(place, identify, monkeypatch, capsys):
    facts = {"unknown": {"clean": {"mean": 0.5, "sd": 0.001, "songs": 20}}, "windows": 3, "fingerprints": 1000}
    (place / "run/epoch=best.limits.json").write_text(json.dumps(facts))
    assert "limits: as given (score 0.9, margin 0)" in identify("recordings")[1].out
    command = [
        "identify.py",
        "recordings",
        "--library",
        "songs",
        "--run",
        "run",
        "--store",
        "store",
        "--min-margin",
        "0",
    ]
    for more, score in (([], "0.503"), (["--false-positives", "0.2"], "0.501")):
        monkeypatch.setattr(sys, "argv", [*command, *more])
        assert script.main(script.arguments()) == 0
        out = capsys.readouterr().out
        assert f"limits: score {score}, margin 0, 3 windows, for" in out
        assert "20 validation songs" in " ".join(out.split())


def test_memory_does_not_grow_with_a_recording(place):
    """Two hours take no more than two minutes: neither the samples (115 MB) nor their segments are held."""
    rng = np.random.default_rng(0)
    for name, minutes in (("short", 2), ("long", 120)):
        with sf.SoundFile(place / f"{name}.wav", "w", 8000, 1) as file:
            for _ in range(minutes):
                file.write(rng.integers(-9000, 9000, 60 * 8000).astype(np.int16))
    measured = "import resource, sys; sys.argv = sys.argv[1:]; from nafp.commands.identify import arguments, main; "
    measured += "main(arguments()); print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    environment, peaks = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "OMP_NUM_THREADS": "1"}, []
    for name in ("short", "short", "long"):  # the first one fingerprints the library
        command = [sys.executable, "-c", measured, "identify.py", f"{name}.wav", "--library", "songs", "--run", "run"]
        done = subprocess.run([*command, "--store", "store"], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.splitlines()[-1]))
    assert peaks[2] < peaks[1] + 80, peaks
