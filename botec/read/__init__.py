"""The front doors: whatever describes a network, and the :class:`Program` it becomes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from operator import index
from typing import Any

from botec.archive import SUFFIX, load
from botec.errors import BadInput, MissingPackage
from botec.inputs import Input, parse_input
from botec.program import Program
from botec.read.settings import CHOICES, PRECISIONS, settle

__all__ = ["CHOICES", "PRECISIONS", "again", "as_input", "need_torch", "read", "settle", "whole"]


def read(
    model: Any,
    *inputs: Input,
    train: bool = True,
    optimizer: Any = "adamw",
    precision: str = "fp32",
    device: str = "cpu",
    checkpoint: bool = False,
    **dimensions: Any,
) -> Program:
    """Read a network: a ``torch.nn.Module`` with its inputs, or a text such as ``"timm:vit_…"``.

    ``dimensions`` are the asked values of the inputs' names (``B=32``). ``optimizer`` is a name in
    ``torch.optim`` (``None``: gradients only) with its arguments, ``"sgd(momentum=0.9)"``, or
    ``"FILE.py:Class"``, or a class or function that makes one of a list of weights. Further
    choices, by the names of :class:`botec.program.Setting`:

    * ``checkpoint_how``: ``"reentrant"``, ``"every=2"``, ``"save=matmuls"``, ``"save=attention"``;
    * ``accumulate``: micro-batches a step (a batch in the dimensions is one of them);
      ``zero_grad``: ``"after"`` the step, ``"before"`` forward, ``"between"`` forward and
      backward, ``"keep"``; ``first_step``: the step in which the optimizer's states are born;
    * ``master``: fp32 copies of 16-bit weights; ``scaler``: a gradient scaler for fp16;
    * ``freeze`` and ``train_only``: patterns of weight names; ``lora``: ``"r=8,targets=q,v"``;
    * ``attention``: ``"sdpa"`` or ``"eager"``, of a model of transformers.

    Raises :class:`botec.errors.BotecError` where the question cannot be answered, in one line.
    """
    more = {name: dimensions.pop(name) for name in CHOICES if name in dimensions}
    setting = settle(train, optimizer, precision, device, checkpoint, **more)
    point = {name: whole(name, size) for name, size in dimensions.items()}
    saved = isinstance(model, str) and model.endswith(SUFFIX)
    if saved or isinstance(model, Program):
        known = {name: getattr(setting, name) for name in CHOICES}
        program = load(model) if saved else model
        return again(program, {**known, **point}, model if saved else program.name)
    need_torch()
    from botec.read.doors import open_source
    from botec.read.from_file import source_of_module
    from botec.read.from_torch import read_source

    if isinstance(model, str):
        source = open_source(model, train, inputs)
    else:
        source = source_of_module(model, tuple(as_input(one) for one in inputs))
    maker = None if optimizer is None or isinstance(optimizer, str) else optimizer
    program = read_source(source, setting, point, maker)
    return source.finish(program) if source.finish else program


def again(program: Program, options: Mapping[str, Any], asked: str = "") -> Program:
    """A program that was read before, at the dimensions among ``options``.

    Raises :class:`BadInput` where another option says it should have been read otherwise.
    """
    for name in CHOICES:
        was = getattr(program.setting, name)
        if name in options and options[name] != was:
            do = f"ask it so, or read the model again with {name}={options[name]}"
            raise BadInput(f"it was read with {name}={was}", do, asked or program.name)
    point = {name: whole(name, size) for name, size in options.items() if name not in CHOICES}
    return replace(program, asked=program.point(point))


def whole(name: str, size: Any) -> int:
    """A size as a plain whole number. Raises :class:`BadInput` for what is none."""
    try:
        number = index(size)
    except TypeError:
        number = 0
    if number < 1 or isinstance(size, bool):
        raise BadInput(f"{name} is {size!r}", "give a whole number from 1", f"{name}={size}")
    return number


def as_input(given: Any) -> Input:
    """An :class:`Input` of whatever describes one: a text, a shape, or an example tensor."""
    if isinstance(given, Input):
        return given
    if isinstance(given, str):
        return parse_input(given)
    if isinstance(given, (tuple, list)):
        return Input(*given)
    if hasattr(given, "shape") and hasattr(given, "dtype"):
        return Input(*map(int, given.shape), dtype=str(given.dtype).removeprefix("torch."))
    raise BadInput(
        f"an input of type {type(given).__name__}", 'give botec.Input("B", 3, 224, 224)', "inputs"
    )


def need_torch() -> None:
    """Raises :class:`MissingPackage` where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            "PyTorch is not installed", 'pip install "botec[zoo]"', "reading a network"
        ) from error
