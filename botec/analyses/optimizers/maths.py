"""Arithmetic that means the same on numbers and on symbols: what the closed forms are written in.

A number takes the road that loses no digits (``expm1``, exact sums); a symbol becomes the textbook
expression, so that a proof speaks of the very function that computes.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from typing import Any

Term = Callable[[Any], Any]


def is_number(*values: Any) -> bool:
    """Whether all are plain numbers, not symbols."""
    return all(isinstance(value, (int, float, complex)) for value in values)


def root(value: Any) -> Any:
    """The square root; of a negative number the complex one."""
    if is_number(value):
        return cmath.sqrt(value) if value < 0 else math.sqrt(value)
    from sympy import sqrt

    return sqrt(value)


def sign(value: Any) -> Any:
    """-1, 0 or 1."""
    if is_number(value):
        return (value > 0) - (value < 0)
    from sympy import sign

    return sign(value)


def larger(one: Any, other: Any) -> Any:
    """The larger of two."""
    if is_number(one, other):
        return max(one, other)
    from sympy import Max

    return Max(one, other)


def smaller(one: Any, other: Any) -> Any:
    """The smaller of two."""
    if is_number(one, other):
        return min(one, other)
    from sympy import Min

    return Min(one, other)


def choose(condition: Any, yes: Any, no: Callable[[], Any]) -> Any:
    """``yes`` where the condition holds, else ``no()``; of symbols, both cases."""
    if isinstance(condition, bool):
        return yes if condition else no()
    from sympy import Piecewise

    return Piecewise((yes, condition), (no(), True))


def left_after(share: Any, steps: Any) -> Any:
    """1 - (1 - share)^steps: how much is gone when ``share`` goes at each step."""
    if not is_number(share, steps):
        return 1 - (1 - share) ** steps
    if isinstance(share, complex) or share >= 1:
        return 1 - (1 - share) ** steps
    return -math.expm1(steps * math.log1p(-share))


def split(steps: Any) -> tuple[Any, int]:
    """``t + 1`` as ``(t, 1)``: the symbol, and the whole steps beyond it."""
    more, symbol = steps.as_coeff_Add()
    return symbol, int(more)


def total(term: Term, steps: Any) -> Any:
    """The sum of ``term(1)`` to ``term(steps)``."""
    if is_number(steps):
        terms = [term(k) for k in range(1, steps + 1)]
        return math.fsum(terms) if is_number(*terms) else sum(terms)
    from sympy import Dummy, Sum

    symbol, more = split(steps)
    k = COUNTER.setdefault("k", Dummy("k", integer=True, positive=True))
    return Sum(term(k), (k, 1, symbol)) + sum(term(symbol + j) for j in range(1, more + 1))


def product(term: Term, steps: Any) -> Any:
    """The product of ``term(1)`` to ``term(steps)``."""
    if is_number(steps):
        return math.prod(term(k) for k in range(1, steps + 1))
    from sympy import Dummy, Product

    symbol, more = split(steps)
    k = COUNTER.setdefault("j", Dummy("j", integer=True, positive=True))
    return Product(term(k), (k, 1, symbol)) * math.prod(
        term(symbol + j) for j in range(1, more + 1)
    )


#: The counting symbols of all sums and of all products, so that equal ones are equal.
COUNTER: dict[str, Any] = {}


def gone(share: Term, steps: Any) -> Any:
    """1 - (1 - share(1)) ... (1 - share(steps)): what is gone when the shares differ."""
    if is_number(steps):
        shares = [share(k) for k in range(1, steps + 1)]
        if is_number(*shares) and max(shares, default=0) < 1:
            return -math.expm1(math.fsum(math.log1p(-each) for each in shares))
    return 1 - product(lambda k: 1 - share(k), steps)


def drift(start: Any, step: Any, decay: Any, steps: Any) -> Any:
    """Where w -> (1 - decay) w - step leads from ``start``: (1 - p) start - step p / decay.

    p = 1 - (1 - decay)^steps; without decay, start - steps step.
    """
    if decay == 0:
        return start - steps * step
    part = left_after(decay, steps)
    return start * (1 - part) - step * part / decay


def decayed(start: Any, step: Term, decay: Any, steps: Any) -> Any:
    """Where w -> (1 - decay) w - step(k) leads: d^t start - sum of d^(t-k) step(k), d = 1 - decay.

    Symbols carry d^t before the sum, which is the same.
    """
    if decay == 0:
        return start - total(step, steps)
    kept = 1 - decay
    if is_number(steps):
        return start * (1 - left_after(decay, steps)) - total(
            lambda k: kept ** (steps - k) * step(k), steps
        )
    return kept**steps * (start - total(lambda k: kept**-k * step(k), steps))
