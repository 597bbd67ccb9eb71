"""Networks in the user's own files: ``net.py:Net``, ``net.py:make(64, depth=3)``, ``net.py:model``.

The file is executed, once, because the user named it; nothing else is. NAME is a module, a class of
modules, or a function that returns a module; arguments are literals, read and never evaluated.

The inputs are the user's (``--input``), else the file's ``example_inputs`` (a tensor, a list or a
dict of tensors, or a function returning one), else ``example_inputs`` or ``example_input_array`` of
the module itself. Where all examples share their first size, that size is the dimension ``B``.
"""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from botec.calls import ITEM_BYTES
from botec.errors import BadInput, BotecError, ModelFailed, UnknownName, nearest
from botec.inputs import Input
from botec.read.from_torchvision import make_importable
from botec.read.given import with_inputs
from botec.read.source import Source

FORM = "FILE.py:NAME"
GIVE = 'say how it is called, such as --input "x=B,3,224,224"'


@dataclass(frozen=True)
class Named:
    """``NAME`` or ``NAME(arguments)`` as the user wrote it, taken apart."""

    path: tuple[str, ...]
    called: bool = False
    positional: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] | None = None

    def __str__(self) -> str:
        return ".".join(self.path)


def claims(text: str) -> bool:
    """Whether ``text`` is ``FILE.py:NAME`` (or a ``.py`` file without a NAME)."""
    return bool(
        re.match(r"[^:(]*\.py(:|$)", text) or re.match(r"[A-Za-z]:[\\/][^:(]*\.py(:|$)", text)
    )


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The network the file defines under NAME.

    Raises :class:`~botec.errors.BadInput` or :class:`~botec.errors.UnknownName` for a file or NAME
    that is not there or is no network, :class:`~botec.errors.ModelFailed` where the user's code
    raises; always in one line.
    """
    path, name = split(text)
    try:
        named = parse_name(name)
        file = execute(Path(path))
        make = maker(file, named, Path(path).parent)
        return described(text, asking(text, make), file, inputs)
    except BotecError as error:
        raise error.about(text) from error.__cause__


def asking(text: str, make: Callable[[], Any]) -> Callable[[], Any]:
    """``make``, with the question in front of what goes wrong in it."""

    def build() -> Any:
        try:
            return make()
        except BotecError as error:
            raise error.about(text) from error.__cause__

    return build


def source_of_module(module: Any, inputs: tuple[Input, ...] = (), name: str = "") -> Source:
    """A module the user holds, called with ``inputs``; ``build`` returns that same module."""
    import torch

    name = name or type(module).__name__
    if not isinstance(module, torch.nn.Module):
        raise BadInput(f"a {name} is no torch.nn.Module", "hand over a module", "read")
    return described(name, lambda: module, ModuleType("nowhere"), tuple(inputs))


def split(text: str) -> tuple[str, str]:
    """``("net.py", "Net")`` from ``net.py:Net``."""
    found = re.match(r"(.*?\.py)(?::(.*))?$", text, re.DOTALL)
    path, name = (found[1], found[2]) if found else (text, "")
    if not name:
        raise BadInput("no NAME after the file", f"name what it defines: {path}:Net", text)
    return path, name.strip()


def parse_name(text: str) -> Named:
    """``NAME`` or ``NAME(1, depth=3)``, by Python's own grammar; literals only."""
    do = "write a name, or a call with plain values, such as make(64, depth=3)"
    try:
        tree = ast.parse(text, mode="eval").body
        call = tree if isinstance(tree, ast.Call) else None
        path = dotted(call.func if call else tree)
        if not call:
            return Named(path)
        values = tuple(ast.literal_eval(value) for value in call.args)
        keywords = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords if one.arg}
        if len(keywords) < len(call.keywords):
            raise ValueError("** is no literal")
    except (SyntaxError, ValueError, TypeError):
        raise BadInput(f"{text!r} is no name or call with literals", do) from None
    return Named(path, True, values, keywords)


