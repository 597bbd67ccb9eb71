"""Which sizes of its input a model takes: it is run on shapes at each, and says so itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch

from botec.inputs import Input
from botec.program import Setting
from botec.read.build import build, on_meta
from botec.read.from_torch import asked_point
from botec.read.given import hushed
from botec.read.source import Source
from botec.read.step import inputs_at


def accepted(
    source: Source, given: Mapping[str, int], axes: Iterable[int], tried: Iterable[int]
) -> list[int]:
    """The sizes among ``tried`` with which the model runs, all ``axes`` of its first input alike.

    In ``eval`` mode, on tensors without data: what only real data would refuse is not seen.
    """
    point = asked_point(source, Setting(train=False), given)
    places = tuple(axes)
    module = build(source)
    with hushed(), on_meta(module), torch.no_grad():
        module.eval()
        return [size for size in tried if runs(module, resized(source, point, places, size), point)]


def resized(source: Source, point: Mapping[str, int], axes: tuple[int, ...], size: int) -> Source:
    """The source with some axes of its first input of another size."""
    first = source.inputs[0]
    sizes = [
        size if axis in axes else one if isinstance(one, int) else point[one]
        for axis, one in enumerate(first.sizes)
    ]
    changed = Input(*sizes, dtype=first.dtype, name=first.name, below=first.below)
    return Source(source.name, source.build, (changed, *source.inputs[1:]), {}, {},
                  source.arguments)  # fmt: skip


def runs(module: object, source: Source, point: Mapping[str, int]) -> bool:
    """Whether the module's forward pass goes through."""
    positional, keywords = inputs_at(source, Setting(train=False), point)
    try:
        module(*positional, **keywords)  # type: ignore[operator]
    except Exception:
        return False
    return True
