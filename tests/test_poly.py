"""Polynomials against two judges: sympy's algebra, and Python's own arithmetic on numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import assume, example, given
from hypothesis import strategies as st

from botec.poly import Floor, Log2, Poly, as_poly, at, log2, plain, product, round_up, symbol

NAMES = ("B", "S", "head")
POINTS = st.fixed_dictionaries({name: st.integers(-50, 10**12) for name in NAMES})
LARGE = st.integers(-(10**25), 10**25)


@st.composite
def pairs(draw: Any, depth: int = 3) -> tuple[Any, Any]:
    """The same expression as a :class:`Poly` and as sympy's."""
    if depth == 0 or draw(st.booleans()):
        if draw(st.booleans()):
            name = draw(st.sampled_from(NAMES))
            return symbol(name), sympy.Symbol(name)
        number = draw(st.integers(-9, 9) | LARGE)
        return as_poly(number), sympy.Integer(number)
    (left, expected_left), (right, expected_right) = draw(pairs(depth - 1)), draw(pairs(depth - 1))
    sign = draw(st.sampled_from("+-*"))
    if sign == "+":
        return left + right, expected_left + expected_right
    if sign == "-":
        return left - right, expected_left - expected_right
    return left * right, expected_left * expected_right


polys = pairs().map(lambda pair: pair[0])


def terms_of(expression: Any) -> dict[Any, int]:
    """sympy's terms as ours: sorted (name, exponent) pairs -> whole number."""
    found = sympy.Poly(sympy.expand(expression), *map(sympy.Symbol, NAMES)).terms()
    return {
        tuple(sorted((n, e) for n, e in zip(NAMES, powers, strict=True) if e)): int(factor)
        for powers, factor in found
        if factor
    }


@given(pairs())
def test_terms_are_those_of_sympy(pair: tuple[Any, Any]) -> None:
    ours, expected = pair
    assert ours.terms == terms_of(expected)


@given(polys, polys, polys, POINTS)
def test_the_laws_of_a_ring(a: Poly, b: Poly, c: Poly, point: dict[str, int]) -> None:
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a + 0 == a
    assert a * 1 == a
    assert a * 0 == 0
    assert a - a == 0
    assert (-a) * -1 == a
    assert (a + b).at(**point) == a.at(**point) + b.at(**point)
    assert (a * b).at(**point) == a.at(**point) * b.at(**point)


@given(polys, LARGE, st.integers(0, 5), POINTS)
def test_numbers_on_either_side(a: Poly, n: int, exponent: int, point: dict[str, int]) -> None:
    value = a.at(**point)
    assert (a + n).at(**point) == (n + a).at(**point) == value + n
    assert (a * n).at(**point) == (n * a).at(**point) == value * n
    assert (n - a).at(**point) == n - value
    assert (a - n).at(**point) == value - n
    assert (a**exponent).at(**point) == value**exponent


@st.composite
def with_atoms(draw: Any) -> Poly:
    """Sums of products of dimensions, floors of dimensions or polynomials, and logarithms."""
    sizes = [symbol(name) for name in NAMES]
    base = draw(st.sampled_from([*NAMES, sizes[0] * sizes[1] + 3, sizes[2] * 4 - 7]))
    floor = symbol(Floor(base, draw(st.integers(-9, 9)), draw(st.integers(1, 9))))
    words = [*sizes, floor, floor**2, symbol(Log2(sizes[0] * sizes[1])), as_poly(1)]
    terms = st.tuples(st.integers(-9, 9) | LARGE, st.sampled_from(words), st.sampled_from(words))
    return sum((f * a * b for f, a, b in draw(st.lists(terms, max_size=6))), as_poly(0))


@given(with_atoms() | polys, st.fixed_dictionaries(dict.fromkeys(NAMES, st.integers(1, 10**6))))
@example(symbol("B") * -1 - 3, {"B": 2})
@example(symbol(Floor("B", -3, 4)) ** 2 * -1, {"B": 2})
@example(as_poly(0), {})
def test_the_text_is_python(poly: Poly, point: dict[str, int]) -> None:
    """Evaluated by Python itself, the text gives the same value: the same int, or nearly."""
    text = str(poly)
    ours, theirs = poly.at(**point), eval(text, {"__builtins__": {}, "log2": math.log2}, point)
    assert "+ -" not in text
    if "log2" not in text:
        assert (ours, type(ours)) == (theirs, int)
    else:  # the order of additions may differ: rounding of 25-digit terms, far below 1e-9 of them
        size = sum(
            abs(Poly({monomial: factor}).at(**point)) for monomial, factor in poly.terms.items()
        )
        assert ours == pytest.approx(theirs, abs=1e-9 * size)


@pytest.mark.parametrize(
    ("poly", "text"),
    [
        (as_poly(0), "0"),
        (as_poly(-7), "-7"),
        (symbol("B"), "B"),
        (-symbol("B"), "-B"),
        (1 - symbol("B"), "-B + 1"),
        (4 * symbol("B") + 12 * symbol("B") * symbol("S") ** 2, "12*B*S**2 + 4*B"),
        (symbol("S") + symbol("B") - 3, "B + S - 3"),
        (symbol(Floor("H", 0, 2)), "(H//2)"),
        (3 * symbol(Floor("H", 1, 2)), "3*((H + 1)//2)"),
        (symbol(Floor("H", -5, 32)) ** 2, "((H - 5)//32)**2"),
        (symbol(Log2(symbol("N") + 1)), "log2(N + 1)"),
    ],
)
def test_texts_to_the_letter(poly: Poly, text: str) -> None:
    assert str(poly) == text
    assert repr(poly) == f"Poly({text})"


