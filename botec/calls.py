"""One call of one op, as plain data: which op, with which tensors, giving which tensors.

A :class:`Tensor` has no data and no place; it has a shape, whose sizes are whole numbers or exact
polynomials (:mod:`botec.poly`), and a type. A :class:`Call` names every argument as the op's own
schema does, so that a fact about the op can ask for ``groups`` or ``weight`` by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botec.poly import Poly, product

Size = int | Poly

ITEM_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4,
    "uint64": 8, "int64": 8, "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8,
    "complex32": 4, "complex64": 8, "complex128": 16, "float8_e4m3fn": 1, "float8_e5m2": 1,
    "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float8_e8m0fnu": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """The type of a tensor: ``shape``, ``dtype``, and which axes are expanded (stride 0)."""

    shape: tuple[Size, ...]
    dtype: str = "float32"
    expanded: tuple[int, ...] = ()

    @cached_property
    def elements(self) -> Size:
        """How many entries it shows: the product of its sizes."""
        return product(self.shape)

    @cached_property
    def bytes(self) -> Size:
        """Bytes of its distinct entries: an expanded axis is stored, and read, once."""
        stored = [size for axis, size in enumerate(self.shape) if axis not in self.expanded]
        return product(stored) * ITEM_BYTES.get(self.dtype, 1)


@dataclass(frozen=True, eq=False)
class Call:
    """An op with its arguments by name and its outputs; shared by all its occurrences.

    ``arguments`` holds every argument the op was given: tensors as :class:`Tensor`, lists of
    tensors as tuples, everything else as plain numbers, texts, tuples and ``None``.
    ``view`` is true where the outputs are other looks at an input's memory.
    """

    op: str
    overload: str
    arguments: Mapping[str, Any]
    outputs: tuple[Tensor | None, ...]
    view: bool = False
    writes: tuple[str, ...] = field(default=())

    @cached_property
    def inputs(self) -> tuple[Tensor, ...]:
        """All tensors it was given, in the order of its arguments, lists opened."""
        return tuple(tensors_in(self.arguments.values()))

    @property
    def results(self) -> tuple[Tensor, ...]:
        """The outputs that exist (an op may leave some undefined)."""
        return tuple(output for output in self.outputs if output is not None)

    def __str__(self) -> str:
        operands = ", ".join(shape_text(tensor) for tensor in self.inputs)
        return f"{self.op}({operands}) -> {', '.join(map(shape_text, self.results))}"


def tensors_in(values: Any) -> Iterator[Tensor]:
    """Every :class:`Tensor` in ``values``, lists and tuples opened, in order."""
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from tensors_in(value)


def shape_text(tensor: Tensor) -> str:
    """``float32[32,3,224,224]``."""
    return f"{tensor.dtype}[{','.join(map(str, tensor.shape))}]"
