"""Neural audio fingerprints: ``nafp.load`` a model, let it ``fingerprint`` sound, ``nafp.find`` the song that it is of."""

from importlib import import_module

__all__ = ["find", "load"]


def __getattr__(name: str):
    if name in __all__:  # imported when they are used: planning imports this package, and has no PyTorch
        return getattr(import_module("nafp.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
