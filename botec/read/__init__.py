"""The front doors: whatever describes a network, and the :class:`Program` it becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botec.archive import SUFFIX, load
from botec.errors import BadInput, MissingPackage, nearest
from botec.inputs import Input
from botec.program import Program, Setting
from botec.read.target import capability_of

PRECISIONS = ("fp32", "bf16", "fp16", "amp-bf16", "amp-fp16")


def read(
    model: Any,
    *inputs: Input,
    train: bool = True,
    optimizer: str | None = "adamw",
    precision: str = "fp32",
    device: str = "cpu",
    checkpoint: bool = False,
    **dimensions: int,
) -> Program:
    """Read a network: a ``torch.nn.Module`` with its inputs, or a text such as ``"timm:vit_…"``.

    ``dimensions`` are the asked values of the inputs' names (``B=32``). ``optimizer`` is a name in
    ``torch.optim`` (``None``: gradients only). Raises :class:`botec.errors.BotecError` where the
    question cannot be answered, in one line.
    """
    setting = settle(train, optimizer, precision, device, checkpoint)
    for name, size in dimensions.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise BadInput(f"{name} is {size!r}", "give a whole number from 1", f"{name}={size}")
    if isinstance(model, str) and model.endswith(SUFFIX):
        return again(model, setting, dimensions)
    need_torch()
    from botec.read.doors import open_source
    from botec.read.from_file import source_of_module
    from botec.read.from_torch import read_source

    if isinstance(model, str):
        source = open_source(model, train, inputs)
    else:
        source = source_of_module(model, inputs)
    return read_source(source, setting, dimensions)


def again(path: str, setting: Setting, dimensions: dict[str, int]) -> Program:
    """A saved program at the asked dimensions.

    Raises :class:`BadInput` where it was read in another setting.
    """
    program = load(path)
    for name in ("train", "optimizer", "precision", "device", "checkpoint"):
        saved, asked = getattr(program.setting, name), getattr(setting, name)
        if saved != asked:
            raise BadInput(
                f"it was read with {name}={saved}",
                f"ask it so, or read it with {name}={asked}",
                path,
            )
    return replace(program, asked=program.point(dimensions))


def settle(
    train: bool, optimizer: str | None, precision: str, device: str, checkpoint: bool
) -> Setting:
    """The setting of a step, every word of it checked."""
    if precision not in PRECISIONS:
        do = nearest(precision, PRECISIONS) or f"use one of {', '.join(PRECISIONS)}"
        raise BadInput(f"precision {precision!r} is not known", do, f"--precision {precision}")
    if capability_of(device) is not None and precision.startswith("amp"):
        seen = f"autocast's lists are followed on the CPU only, not on {device!r}"
        raise BadInput(seen, "use --device cpu, or bf16", f"--precision {precision}")
    return Setting(
        train=train,
        optimizer=optimizer if train else None,
        precision=precision,
        device=device,
        checkpoint=checkpoint and train,
    )


def need_torch() -> None:
    """Raises :class:`MissingPackage` where torch is not installed."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingPackage(
            "PyTorch is not installed", 'pip install "botec[zoo]"', "reading a network"
        ) from error
