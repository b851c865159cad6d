"""States and weights on disk, from which a training that was killed at any moment is resumed.

A folder ``.states/{key}`` beside the results, named by all that the weights depend on, holds

* ``epoch=3_step=120.{checksum}.pt``: the newest two states; if one is damaged, the one before it is used;
* ``epoch=3.safetensors``: weights after finished epochs, as many as the policy keeps, and those of the best epoch by each state.

The training process holds ``.states/lock``: only one writes there.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from nafp.files import atomic_write, damaged_file_errors
from nafp.training.checks import check_kept

STATES_KEPT = 2


class Checkpoints:
    """The states and weights of one run."""

    def __init__(self, folder: Path | str):
        self.folder = Path(folder)

    # ---------------------------------------------------------------- states

    def states(self) -> list[Path]:
        """State files, the newest last."""
        return sorted(self.folder.glob("epoch=*_step=*.pt"), key=_progress)

    def save_state(self, state: Mapping, epoch: int, step: int) -> Path:
        """Write a state under a name with its checksum, and drop all but this and the one before it.

        Those beyond it are of a training that is not continued: more epochs than the run has now.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        checksum = hashlib.sha256(buffer.getbuffer()).hexdigest()[:16]
        path = self.folder / f"epoch={epoch}_step={step}.{checksum}.pt"
        _write_through(path, buffer.getbuffer())
        before = [one for one in self.states() if one != path and _progress(one) <= (epoch, step)]
        for old in {*self.states()} - {path, *before[1 - STATES_KEPT :]}:
            old.unlink()
        return path

    def load_state(self) -> dict | None:
        """The newest undamaged state, on the CPU; None without one.

        Optimizers take their moments to the device of the parameters. A step counter on a GPU would make the host wait.
        """
        for path in reversed(self.states()):
            if data := undamaged(path):
                return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        return None

    def remove_damaged_states(self) -> None:
        """Remove half-written states and those newer than the newest undamaged one; says which."""
        for part in self.folder.glob("*.part"):
            part.unlink(missing_ok=True)
        for path in reversed(self.states()):
            if undamaged(path):
                return
            print(f"{path}: damaged (its checksum is wrong), going back to the state before it", flush=True)
            path.unlink(missing_ok=True)

    # ---------------------------------------------------------------- weights

    def weights(self, epoch: int) -> Path:
        """Path of the weights after an epoch, which exists if they are kept."""
        return self.folder / f"epoch={epoch}.safetensors"

    def save_weights(self, weights: Mapping[str, torch.Tensor], epoch: int, settings: Mapping) -> None:
        """Write the weights after an epoch, with the settings they were trained with."""
        data = save(dict(weights), {"settings": json.dumps(settings)})  # several entries: random order
        _write_through(self.weights(epoch), data)

    def epochs(self) -> list[int]:
        """The epochs whose weights are kept."""
        return sorted(int(path.stem.removeprefix("epoch=")) for path in self.folder.glob("epoch=*.safetensors"))

    def prune(self, keep: Iterable[int]) -> None:
        """Remove the weights of all epochs but these."""
        for epoch in set(self.epochs()) - set(keep):
            self.weights(epoch).unlink()

    def publish(self, epoch: int, path: Path | str, way_out: str | None = None) -> None:
        """Copy an epoch's weights to a result; not a link, because results of one file would share its time of change.

        UserError, with ``way_out``, if they are damaged or missing.
        """
        weights = self.weights(epoch)
        way_out = way_out or f"delete {self.folder} and run the same command again, which trains this run anew"
        with damaged_file_errors(weights, way_out), safe_open(weights, "pt"):
            pass  # safe_open checks header and length
        with atomic_write(path) as part:
            shutil.copyfile(weights, part)

    def drop_others(self) -> None:
        """Remove the states of trainings with other settings, data or code, which cannot be resumed any more."""
        for folder in self.folder.parent.iterdir():
            if folder != self.folder and folder.is_dir():
                shutil.rmtree(folder)


def publish_epoch(run: Path, epoch: int, path: Path) -> None:
    """Copy the weights of an epoch of a finished run to a result; UserError if they are damaged or not kept."""
    folders = [Checkpoints(folder) for folder in sorted(run.glob(".states/*"))]
    way_out = (
        f"delete {run}/.states and {run}/epoch=last.safetensors and run the same command again, which trains it anew"
    )
    check_kept(epoch, {number for folder in folders for number in folder.epochs()}, run.name, way_out)
    holder = next(folder for folder in folders if epoch in folder.epochs())
    holder.publish(epoch, path, way_out)


def undamaged(path: Path) -> bytes | None:
    """Content of a state file; None if it is gone or does not have the checksum in its name."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # removed by another process of the same training
        return None
    return data if hashlib.sha256(data).hexdigest()[:16] == path.suffixes[-2][1:] else None


def _write_through(path: Path, data: bytes | memoryview) -> None:
    """Write a file that a loss of power leaves whole or not there."""
    with atomic_write(path) as part, open(part, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _progress(path: Path) -> tuple[int, int]:
    epoch, step = path.name.split(".")[0].split("_")
    return int(epoch.removeprefix("epoch=")), int(step.removeprefix("step="))