def dotted(tree: ast.expr) -> tuple[str, ...]:
    if isinstance(tree, ast.Attribute):
        return (*dotted(tree.value), tree.attr)
    if isinstance(tree, ast.Name):
        return (tree.id,)
    raise ValueError("no name")


def execute(path: Path) -> ModuleType:
    """The user's file as a module. What it prints goes to stderr, so that stdout stays the page."""
    if not path.is_file():
        near = nearest(path.name, [one.name for one in path.parent.glob("*.py")], most=1)
        raise BadInput("there is no such file", near or "check the path")
    make_importable()
    spec = importlib.util.spec_from_file_location(f"botec_file_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise BadInput("Python cannot import this file", "give a .py file")
    file = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = file
    with beside(path.parent), failing(f"{path.name} does not import", str(path)):
        spec.loader.exec_module(file)
    return file


@contextlib.contextmanager
def beside(folder: Path) -> Iterator[None]:
    """Modules beside the user's file can be imported; prints go to stderr."""
    sys.path.insert(0, str(folder.resolve()))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(str(folder.resolve()))


@contextlib.contextmanager
def failing(what: str, path: str = "") -> Iterator[None]:
    """Whatever the user's code raises, as one :class:`~botec.errors.ModelFailed`."""
    try:
        yield
    except (BotecError, KeyboardInterrupt):
        raise
    except BaseException as error:
        if without_data() and isinstance(error, Exception):
            raise  # it may want a tensor's values: whoever builds tries again with memory
        where = f" at line {line}" if (line := line_in(error, path)) else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        told = f": {message}" if message else ""
        do = "correct it, or see the whole of it with --debug"
        raise ModelFailed(f"{what}: {type(error).__name__}{where}{told}", do) from error


def without_data() -> bool:
    """Whether tensors made now have no data."""
    import torch

    return torch.get_default_device().type == "meta"


def line_in(error: BaseException, path: str) -> int | None:
    """The last line of the file at ``path`` that the error passed through."""
    if isinstance(error, SyntaxError):
        return error.lineno
    lines, trace = [], error.__traceback__
    while trace:
        if path and trace.tb_frame.f_code.co_filename.endswith(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return lines[-1] if lines else None


def maker(file: ModuleType, named: Named, folder: Path) -> Callable[[], Any]:
    """How to make the network NAME means. Raises for a NAME that is absent or makes no network."""
    import torch

    found = look_up(file, named)
    if isinstance(found, torch.nn.Module) and not named.called:
        return lambda: found
    if not callable(found) or isinstance(found, torch.nn.Module):
        seen = f"{named} is of type {type(found).__name__}" + (
            ", already made" if named.called else ""
        )
        raise BadInput(seen, "name a torch.nn.Module, a class of them, or a function making one")
    if inspect.isclass(found) and not issubclass(found, torch.nn.Module):
        raise BadInput(f"class {named} is no torch.nn.Module", "derive it from torch.nn.Module")
    check_arguments(found, named)
    return lambda: made(found, named, folder)


def look_up(file: ModuleType, named: Named) -> Any:
    """What NAME means in the file."""
    found: Any = file
    for part in named.path:
        if not hasattr(found, part):
            known = [name for name in vars(found) if not name.startswith("_")]
            do = nearest(part, known) or f"it defines {', '.join(known) or 'nothing'}"
            raise UnknownName(f"the file has no {named}", do)
        found = getattr(found, part)
    return found


def check_arguments(found: Any, named: Named) -> None:
    """Whether the arguments fit: the signature says so before any code of the user's runs."""
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*named.positional, **(named.keywords or {}))
    except TypeError as error:
        do = f"write them as {named}(64, depth=3)" if not named.called else "change the arguments"
        raise BadInput(f"{named}{signature}: {error}", do) from None


def made(found: Any, named: Named, folder: Path) -> Any:
    """What calling NAME gives, which must be a module."""
    import torch

    with (
        beside(folder),
        failing(f"{named} failed", getattr(inspect.getmodule(found), "__file__", "")),
    ):
        network = found(*named.positional, **(named.keywords or {}))
    if not isinstance(network, torch.nn.Module):
        seen = f"{named} returned an object of type {type(network).__name__}"
        raise BadInput(seen, "name a function that returns a torch.nn.Module")
    return network


def described(
    name: str, make: Callable[[], Any], file: ModuleType, inputs: tuple[Input, ...]
) -> Source:
    """The source, with inputs from wherever they are told."""
    own, defaults, arguments, notes = told(file, make, bool(inputs))
    if not own and not inputs:
        raise BadInput("nothing says how it is called", GIVE, name)
    return with_inputs(Source(name, make, own, defaults, {}, arguments, notes), inputs)


def told(file: ModuleType, make: Callable[[], Any], given: bool) -> tuple[Any, ...]:
    """Inputs, default sizes, plain arguments and notes from the examples, if there are any."""
    example = getattr(file, "example_inputs", None)
    if inspect.isfunction(example):
        with failing("example_inputs failed"):
            example = example()
    if example is None and not given:
        network = on_meta(make)
        for key in ("example_inputs", "example_input_array"):
            example = getattr(network, key, None) if example is None else example
    return ((), {}, {}, ()) if example is None else read_example(example)


def on_meta(make: Callable[[], Any]) -> Any:
    """The network without its data where it can be made so, to look at its attributes."""
    import torch

    try:
        with torch.device("meta"):
            return make()
    except BotecError:
        raise
    except Exception:
        return make()


def read_example(example: Any) -> tuple[Any, ...]:
    """What ``example_inputs`` shows: see the top of this file."""
    import torch

    if isinstance(example, torch.Tensor):
        example = (example,)
    if not isinstance(example, (tuple, list, Mapping)):
        seen = f"example_inputs is a {type(example).__name__}"
        raise BadInput(seen, "make it a tensor, or a list or dict of tensors")
    pairs = list(
        example.items() if isinstance(example, Mapping) else (("", one) for one in example)
    )
    tensors = [(name, one) for name, one in pairs if isinstance(one, torch.Tensor)]
    plain = {name: one for name, one in pairs if not isinstance(one, torch.Tensor)}
    if "" in plain:
        seen = f"example_inputs holds a {type(plain['']).__name__}"
        raise BadInput(seen, "pass what is no tensor by name, in a dict")
    batch = shared_size([one for _, one in tensors])
    own = tuple(shape_of(name, one, batch) for name, one in tensors)
    note = f"B is the first axis of the example inputs, {batch} there"
    return own, {"B": batch} if batch else {}, plain, (note,) if batch else ()


def shared_size(tensors: list[Any]) -> int | None:
    """The first size, where all tensors have the same."""
    sizes = {one.shape[0] if one.ndim else None for one in tensors}
    return sizes.pop() if len(sizes) == 1 else None


def shape_of(name: str, tensor: Any, batch: int | None) -> Input:
    """The :class:`~botec.inputs.Input` an example tensor shows."""
    dtype = str(tensor.dtype).removeprefix("torch.")
    if dtype not in ITEM_BYTES:
        raise BadInput(f"example input of type {dtype}", "use a type botec knows, such as float32")
    sizes: tuple[int | str, ...] = tuple(tensor.shape)
    sizes = ("B", *sizes[1:]) if batch else sizes
    whole = not (tensor.is_floating_point() or tensor.is_complex() or tensor.dtype.itemsize == 0)
    readable = whole and tensor.device.type != "meta" and tensor.numel()
    return Input(
        *sizes, dtype=dtype, name=name, below=max(2, int(tensor.max()) + 1) if readable else 2
    )
