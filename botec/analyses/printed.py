"""Formulas as sympy writes them, factored: for reading on, in another tool or on paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botec.analyses.quantities import Known
from botec.errors import MissingPackage
from botec.poly import Log2, Symbol, as_poly
from botec.program import Stream
from botec.report import Section, Text


def section(known: Mapping[str, Known], stream: Stream) -> Section:
    """Every figure of a stream. Raises :class:`MissingPackage` where sympy is not installed."""
    lines = (f"{one.key} = {by_sympy(one.of(stream))}" for one in known.values())
    return Section("Formulas, by sympy", tuple(Text(line, "formula") for line in lines))


def by_sympy(formulas: Iterable[Any]) -> str:
    """The maximum of formulas as sympy's text, each of them factored; dimensions are positive.

    Raises :class:`MissingPackage`.
    """
    try:
        import sympy
    except ImportError:
        do = "run pip install sympy, or leave --sympy out"
        raise MissingPackage("the package sympy is not installed", do, "--sympy") from None
    found = [sympy.factor(expression(one, sympy)) for one in formulas]
    return str(found[0] if len(found) == 1 else sympy.Max(*found, evaluate=False))


def expression(formula: Any, sympy: Any) -> Any:
    """A formula as sympy's expression, exact."""
    parts = (
        sympy.Mul(factor, *(symbol_of(base, sympy) ** power for base, power in monomial))
        for monomial, factor in as_poly(formula).terms.items()
    )
    return sympy.Add(*parts)


def symbol_of(base: Symbol, sympy: Any) -> Any:
    if isinstance(base, str):
        return sympy.Symbol(base, integer=True, positive=True)
    if isinstance(base, Log2):
        return sympy.log(expression(base.of, sympy), 2)
    inner = symbol_of(base.base, sympy) if isinstance(base.base, str) else None
    inner = expression(base.base, sympy) if inner is None else inner
    return sympy.floor((inner + base.shift) / sympy.Integer(base.divisor))
