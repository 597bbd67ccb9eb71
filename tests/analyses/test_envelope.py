"""The upper envelope against the plain maximum of everything, in whole numbers."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from botec.analyses.envelope import mixtures, not_between, shift, upper_envelope, winning_weights
from botec.poly import Floor, Poly, as_poly, at, symbol

B, S = symbol("B"), symbol("S")
WORDS = [as_poly(1), B, S, B * S, S**2, B * S**2, symbol(Floor("S", 3, 4)), B**2]


def random_poly(numbers: random.Random, largest: int) -> Poly:
    words = numbers.sample(WORDS, numbers.randint(1, 4))
    return sum((numbers.randint(-largest // 4, largest) * word for word in words), as_poly(0))


def random_polys(seed: int, how_many: int, largest: int) -> list[Poly]:
    numbers = random.Random(seed)
    return [random_poly(numbers, largest) for _ in range(how_many)]


def points(seed: int, least: dict[str, int]) -> list[dict[str, int]]:
    """The corner, points close to it, and points far out along every direction."""
    numbers = random.Random(seed)
    near = [{n: low + numbers.randint(0, 6) for n, low in least.items()} for _ in range(25)]
    far = [{n: low + int(10 ** numbers.uniform(0, 9)) for n, low in least.items()}
           for _ in range(50)]  # fmt: skip
    return [dict(least), *near, *far]


@settings(max_examples=40)
@given(
    st.integers(0, 10**9),
    st.integers(1, 120),
    st.sampled_from([3, 1000, 10**6, 10**12]),
    st.sampled_from([1, 2, 7]),
)
@example(seed=1, how_many=400, largest=10**12, low=2)
@example(seed=2, how_many=400, largest=9, low=1)
def test_the_maximum_is_kept(seed: int, how_many: int, largest: int, low: int) -> None:
    """At hundreds of points the kept ones reach exactly what all reach: the rest is not needed."""
    least = {"B": low, "S": low}
    polys = random_polys(seed, how_many, largest)
    kept = upper_envelope(polys, least)
    assert set(kept) <= set(polys)
    assert len(set(kept)) == len(kept) <= len(polys)
    for point in points(seed, least):
        assert max(p.at(**point) for p in kept) == max(p.at(**point) for p in polys)


@settings(max_examples=30)
@given(st.integers(0, 10**9), st.integers(2, 60))
def test_few_are_kept_of_one_dimension(seed: int, how_many: int) -> None:
    """Lines ``a·B + b``: exactly the upper hull of the points (a, b), found by trying all pairs."""
    numbers = random.Random(seed)
    lines = {(numbers.randint(0, 50), numbers.randint(0, 50)) for _ in range(how_many)}
    kept = upper_envelope([B * a + b for a, b in sorted(lines)], {"B": 0})
    needed = {line for line in lines if strictly_largest_somewhere(line, lines)}
    found = {(p.terms.get((("B", 1),), 0), p.terms.get((), 0)) for p in kept}
    assert needed <= found
    assert found - needed <= {line for line in lines if largest_somewhere(line, lines)}


def range_of(line: tuple[int, int], lines: Any) -> tuple[float, float]:
    """Between which values of B ≥ 0 a line is above all others."""
    low, high = 0.0, float("inf")
    for a, b in lines - {line}:
        rise, over = line[0] - a, b - line[1]
        if rise > 0:
            low = max(low, over / rise)
        elif rise < 0:
            high = min(high, over / rise)
        elif over > 0:
            return 1.0, 0.0
    return low, high


def strictly_largest_somewhere(line: tuple[int, int], lines: Any) -> bool:
    low, high = range_of(line, lines)
    return low < high - 1e-12


def largest_somewhere(line: tuple[int, int], lines: Any) -> bool:
    low, high = range_of(line, lines)
    return low <= high + 1e-12


@pytest.mark.parametrize(
    ("polys", "kept"),
    [
        ([], []),
        ([B], [B]),
        ([B, B + 1, B * 2 - 3], [B + 1, B * 2 - 3]),
        ([B + 1, B + 1], [B + 1]),
        ([B * 4, B + S, S * 4], [B * 4, S * 4]),
        ([B * S, B * 2], [B * S]),
        ([B * S, B * 3], [B * S, B * 3]),
        ([as_poly(5), as_poly(7)], [as_poly(7)]),
        ([as_poly(5), B * 3], [B * 3]),
    ],
)
def test_known_envelopes(polys: list[Poly], kept: list[Poly]) -> None:
    """From two upwards: 2·B is never above B·S, 3·B is where S = 2; B + S is below the larger."""
    assert upper_envelope(polys, {"B": 2, "S": 2}) == tuple(kept)


@pytest.mark.parametrize("size", [10**9, 10**12, 10**15])
def test_what_wins_by_one_is_kept(size: int) -> None:
    """A line that is the largest at one point only, by a single byte of billions."""
    lines = [B * (2 * size), B * size + 3 * size + 1, as_poly(6 * size)]
    kept = upper_envelope(lines, {"B": 1})
    assert max(p.at(B=3) for p in kept) == max(p.at(B=3) for p in lines) == 6 * size + 1


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 99))
def test_shifting_moves_the_origin(seed: int, low_b: int, low_s: int, floor: int) -> None:
    """The shifted terms at ``point − least`` are the polynomial at ``point``."""
    atom = Floor("S", 3, 4)
    poly = random_poly(random.Random(seed), 10**6)
    moved = shift(poly, {"B": low_b, "S": low_s})
    away = {"B": 11, "S": 13, atom: floor}
    whole = {"B": low_b + 11, "S": low_s + 13, atom: floor}

    def value(terms: Any, values: Any) -> int:
        total = 0
        for monomial, factor in terms.items():
            for name, exponent in monomial:
                factor *= values[name] ** exponent
            total += factor
        return total

    assert value(moved, away) == value(poly.terms, whole)


@pytest.mark.parametrize("seed", range(8))
def test_layers_between_the_first_and_the_last_are_left_out(seed):
    """Equal layers, a few peaks in each, going up by the same every time: the ends stay, and the
    maximum is that of all; a step of another size is not taken for one of them."""
    numbers = random.Random(seed)
    rise, layers = random_poly(numbers, 1000), 40
    peaks = random_polys(seed + 1, 3, 10**6)
    polys = [one + rise * place for place in range(layers) for one in peaks]
    polys[3 * 20] = polys[3 * 20] + symbol("B") * 10**9
    rows = [[poly.terms.get(m, 0) for m in {m for p in polys for m in p.terms}] for poly in polys]
    kept = not_between(rows)
    assert len(kept) < len(polys) / 3
    assert {0, 1, 2, 60, *range(len(polys) - 3, len(polys))} <= set(kept)
    least = {"B": 1, "S": 1}
    envelope = upper_envelope(polys, least)
    for point in points(seed, least):
        assert max(at(p, point) for p in envelope) == max(at(p, point) for p in polys)


@settings(max_examples=60)
@given(st.integers(0, 10**9), st.integers(2, 6), st.integers(1, 5))
def test_mixtures_are_nowhere_below_zero(seed: int, rows: int, columns: int) -> None:
    """Each share offered does, and where no share of a fine grid does, none is offered."""
    table = np.random.default_rng(seed).integers(-4, 8, (rows, columns)).astype(float)
    offered = {(first, second): share for first, second, share in mixtures(table)}
    grid = np.linspace(0, 1, 241)[:, None]
    for first, second in combinations(range(rows), 2):
        share = offered.get((first, second))
        if share is not None:
            assert np.all(share * table[first] + (1 - share) * table[second] >= -1e-12)
        elif np.any(np.all(grid * table[first] + (1 - grid) * table[second] >= 0, axis=1)):
            raise AssertionError((table[first], table[second]))


def test_a_win_on_two_dimensions_is_found_without_a_linear_programme() -> None:
    """The middle row wins where both count alike, and nowhere on one alone."""
    known = np.array([[10.0, 0.0, 3.0], [0.0, 10.0, 3.0]])
    row = np.array([6.0, 6.0, 0.0])
    with patch("scipy.optimize.linprog", side_effect=AssertionError("asked")):
        weights = winning_weights(row, known)
    assert np.all(known @ weights < row @ weights)
    assert weights[2] == 0
