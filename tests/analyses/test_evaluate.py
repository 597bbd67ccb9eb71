"""Formulas at whole arrays of points against the same formulas at one point after the other."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs_to_ask import FREE, ONE, B, S, programs

import botec
from botec.analyses.evaluate import LARGEST, at_points, inside, largest
from botec.analyses.memory import memory
from botec.errors import BadInput, OutsideRegime
from botec.poly import Floor, as_poly, log2, symbol
from botec.program import Program

INSIDE = st.tuples(st.integers(2, 99), st.integers(2, 4096)) | st.tuples(
    st.just(1), st.integers(1, 500).map(lambda half: 2 * half)
)


@settings(max_examples=50)
@given(programs(), st.lists(INSIDE, min_size=1, max_size=8))
def test_arrays_are_scalars_point_by_point(program: Program, points: list[Any]) -> None:
    """Over both regimes at once, each point in its own."""
    batches, lengths = (np.array(column) for column in zip(*points, strict=True))

    def formulas(stream: Any) -> tuple[Any, ...]:
        return tuple(storage.bytes for storage in stream.storages) or (0,)

    many = at_points(program, formulas, {"B": batches, "S": lengths})
    ones = [at_points(program, formulas, {"B": b, "S": s}) for b, s in points]
    assert many.shape == (len(points),)
    assert all(type(one) is int for one in ones)
    assert many.tolist() == ones


@pytest.fixture(scope="module")
def mlp() -> Program:
    return botec.read("mlp:6-5-4", B=4)


def test_arrays_broadcast_and_keep_their_shape(mlp: Program) -> None:
    found = memory(mlp).peak(B=np.arange(1, 7).reshape(2, 3))
    assert found.shape == (2, 3)
    assert found.dtype == np.int64
    assert found.ravel().tolist() == [memory(mlp).peak(B=size) for size in range(1, 7)]


def free(program: Program, *formulas: Any) -> Any:
    return lambda values: at_points(program, lambda stream: formulas, values)


@settings(max_examples=1)
@given(programs())
def test_two_axes_broadcast(program: Program) -> None:
    found = free(program, B * S)({"B": np.array([[2], [3]]), "S": np.array([5, 7, 9])})
    assert found.tolist() == [[10, 14, 18], [15, 21, 27]]


def test_beyond_63_bits_is_a_float(mlp: Program) -> None:
    """Numbers stay exact whatever their size; arrays are whole below 2**62, else floats."""
    ask = free(mlp, B**4)
    assert ask({"B": 10**9}) == 10**36
    below, above = ask({"B": np.array([2, 40_000])}), ask({"B": np.array([2, 10**9])})
    assert below.dtype == np.int64
    assert below.tolist() == [16, 40_000**4]
    assert above.dtype == np.float64
    assert above.tolist() == [16.0, pytest.approx(1e36, rel=1e-15)]
    edge = free(mlp, B)({"B": np.array([LARGEST - 1])})
    assert (edge.dtype, edge.tolist()) == (np.int64, [LARGEST - 1])
    assert free(mlp, B)({"B": np.array([LARGEST])}).dtype == np.float64


def test_points_outside_are_named() -> None:
    program = botec.read("mlp:6-5-4", B=4)
    widest = program.streams[0]
    narrow = replace(widest, regime=replace(widest.regime, most={"B": 8}))
    mlp = replace(program, streams=(narrow,))
    with pytest.raises(OutsideRegime) as caught:
        memory(mlp).peak(B=np.array([4, 9, 10]))
    assert (
        str(caught.value)
        == "at B=9: formulas are known for (2 ≤ B ≤ 8); leave the other points out"
    )
    with pytest.raises(OutsideRegime, match="B=9"):
        memory(mlp).peak(B=9)
    with pytest.raises(BadInput, match="B has values that are no sizes"):
        memory(mlp).peak(B=np.array([4, 0, -3]))
    with pytest.raises(BadInput, match="dimensions are B"):
        memory(mlp).peak(S=np.array([1, 2]))


@given(st.lists(st.tuples(st.integers(-3, 9), st.integers(-3, 5000)), min_size=1, max_size=9))
def test_inside_is_holds(points: list[tuple[int, int]]) -> None:
    batches, lengths = (np.array(column) for column in zip(*points, strict=True))
    for regime in (FREE, ONE, replace(FREE, step={"S": 32})):
        held = inside(regime, {"B": batches, "S": lengths})
        assert held.tolist() == [regime.holds({"B": b, "S": s}) for b, s in points]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=9))
def test_the_largest_of_several(sizes: list[int]) -> None:
    formulas = (as_poly(77), 3 * B, symbol(Floor("B", 1, 2)) * 7 - 1, 1000)
    found = largest(formulas, {"B": np.array(sizes)})
    expected = [max(77, 3 * b, (b + 1) // 2 * 7 - 1, 1000) for b in sizes]
    assert found.tolist() == expected


def test_logarithms_keep_their_fraction(mlp: Program) -> None:
    ask = free(mlp, 5 * B * log2(B))
    (many,) = ask({"B": np.array([6])}).tolist()
    assert ask({"B": 6}) == pytest.approx(5 * 6 * math.log2(6), rel=1e-15)
    assert many == pytest.approx(5 * 6 * math.log2(6), rel=1e-15)


@pytest.mark.parametrize("size", [2.9, np.array([2.9, 4.0])])
def test_fractions_are_refused(mlp: Program, size: Any) -> None:
    with pytest.raises(BadInput):
        memory(mlp).peak(B=size)


def test_no_points_give_no_values(mlp: Program) -> None:
    assert memory(mlp).peak(B=np.array([], dtype=int)).shape == (0,)


def test_numpys_own_numbers(mlp: Program) -> None:
    assert int(memory(mlp).peak(B=np.int64(7))) == memory(mlp).peak(B=7)
