"""Polynomials through whole numbers, exactly: Newton's divided differences, in fractions.

Source: Newton's interpolation formula, as in Stoer & Bulirsch, Introduction to Numerical Analysis,
section 2.1.3; on a grid it is applied to one variable after the other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import lcm

from botec.poly import Floor, Poly, as_poly, product, symbol

Powers = tuple[int, ...]


def differences(across: Sequence[int], up: Sequence[Fraction | int]) -> list[Fraction]:
    """Newton's divided differences of the points, of order 0, 1, 2, …"""
    row, found = [Fraction(value) for value in up], list[Fraction]()
    for order in range(len(row)):
        found.append(row[0])
        row = [
            (row[place + 1] - row[place]) / (across[place + order + 1] - across[place])
            for place in range(len(row) - 1)
        ]
    return found


def degree_through(across: Sequence[int], up: Sequence[Fraction | int]) -> int:
    """The least degree of a polynomial through the points; one less than they are proves none."""
    orders = [order for order, value in enumerate(differences(across, up)) if value]
    return max(orders, default=0)


def through(across: Sequence[int], up: Sequence[Fraction | int]) -> list[Fraction]:
    """The polynomial through the points, as what each power is multiplied by."""
    found = [Fraction(0)] * len(across)
    basis = [Fraction(1)]
    for order, factor in enumerate(differences(across, up)):
        for power, value in enumerate(basis):
            found[power] += factor * value
        raised = [Fraction(0), *basis]
        for power, value in enumerate(basis):
            raised[power] -= across[order] * value
        basis = raised
    return found


def on_grid(
    axes: Sequence[Sequence[int]], values: Mapping[Powers, int | Fraction]
) -> dict[Powers, Fraction]:
    """The polynomial through values at every point of a grid: ``{(2, 1): 3}`` is ``3·x²·y``."""
    if not axes:
        return {(): Fraction(values[()])}
    first, *rest = axes
    rows = [
        on_grid(rest, {key[1:]: value for key, value in values.items() if key[0] == size})
        for size in first
    ]
    found: dict[Powers, Fraction] = {}
    for powers in rows[0]:
        for power, factor in enumerate(through(first, [row[powers] for row in rows])):
            found[(power, *powers)] = factor
    return found


def polynomial(terms: Mapping[Powers, Fraction], names: Sequence[str]) -> Poly:
    """A sum of powers of ``names`` with fractions before them, whole wherever it is asked.

    Whole terms stand for themselves; the others share one exact division.
    """
    whole: Poly = as_poly(0)
    above: Poly = as_poly(0)
    divisor = lcm(*(factor.denominator for factor in terms.values()))
    for powers, factor in terms.items():
        raised = (symbol(name) ** power for name, power in zip(names, powers, strict=True))
        one = as_poly(product(raised))
        if factor.denominator == 1:
            whole = whole + one * int(factor)
        else:
            above = above + one * int(factor * divisor)
    return whole + symbol(Floor(above, 0, divisor)) if above else whole


def value(terms: Mapping[Powers, Fraction], sizes: Sequence[int]) -> Fraction:
    """The sum of powers at some sizes."""
    parts = (
        factor * product(size**power for size, power in zip(sizes, powers, strict=True))
        for powers, factor in terms.items()
    )
    return sum(parts, Fraction(0))
