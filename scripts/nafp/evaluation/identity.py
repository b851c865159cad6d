"""What a search was asked: names for its test sequences and for the audio of its data set, by which cells are compared."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from nafp.errors import UserError


def name_of_ids(test_ids: str | int) -> str | int:
    """The test sequences: all, how many random ones, or the digest of the file that lists them."""
    if test_ids == "all" or isinstance(test_ids, int):
        return test_ids
    try:
        return f"sha256:{hashlib.sha256(Path(test_ids).read_bytes()).hexdigest()}"
    except OSError as error:
        raise UserError(f"test_ids: {test_ids} cannot be read ({error})") from error


def digest_of_audio(clip_tables: Iterable[pd.DataFrame]) -> str:
    """The clips of packed splits, by their tables: names, lengths and, where the tables have them, checksums, rates and songs."""
    digest = hashlib.sha256()
    for clips in clip_tables:
        columns = [name for name in ("path", "samples", "sha256", "rate", "song", "song_start_s") if name in clips]
        digest.update(clips[columns].to_csv(index=False).encode())
    return digest.hexdigest()[:16]
