"""Any sound file that people have: what is decoded of it, and what is said where it is not whole."""

import hashlib
import io
import os
import struct
import subprocess
import sys
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile as sf
from scipy.signal import correlate, resample_poly
from sounds import coded

from nafp.audio import decode
from nafp.audio import open as audio
from nafp.audio.containers import pieces_of
from nafp.audio.open import open_audio, read_any
from nafp.audio.wav import check_wav, read_wav, write_blocks, write_wav
from nafp.errors import UserError

SECONDS = 6
SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    """Six seconds at 8 kHz that are nowhere alike: filtered noise of changing level."""
    rng = np.random.default_rng(0)
    x = np.convolve(rng.normal(size=SECONDS * 8000), np.hanning(9), "same")
    x *= 1 + np.sin(np.arange(len(x)) / 3000)
    return 0.5 * x / np.abs(x).max()


@pytest.fixture(scope="module")
def loud(sound) -> np.ndarray:
    """The same at 44.1 kHz."""
    return resample_poly(sound, 441, 80)


def heard(path) -> tuple[np.ndarray, str]:
    with open_audio(path) as file:
        return np.concatenate(list(file.blocks())), file.note


def likeness(found: np.ndarray, sound: np.ndarray) -> float:
    """The highest normalised correlation, wherever the sound begins."""
    length = min(len(found), len(sound))
    a, b = found[:length].astype(float), sound[:length]
    return correlate(a, b).max() / np.sqrt((a @ a) * (b @ b))


def joined(path, *parts: bytes):
    path.write_bytes(b"".join(parts))
    return path


def encoded(samples, rate=44100, container="MP3", subtype=None) -> bytes:
    file = io.BytesIO()
    sf.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


# ---------------------------------------------------------------- formats


