"""Exact polynomials in named dimensions: the numbers botec computes with.

A :class:`Poly` is a map from monomials to whole coefficients; a monomial is a sorted tuple of
``(symbol, exponent)``. A symbol is the name of a dimension (``"B"``) or an atom that is computed
from dimensions, such as :class:`Floor`. Everything is exact: Python integers have no limit.

    >>> B, S = symbol("B"), symbol("S")
    >>> str(12 * B * S**2 + B * 4)
    '12*B*S**2 + 4*B'
    >>> (12 * B * S**2).at(B=2, S=10)
    2400
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True)
class Floor:
    """``⌊(base + shift) / divisor⌋``: how strided windows and padded buffers see a size."""

    base: str | Poly
    shift: int
    divisor: int

    def at(self, values: Mapping[str, Any]) -> Any:
        """Its value where every dimension has one."""
        base = values[self.base] if isinstance(self.base, str) else self.base.at(**values)
        return (base + self.shift) // self.divisor

    @property
    def names(self) -> frozenset[str]:
        """The dimensions it depends on."""
        return frozenset((self.base,)) if isinstance(self.base, str) else self.base.names

    def __str__(self) -> str:
        moved = f" {'+' if self.shift > 0 else '-'} {abs(self.shift)}" if self.shift else ""
        inside = f"({self.base}{moved})"
        whole = inside if self.shift or isinstance(self.base, Poly) else self.base
        return f"({whole}//{self.divisor})"


@dataclass(frozen=True)
class Log2:
    """The binary logarithm of a polynomial: what a fast transform costs."""

    of: Poly

    def at(self, values: Mapping[str, Any]) -> Any:
        """Its value where every dimension has one."""
        return log2(self.of.at(**values))

    @property
    def names(self) -> frozenset[str]:
        """The dimensions it depends on."""
        return self.of.names

    def __str__(self) -> str:
        return f"log2({self.of})"


Symbol: TypeAlias = str | Floor | Log2
Monomial: TypeAlias = tuple[tuple[Symbol, int], ...]


class Poly:
    """An exact polynomial. Immutable; adds, subtracts and multiplies with itself and numbers."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: Mapping[Monomial, int]) -> None:
        self.terms = {monomial: factor for monomial, factor in terms.items() if factor}
        self._hash: int | None = None

    def __add__(self, other: Poly | int) -> Poly:
        terms = dict(self.terms)
        for monomial, factor in as_poly(other).terms.items():
            terms[monomial] = terms.get(monomial, 0) + factor
        return Poly(terms)

    def __mul__(self, other: Poly | int) -> Poly:
        if not isinstance(other, Poly):
            return Poly({monomial: factor * other for monomial, factor in self.terms.items()})
        terms: dict[Monomial, int] = {}
        for left, a in self.terms.items():
            for right, b in other.terms.items():
                monomial = multiply_monomials(left, right)
                terms[monomial] = terms.get(monomial, 0) + a * b
        return Poly(terms)

    __radd__ = __add__
    __rmul__ = __mul__

    def __neg__(self) -> Poly:
        return self * -1

    def __sub__(self, other: Poly | int) -> Poly:
        return self + (-as_poly(other))

    def __rsub__(self, other: Poly | int) -> Poly:
        return as_poly(other) - self

    def __pow__(self, exponent: int) -> Poly:
        if exponent < 0:
            raise ArithmeticError(f"{self} to the power {exponent} is no polynomial")
        result = as_poly(1)
        for _ in range(exponent):
            result = result * self
        return result

    def __floordiv__(self, other: Poly | int) -> Poly:
        """The exact quotient by one term. Raises ``ArithmeticError`` where it is not exact."""
        if len(as_poly(other).terms) != 1:
            raise ArithmeticError(f"{other} is not one term")
        ((divisor, factor),) = as_poly(other).terms.items()
        terms = {}
        for monomial, own in self.terms.items():
            quotient = divide_monomials(monomial, divisor)
            if quotient is None or own % factor:
                raise ArithmeticError(f"{other} does not divide {self}")
            terms[quotient] = own // factor
        return Poly(terms)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            other = as_poly(other)
        return isinstance(other, Poly) and self.terms == other.terms

    def __hash__(self) -> int:
        if self._hash is None:
            constant = self.constant
            self._hash = hash(constant if constant is not None else frozenset(self.terms.items()))
        return self._hash

    def __bool__(self) -> bool:
        return bool(self.terms)

    @property
    def constant(self) -> int | None:
        """The number it is, or ``None`` where it depends on a dimension."""
        return None if any(self.terms) else self.terms.get((), 0)

    @property
    def names(self) -> frozenset[str]:
        """The dimensions it depends on."""
        found: set[str] = set()
        for monomial in self.terms:
            for name, _ in monomial:
                found |= {name} if isinstance(name, str) else name.names
        return frozenset(found)

    def at(self, **values: Any) -> Any:
        """Its value where every dimension is given: numbers or numpy arrays.

        Raises ``KeyError`` with the name of a dimension that is missing.
        """
        total: Any = 0
        for monomial, factor in self.terms.items():
            term: Any = factor
            for name, exponent in monomial:
                base = values[name] if isinstance(name, str) else name.at(values)
                term = term * base**exponent
            total = total + term
        return total

    def __str__(self) -> str:
        ordered = sorted(self.terms.items(), key=lambda term: order_of(term[0]))
        text = " + ".join(term_text(monomial, factor) for monomial, factor in ordered)
        return text.replace("+ -", "- ") or "0"

    def __repr__(self) -> str:
        return f"Poly({self})"


