"""Weights of the originals: a TensorFlow checkpoint of NAFP or NMFP becomes a model here, with its settings.

NAFP: arXiv 2010.11910, github.com/mimbres/neural-audio-fp. NMFP: arXiv 2506.22661, github.com/raraz15/neural-music-fp. Which of
them it is, and the sizes of the model, are seen in the names and shapes of the tensors.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from nafp.errors import UserError
from nafp.files import atomic_write
from nafp.model.encoders import encoder_of
from nafp.model.shapes import HEAD_UNITS, image_shape
from nafp.model.tensorflow_bundle import Bundle

VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # end of a variable's name
BLOCK = "model/front_conv/layer_with_weights-{}"
HEAD = "model/div_enc/split_fc_layers/{}"
NAFP = {"n_fft": 1024, "hop": 256, "n_mels": 256, "f_min": 300, "f_max": 4000, "scale": "melspec", "max_scope": "batch"}
NMFP = {"n_fft": 1024, "hop": 256, "n_mels": 256, "f_min": 160, "f_max": 4000, "scale": "db80", "max_scope": "segment"}


def settings_of_original(bundle: Bundle, features: Mapping | None = None) -> dict:
    """``features``, ``model`` and ``dim`` of the model whose checkpoint it is; ``features``: what differs from the originals'.

    UserError if it is the checkpoint of something else.
    """
    first = bundle.entries.get(f"{BLOCK.format(0)}/conv2d_1x3/kernel{VALUE}")
    heads = [
        name
        for name in bundle.entries
        if re.fullmatch(HEAD.format(r"\d+") + r"/layer_with_weights-0/kernel" + VALUE, name)
    ]
    if first is None or not heads:
        known = ", ".join(
            sorted(
                {name.split("/")[0] for name in bundle.entries if name.startswith(("model", "encoder", "variables"))}
            )
        )
        raise UserError(
            f"{bundle.prefix}: is no checkpoint of the original NAFP or NMFP code, which have {BLOCK.format(0)} and "
            f"{HEAD.format(0)}" + (f"; this one has {known}" if known else "")
        )
    norm = f"model/div_enc/BN/0/gamma{VALUE}" in bundle.entries
    return {
        "features": {**(NMFP if norm else NAFP), **(features or {})},
        "model": {"encoder": "separable", "variant": "release", "width": first.shape[-1], "head_norm": norm},
        "dim": len(heads),
    }


def parameters_of_original(bundle: Bundle, settings: Mapping) -> dict[str, np.ndarray]:
    """The parameters of a ``Model`` of these settings by name; UserError if the checkpoint has others, or other shapes."""
    image = image_shape(settings["features"])
    found: dict[str, np.ndarray] = {}
    for number, block in enumerate(encoder_of(settings["model"]).blocks(image)):
        rows = {"1x3": (block.c_in, (1, 3), block.freq_in), "3x1": (block.c_out, (3, 1), block.freq)}
        for layer, (length, (c_in, kernel, freq)) in zip(
            range(4 * number, 4 * number + 4, 2), rows.items(), strict=True
        ):
            place, norm_shape = BLOCK.format(number), (freq, block.time, block.c_out)
            weight = _tensor(bundle, f"{place}/conv2d_{length}/kernel", (*kernel, c_in, block.c_out))
            found[f"encoder.{layer}.weight"] = weight.transpose(3, 2, 0, 1)
            found[f"encoder.{layer}.bias"] = _tensor(bundle, f"{place}/conv2d_{length}/bias", (block.c_out,))
            found[f"encoder.{layer + 1}.norm.weight"] = _tensor(bundle, f"{place}/BN_{length}/gamma", norm_shape)
            found[f"encoder.{layer + 1}.norm.bias"] = _tensor(bundle, f"{place}/BN_{length}/beta", norm_shape)
    return found | _heads(bundle, settings, image)


def _heads(bundle: Bundle, settings: Mapping, image: tuple[int, int]) -> dict[str, np.ndarray]:
    """The parameters of the heads, one array over all of them each."""
    dim, norm = settings["dim"], settings["model"]["head_norm"]
    slice_of = encoder_of(settings["model"]).features(image) // dim

    def stacked(name: str, *shape: int) -> np.ndarray:
        return np.stack([_tensor(bundle, name.format(head), shape) for head in range(dim)])

    second = f"{HEAD}/layer_with_weights-{2 if norm else 1}"
    found = {
        "heads.weight1": stacked(f"{HEAD}/layer_with_weights-0/kernel", slice_of, HEAD_UNITS),
        "heads.bias1": stacked(f"{HEAD}/layer_with_weights-0/bias", HEAD_UNITS),
        "heads.weight2": stacked(f"{second}/kernel", HEAD_UNITS, 1)[..., 0],
        "heads.bias2": stacked(f"{second}/bias", 1)[:, 0],
    }
    if norm:
        found["heads.norm_weight"] = stacked("model/div_enc/BN/{}/gamma", HEAD_UNITS)
        found["heads.norm_bias"] = stacked("model/div_enc/BN/{}/beta", HEAD_UNITS)
    return found


def _tensor(bundle: Bundle, name: str, shape: tuple[int, ...]) -> np.ndarray:
    entry = bundle.entries.get(name + VALUE)
    if entry is None or entry.shape != shape:
        found = "is not in it" if entry is None else f"is {entry.shape}"
        raise UserError(f"{bundle.prefix}: is of another architecture: {name} {found}, it should be {shape}")
    return bundle.tensor(name + VALUE)


def import_original(prefix: Path | str, weights: Path | str, features: Mapping | None = None) -> dict:
    """Write the model of a checkpoint (its prefix, ``.../ckpt-100``) as safetensors that say their settings; returns these.

    ``features``: what differs from the original's settings, say ``{"max_scope": "segment"}``. UserError for a checkpoint that
    is damaged or of something else.
    """
    bundle = Bundle(prefix)
    settings = settings_of_original(bundle, features)
    parameters = parameters_of_original(bundle, settings)
    with atomic_write(weights) as part:
        contiguous = {name: np.ascontiguousarray(value) for name, value in parameters.items()}
        save_file(contiguous, part, metadata={"settings": json.dumps(settings, sort_keys=True)})
    return settings
