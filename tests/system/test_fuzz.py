"""Thousands of broken audio files: none crashes or hangs the reader, and each is listed with its fault."""

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from sounds import coded
from wavs import data_set

from nafp.audio.open import read_any
from nafp.datasets.layout import SPLITS
from nafp.datasets.manifest import make_manifest
from nafp.datasets.verification import bad_files
from nafp.errors import UserError

ROOT = Path(__file__).parents[2]
FILES = 2400
FORMATS = [  # container, coding, rate, channels
    ("WAV", "PCM_16", 8000, 1),
    ("WAV", "FLOAT", 44100, 2),
    ("WAV", "IMA_ADPCM", 8000, 1),
    ("WAVEX", "PCM_24", 8000, 1),
    ("FLAC", "PCM_16", 44100, 2),
    ("FLAC", "PCM_16", 8000, 1),
    ("MP3", "MPEG_LAYER_III", 44100, 2),
    ("MP3", "MPEG_LAYER_III", 8000, 1),
    ("OGG", "VORBIS", 44100, 2),
]
FFMPEG_FORMATS = [  # container, codec, rate
    ("mp4", "aac", 44100),
    ("ipod", "alac", 44100),
    ("adts", "aac", 44100),
    ("asf", "wmav2", 44100),
    ("matroska", "libopus", 48000),
    ("mpegts", "mp2", 44100),
    ("wv", "wavpack", 44100),
    ("ogg", "libopus", 48000),
]
READ_ALL = """
import json, sys
from pathlib import Path
from nafp.audio.wav import check_wav
from nafp.audio.open import read_any
from nafp.errors import UserError
said = {}
for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        samples = read_any(path)
        said[path.name] = ["read", str(samples.dtype), len(samples)]
    except UserError as error:
        said[path.name] = ["refused", str(error), 0]
    info = check_wav(path)
    said[path.name] += [info.samples, info.problem]
print(json.dumps(said))
"""


def encoded(container: str, coding: str, rate: int, channels: int, rng: np.random.Generator) -> bytes:
    file = io.BytesIO()
    sf.write(file, rng.uniform(-0.5, 0.5, (rate // 10, channels)), rate, format=container, subtype=coding)
    return file.getvalue()


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """The content, truncated, with wrong bytes anywhere or in the header, with extreme numbers, or noise."""
    data = bytearray(content)
    match rng.integers(6):
        case 0:
            return bytes(data[: rng.integers(len(data))])
        case 1:
            for at in rng.integers(len(data), size=rng.integers(1, 30)):
                data[at] = rng.integers(256)
        case 2:
            for at in rng.integers(min(len(data), 64), size=rng.integers(1, 8)):
                data[at] = rng.integers(256)
        case 3:
            return rng.bytes(int(rng.integers(2000)))
        case 4:
            return bytes(data[: rng.integers(4, 60)]) + rng.bytes(int(rng.integers(3000)))
        case 5:
            at = int(rng.integers(min(len(data) - 4, 200)))
            data[at : at + 4] = rng.choice([b"\xff" * 4, b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x01\0\0\0"]).ljust(
                4, b"\0"
            )
    return bytes(data)


@pytest.fixture
def whole(tmp_path_factory) -> list[tuple[str, bytes]]:
    """Suffix and content of a whole file of each kind."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("whole")
    found = [(kind[0].lower(), encoded(*kind, rng)) for kind in FORMATS]
    for container, codec, rate in FFMPEG_FORMATS:
        path = coded(folder / container, rng.uniform(-0.5, 0.5, rate // 2), rate, container, codec, bit_rate=64_000)
        found.append((container, path.read_bytes()))
    return [*found, ("ogg", found[-1][1] + found[8][1]), ("wav", 2 * found[0][1])]


def test_thousands_of_broken_files(tmp_path, whole):
    rng = np.random.default_rng(0)
    for number in range(FILES):
        kind, content = whole[number % len(whole)]
        (tmp_path / f"{number:04d}.{kind}").write_bytes(broken(content, rng))
    command = [sys.executable, "-c", READ_ALL, str(tmp_path)]  # a process of its own: it could die
    done = subprocess.run(command, cwd=ROOT / "scripts", capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    said = json.loads(done.stdout)
    assert len(said) == FILES
    refused = [name for name, (what, *_) in said.items() if what == "refused"]
    assert len(refused) > FILES / 3
    assert all(str(tmp_path / name) in said[name][1] for name in refused)
    assert {dtype for what, dtype, *_ in said.values() if what == "read"} == {"int16"}
    for name, (what, _, length, samples, problem) in said.items():
        if not problem:  # what a check lets pass, packing can read
            assert (what, length) == ("read", samples), name


def test_every_broken_file_of_a_data_set_is_listed(tmp_path):
    root, rng = data_set(tmp_path, clips=1, seconds=1), np.random.default_rng(1)
    good = (root / SPLITS["train"] / "000.wav").read_bytes()
    names = [f"{SPLITS['train']}/b{i:03d}.wav" for i in range(100)]
    for name in names:
        (root / name).write_bytes(good[: rng.integers(len(good))])
    listed = bad_files(make_manifest(root), root)
    assert [problem.split(": ")[0] for problem in listed] == [str(root / name) for name in names]


@pytest.mark.parametrize("rate", [1, 999, 1_999_993, 2**31 - 1])
def test_a_rate_that_no_music_has_is_refused(tmp_path, rate):
    sf.write(tmp_path / "a.wav", np.zeros(1000), 8000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[24:28] = rate.to_bytes(4, "little")
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(UserError, match=f"cannot be read .a sample rate of {rate} Hz."):
        read_any(tmp_path / "a.wav")


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    sf.write(tmp_path / "a.wav", np.array([0.1, np.nan, np.inf]), 8000, subtype="FLOAT")
    with pytest.raises(UserError, match="cannot be read .samples that are not numbers."):
        read_any(tmp_path / "a.wav")
