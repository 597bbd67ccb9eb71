"""One call as a rule of a kernel sees it, and the steps a rule is written in.

A rule lists in order what the host code of an op takes, makes and gives back. Sizes of what is
taken are formulas. Where the host code chooses by size, the rule asks :meth:`Look.number` and
compares: at one point that is a whole number, over many points a :class:`Number`, which notes for
which of them the answer is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from botec.calls import ITEM_BYTES, Call, Tensor
from botec.ops.cuda.layouts import is_channels_last, is_packed
from botec.poly import Floor, Poly, as_poly, at, plain, round_up, symbol

TAKE, GIVE, OUT, HOST = "take", "give", "out", "host"
Step = tuple[str, Any, Any]


class Where(Protocol):
    """Points that host code chooses at: it answers for one, and remembers which agree with it."""

    def number(self, size: Any) -> Any:
        """A size as something to compare."""

    def positive(self, poly: Poly) -> bool:
        """Whether a formula is above zero."""

    def zero(self, poly: Poly) -> bool:
        """Whether a formula is zero."""

    def settle(self, number: Any, divisor: Any) -> int:
        """A whole quotient as the number it is."""


@dataclass(frozen=True)
class AtPoint:
    """One point: every size is a number."""

    point: Mapping[str, int]

    def number(self, size: Any) -> int:
        """The size there."""
        return int(at(size, self.point))


class Number(Poly):
    """A size to choose by, over many points at once: it compares like a whole number."""

    __slots__ = ("where",)

    def __init__(self, poly: Poly | int, where: Where) -> None:
        super().__init__(as_poly(poly).terms)
        self.where = where

    def made(self, poly: Poly | int) -> Any:
        """A result of arithmetic: a plain number where it is one."""
        bare = plain(poly)
        return Number(bare, self.where) if isinstance(bare, Poly) else bare

    def bare(self) -> Poly:
        """The formula alone."""
        return Poly(self.terms)

    def __add__(self, other: Any) -> Any:
        return self.made(self.bare() + bare(other))

    def __mul__(self, other: Any) -> Any:
        return self.made(self.bare() * bare(other))

    def __sub__(self, other: Any) -> Any:
        return self.made(self.bare() - bare(other))

    def __rsub__(self, other: Any) -> Any:
        return self.made(bare(other) - self.bare())

    def __neg__(self) -> Any:
        return self.made(-self.bare())

    __radd__ = __add__
    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        """By a number: an exact floor; else settled point by point."""
        if isinstance(other, Poly):
            return self.where.settle(self.bare(), bare(other))
        if self.multiple(other):
            return self.made(Poly({key: factor // other for key, factor in self.terms.items()}))
        if all(factor <= 0 for factor in self.terms.values()):
            return -self.made(symbol(Floor(-self.bare(), other - 1, other)))
        return self.made(symbol(Floor(self.bare(), 0, other)))

    def __rfloordiv__(self, other: Any) -> int:
        return self.where.settle(other, self.bare())

    def multiple(self, unit: int) -> bool:
        """Whether every term is a multiple of a number, whatever the sizes."""
        return all(factor % unit == 0 for factor in self.terms.values())

    def __mod__(self, other: int) -> Any:
        return 0 if self.multiple(other) else self - (self // other) * other

    def __eq__(self, other: object) -> bool:
        return self.where.zero(self.bare() - bare(other))

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        return not self.where.zero(self.bare())

    def __lt__(self, other: Any) -> bool:
        return self.where.positive(bare(other) - self.bare())

    def __gt__(self, other: Any) -> bool:
        return self.where.positive(self.bare() - bare(other))

    def __le__(self, other: Any) -> bool:
        return not self > other

    def __ge__(self, other: Any) -> bool:
        return not self < other

    def __index__(self) -> int:
        return self.where.settle(self.bare(), 1)

    __int__ = __index__


def bare(value: Any) -> Any:
    """A number or formula without the points it stands for."""
    return value.bare() if isinstance(value, Number) else as_poly(value)


@dataclass(frozen=True)
class Look:
    """One call as a rule sees it: the formulas, how its arguments lie in memory, and where."""

    call: Call
    strides: Mapping[str, Any]
    capability: int
    where: Any

    def __getitem__(self, name: str) -> Any:
        return self.call.arguments.get(name)

    def number(self, size: Any) -> Any:
        """A size as the number that host code chooses by."""
        return size if isinstance(size, int) else self.where.number(size)

    def layout(self, name: str) -> tuple[list[Any], list[Any]] | None:
        """Sizes and strides of an argument to choose by; ``None`` where nobody knows them."""
        tensor, strides = self[name], self.strides.get(name)
        if strides is None or not isinstance(tensor, Tensor):
            return None
        return [self.number(size) for size in tensor.shape], [self.number(one) for one in strides]

    def packed(self, name: str) -> bool:
        """Whether an argument's entries lie in row order without gaps."""
        layout = self.layout(name)
        return layout is None or is_packed(*layout)

    def packed_as(self, name: str, axes: tuple[int, ...]) -> bool:
        """Whether they lie so with the axes in another order."""
        layout = self.layout(name)
        if layout is None or len(layout[0]) != len(axes):
            return True
        shape, strides = layout
        return is_packed([shape[axis] for axis in axes], [strides[axis] for axis in axes])

    def channels_last(self, name: str) -> bool:
        """Whether an argument's channels lie innermost (``suggest_memory_format``)."""
        layout = self.layout(name)
        return layout is not None and is_channels_last(*layout)

    def copy(self, name: str) -> list[Step]:
        """A packed copy of an argument that is not packed."""
        return [] if self.packed(name) else take(name, bytes_of(self[name]))


def take(key: str, size: Any) -> list[Step]:
    """Memory for the kernel, under a name to give it back by."""
    return [(TAKE, key, size)]


def give(*keys: str) -> list[Step]:
    """Memory given back; what was not taken is passed over."""
    return [(GIVE, key, None) for key in keys]


def out(*places: int) -> list[Step]:
    """Outputs made, by their place among those the call made; none named means all the others."""
    return [(OUT, place, None) for place in places] or [(OUT, None, None)]


def bytes_of(tensor: Tensor, dtype: str = "") -> Any:
    """Bytes of a packed tensor of these entries."""
    return tensor.elements * ITEM_BYTES.get(dtype or tensor.dtype, 1)


def divided(size: Any, unit: int) -> Any:
    """How many units cover a size, as a formula."""
    return round_up(size, unit) // unit
