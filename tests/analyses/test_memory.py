"""The timeline of memory against sets: who is alive after every event, added up from nothing."""

from __future__ import annotations

from array import array
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from programs_to_ask import programs

import botec
from botec.analyses.memory import memory, owner_of, weight_bytes
from botec.errors import BadInput, OutsideRegime
from botec.poly import at
from botec.program import BIRTH, DEATH, OP, PHASE, Program, Regime, Setting, Storage, Stream

LENGTHS = st.integers(2, 4096)


def moments(stream: Stream) -> list[set[int]]:
    """The storages alive after each event, from the start anew for every one of them."""
    events = list(stream.events())
    found = []
    for end in range(len(events)):
        past = events[: end + 1]
        born = {index for kind, index, _ in past if kind == BIRTH}
        found.append(born - {index for kind, index, _ in past if kind == DEATH})
    return found


def bytes_of(stream: Stream, alive: set[int], point: Any) -> int:
    return sum(at(stream.storages[number].bytes, point) for number in alive)


@settings(max_examples=80)
@given(programs(), st.integers(1, 99), LENGTHS)
def test_the_peak_is_the_fullest_of_all_moments(program: Program, batch: int, length: int) -> None:
    assume(batch > 1 or length % 2 == 0)
    assume(BIRTH in program.stream({"B": batch, "S": length}).kinds)
    point = {"B": batch, "S": length}
    stream = program.stream(point)
    alive = moments(stream)
    totals = [bytes_of(stream, one, point) for one in alive]
    found = memory(program, **point)
    assert found.fullest.bytes == max(totals)
    assert memory(program).peak(**point) == max(totals)
    assert max(at(poly, point) for poly in found.formula()) == max(totals)
    first = totals.index(max(totals)) if max(totals) else 0
    assert found.fullest.event == first
    assert max(totals) == 0 or set(found.fullest.alive) == alive[first]


def test_of_equal_moments_the_first() -> None:
    """Born, gone, another of the same size born: the first of the two is the peak."""
    rows = [array("i", row) for row in ((BIRTH, DEATH, BIRTH), (0, 0, 1), (0, 0, 0))]
    stream = Stream(Regime(), (), (Storage(8, "input", 0), Storage(8, "temporary", 0)), *rows)
    peak = memory(Program("net", Setting(), {}, (), (), ("",), ("Net",), (stream,))).fullest
    assert (peak.bytes, peak.event, peak.alive) == (8, 0, (0,))


@settings(max_examples=60)
@given(programs())
def test_the_peak_is_parted_without_rest(program: Program) -> None:
    found = memory(program)
    peak, stream = found.fullest, program.stream()
    assert sum(found.by_role().values()) == peak.bytes
    assert sum(found.by_scope().values()) == peak.bytes
    assert 0 not in found.by_role().values()
    for role, size in found.by_role().items():
        assert size == bytes_of(
            stream, {n for n in peak.alive if stream.storages[n].role == role}, program.asked
        )
        (formula,) = found.formula(role)
        assert at(formula, program.asked) == size
    for scope, size in found.by_scope().items():
        owned = {n for n in peak.alive if owner_of(program, stream.storages[n]) == scope}
        assert size == bytes_of(stream, owned, program.asked)


@settings(max_examples=60)
@given(programs())
def test_what_runs_at_the_peak(program: Program) -> None:
    """The last op and phase before it, searched for backwards."""
    stream, peak = program.stream(), memory(program).fullest
    past = list(stream.events())[: peak.event + 1]
    ops = [(stream.calls[index].op, scope) for kind, index, scope in past if kind == OP]
    phases = [index for kind, index, _ in past if kind == PHASE]
    assert (peak.op, peak.scope) == (ops[-1] if ops else ("", 0))
    assert peak.phase == ("forward", "backward", "optimizer", "end")[phases[-1]]


def test_saved_is_what_the_forward_pass_leaves() -> None:
    """relu's five numbers of each example stay, and the loss; a mean needs only a size."""
    program = botec.read("mlp:6-5-4", B=4)
    assert str(memory(program).saved()) == "20*B + 4"


def test_a_step_without_memory_takes_none() -> None:
    rows = [array("i", row) for row in ((PHASE, PHASE), (0, 3), (0, 0))]
    stream = Stream(Regime(least={"B": 2}), (), (), *rows)
    program = Program("net", Setting(False), {"B": 4}, (), (), ("",), ("Net",), (stream,))
    assert memory(program).fullest.bytes == 0
    assert memory(program).peak() == 0


def test_weights_as_stored() -> None:
    program = botec.read("mlp:6-5-4", B=4)
    assert weight_bytes(program) == 4 * (6 * 5 + 5 + 5 * 4 + 4)
    assert memory(program).by_role()["parameter"] == weight_bytes(program)
    assert memory(program).by_role()["optimizer"] >= 2 * weight_bytes(program)


def test_whose_a_storage_is() -> None:
    program = botec.read("mlp:6-5-4", B=4)
    place = program.scopes.index("0")
    assert owner_of(program, Storage(1, "optimizer", 0, "0.weight:exp_avg")) == place
    assert owner_of(program, Storage(1, "parameter", 0, "0.weight")) == place
    assert owner_of(program, Storage(1, "temporary", 2, "")) == 2
    assert owner_of(program, Storage(1, "temporary", 2, "gone.weight")) == 2


def test_a_point_in_no_regime() -> None:
    program = botec.read("mlp:6-5-4", B=4)
    with pytest.raises(OutsideRegime):
        memory(program, B=0)
    with pytest.raises(BadInput, match="B is 0"):
        memory(program).peak(B=0)
