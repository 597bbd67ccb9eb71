"""Expressions: what they mean against Python's own arithmetic, and that nothing else gets in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from botec.analyses.bounds import possible, truths
from botec.analyses.expression import CONDITION, NUMBER, expression
from botec.errors import BadInput, BotecError, UnknownName

KNOWN = ("B", "S", "memory.peak", "flops.step")
VALUES = {"B": np.array([1, 2, 30]), "S": np.array([4, 5, 6]), "memory.peak": np.array([7, 8, 9])}


@st.composite
def numbers(draw: Any, depth: int = 3) -> str:
    if depth == 0 or draw(st.booleans()):
        return draw(st.sampled_from(["B", "S", "memory.peak", "3", "2.5", "1e2"]))
    left, right = draw(numbers(depth - 1)), draw(numbers(depth - 1))
    sign = draw(st.sampled_from(["+", "-", "*", "/"]))
    return draw(st.sampled_from([f"({left} {sign} {right})", f"-{left}", f"{left}{sign}{right}"]))


@st.composite
def conditions(draw: Any, depth: int = 2) -> str:
    if depth == 0 or draw(st.booleans()):
        signs = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
        chain = f"{draw(numbers(2))} {draw(signs)} {draw(numbers(2))}"
        return f"{chain} {draw(signs)} {draw(numbers(1))}" if draw(st.booleans()) else chain
    left, right = draw(conditions(depth - 1)), draw(conditions(depth - 1))
    word = draw(st.sampled_from(["and", "or"]))
    return draw(st.sampled_from([f"({left}) {word} ({right})", f"not ({left})"]))


class Peak:
    """What ``memory.peak`` is to Python's ``eval``, the judge of this file."""

    def __init__(self, peak: float) -> None:
        self.peak = peak


def judged(text: str, place: int) -> Any:
    """What Python makes of it at one point; ``None`` where it divides by nothing."""
    names = {"B": float(VALUES["B"][place]), "S": float(VALUES["S"][place])}
    try:
        return eval(text, {"__builtins__": {}}, {**names, "memory": Peak(7.0 + place)})
    except ZeroDivisionError:
        return None


@settings(max_examples=200)
@given(numbers())
def test_numbers_are_pythons(text: str) -> None:
    found = np.broadcast_to(expression(text, KNOWN).at(VALUES), (3,))
    for place in range(3):
        value = judged(text, place)
        if value is not None:
            assert found[place] == pytest.approx(value, rel=1e-12, abs=1e-12)


@settings(max_examples=200)
@given(conditions())
def test_conditions_are_pythons(text: str) -> None:
    found = np.broadcast_to(expression(text, KNOWN, CONDITION).at(VALUES), (3,))
    for place in range(3):
        value = judged(text, place)
        if value is not None:
            assert bool(found[place]) == bool(value)


