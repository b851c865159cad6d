"""Weights on disk: a safetensors file with the settings of its model."""

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file

from nafp.errors import UserError
from nafp.files import MADE_AGAIN, damaged_file_errors
from nafp.model.model import Model, build_model
from nafp.shipped import apart, settings_in

MODEL_SETTINGS = ("features", "model", "dim")


def settings_of(weights: Path | str, way_out: str = MADE_AGAIN) -> dict:
    """The settings that the weights were trained with, {} in a file that says none.

    UserError, with ``way_out``, if it is damaged.
    """
    with damaged_file_errors(weights, way_out), safe_open(weights, "pt"):
        return settings_in(weights, way_out)


def load_model(
    weights: Path | str, features: Mapping | None = None, model: Mapping | None = None, dim: int | None = None
) -> Model:
    """The model of a safetensors file, ready to fingerprint with.

    Settings that are not given are read from the file, into which trainings write them. UserError if the file is damaged, if it
    contradicts a given setting, or if a setting is in neither.
    """
    return load_with_settings(weights, features, model, dim)[0]


def load_with_settings(
    weights: Path | str,
    features: Mapping | None = None,
    model: Mapping | None = None,
    dim: int | None = None,
    way_out: str = MADE_AGAIN,
) -> tuple[Model, dict]:
    """``load_model``, and the settings that the file states; ``way_out``: what to do if it is damaged."""
    known = settings_of(weights, way_out)
    given = {
        name: value for name, value in zip(MODEL_SETTINGS, (features, model, dim), strict=True) if value is not None
    }
    for name, value in given.items():
        if name in known and (theirs := known[name]) != value:
            raise UserError(f"{weights}: trained with {name} {apart(theirs, value)}; use the settings of its training")
    if absent := [name for name in MODEL_SETTINGS if name not in {**known, **given}]:
        raise UserError(f"{weights}: does not say its {', '.join(absent)}, which the file of a training here does")
    built = build_model(*(({**known, **given})[name] for name in MODEL_SETTINGS))
    with damaged_file_errors(weights, way_out):
        built.load_state_dict(load_file(weights))
    return built.eval(), known


def load_initial(model: Model, weights: Path) -> None:
    """Load the weights of a file, which must be those of the same model, as the first ones of a training."""
    try:
        model.load_state_dict(load_file(weights))
    except Exception as error:
        why = "; ".join(line.strip() for line in str(error).splitlines()[:4])
        raise UserError(f"train.init_from: {weights} cannot be used: {why}") from error
