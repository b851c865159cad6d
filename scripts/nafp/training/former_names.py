"""Former names of settings, which scripts written before they were renamed may still pass: translated, with a warning."""

import warnings
from collections.abc import Mapping
from functools import wraps

FIELDS = {"start": "init_from", "micro_batch": "micro_batch_size"}
DATA = {"past_s": "context_s", "neighbours": "shuffle_run_length", "rest": "drop_last"}
RESTS = {"later": False, "never": True}  # former values of ``rest`` -> of ``drop_last``


def warn(place: str, old: str, new: str) -> None:
    """Say that a name of the settings is a former one."""
    warnings.warn(f"{place}{old!r} is now called {new!r}", FutureWarning, stacklevel=5)


def renamed(options: Mapping, names: Mapping[str, str], place: str = "") -> dict:
    """Options with the present names of former ones."""
    for old in options:
        if old in names:
            warn(place, old, names[old])
    return {names.get(name, name): value for name, value in options.items()}


def renamed_data(data: Mapping) -> dict:
    """``Settings.data`` with present names."""
    found = renamed(data, DATA, "data: ")
    return found | ({"drop_last": RESTS[data["rest"]]} if "rest" in data else {})


def renamed_chain(steps: list) -> list:
    """Steps of a chain, in which a gain without ``db`` is what ``peak_normalize`` does now."""
    found = []
    for step in steps:
        if "gain" in step and "db" not in (step["gain"] or {}):
            warn("chain: ", "gain", "peak_normalize")
            step = {"peak_normalize": step["gain"]}
        found.append(step)
    return found


def accept_former_names(settings: type) -> type:
    """A dataclass of settings that takes its fields, and what is in them, by their former names too."""
    init = settings.__init__

    @wraps(init)
    def __init__(self, *values, **options):
        options = renamed(options, FIELDS)
        if "data" in options:
            options["data"] = renamed_data(options["data"])
        if "chain" in options:
            options["chain"] = renamed_chain(options["chain"])
        if (options.get("validation") or {}).get("chain"):
            options["validation"] = options["validation"] | {"chain": renamed_chain(options["validation"]["chain"])}
        init(self, *values, **options)

    settings.__init__ = __init__
    return settings
