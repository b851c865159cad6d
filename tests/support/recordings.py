"""Small made-up copies of data sets of real recordings, in their publishers' layouts: noise, and louder cuts of it."""

from pathlib import Path

import numpy as np

from nafp.audio.wav import write_wav

RATE = 8000
SD_RR_HEADER = (
    "query_id,reference_id,query_number,query_path,query_duration_seconds,reference_path,reference_begin_seconds"
)
PEX_HEADER = "reference_id,query_id,reference_begin,reference_end,query_begin,query_end,tempo,pitch"
BAF_HEADER = "query,reference,query_start,query_end,x_tag"


def song(seed: int, seconds: float) -> np.ndarray:
    """(T,) int16 samples of noise."""
    return np.random.default_rng(seed).integers(-9000, 9000, round(seconds * RATE)).astype(np.int16)


def cut(seed: int, begin_s: float, seconds: float) -> np.ndarray:
    """A part of the song of this seed, played three times as loud."""
    return 3 * song(seed, 30)[round(begin_s * RATE) : round((begin_s + seconds) * RATE)]


def csv(path: Path, header: str, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")


def sd_rr(root: Path) -> Path:
    """Two songs of 30 s, of the first one two recordings, which begin at 3 and 7 s; of the second one, which begins at 11 s."""
    rows = []
    for reference, begins in (("002", (3, 7)), ("003", (11,))):
        write_wav(root / f"references/{reference}.wav", song(int(reference), 30))
        for number, begin in enumerate(begins, 1):
            write_wav(root / f"queries/{reference}-q{number}.wav", cut(int(reference), begin, 10))
            name = f"{reference}-q{number},{reference},{number},queries/{reference}-q{number}.wav,10.0"
            rows.append(f"{name},references/{reference}.wav,{begin}.000000")
    csv(root / "manifest.csv", SD_RR_HEADER, rows)
    return root


def pex(root: Path) -> Path:
    """A montage of 12 s of song 5 and 9 s of song 6, and 1.5 s of song 5 again, between annotations in whole seconds."""
    for number in (5, 6):
        write_wav(root / f"references/00{number}/00{number}.wav", song(number, 30))
    montage = [cut(5, 4.5, 12), cut(6, 0.3, 9), cut(5, 20, 1.5)]
    write_wav(root / "queries/query0001.wav", np.concatenate(montage))
    rows = ["005,query0001,4,17,0,12,100,0", "006,query0001,0,10,12,21,,", "005,query0001,20,22,21,23,93,"]
    csv(root / "annotations.csv", PEX_HEADER, rows)
    return root


def annotated(root: Path) -> Path:
    """A broadcast of 25 s in which songs 1 and 2 are heard, and one of song 1 on which annotators disagree; song 3 never is."""
    for number in (1, 2, 3):
        write_wav(root / f"references/ref_000{number}.wav", song(number, 20))
    write_wav(root / "queries/query_0001.wav", np.concatenate([cut(1, 2, 10), cut(9, 0, 5), cut(2, 5, 10)]))
    write_wav(root / "queries/query_0002.wav", cut(1, 0, 8))
    rows = ["query_0001.wav,ref_0001.wav,0.0,9.75,unanimity", "query_0001.wav,ref_0002.wav,15.25,99,unanimity"]
    csv(root / "cross_annotations.csv", BAF_HEADER, [*rows, "query_0002.wav,ref_0001.wav,1,7,single"])
    return root
