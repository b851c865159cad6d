"""The progress bar and the TensorBoard events of a training."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams
from tqdm import tqdm

MATRIX_ROWS = 256  # rows and columns of the similarity matrix that are shown


class EventLog:
    """One run's progress bar and TensorBoard events, both continued from step ``done`` on.

    ``folder``: of TensorBoard. ``steps``: of the whole training. ``anchors``: of a step, the unit of the bar. ``settings``: of
    the run, for the tab HParams.
    """

    def __init__(self, name: str, folder: Path, steps: int, done: int, anchors: int, settings: Mapping[str, Any]):
        self.settings, self.described = dict(flattened(settings)), False
        self.board = SummaryWriter(str(folder), purge_step=done + 1)  # the first step that is done again
        self.bar = tqdm(
            total=steps,
            initial=done,
            desc=name,
            unit_scale=anchors,
            unit="anchor",
            mininterval=2,
            dynamic_ncols=True,
        )

    def steps(self, count: int, step: int, epoch: int, loss: float, lr: float, anchors_per_s: float) -> None:
        """Record ``count`` more steps; ``step``: number of the last one over all epochs."""
        for tag, value in (("train/loss", loss), ("train/learning_rate", lr), ("train/anchors_per_s", anchors_per_s)):
            self.board.add_scalar(tag, value, step)
        self.bar.set_postfix_str(f"epoch {epoch}, loss {loss:.3f}", refresh=False)
        self.bar.update(count)

    def epoch(self, record: dict, step: int, similarity: torch.Tensor) -> None:
        """Record an epoch: its row of the history, and the (anchors, replicas) similarities of its last batch."""
        rates = {search_tag(key): value for key, value in record.items() if "_top1_" in key}
        for tag, value in rates.items():
            self.board.add_scalar(tag, value, step)
        if not self.described:
            for summary in hparams(
                self.settings, dict.fromkeys(["train/loss", *rates], 0)
            ):  # only the names of metrics count
                self.board.file_writer.add_summary(summary)
            self.described = True
        if "val_spread" in record:
            self.board.add_scalar("validation/spread of g(f)", record["val_spread"], step)
        shown = similarity[:MATRIX_ROWS, :MATRIX_ROWS].float().cpu()
        self.board.add_image("similarity of anchors and replicas", (shown.clamp(-1, 1)[None] + 1) / 2, step)
        self.board.flush()
        found = ", ".join(f"{key[4:]} {value:.1f} %" for key, value in record.items() if key.startswith("val_top1"))
        tqdm.write(f"{self.bar.desc}: epoch {record['epoch']}, loss {record['loss']:.3f}, validation {found}")
        if record.get("collapsed"):
            spread = record["val_spread"]
            what = (
                f"all fingerprints are alike, spread {spread:.2g}" if spread == spread else "some are no unit vectors"
            )
            tqdm.write(
                f"{self.bar.desc}: collapsed in epoch {record['epoch']} ({what}); best takes it only if all epochs have. "
                "Try a lower train.learning_rate, a longer train.schedule.warmup, or other fills of the chain's masks"
            )

    def flush(self) -> None:
        """Write the events so far, before a state from which the log is continued."""
        self.board.flush()

    def close(self) -> None:
        """Close the bar and the event file."""
        self.bar.close()
        self.board.close()


def search_tag(key: str) -> str:
    """The tag of a hit rate of the history: "mini-search g(f)/top1_1s" of val_top1_1s."""
    feature, measure = key.split("_top1_")
    space = {"val": "g(f)", "val_f": "f", "val_l2f": "L2(f)"}[feature]
    return f"mini-search {space}/top1_{measure}"


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, bool | int | float | str]]:
    """Nested settings as pairs of a dotted name and a value that TensorBoard takes; lists as text, without nulls."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value if isinstance(value, (bool, int, float, str)) else str(value)
