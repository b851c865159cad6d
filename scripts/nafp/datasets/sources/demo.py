"""The corpus that the workflow composes: songs, noises, impulse responses, babble."""

from collections.abc import Mapping

from nafp.datasets.layout import MUSIC
from nafp.datasets.sources.source import Source, Steps


def queries(config: Mapping) -> tuple[Mapping[str, Steps], int]:
    """The chains of the validation and test queries, and their seed."""
    return config["demo"]["queries"], config["demo"]["seed"]


def clips(config: Mapping) -> dict[str, tuple[int, float]]:
    """Split -> (songs, seconds of each)."""
    counts = config["demo"]["songs"]
    parts = {split: split.removesuffix("_db").removesuffix("_query") for split in MUSIC}
    return {split: (counts[part], config["demo"]["clip_s"]) for split, part in parts.items()}


DEMO = Source("composed as the section demo says", maker="compose_demo", queries=queries, clips=clips)
