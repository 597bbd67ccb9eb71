"""Axes of a build: what is typed, the lattice between, and what is no axis."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botec.analyses.axes import Axis, parse_axes, parse_axis
from botec.analyses.interpolate import degree_through, on_grid, polynomial, through, value
from botec.errors import BadInput


def test_fields_of_one_text_go_together_and_texts_cross() -> None:
    first, second = parse_axes(["hidden=1024,512 heads=16,8", "layers=2,4"])
    assert (first.name, first.values, dict(first.beside)) == (
        "hidden",
        (512, 1024),
        {"heads": (8, 16)},
    )
    assert first.fields(1536) == {"hidden": 1536, "heads": 24}
    assert first.said() == "heads = hidden/64"
    assert (second.values, second.said()) == ((2, 4), "")


def test_sizes_between_and_beyond_lie_on_the_lattice() -> None:
    axis = parse_axis("k=16,32,64")
    assert (axis.step, list(islice(axis.sizes(), 6))) == (16, [16, 32, 64, 48, 80, 96])
    assert axis.beyond(64) == 144
    assert parse_axis("text_config.k=3,5").symbol == "text_config_k"


def test_fields_on_no_line_have_no_sizes_but_those_asked() -> None:
    axis = parse_axis("k=2,4,8 j=1,3,4")
    assert list(axis.sizes()) == [2, 4, 8]
    assert (axis.fields(4), axis.fields(6)) == ({"k": 4, "j": 3}, None)
    assert axis.beyond(8) is None
    assert axis.said() == "j = 1, 3, 4"
    assert parse_axis("k=2,4 j=5,5").said() == "j = 5"
    assert parse_axis("k=2,4 j=5,9").said() == "j = 2*k + 1"
    assert Axis("k", (4, 8), {"j": (1, 2)}).fields(6) is None  # half a head


def test_one_size_is_enough_where_nothing_is_fitted() -> None:
    (axis,) = parse_axes(["k=3 j=5"], least=1)
    assert (axis.values, axis.step, axis.fields(3)) == ((3,), 3, {"k": 3, "j": 5})


@pytest.mark.parametrize(
    ("texts", "line"),
    [
        (["k=2"], "k needs 2 sizes or more, all different"),
        (["k=2,2"], "k needs 2 sizes or more"),
        (["k=2,4 j=1"], "k and j have different numbers of sizes"),
        (["k=2,x"], "k is 'x'; give whole numbers from 1"),
        (["k=2,-4"], "k is '-4'"),
        (["k=0,4"], "k is '0'"),
        (["k=2,99999999999999999999"], "k is '99999999999999999999'"),
        (["k"], "'k' names no field and its sizes"),
        (["2=3,4"], "'2=3,4' names no field"),
        (["k=1,2 k=3,4"], "'k=3,4' names no field"),
        ([""], "no field is named"),
        (["k=1,2", "k=3,4"], "k is varied twice; name each field once"),
        (["k=1,2", "j=3,4 k=1,2"], "k is varied twice"),
    ],
)
def test_what_is_no_axis(texts: list[str], line: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_axes(texts)
    assert line in str(caught.value)
    assert str(caught.value).startswith("--vary")


# --- polynomials through whole numbers ---------------------------------------------------------


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=5), st.integers(1, 9))
def test_the_polynomial_through_its_own_values_is_itself(factors: list[int], step: int) -> None:
    sizes = [step * (place + 1) for place in range(len(factors) + 1)]
    values = [sum(factor * x**power for power, factor in enumerate(factors)) for x in sizes]
    assert through(sizes, values) == [*map(Fraction, factors), 0]
    degree = max((power for power, factor in enumerate(factors) if factor), default=0)
    assert degree_through(sizes, values) == degree


def test_a_power_of_two_is_no_polynomial_of_a_lower_degree() -> None:
    assert degree_through([1, 2, 3, 4, 5], [2, 4, 8, 16, 32]) == 4


def test_a_grid_of_two_fields() -> None:
    """x²·y/4 + 3·y: whole on the even lattice, and written as one exact division."""
    values = {(x, y): x * x * y // 4 + 3 * y for x in (2, 4, 6) for y in (1, 2)}
    found = on_grid([[2, 4, 6], [1, 2]], values)
    kept = {powers: factor for powers, factor in found.items() if factor}
    assert kept == {(2, 1): Fraction(1, 4), (0, 1): Fraction(3)}
    assert value(kept, (10, 7)) == 25 * 7 + 21
    poly = polynomial(kept, ["x", "y"])
    assert str(poly) == "((x**2*y)//4) + 3*y"
    assert poly.at(x=10, y=7) == 196
