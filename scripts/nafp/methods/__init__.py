"""What answers queries, a file a method: the class, its options' schema, its environment. Planning reads this: import heavy
packages inside `build`."""

from collections.abc import Mapping

from nafp.errors import UserError
from nafp.methods.chromaprint import Chromaprint
from nafp.methods.external import External
from nafp.methods.handed_in import HandedIn
from nafp.methods.interface import Answering, Method
from nafp.methods.landmarks import Landmarks
from nafp.methods.pretrained import Pretrained
from nafp.methods.trained import Trained

METHODS: dict[str, type[Answering]] = {  # type in the config's `methods` -> its class; a new method is a new line
    "landmarks": Landmarks,
    "chromaprint": Chromaprint,
    "answers": HandedIn,
}
KINDS: tuple[type[Method], ...] = (
    Trained,
    Pretrained,
    External,
    Answering,
)  # what the fields and the name of a run tell apart


def kind_of(run: str) -> type[Method]:
    """The kind of method that a run is of, by its name; UserError for what is no run's name."""
    for kind in KINDS:
        if kind.parse(run) is not None:
            return kind
    raise UserError(
        f"{run!r} is not a run; a run is named like aug=full_bsz=120_dim=64_loss=ntxent_recipe=base_seed=0, pretrained=NAME, "
        "external=NAME or method=NAME"
    )


def kind_of_fields(fields: Mapping) -> type[Method]:
    """The kind of method that answers for a run of these fields: a trained one unless they name another."""
    return next((kind for kind in KINDS[1:] if kind.axis in fields), Trained)


def method_of(name: str, entry: Mapping) -> Answering:
    """An entry of the config's ``methods``, which is called by its type or states it -> the method, with its options."""
    options = {key: value for key, value in entry.items() if key != "type"}
    return METHODS[entry.get("type", name)](**options)
