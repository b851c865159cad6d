"""A trained run as one small file that needs nothing else: weights in float16, with their settings and calibration inside."""

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save

from nafp.errors import UserError
from nafp.files import atomic_write, damaged_file_errors
from nafp.model.weights import settings_of


def write_shipped(weights: Path | str, limits: Mapping, path: Path | str) -> int:
    """Write the weights of a run in float16, ``limits`` (`nafp.identify.calibration`) among their settings; returns the bytes.

    UserError for a damaged file, one without settings, and weights that float16 cannot hold.
    """
    settings = settings_of(weights)
    if not settings:
        raise UserError(f"{weights}: does not say its settings; train the run again, so that its weights do")
    with damaged_file_errors(weights):
        halves = {name: tensor.half() for name, tensor in load_file(weights).items()}
    if lost := [name for name, tensor in halves.items() if not torch.isfinite(tensor).all()]:
        raise UserError(f"{weights}: {lost[0]} has values beyond 65504, the largest number in float16")
    with atomic_write(path) as part:
        part.write_bytes(save(halves, {"settings": json.dumps({**settings, "limits": dict(limits)}, sort_keys=True)}))
    return Path(path).stat().st_size
