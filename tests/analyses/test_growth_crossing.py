"""Crossovers against a walk over every size, and growth against the sizes themselves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.analyses.asymptote import degree, exponents, growth_words, leading, period, split
from botec.analyses.crossing import passes
from botec.poly import Floor, Poly, as_poly, log2, symbol

B, S, H = symbol("B"), symbol("S"), symbol("H")
FAR = 4000  # beyond every crossover the strategies below can make: see the bound in the test


@st.composite
def formulas(draw: Any) -> Poly:
    """Up to cubic, coefficients of both signs, with floors."""
    total = as_poly(0)
    for power in range(draw(st.integers(0, 3)) + 1):
        total = total + draw(st.integers(-30, 30)) * S**power
    if draw(st.booleans()):
        floor = Floor("S", draw(st.integers(-3, 7)), draw(st.integers(2, 6)))
        total = total + draw(st.integers(-40, 40)) * symbol(floor) ** draw(st.integers(1, 2))
    if draw(st.booleans()):
        floor = Floor(2 * symbol(Floor("S", 1, 2)) + 1, 0, 3)
        total = total + draw(st.integers(-40, 40)) * symbol(floor)
    return total


@settings(max_examples=300)
@given(formulas(), formulas(), st.integers(1, 5))
def test_a_crossover_is_where_every_later_size_agrees(high: Poly, low: Poly, start: int) -> None:
    behind = [size for size in range(start, FAR) if high.at(S=size) < low.at(S=size)]
    last = behind[-1] if behind else None
    found = passes(high, low, "S", {}, start)
    if last == FAR - 1:
        # Coefficients up to 70 with roots below 4000: whoever is behind there stays behind.
        assert found is None or found > FAR - 1
    else:
        assert found == (start if last is None else last + 1)


@pytest.mark.parametrize(
    ("high", "low", "expected"),
    [
        (S**2, 43008 * S, 43008),
        (B * S**2, 100 * B * S, 100),
        (S, 10**40 * as_poly(1), 10**40),
        (S, S + 1, None),
        (-1 * S, as_poly(5), None),
        (S**2 - 10 * S, as_poly(-25), 1),  # touches, never below
        (S**2 - 10 * S, as_poly(-24), 6),  # below only at 5
    ],
)
def test_crossovers_known_by_hand(high: Poly, low: Poly, expected: int | None) -> None:
    assert passes(high, low, "S", {"B": 7}) == expected


def test_a_logarithm_is_bisected_to_the_size() -> None:
    """n²/1000 against n·log₂ n: by walking, 2 < n < 13747 is behind."""
    found = passes(S**2, 1000 * S * log2(S), "S", {})
    walked = max(n for n in range(1, 20000) if n * n < 1000 * n * log2(n)) + 1
    assert found == walked


def test_floors_grow_as_what_they_are_of() -> None:
    floor = symbol(Floor("H", 31, 32))
    formula = 5 * B * floor**2 + 7 * B * H
    assert (degree(formula, "H"), period(formula, "H"), period(formula, "B")) == (2, 32, 1)
    assert growth_words([formula], ("B", "H")) == "O(B·H²)"
    high, low = split(formula, "H")
    assert (high, low) == (5 * B * floor**2, 7 * B * H)


def test_words_keep_what_nothing_outgrows() -> None:
    names = ("B", "S")
    formula = 3 * B * S + 8 * B**2 + S + 9
    assert growth_words([formula], names) == "O(B² + B·S)"
    assert exponents([formula], names) == "B²·S¹"
    assert growth_words([as_poly(5)], names) == "O(1)"
    assert growth_words([S * log2(S) + S], names) == "O(S·log₂(S))"
    assert growth_words([S * log2(S), S**2], names) == "O(S²)"
    assert exponents([S * log2(S)], names) == "B⁰·S¹·log¹ S"


@given(formulas())
def test_the_leading_term_is_the_whole_in_the_end(formula: Poly) -> None:
    """At 10**12 what is left out is less than a millionth."""
    far = 10**12
    total = formula.at(S=far)
    lead = leading([formula], ("S",))
    value = sum(factor * far ** dict(monomial).get("S", 0) for monomial, factor in lead.items())
    if degree(formula, "S") and value:
        assert abs(float(total / value) - 1) < 1e-6