@given(polys, polys)
def test_the_exact_quotient(a: Poly, b: Poly) -> None:
    """Whatever one term was multiplied into can be divided out again."""
    assume(b)
    monomial, factor = next(iter(b.terms.items()))
    term = Poly({monomial: factor})
    assert (a * term) // term == a


@pytest.mark.parametrize(
    ("whole", "part"),
    [
        (symbol("B") * 3, 2),
        (symbol("B") * 4 + 2, 4),
        (symbol("B"), symbol("S")),
        (symbol("B") + 1, symbol("B")),
        (symbol("B"), symbol("B") ** 2),
    ],
)
def test_a_quotient_that_is_not_exact_is_refused(whole: Poly, part: Any) -> None:
    with pytest.raises(ArithmeticError, match="does not divide"):
        whole // part


@given(LARGE)
def test_constants_are_like_their_numbers(number: int) -> None:
    """They compare and hash like ints: a dict finds one by the other."""
    constant = as_poly(number)
    assert constant == number
    assert number == constant
    assert hash(constant) == hash(number)
    assert {number: "found"}[constant] == {constant: "found"}[number] == "found"
    assert (constant.constant, plain(constant), type(plain(constant))) == (number, number, int)
    assert bool(constant) == bool(number)
    assert constant.at() == number
    assert constant.names == frozenset()


@given(polys, polys)
def test_equal_means_equal_hash_and_equal_everywhere(a: Poly, b: Poly) -> None:
    again = (a + b) - b
    assert again == a
    assert hash(again) == hash(a)
    points = [{"B": x, "S": 1000 * x + 7, "head": 10**7 * x + 11} for x in (1, 2, 3)]
    if a == b:
        assert all(a.at(**point) == b.at(**point) for point in points)
    assert a != "B"
    assert plain(a) is a or isinstance(plain(a), int)


@given(st.integers(-(10**9), 10**9), st.integers(-99, 99), st.integers(1, 99))
def test_a_floor_is_pythons(size: int, shift: int, divisor: int) -> None:
    named = Floor("H", shift, divisor)
    assert named.at({"H": size}) == (size + shift) // divisor
    of_poly = Floor(symbol("H") * 3 + symbol("W"), shift, divisor)
    assert of_poly.at({"H": size, "W": 5}) == (3 * size + 5 + shift) // divisor
    assert (named.names, of_poly.names) == ({"H"}, {"H", "W"})


@given(st.integers(0, 10**15), st.integers(1, 10**5))
def test_round_up_reaches_the_next_multiple(value: int, unit: int) -> None:
    rounded = round_up(value, unit)
    assert rounded % unit == 0
    assert value <= rounded < value + unit
    assert round_up(symbol("B") * 3, unit).at(B=value) == round_up(3 * value, unit)
    assert round_up(as_poly(value), unit) == rounded


def test_logarithms() -> None:
    assert log2(8) == 3
    assert log2(as_poly(1024)) == 10
    assert log2(symbol("N") * 2).at(N=4) == 3
    assert symbol(Log2(symbol("N") * symbol("B"))).names == {"N", "B"}
    assert list(log2(symbol("N")).at(N=np.array([1, 2, 4]))) == [0, 1, 2]


@given(polys, st.lists(st.integers(-9, 9), min_size=1, max_size=5))
def test_arrays_give_what_numbers_give(poly: Poly, sizes: list[int]) -> None:
    assume(all(abs(factor) < 10**9 for factor in poly.terms.values()))
    assume(all(sum(e for _, e in monomial) < 9 for monomial in poly.terms))
    found = np.broadcast_to(poly.at(B=np.array(sizes), S=3, head=-2), len(sizes))
    assert list(found) == [poly.at(B=size, S=3, head=-2) for size in sizes]


def test_what_is_missing_is_named() -> None:
    with pytest.raises(KeyError, match="S"):
        (symbol("B") * symbol("S")).at(B=2)
    with pytest.raises(KeyError, match="H"):
        symbol(Floor("H", 1, 2)).at(B=2)


def test_products_and_values_of_nothing() -> None:
    assert product(()) == 1
    assert product((2, symbol("B"), 3)) == 6 * symbol("B")
    assert at(5, {"B": 2}) == 5
    assert at(symbol("B") + 1, {"B": 2}) == 3


def test_a_power_below_zero_is_no_polynomial() -> None:
    with pytest.raises((ArithmeticError, ValueError)):
        symbol("B") ** -1


@pytest.mark.parametrize("part", [0, symbol("B") + 1])
def test_a_quotient_by_anything_but_one_term_is_refused_as_arithmetic(part: Any) -> None:
    with pytest.raises(ArithmeticError):
        (symbol("B") * 2) // part
