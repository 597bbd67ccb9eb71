"""The optimizers botec has formulas for, one file per family: this folder is their room.

An optimizer is a :class:`~botec.analyses.optimizers.method.Method` in a file of this folder;
nothing else is edited.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from botec.analyses.optimizers.method import Method
from botec.errors import UnknownName, nearest

ORDER = (
    "sgd", "adam", "adamw", "nadam", "radam", "adamax", "rmsprop", "adagrad", "adadelta",
    "lion", "rprop", "adafactor", "muon", "asgd", "sparseadam", "lbfgs",
)  # fmt: skip


@cache
def methods() -> dict[str, Method]:
    """Every optimizer of this folder by its name, the usual ones first."""
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    every = [one for module in modules for one in vars(module).values() if isinstance(one, Method)]
    found = {one.name: one for one in every}
    names = [name for name in ORDER if name in found]
    return {name: found[name] for name in dict.fromkeys([*names, *sorted(found)])}


def find(name: str) -> Method:
    """The optimizer called ``name``. Raises :class:`UnknownName`."""
    plain = name.lower().replace("-", "").replace("_", "")
    if plain not in methods():
        near = nearest(plain, methods()) or f"known are {', '.join(methods())}"
        raise UnknownName("no such optimizer", near)
    return methods()[plain]
