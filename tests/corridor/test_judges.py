"""Modules of every kind beside the independent judge: naive loops over numbers that count.

The loops (``measure.scalar``) share no code with botec, nor with the framework: they multiply one
number after the other and are themselves held against the framework's outputs and gradients.
"""

from __future__ import annotations

from typing import Any

import pytest
from measure.scalar import CASES, multiplications_of

import botec
from botec.analyses.count import Counts
from botec.errors import OutsideRegime
from botec.program import Program


def read_case(name: str, **point: int) -> Program:
    case = CASES[name]
    sizes = {**case.point, **point}
    return botec.read(case.factory(), *case.inputs, train=case.train, optimizer=None, **sizes)


def counted(program: Program) -> tuple[int, int]:
    """Multiplications forward and backward at the asked point; nothing is missing."""
    counts = botec.count(program)
    totals = [counts.total("multiplications", (phase,)) for phase in ("forward", "backward")]
    assert not any(total.missing for total in totals)
    return totals[0].at(**program.asked), totals[1].at(**program.asked)


@pytest.mark.parametrize("name", CASES)
def test_botec_and_the_judge_agree(name: str) -> None:
    """Exact, forward and backward."""
    assert counted(read_case(name)) == multiplications_of(name, on_cpu=True)


def holding(program: Program, point: dict[str, int]) -> Any:
    """The stream that holds at ``point``; ``None`` only where the ops' number follows a size."""
    try:
        return program.stream(point)
    except OutsideRegime:
        assert "the number of ops changes with it" in program.why
        return None


@pytest.mark.parametrize("every", [True, False], ids=["all sizes", "the batch"])
@pytest.mark.parametrize("name", CASES)
def test_the_formula_is_that_of_every_other_size(name: str, every: bool) -> None:
    """The whole stream's counts, evaluated elsewhere, equal those of a fresh reading there."""
    program, point = read_case(name), CASES[name].point
    there = {key: size + 3 if every or key == "B" else size for key, size in point.items()}
    stream = holding(program, there)
    if stream is None:
        return
    assert stream.regime.proved
    fresh = botec.count(read_case(name, **there))
    for measure in ("multiplications", "flops", "bytes"):
        for phase in ("forward", "backward"):
            here = Counts(program, stream).total(measure, (phase,)).at(**there)
            assert here == fresh.total(measure, (phase,)).at(**there), measure


def test_a_transform() -> None:
    """2·n·log2 n multiplications and 5·n·log2 n operations for each row of n complex numbers."""
    lines = botec.count(read_case("fft")).lines
    found = [line.costs for line in lines if "fft" in line.call.op]
    assert [cost["multiplications"].at(B=7) for cost in found] == [7 * 2 * 8 * 3] * 2
    assert [cost["flops"].at(B=7) for cost in found] == [7 * 5 * 8 * 3] * 2


def test_a_tied_weight_is_one_weight_and_a_module_called_again_is_one_module() -> None:
    """Parameters count once, work as often as it is done."""
    tied, hundred = read_case("tied"), read_case("called 100 times")
    parameters: Any = botec.estimate(tied).figures["parameters"].counted
    assert parameters.value == 7 * 4
    assert tied.parameters[0].names == ("embedding.weight", "head.weight")
    assert botec.estimate(hundred).figures["parameters"].counted.value == 12
    assert counted(hundred)[0] == 100 * 2 * 9
