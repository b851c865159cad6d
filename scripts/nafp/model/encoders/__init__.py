"""Encoders by name: each a dataclass of its options that counts its features, parameters and FLOPs, and builds the module.

A new one is a class with the methods of ``separable.Separable`` in a file of its own, and an entry of ENCODERS. Planning reads
this file: only ``build`` imports PyTorch.
"""

from collections.abc import Mapping
from dataclasses import fields

from nafp.errors import UserError
from nafp.model.encoders.separable import Separable
from nafp.options import options_schema

ENCODERS = {"separable": Separable}


def options_of_all() -> dict[str, dict]:
    """Option -> JSON Schema, of all encoders together; ``encoder_of`` refuses those of another encoder."""
    return {name: one for encoder in ENCODERS.values() for name, one in options_schema(encoder)["properties"].items()}


def encoder_of(model: Mapping) -> Separable:
    """The encoder of the config's ``model``: its name and options; UserError for an unknown name or option."""
    options = dict(model)
    name = options.pop("encoder", "separable")
    if name not in ENCODERS:
        raise UserError(f"model.encoder: unknown encoder {name!r}; known: {', '.join(ENCODERS)}")
    known = [field.name for field in fields(ENCODERS[name])]
    if unknown := [option for option in options if option not in known]:
        raise UserError(f"model: unknown option {', '.join(unknown)} of the encoder {name}; known: {', '.join(known)}")
    return ENCODERS[name](**options)
