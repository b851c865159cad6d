"""Former names of the modules that are now in ``nafp.audio`` and ``nafp.datasets``, for scripts written before the move."""

import sys
import warnings
from importlib import import_module
from types import ModuleType

MOVED = {  # former module -> where its names are now
    "audio": ("audio.codecs", "audio.wav", "audio.open"),
    "corpus": ("audio.segments", "audio.splits"),
    "digests": ("datasets.digests",),
    "layout": ("audio.segments", "datasets.layout"),
    "manifest": ("datasets.manifest",),
    "own": ("datasets.own",),
    "pools": ("audio.pools", "augment.held_out"),
    "verification": ("datasets.verification",),
    "wav": ("audio.wav",),
}


class _Moved(ModuleType):
    """A module whose names are looked up in others, with a warning that says where."""

    def __getattr__(self, name: str):
        places = () if name.startswith("__") else MOVED[self.__name__.rpartition(".")[2]]
        for place in places:  # none is imported for what modules have of themselves, which PyTorch asks all of them for
            module = import_module(f"nafp.{place}")
            if hasattr(module, name):
                warnings.warn(f"{self.__name__}.{name} is now nafp.{place}.{name}", FutureWarning, stacklevel=2)
                return getattr(module, name)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


for _name in MOVED:
    sys.modules[f"{__name__}.{_name}"] = _Moved(f"{__name__}.{_name}")
