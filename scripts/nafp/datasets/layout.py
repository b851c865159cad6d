"""The folders of the paper's data set, by split, and the names of files that are put there."""

from nafp.walk import NO_TEXT

SPLITS = {  # split -> folder
    "train": "music/train-10k-30s",
    "val_db": "music/val-query-db-500-30s/db",
    "val_query": "music/val-query-db-500-30s/query",
    "test_db": "music/test-query-db-500-30s/db",
    "test_query": "music/test-query-db-500-30s/query",
    "dummy": "music/test-dummy-db-100k-full",
    "bg_train": "aug/bg/tr",
    "bg_test": "aug/bg/ts",
    "ir_train": "aug/ir/tr",
    "ir_test": "aug/ir/ts",
    "speech_train": "aug/speech/common_voice_8k/en/train",
    "speech_test": "aug/speech/common_voice_8k/en/test",
}
MUSIC = tuple(split for split, folder in SPLITS.items() if folder.startswith("music/"))
TIME_MAP = "music/test-query-db-500-30s/queries.csv"  # table, if the test queries are not whole songs: query, song, song_start_s
LONGEST_NAME = 200  # bytes; file systems allow 255, and a hash or number and a suffix follow
QUERY_OF = {"val_db": "val_query", "test_db": "test_query"}


def sounds_split(pool: str, part: str) -> str:
    """The split with the sounds of a pool (bg, ir, speech) for a part: train, or test, held out.

    The pool ``train``, of songs, is the training split for both: no database of the test has its songs.
    """
    return pool if pool in SPLITS else f"{pool}_{part}"


def plain_name(part: str) -> str:
    """A name of a user's file or song as one part of a path: without control characters and backslashes, cut to LONGEST_NAME.

    Names that differ may become equal: add a hash or a number.
    """
    plain = NO_TEXT.sub("_", part).replace("\\", "_").encode()[:LONGEST_NAME].decode(errors="ignore")
    return plain if plain.strip(".") else "_"
