"""Words the facts share: how many numbers a tensor holds, and how often an axis is gone through."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from botec.calls import Size, Tensor
from botec.poly import product

COMPLEX = frozenset({"complex32", "complex64", "complex128"})
WHOLE = frozenset(
    {"bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"}
)


def aten(names: str) -> tuple[str, ...]:
    """The framework's full names of these ops, given in one text."""
    return tuple(f"aten.{name}" for name in names.split())


def parts(tensor: Tensor) -> int:
    """Floating-point numbers in one entry: two of a complex tensor, none of an integer one."""
    if tensor.dtype in WHOLE:
        return 0
    return 2 if tensor.dtype in COMPLEX else 1


def reals(tensor: Tensor) -> Size:
    """Floating-point numbers in ``tensor``."""
    return tensor.elements * parts(tensor)


def all_reals(tensors: Iterable[Tensor]) -> Size:
    """:func:`reals` of all ``tensors`` together."""
    return sum(reals(tensor) for tensor in tensors)


def all_bytes(tensors: Iterable[Tensor]) -> Size:
    """Bytes of all ``tensors`` together."""
    return sum(tensor.bytes for tensor in tensors)


def per_product(*operands: Tensor) -> int:
    """Real multiply-adds in one scalar multiply-add: 4 where the numbers are complex.

    (a + bi)(c + di) takes four products; with the sum it is added to, four multiply-adds.
    """
    return 4 if any(operand.dtype in COMPLEX for operand in operands) else 1


def lines(shape: Sequence[Size], axis: int) -> Size:
    """How many lines run along ``axis``: the product of the other sizes."""
    return product(shape) if not shape else product(others(shape, axis))


def others(shape: Sequence[Size], axis: int) -> tuple[Size, ...]:
    """The sizes but that of ``axis`` (which may count from the end)."""
    place = axis % len(shape)
    return (*shape[:place], *shape[place + 1 :])


def fraction(total: Any, divisor: int) -> Any | None:
    """``total / divisor`` where that is whole for every size, else ``None``: nobody can tell."""
    try:
        return total // divisor
    except ArithmeticError:
        return None


def given(number: Any, *unless: Any) -> int:
    """1 where an option is set to something that costs, 0 where it is absent or one of ``unless``.

    A number the recorder could not represent (``None``) is taken as absent.
    """
    return 0 if number is None or number in unless else 1
