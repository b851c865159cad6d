"""Models that come with the library, a file of weights each and its model card. Without PyTorch.

Here is where `snakemake ship` of ``config/composed.yaml`` puts what it made.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from nafp.errors import UserError
from nafp.files import MADE_AGAIN, damaged_file_errors

DEFAULT = "composed"
FOLDER = Path(__file__).parent


def shipped() -> dict[str, Path]:
    """Name -> weights of the models that come with the library."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}


def weights_file(source: str | Path) -> Path:
    """A file of weights by its path, or by the name of a model that comes with the library; UserError if there is neither."""
    path = shipped().get(str(source), Path(source))
    if not path.is_file():
        known = ", ".join(shipped()) or "none"
        raise UserError(
            f"{source}: is not there; name a file of weights (.safetensors), as the folder of a run has it, or a model that "
            f"comes with nafp: {known}"
        )
    return path


def limits_in(weights: Path | str) -> Mapping | None:
    """The calibration that a safetensors file of weights carries (`nafp.identify.calibration`); None if it has none."""
    return settings_in(weights).get("limits")


def settings_in(weights: Path | str, way_out: str = MADE_AGAIN) -> dict:
    """The settings that a safetensors file of weights states, {} if it states none.

    UserError, with ``way_out``, if its header is damaged.
    """
    with damaged_file_errors(weights, way_out), open(weights, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))  # its length in 8 bytes, then JSON
    return json.loads(header.get("__metadata__", {}).get("settings", "{}"))


def apart(theirs: object, ours: object) -> str:
    """Where two settings differ, for a sentence."""
    if not (isinstance(theirs, Mapping) and isinstance(ours, Mapping)):
        return f"{theirs}, not {ours}"
    names = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    return ", ".join(f"{name}: {theirs.get(name)}, not {ours.get(name)}" for name in names)