def symbol(name: Symbol) -> Poly:
    """The polynomial that is one dimension (or one atom)."""
    return Poly({((name, 1),): 1})


def as_poly(value: Poly | int) -> Poly:
    """``value`` as a polynomial."""
    return value if isinstance(value, Poly) else Poly({(): value})


def plain(value: Poly | int) -> Poly | int:
    """``value`` as a number where it is one."""
    constant = value.constant if isinstance(value, Poly) else None
    return value if constant is None else constant


def summed(parts: Mapping[Any, int]) -> Any:
    """The sum of formulas, each so many times; a number where no dimension is left."""
    terms: dict[Monomial, int] = {(): 0}
    for part, times in parts.items():
        for monomial, factor in as_poly(part).terms.items():
            terms[monomial] = terms.get(monomial, 0) + factor * times
    return plain(Poly(terms))


def product(sizes: Iterable[Any]) -> Any:
    """The product of numbers or polynomials; 1 of nothing."""
    result: Any = 1
    for size in sizes:
        result = result * size
    return result


def round_up(value: Any, unit: int) -> Any:
    """The next multiple of ``unit``: exact for numbers, an atom for polynomials."""
    value = plain(value)
    if isinstance(value, Poly):
        return unit * symbol(Floor(value, unit - 1, unit))
    return -(-value // unit) * unit


def log2(value: Any) -> Any:
    """The binary logarithm of a number, an array, or (as an atom) a polynomial."""
    value = plain(value)
    if isinstance(value, Poly):
        return symbol(Log2(value))
    if isinstance(value, (int, float)):
        return math.log2(value)
    import numpy

    return numpy.log2(value)


def at(value: Any, values: Mapping[str, Any]) -> Any:
    """A number as it is; a polynomial at the given values."""
    return value.at(**values) if isinstance(value, Poly) else value


def multiply_monomials(left: Monomial, right: Monomial) -> Monomial:
    """The monomial of a product: exponents add."""
    if not left or not right:
        return left or right
    powers = dict(left)
    for name, exponent in right:
        powers[name] = powers.get(name, 0) + exponent
    return tuple(sorted(powers.items(), key=lambda power: str(power[0])))


def divide_monomials(whole: Monomial, part: Monomial) -> Monomial | None:
    powers = dict(whole)
    for name, exponent in part:
        powers[name] = powers.get(name, 0) - exponent
    if any(exponent < 0 for exponent in powers.values()):
        return None
    return tuple((name, exponent) for name, exponent in powers.items() if exponent)


def order_of(monomial: Monomial) -> tuple[int, list[str]]:
    """Highest degree first, then by name."""
    return -sum(exponent for _, exponent in monomial), [str(name) for name, _ in monomial]


def term_text(monomial: Monomial, factor: int) -> str:
    powers = [f"{name}**{exp}" if exp > 1 else str(name) for name, exp in monomial]
    if factor == 1 and powers:
        return "*".join(powers)
    if factor == -1 and powers:
        return "-" + "*".join(powers)
    return "*".join([str(factor), *powers])
