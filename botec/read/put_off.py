"""Imports that take long and that nobody here needs are put off until somebody does.

torch's compiler takes nearly as long to import as torch itself. torchvision and transformers import
it to mark what it should leave alone; optimizers and operators ask it the same at their first call.
A stand-in takes these marks. Whoever wants more of it (a user's ``torch.compile``) gets the real
one at that moment, and the real one gets the marks. The command line alone does this, in a process
of its own: where botec is a library, everything is imported as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
#: Packages, and what libraries take from them and their modules at import, to call it much later.
PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    COMPILER: {
        COMPILER: (),
        "torch._dynamo.utils": ("is_compile_supported",),
        "torch._dynamo._trace_wrapped_higher_order_op": ("TransformGetItemToIndex",),
    },
    "scipy.optimize": {"scipy.optimize": ("linear_sum_assignment",)},
}
MARKS = ("allow_in_graph", "assume_constant_result", "disallow_in_graph", "forbid_in_graph")
MARKED: list[tuple[str, Any]] = []
DISABLED: list[Any] = []


class StandIn(ModuleType):
    """Stands for a module; whatever else is asked of it is asked of the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(real(self.__name__), name)


def put_off() -> None:
    """Puts stand-ins where the packages would be, but for those that are there already."""
    for package, modules in PACKAGES.items():
        if package in sys.modules:
            continue
        for name, wanted in modules.items():
            one = StandIn(name)
            one.__spec__, one.__path__ = ModuleSpec(name, None, is_package=True), []
            vars(one).update({attribute: later(name, attribute) for attribute in wanted})
            sys.modules[name] = one
        if package == COMPILER:
            taking = {mark: marking(mark) for mark in MARKS}
            vars(sys.modules[package]).update(taking, disable=disable, graph_break=nothing)
    if Inside not in sys.meta_path:
        sys.meta_path.insert(0, Inside)


def is_put_off(package: str) -> bool:
    """Whether a stand-in is there still."""
    return isinstance(sys.modules.get(package), StandIn)


def real(name: str) -> ModuleType:
    """The real module of a ``name``, its package imported in the place of stand-ins."""
    package = package_of(name)
    if is_put_off(package):
        for one in PACKAGES[package]:
            sys.modules.pop(one, None)
        found = import_module(package)
        if package == COMPILER:
            tell(found)
    return import_module(name)


def tell(compiler: ModuleType) -> None:
    """Gives the real compiler its marks; torch asks it anew about what is not to be compiled."""
    while MARKED:
        mark, function = MARKED.pop(0)
        getattr(compiler, mark)(function)
    while DISABLED:
        getattr(DISABLED.pop(), "__dict__", {}).pop("__dynamo_disable", None)


def package_of(name: str) -> str:
    """The package put off that a module is or lies in, "" for none."""
    return next((one for one in PACKAGES if name == one or name.startswith(one + ".")), "")


class Inside:
    """A module inside of a package that is put off brings in the real one."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """What import asks of a finder: a loader of the module, which is loaded."""
        if not is_put_off(package_of(name)):
            return None
        return ModuleSpec(name, Loaded(real(name)))  # type: ignore[arg-type]


class Loaded:
    """Hands out a module that is there."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.spec = module, module.__spec__

    def create_module(self, spec: Any) -> ModuleType:
        """The module itself."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Nothing but its own spec again."""
        module.__spec__ = self.spec


# --- what the stand-ins do ------------------------------------------------------------------------


def later(module: str, name: str) -> Callable[..., Any]:
    """A function or class that is looked up when it is called."""
    return lambda *args, **options: getattr(real(module), name)(*args, **options)


def nothing(*args: Any, **options: Any) -> None:
    """Nothing is compiled: there is no graph to break."""


def marking(mark: str) -> Callable[[Any], Any]:
    """A decorator that keeps its function for the real one."""

    def keep(function: Any) -> Any:
        MARKED.append((mark, function))
        return function

    return keep


def disable(function: Any = None, recursive: bool = True, **options: Any) -> Any:
    """A function that is not to be compiled: itself, until something could compile it."""
    if function is None:
        return lambda one: disable(one, recursive, **options)
    told: list[Any] = []
    DISABLED.append(function)

    @wraps(function)
    def run(*args: Any, **keywords: Any) -> Any:
        if is_put_off(COMPILER):
            return function(*args, **keywords)
        if not told:
            told.append(real(COMPILER).disable(function, recursive, **options))
        return told[0](*args, **keywords)

    vars(run)["_torchdynamo_disable"] = True  # by which the real one knows what it leaves alone
    return run
