"""The folders of the paper's data set, and what lies in them."""

import numpy as np

SAMPLE_RATE = 8000
SEGMENT = SAMPLE_RATE  # 1 s
HOP = SEGMENT // 2
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
QUERY_OF = {"val_db": "val_query", "test_db": "test_query"}
FILES = "files"  # the query set that the data set brings
RESPONSE_KINDS = ("room", "mic")  # folders of impulse responses that a step can choose
POOL_OF_STEP = {"background": "bg", "speech": "speech", "impulse_response": "ir"}  # augmentation step -> its sounds
IMAGE_STEPS = ("cutout", "frequency_mask", "time_mask")  # augmentation steps that act on log-mel images, not on sound
EXCHANGED = {
    "test_db": "db",
    "test_query": "query",
    "dummy": "dummy_db",
}  # split -> name in the published code's format
ICASSP_IDS_SHA256 = (
    "175b5eefae9a79e5bf5ccfc0b6fc7496649aca8d67063304f6c05087e4ff1b90"  # the paper's list of test sequences
)


def count_segments(samples: np.ndarray) -> np.ndarray:
    """Lengths of clips -> the number of their 1 s segments with a hop of 0.5 s; a shorter clip counts as one."""
    return np.maximum((np.asarray(samples) - SEGMENT) // HOP + 1, 1)
