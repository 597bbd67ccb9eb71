"""How a formula grows: degrees, leading terms, and the words for them.

A floor grows as what it is the floor of, over its divisor; a logarithm is less than any power.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import lcm
from typing import Any, TypeAlias

from botec.poly import (
    Floor,
    Log2,
    Monomial,
    Poly,
    Symbol,
    as_poly,
    multiply_monomials,
    order_of,
)
from botec.units import Quantity

Terms: TypeAlias = dict[Monomial, Fraction]
Order: TypeAlias = tuple[int, int]  # the degree, and that of the logarithms beside it

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def degree(poly: Any, name: str) -> int:
    """The highest power of a dimension in a formula."""
    return max((monomial_degree(monomial, name) for monomial in as_poly(poly).terms), default=0)


def monomial_degree(monomial: Monomial, name: str) -> int:
    """The power of a dimension in one term, through its floors."""
    return sum(exponent * symbol_degree(base, name) for base, exponent in monomial)


def symbol_degree(base: Symbol, name: str) -> int:
    if isinstance(base, Floor):
        return int(base.base == name) if isinstance(base.base, str) else degree(base.base, name)
    return int(base == name)


def period(poly: Any, name: str) -> int:
    """After how many steps of a dimension its floors repeat: on every such lattice the formula is
    a polynomial."""
    symbols = {base for monomial in as_poly(poly).terms for base, _ in monomial}
    inner = (symbol_period(base, name) for base in symbols if isinstance(base, Floor))
    return lcm(1, *inner)


def symbol_period(base: Floor, name: str) -> int:
    if isinstance(base.base, str):
        return base.divisor if base.base == name else 1
    return base.divisor * period(base.base, name) if name in base.base.names else 1


def in_logarithm(poly: Any, name: str) -> bool:
    """Whether a dimension stands inside a logarithm."""
    return any(
        isinstance(base, Log2) and name in base.names
        for monomial in as_poly(poly).terms
        for base, _ in monomial
    )


def split(poly: Any, name: str) -> tuple[Poly, Poly]:
    """The terms with the highest power of a dimension, and the rest."""
    terms = as_poly(poly).terms
    orders = {monomial: order(monomial, name) for monomial in terms}
    most = max(orders.values(), default=(0, 0))
    high = {monomial: factor for monomial, factor in terms.items() if orders[monomial] == most}
    low = {monomial: factor for monomial, factor in terms.items() if orders[monomial] != most}
    return Poly(high), Poly(low)


def order(monomial: Monomial, name: str) -> Order:
    """How one term grows in a dimension: its power, then its logarithms."""
    logs = sum(e for base, e in monomial if isinstance(base, Log2) and name in base.names)
    return monomial_degree(monomial, name), logs


def smooth(poly: Any) -> Terms:
    """The formula without its floors: ``⌊(x + b) / c⌋`` as ``x / c``, the lower terms left out."""
    found: Terms = {}
    for monomial, factor in as_poly(poly).terms.items():
        product: Terms = {(): Fraction(factor)}
        for base, exponent in monomial:
            for _ in range(exponent):
                product = times(product, smooth_symbol(base))
        for key, value in product.items():
            found[key] = found.get(key, Fraction(0)) + value
    return {key: value for key, value in found.items() if value}


def smooth_symbol(base: Symbol) -> Terms:
    if not isinstance(base, Floor):
        return {((base, 1),): Fraction(1)}
    inside = smooth(base.base) if isinstance(base.base, Poly) else {((base.base, 1),): Fraction(1)}
    return {key: value / base.divisor for key, value in inside.items()}


def times(left: Terms, right: Terms) -> Terms:
    found: Terms = {}
    for one, a in left.items():
        for other, b in right.items():
            key = multiply_monomials(one, other)
            found[key] = found.get(key, Fraction(0)) + a * b
    return found


def leading(polys: Iterable[Any], names: Iterable[str]) -> Terms:
    """The terms none other outgrows, of the largest of some formulas."""
    names, found = tuple(names), dict[Monomial, Fraction]()
    for poly in polys:
        for key, value in smooth(poly).items():
            found[key] = max(value, found.get(key, value))
    return {key: found[key] for key in found if not outgrown(key, found, names)}


def outgrown(monomial: Monomial, terms: Mapping[Monomial, Any], names: Iterable[str]) -> bool:
    own = [order(monomial, name) for name in names]
    for other in terms:
        theirs = [order(other, name) for name in names]
        if theirs != own and all(a <= b for a, b in zip(own, theirs, strict=True)):
            return True
    return False


def growth_words(polys: Iterable[Any], names: Iterable[str]) -> str:
    """``"O(B·S²)"``; ``"O(1)"`` where nothing grows."""
    terms = sorted(leading(polys, names), key=order_of)
    return f"O({' + '.join(monomial_text(monomial) or '1' for monomial in terms) or '1'})"


def exponents(polys: Iterable[Any], names: Iterable[str]) -> str:
    """``"B¹·S²"``: the highest power of each dimension, and its logarithm where it has one."""
    polys = [as_poly(poly) for poly in polys]
    parts = []
    for name in names:
        found = (order(monomial, name) for poly in polys for monomial in poly.terms)
        power, logs = max(found, default=(0, 0))
        parts.append(f"{name}{raised(power)}" + (f"·log{raised(logs)} {name}" if logs else ""))
    return "·".join(parts)


def raised(exponent: int) -> str:
    return str(exponent).translate(SUPERSCRIPTS)


def monomial_text(monomial: Monomial) -> str:
    """``"B·S²"``, ``"n·log₂(n)"``; nothing for the constant."""
    ordered = sorted(monomial, key=lambda power: (isinstance(power[0], Log2), str(power[0])))
    return "·".join(
        symbol_text(base) + (raised(exponent) if exponent > 1 else "") for base, exponent in ordered
    )


def symbol_text(base: Symbol) -> str:
    return f"log₂({base.of})" if isinstance(base, Log2) else str(base)


def terms_text(terms: Terms) -> str:
    """``"1,847,296·B·S²"``: leading terms with what they are multiplied by."""
    texts = []
    for monomial, factor in sorted(terms.items(), key=lambda term: order_of(term[0])):
        number = factor_text(factor)
        name = monomial_text(monomial)
        short = {"1": name, "-1": f"-{name}"}.get(number) if name else number
        texts.append(short or f"{number}·{name}")
    return " + ".join(texts).replace("+ -", "- ") or "0"


def factor_text(factor: Fraction) -> str:
    """Exact where it is whole, short where it is not."""
    if factor.denominator == 1:
        return Quantity(int(factor)).exact
    return str(Quantity(float(factor)))