@settings(max_examples=500)
@given(
    st.text(max_size=40)
    | st.text("BS.()<>=+-*/ 0123456789eandornotGiB_'\"[]{}:,;@~^|&%", max_size=40)
)
def test_any_text_is_an_expression_or_refused(text: str) -> None:
    for kind in (NUMBER, CONDITION):
        with suppress(BotecError):
            expression(text, KNOWN, kind).at(VALUES | {"flops.step": np.array([1, 2, 3])})


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('x')", "(lambda: 1)()", "[B for B in (1,)]", "B if S else 1",
        "B := 3", "f'{B}'", "B[0]", "{1: 2}", "'a' < 'b'", "True", "None", "1j", "...", "B**9**9",
        "B @ S", "B % S", "B // S", "~B", "B << 1", "(1, 2)", "B is S", "B in S", "await B", "*B",
        "B.__class__", "memory.peak.__class__", "(B).real", "B;S", "B\nS", "", " ", "-", "1 2",
        "1GB2", "3XB", "\0", "B" * 501, "(" * 200, "9" * 400 + "e" + "9" * 40,
    ],
)  # fmt: skip
def test_nothing_else_gets_in(text: str) -> None:
    for kind in (NUMBER, CONDITION):
        with pytest.raises(BotecError):
            expression(text, KNOWN, kind)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("24GiB", 24 * 2**30), ("1.5 * 2KiB", 3072), ("80GB", 80 * 10**9), ("3k", 3000),
        ("2.5ms", 0.0025), ("1T", 10**12), ("2min", 120), ("24B", 24), ("1e3", 1000), ("7", 7),
    ],
)  # fmt: skip
def test_numbers_with_units(text: str, value: float) -> None:
    assert expression(text, KNOWN).at({}) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "kind", "line"),
    [
        ("memory.peek<1", CONDITION, "memory.peek is no figure of this; did you mean memory.peak?"),
        ("zzz < 1", CONDITION, "zzz is no figure of this; use B, S, memory.peak, flops.step"),
        ("memory.peak", CONDITION, "it is a number where a condition belongs"),
        ("B < 3", NUMBER, "it is a condition where a number belongs"),
        ("(B < 3) + 1", NUMBER, "(B < 3) + 1 is not understood"),
        ("B and S", CONDITION, "B and S is not understood"),
        ("B < 3X", CONDITION, "it is no expression"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said(text: str, kind: str, line: str) -> None:
    with pytest.raises((BadInput, UnknownName)) as caught:
        expression(text, KNOWN, kind)
    assert str(caught.value).startswith(f"{text}: {line}")


def test_a_chain_holds_where_all_of_it_does() -> None:
    assert expression("1 < B < 10", KNOWN, CONDITION).at(VALUES).tolist() == [False, True, False]


def test_large_whole_numbers_do_not_wrap() -> None:
    big = {"B": np.array([2**61]), "S": np.array([2**61])}
    assert expression("B * S", KNOWN).at(big)[0] == pytest.approx(2.0**122)
    assert expression("B + S + B", KNOWN).at(big)[0] == pytest.approx(3 * 2.0**61)
    assert expression("0 - B - S - S", KNOWN).at(big)[0] == pytest.approx(-3 * 2.0**61)


# --- names that are only known to lie between two values ------------------------------------------


@settings(max_examples=300)
@given(conditions(), st.integers(0, 9), st.lists(st.integers(-9, 9), min_size=3, max_size=3))
def test_what_cannot_hold_holds_for_no_value_between(
    text: str, width: int, lows: list[int]
) -> None:
    """Every whole number between is tried: none is kept out that meets the condition, and what is
    said to hold for certain holds for all."""
    asked = expression(text, KNOWN, CONDITION)
    least = {**VALUES, "memory.peak": np.array(lows)}
    most = {**VALUES, "memory.peak": np.array(lows) + width}
    certain, may = (np.broadcast_to(one, (3,)) for one in truths(asked.tree, least, most))
    for step in range(width + 1):
        values = {**VALUES, "memory.peak": np.array(lows) + step}
        held = np.broadcast_to(np.asarray(asked.at(values), bool), (3,))
        assert not np.any(held & ~may), step
        assert not np.any(certain & ~held), step


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("memory.peak < 8", [True, False, False]),
        ("memory.peak <= 8 and S > 1", [True, True, False]),
        ("8 > memory.peak > B", [True, False, False]),
        ("not memory.peak < 8", [True, True, True]),
        ("memory.peak * 2 - 1 < B", [False, False, True]),
        ("memory.peak / B < 4", [False, False, True]),
        ("B > 1 or memory.peak < 8", [True, True, True]),
        ("1 / memory.peak > 0.2", [False, False, False]),
        ("memory.peak == 3", [False, False, False]),
    ],
)
def test_what_only_has_a_floor_keeps_out_what_is_below_it(text: str, may: list[bool]) -> None:
    asked = expression(text, KNOWN, CONDITION)
    found = possible(asked, VALUES, {**VALUES, "memory.peak": np.inf})
    assert np.broadcast_to(found, (3,)).tolist() == may