@pytest.mark.parametrize(
    "name, container, codec, rate, bit_rate, at_least",
    [
        ("a.m4a", "ipod", "aac", 44100, None, 0.95),
        ("a.M4A", "ipod", "alac", 44100, None, 0.999),
        ("a.mp4", "mp4", "aac", 44100, None, 0.95),
        ("a.3gp", "3gp", "aac", 44100, None, 0.95),
        ("a.aac", "adts", "aac", 44100, None, 0.95),
        ("a.ts", "mpegts", "aac", 44100, None, 0.95),
        ("a.wma", "asf", "wmav2", 44100, 128_000, 0.95),
        ("a.opus", "ogg", "libopus", 48000, None, 0.95),
        ("a.webm", "webm", "libopus", 48000, None, 0.95),
        ("a.mka", "matroska", "libopus", 48000, None, 0.95),
        ("a.mkv", "matroska", "libmp3lame", 44100, None, 0.95),
        ("a.ac3", "ac3", "ac3", 48000, None, 0.95),
        ("a.wv", "wv", "wavpack", 44100, None, 0.999),
        ("a.ogg", "ogg", "flac", 44100, None, 0.999),
        ("a.txt", "ipod", "aac", 44100, None, 0.95),
    ],
)
def test_what_libsndfile_does_not_read(tmp_path, sound, name, container, codec, rate, bit_rate, at_least):
    samples = resample_poly(sound, rate // 100, 80)
    found, note = heard(coded(tmp_path / name, samples, rate, container, codec, bit_rate))
    assert found.dtype == np.int16 and note == ""
    assert abs(len(found) / 8000 - SECONDS) < 0.1
    assert likeness(found, sound) > at_least
    assert np.std(found) == pytest.approx(32768 * sound.std(), rel=0.1)


def test_tags_that_are_no_text_do_no_harm(tmp_path, sound, loud):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="ipod") as file:
        file.metadata["title"] = "Mode alla notte"
        stream = file.add_stream("alac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray((loud * 32767).astype(np.int16)[None], format="s16p", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        queue = av.AudioFifo()
        queue.write(frame)
        while (part := queue.read(4096, partial=True)) is not None:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    content = path.read_bytes().replace(b"Mode alla", b"Mod\xe0 alla")
    found, note = heard(joined(path, content))
    assert b"Mod\xe0" in content and note == "" and likeness(found, sound) > 0.999


def test_the_sound_of_a_video(tmp_path, sound, loud):
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as file:
        video = file.add_stream("mpeg4", rate=5)
        video.width = video.height = 32
        stream = file.add_stream("aac", rate=44100, layout="mono")
        for _ in range(5 * SECONDS):
            file.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        file.mux(video.encode(None))
        queue = av.AudioFifo()
        frame = av.AudioFrame.from_ndarray(loud.astype(np.float32)[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 44100, 0
        queue.write(frame)
        while (part := queue.read(1024, partial=True)) is not None:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))
    found, note = heard(path)
    assert note == "" and likeness(found, sound) > 0.95


OLD = {  # SHA-256 of the samples, as they were decoded before FFmpeg was here
    "a.wav": "PCM_16",
    "a.flac": "PCM_16",
    "a.aiff": "PCM_24",
    "a.au": "ULAW",
    "a.ogg": "VORBIS",
    "a.mp3": "MPEG_LAYER_III",
}


@pytest.mark.parametrize("name", OLD)
@pytest.mark.parametrize("channels", [1, 2])
def test_what_libsndfile_reads_stays_the_same(tmp_path, loud, name, channels, monkeypatch):
    """Against one read of the whole file, and one resampling of it; FFmpeg has no part in it."""
    monkeypatch.setattr(decode, "FfmpegSound", None)
    samples = np.stack([loud, 0.3 * loud[::-1]], axis=1)[:, :channels]
    path = tmp_path / name
    sf.write(path, samples, 44100, subtype=OLD[name])
    whole = sf.read(path, dtype="float64", always_2d=True)[0].mean(axis=1)
    expected = (resample_poly(whole, 80, 441).clip(-1, 32767 / 32768) * 32768).round().astype(np.int16)
    found, note = heard(path)
    assert note == ""
    np.testing.assert_array_equal(found, expected)


def test_blocks_are_short_and_join_without_a_seam(tmp_path, loud, monkeypatch):
    coded(tmp_path / "a.m4a", loud, 44100, "ipod", "alac")
    whole = read_any(tmp_path / "a.m4a")
    monkeypatch.setattr(audio, "BLOCK_S", 1)
    with open_audio(tmp_path / "a.m4a") as file:
        blocks = list(file.blocks())
    assert len(blocks) == SECONDS and max(map(len, blocks)) <= 8100
    assert np.abs(np.concatenate(blocks).astype(int) - whole).max() <= 1


LONG = """
import resource, sys
from nafp.audio.open import open_audio
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open_audio(sys.argv[1]) as file:
    samples = sum(map(len, file.blocks()))
print(samples, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kB on Linux")
@pytest.mark.parametrize("suffix", ["mov", "wav"])
def test_memory_does_not_grow_with_the_recording(tmp_path, suffix):
    """20 minutes, which are 423 MB as FFmpeg and libsndfile give them."""
    path, seconds = tmp_path / f"a.{suffix}", 20 * 60
    x = np.random.default_rng(0).uniform(-0.1, 0.1, 44100 * seconds).astype(np.float32)
    if suffix == "wav":
        sf.write(path, x, 44100, subtype="ULAW")
    else:
        coded(path, x, 44100, "mov", "pcm_s16le")
    done = subprocess.run([sys.executable, "-c", LONG, str(path)], cwd=SCRIPTS, capture_output=True, text=True)
    samples, grown = map(int, done.stdout.split())
    assert samples == 8000 * seconds, done.stderr
    assert grown < 150  # MB


def open_files() -> list[str]:
    links = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return [os.readlink(link) for link in links if os.path.islink(link)]


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
@pytest.mark.parametrize("blocks", [0, 1, None])
def test_a_file_is_closed_wherever_reading_stops(tmp_path, loud, blocks):
    chained = joined(tmp_path / "b.ogg", encoded(loud, container="OGG"), encoded(loud, container="OGG"))
    for path in (coded(tmp_path / "a.m4a", loud, 44100, "ipod", "alac"), chained):
        with open_audio(path) as file:
            list(islice(file.blocks(), blocks))
        assert str(path) not in open_files()


# ---------------------------------------------------------------- files joined to one


@pytest.mark.parametrize(
    "second", [dict(), dict(rate=22050), dict(channels=2)], ids=["the same", "another rate", "stereo"]
)
def test_a_chained_ogg_is_heard_to_its_end(tmp_path, sound, loud, second):
    rate, channels = second.get("rate", 44100), second.get("channels", 1)
    other = np.repeat(resample_poly(sound[::-1], rate // 50, 160)[:, None], channels, axis=1)
    path = joined(tmp_path / "a.ogg", encoded(loud, 44100, "OGG"), encoded(other, rate, "OGG"))
    assert len(pieces_of(path)) == 2
    found, note = heard(path)
    assert note == "" and len(found) == 2 * SECONDS * 8000
    assert likeness(found[len(sound) :], sound[::-1]) > 0.95


@pytest.mark.parametrize(
    "container, subtype, between",
    [
        ("MP3", None, b""),
        ("MP3", None, b"TAG" + bytes(125)),
        ("FLAC", "PCM_16", b""),
        ("WAV", "PCM_16", b""),
        ("OGG", "OPUS", b""),
    ],
)
def test_joined_files_are_heard_to_their_end(tmp_path, sound, loud, container, subtype, between):
    first, second = (loud, loud[::-1]) if subtype != "OPUS" else (sound, sound[::-1])
    rate = 44100 if subtype != "OPUS" else 8000
    parts = [encoded(x, rate, container, subtype) for x in (first, second)]
    found, note = heard(joined(tmp_path / f"a.{container.lower()}", parts[0], between, parts[1]))
    assert note == ""
    assert abs(len(found) / 8000 - 2 * SECONDS) < 0.15
    assert likeness(found[: len(sound)], sound) > 0.9
    assert likeness(found[-len(sound) :], sound[::-1]) > 0.9


def test_an_mp3_that_does_not_say_its_length(tmp_path, sound, loud):
    """Soft music after a loud beginning, at a variable bit rate: libsndfile guesses the length by the first frame."""
    file = io.BytesIO()
    with sf.SoundFile(file, "w", 44100, 1, format="MP3", bitrate_mode="VARIABLE", compression_level=0.3) as out:
        out.write(np.concatenate([loud, 0.001 * loud, 0.001 * loud, loud]))
    content = file.getvalue()
    found, note = heard(joined(tmp_path / "a.mp3", content[content.find(content[:2], 4) :]))
    assert note == "" and abs(len(found) / 8000 - 4 * SECONDS) < 0.15
    assert likeness(found[-len(sound) :], sound) > 0.9


def test_a_flac_of_unknown_length(tmp_path, sound, loud):
    content = bytearray(encoded(loud, 44100, "FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    found, note = heard(joined(tmp_path / "a.flac", bytes(content)))
    assert note == "" and len(found) == len(sound) and likeness(found, sound) > 0.999


def wav(samples: np.ndarray, riff: int | None = None, data: int | None = None, before: bytes = b"") -> bytes:
    """A 16-bit 8 kHz WAV file with sizes of our choice."""
    body = (samples * 32767).astype("<i2").tobytes()
    fmt = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
    content = b"WAVE" + before + fmt + b"data" + struct.pack("<I", len(body) if data is None else data) + body
    return b"RIFF" + struct.pack("<I", len(content) if riff is None else riff) + content


@pytest.mark.parametrize(
    "riff, data", [(0, 0), (0xFFFFFFFF, 0xFFFFFFFF), (0x7FFFFFFF, 0x7FFFFFFF - 36), (36, 0), (0, None)]
)
@pytest.mark.parametrize("before", [b"", b"LIST" + struct.pack("<I", 26) + bytes(26)])
def test_sizes_that_a_program_could_not_know(tmp_path, sound, riff, data, before):
    path = joined(tmp_path / "a.wav", wav(sound, riff, data, before))
    found, note = heard(path)
    assert note == ""
    np.testing.assert_array_equal(found, (sound * 32767).astype(np.int16))
    assert "truncated" not in check_wav(path).problem


# ---------------------------------------------------------------- what is not whole


@pytest.mark.parametrize(
    "container, subtype, says",
    [
        ("MP3", None, "3.{} of 6.0 seconds could be read"),
        ("WAV", "PCM_16", "3.{} of 6.0 seconds could be read"),
        ("FLAC", "PCM_16", "{}.{} of 6.0 seconds could be read"),
        ("OGG", "VORBIS", "its end is missing, {}.{} seconds could be read"),
    ],
)
def test_half_a_file_says_so(tmp_path, sound, loud, container, subtype, says):
    content = encoded(loud, 44100, container, subtype)
    found, note = heard(joined(tmp_path / f"a.{container.lower()}", content[: len(content) * 55 // 100]))
    assert 2 < len(found) / 8000 < 4
    length = f"{len(found) / 8000:.1f}".split(".")
    assert note == says.format(*length[-says.count("{}") :])
    assert likeness(found, sound) > 0.9


@pytest.mark.parametrize("container, codec", [("matroska", "libopus"), ("wv", "wavpack")])
def test_half_a_file_that_ffmpeg_reads_says_so(tmp_path, sound, container, codec):
    path = coded(tmp_path / "a", resample_poly(sound, 6, 1), 48000, container, codec)
    found, note = heard(joined(path, path.read_bytes()[: path.stat().st_size // 2]))
    assert 1 < len(found) / 8000 < 5
    assert note == f"{len(found) / 8000:.1f} of 6.0 seconds could be read"


def test_a_tail_of_tags_is_no_sound(tmp_path, loud):
    """A picture in an APE tag, and an ID3v1 tag, as taggers write them."""
    picture = np.random.default_rng(1).bytes(100_000)
    ape = struct.pack("<8sIIII8x", b"APETAGEX", 2000, len(picture) + 32, 1, 0)
    content = encoded(loud)
    whole = heard(joined(tmp_path / "a.mp3", content))
    tagged = heard(joined(tmp_path / "b.mp3", content, picture, ape, b"TAG" + bytes(125)))
    assert tagged[1] == "" and abs(len(tagged[0]) - len(whole[0])) < 2000
    np.testing.assert_array_equal(tagged[0][: len(whole[0])], whole[0])


@pytest.mark.parametrize(
    "name, content, says",
    [
        ("a.wav", wav(np.zeros(0)), "no samples"),
        ("a.wav", wav(np.zeros(0), riff=0, data=0), "no samples"),
        ("a.au", encoded(np.zeros(0), container="AU", subtype="PCM_16"), "no samples"),
        ("a.mp3", b"", "it is an empty file"),
        ("a.mp3", b"ID3\x03\0\0\0\0\x10\0" + bytes(2048), "it is tags without sound"),
        ("a.mp3", b"\n<!DOCTYPE html><html>404</html>" * 50, "it is a web page"),
        ("a.m4a", b"<HTML><body>404</body></HTML>" * 50, "it is a web page"),
        ("a.m4a", b"#EXTM3U\n#EXTINF:10,\na.aac\n#EXT-X-ENDLIST\n", "it is a playlist"),
        ("a.m4a", b"ffconcat version 1.0\nfile other.aac\n", "its format is not known, or it is damaged"),
        ("._a.wav", b"\0\5\x16\7\0\2\0\0Mac OS X" + bytes(4000), "it is a side file of macOS"),
        (
            "a.m4a",
            struct.pack(">I4s4sI8s", 24, b"ftyp", b"M4A ", 0, b"M4A mp42") + bytes(3000),
            "an MP4 file without its index",
        ),
        ("a.amr", bytes(500), "its format is not known, or it is damaged"),
    ],
)
def test_what_is_no_sound_is_named(tmp_path, name, content, says):
    with pytest.raises(UserError) as refused:
        read_any(joined(tmp_path / name, content))
    assert str(refused.value).startswith(f"{tmp_path / name}: ") and says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_video_without_sound(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as file:
        video = file.add_stream("mpeg4", rate=5)
        video.width = video.height = 32
        file.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        file.mux(video.encode(None))
    with pytest.raises(UserError, match="cannot be read .there is no sound in it."):
        read_any(tmp_path / "a.mp4")


def test_a_playlist_opens_no_other_file(tmp_path, loud):
    coded(tmp_path / "secret.aac", loud, 44100, "adts", "aac")
    text = "#EXT-X-VERSION:3\n#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nsecret.aac\n#EXT-X-ENDLIST\n"
    for number, content in enumerate([f"\n{text}", f"ffconcat version 1.0\nfile {tmp_path}/secret.aac\n"]):
        path = tmp_path / f"{number}.m3u8"
        path.write_text(content)
        with pytest.raises(UserError, match="cannot be read"):
            read_any(path)


@pytest.mark.parametrize("name", [b"caf\xe9.m4a", b"two\nlines.m4a", "恋".encode() * 83 + b".m4a"])
def test_files_of_any_name(tmp_path, sound, loud, name):
    content = coded(tmp_path / "x", loud, 44100, "ipod", "alac").read_bytes()
    for whole in (content, encoded(loud, 44100, "FLAC")):
        (tmp_path / "y").write_bytes(whole)
        path = tmp_path / os.fsdecode(name)
        (tmp_path / "y").rename(path)
        assert likeness(heard(path)[0], sound) > 0.99


# ---------------------------------------------------------------- channels and levels


@pytest.mark.parametrize("residue", [0, 0.02])
def test_channels_that_cancel_out(tmp_path, sound, residue):
    """One of them is taken, and it says so; codecs leave a residue that is no music either."""
    noise = residue * np.random.default_rng(2).normal(size=len(sound)) * sound.std()
    sf.write(tmp_path / "a.wav", np.stack([sound, noise - sound], axis=1), 8000)
    found, note = heard(tmp_path / "a.wav")
    assert note == "the channels cancel each other out; the left one was taken"
    assert likeness(found, sound) > 0.999 and np.std(found) == pytest.approx(32768 * sound.std(), rel=0.01)


def test_one_channel_of_silence_and_wide_stereo_are_averaged(tmp_path, sound):
    for other in (0 * sound, sound[::-1]):
        sf.write(tmp_path / "a.wav", np.stack([sound, other], axis=1), 8000)
        found, note = heard(tmp_path / "a.wav")
        assert note == ""
        assert np.abs(found - 32768 * (sound + other) / 2).max() < 2


def test_channels_that_cancel_out_for_a_while(tmp_path, sound, monkeypatch):
    monkeypatch.setattr(audio, "BLOCK_S", 1)
    second = sound * np.repeat([1, 1, 1, -1, -1, -1], 8000)
    sf.write(tmp_path / "a.wav", np.stack([sound, second], axis=1), 8000)
    found, note = heard(tmp_path / "a.wav")
    assert note == "the channels cancel each other out in 50 % of it; the left one was taken"
    assert np.abs(found - 32768 * sound).max() < 2


@pytest.mark.parametrize("scale", [2**15, 2**23, 2**31])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_floats_as_large_as_integers_are_scaled(tmp_path, sound, scale, subtype):
    sf.write(tmp_path / "a.wav", sound * scale, 8000, subtype=subtype)
    found, note = heard(tmp_path / "a.wav")
    assert np.abs(found - 32768 * sound).max() < 2
    assert note.endswith(f"were divided by {scale}")


def test_floats_beyond_full_scale_are_turned_down(tmp_path, sound):
    sf.write(tmp_path / "a.wav", sound * 8, 8000, subtype="FLOAT")
    found, note = heard(tmp_path / "a.wav")
    assert likeness(found, sound) > 0.9999 and np.abs(found).max() >= 32766
    assert note == "turned down by 12.0 dB, it is louder than full scale"
    sf.write(tmp_path / "b.wav", sound, 8000, subtype="FLOAT")
    assert heard(tmp_path / "b.wav")[1] == ""


# ---------------------------------------------------------------- the pipeline's own files


def test_joined_wavs_are_no_part_of_a_data_set(tmp_path, sound):
    path = joined(tmp_path / "a.wav", wav(sound), wav(sound))
    assert check_wav(path).problem
    path = joined(tmp_path / "b.wav", wav(sound, data=0xFFFFFFFF), wav(sound))
    assert check_wav(path).problem == "2 WAV files joined to one"


def test_a_wav_is_written_as_libsndfile_writes_it(tmp_path, sound):
    samples = (sound * 32767).astype(np.int16)
    sf.write(tmp_path / "a.wav", samples, 8000, subtype="PCM_16")
    write_wav(tmp_path / "b.wav", samples)
    write_blocks(tmp_path / "c.wav", np.array_split(samples, 7))
    digests = {hashlib.sha256((tmp_path / f"{name}.wav").read_bytes()).hexdigest() for name in "abc"}
    assert len(digests) == 1
    np.testing.assert_array_equal(read_wav(tmp_path / "c.wav"), samples)
