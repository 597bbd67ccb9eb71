"""Imports that take long and that nobody here needs are put off until somebody does.

torch's compiler takes nearly as long to import as torch itself. torchvision and transformers import
it to mark what it should leave alone; optimizers and operators ask it the same at their first call.
A stand-in takes these marks. Whoever wants more of it (a user's ``torch.compile``) gets the real
one at that moment, and the real one gets the marks. Sizes that are symbols bring in sympy; the
stand-in answers what kernels ask about sizes that are numbers. The command line alone does this, in
a process of its own: where botec is a library, everything is imported as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

COMPILER = "torch._dynamo"
SYMBOLS = "torch.fx.experimental.symbolic_shapes"
EXPORTED = "torchvision.ops._register_onnx_ops"
#: Packages, and what libraries take from them and their modules at import, to call it much later.
PACKAGES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    COMPILER: {
        COMPILER: (),
        "torch._dynamo.utils": ("is_compile_supported",),
        "torch._dynamo._trace_wrapped_higher_order_op": ("TransformGetItemToIndex",),
    },
    SYMBOLS: {SYMBOLS: ("has_guarding_hint", "guarding_hint_or_throw")},
    "torch.utils._sympy.functions": {"torch.utils._sympy.functions": ("Max",)},
    "sympy": {"sympy": ()},
    "scipy.optimize": {"scipy.optimize": ("linear_sum_assignment",)},
    "numpy.f2py": {"numpy.f2py": ()},
    "torch.export": {"torch.export": ()},
    "torchvision.datasets": {"torchvision.datasets": ()},
    "torchvision.models": {"torchvision.models": ()},
    EXPORTED: {EXPORTED: ()},
}
#: Whether an operand is a formula: asked of every op that has a reference in Python.
ASKED = ("sympy", "Basic", "torch._prims_common")
MARKS = ("allow_in_graph", "assume_constant_result", "disallow_in_graph", "forbid_in_graph")
MARKED: list[tuple[str, Any]] = []
DISABLED: list[Any] = []
AWAY: set[str] = set()


class StandIn(ModuleType):
    """Stands for a module; whatever else is asked of it is asked of the real one."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if (self.__name__, name, sys._getframe(1).f_globals["__name__"]) == ASKED:
            return Unmade
        return getattr(real(self.__name__), name)


class Unmade:
    """The class of formulas where nobody has made one: no object is of it."""


def put_off() -> None:
    """Stand-ins will take the places of the packages, but for those that are there already."""
    AWAY.update(package for package in PACKAGES if package not in sys.modules)
    if Inside not in sys.meta_path:
        sys.meta_path.insert(0, Inside)


def is_put_off(package: str) -> bool:
    """Whether nobody has needed it yet."""
    return package in AWAY


def real(name: str) -> ModuleType:
    """The real module of a ``name``, its package imported in the place of stand-ins."""
    package = package_of(name)
    if is_put_off(package):
        AWAY.remove(package)
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
    """Finds stand-ins; any other module inside of a package that is put off brings in the real
    one."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        """What import asks of a finder: a loader of the module."""
        if name in CHANGED:
            return changed(name, path)
        package = package_of(name)
        if not is_put_off(package):
            return None
        if name in PACKAGES[package]:
            return ModuleSpec(name, Standing(), is_package=True)  # type: ignore[arg-type]
        return ModuleSpec(name, Loaded(real(name)))  # type: ignore[arg-type]


class Standing:
    """Makes stand-ins."""

    @staticmethod
    def create_module(spec: ModuleSpec) -> ModuleType:
        """A stand-in with all that is taken from it at import."""
        one = StandIn(spec.name)
        wanted = PACKAGES[package_of(spec.name)][spec.name]
        vars(one).update({attribute: later(spec.name, attribute) for attribute in wanted})
        if spec.name == COMPILER:
            taking = {mark: marking(mark) for mark in MARKS}
            vars(one).update(taking, disable=disable, graph_break=nothing)
        if spec.name == EXPORTED:
            vars(one).update(_register_custom_op=nothing)
        if spec.name == SYMBOLS:
            vars(one).update({name: answering(name, asked) for name, asked in PLAIN.items()})
        return one

    @staticmethod
    def exec_module(module: ModuleType) -> None:
        """There is nothing to run."""


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


def changed(name: str, path: Sequence[str] | None) -> Any:
    """The spec of a module of which something is other once it is there."""
    spec = PathFinder.find_spec(name, path)
    if spec is not None and spec.loader is not None:
        execute = spec.loader.exec_module

        def run(module: ModuleType) -> None:
            execute(module)
            CHANGED[name](module)

        spec.loader.exec_module = run  # type: ignore[method-assign]
    return spec


def alone(module: Any) -> None:
    """transformers in a single process: as where PyTorch is built without its distributed package,
    which nobody needs then. And what it has read of a folder it remembers, of more folders than the
    128 it has room for."""
    module.is_torch_distributed_available = lambda: False
    read: Any = getattr(module, "create_import_structure_from_path", None)
    if hasattr(read, "__wrapped__"):
        module.create_import_structure_from_path = cache(read.__wrapped__)


def registered(module: ModuleType) -> None:
    """Whoever exports finds torchvision's ops entered, if torchvision is there."""
    if EXPORTED in sys.modules and is_put_off(EXPORTED):
        real(EXPORTED)._register_custom_op()


CHANGED = {"transformers.utils.import_utils": alone, "torch.onnx": registered}


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


# --- sizes that are numbers -----------------------------------------------------------------------


def answering(name: str, answer: Callable[..., Any]) -> Callable[..., Any]:
    """A question about sizes: an answer at once where they are numbers."""

    def run(*args: Any, **options: Any) -> Any:
        found = None if options else answer(*args)
        return getattr(real(SYMBOLS), name)(*args, **options) if found is None else found

    return run


def itself(a: Any, *others: Any) -> bool | None:
    """A condition that is known."""
    return a if type(a) is bool and not others else None


def all_of(*args: Any) -> bool | None:
    """Whether all known conditions hold."""
    return all(args) if all(type(one) is bool for one in args) else None


def any_of(*args: Any) -> bool | None:
    """Whether one of known conditions holds."""
    return any(args) if all(type(one) is bool for one in args) else None


def equal(x: Any, y: Any) -> bool | None:
    """Whether two sizes, or two shapes, are the same."""
    if type(x) is int and type(y) is int:
        return x == y
    known = all(
        isinstance(shape, tuple | list) and all(type(size) is int for size in shape)
        for shape in (x, y)
    )
    return tuple(x) == tuple(y) if known else None


def never(size: Any) -> bool | None:
    """A number is no symbol."""
    return False if type(size) in (int, float, bool) else None


def symbols_in(tensor: Any) -> set[Any] | None:
    """A tensor whose sizes are numbers has no symbols."""
    return set() if getattr(tensor, "_has_symbolic_sizes_strides", None) is False else None


PLAIN: Mapping[str, Callable[..., Any]] = {
    "guard_or_false": itself, "guard_or_true": itself, "statically_known_true": itself,
    "guard_size_oblivious": itself, "expect_true": itself, "sym_and": all_of, "sym_or": any_of,
    "sym_eq": equal, "is_nested_int": never, "free_unbacked_symbols": symbols_in,
}  # fmt: skip
