"""Programs: where a stream holds, and the soundness that every reader may rely on."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from programs_to_ask import FREE, ONE, programs

from botec.calls import Call
from botec.errors import BadInput, OutsideRegime
from botec.program import (
    BIRTH,
    DEATH,
    OP,
    PHASE,
    PHASES,
    Program,
    Regime,
    Setting,
    Storage,
    Stream,
    sound,
    verify,
    verify_stream,
)


def program(*rows: tuple[int, int, int], role: str = "temporary", **asked: int) -> Program:
    """One op, one storage, and the events as given."""
    columns = [array("i", column) for column in zip(*rows, strict=True)] or [array("i")] * 3
    call, storage = Call("aten.relu", "default", {}, ()), Storage(8, role, 0)
    stream = Stream(Regime(), (call,), (storage,), *columns)
    return Program("net", Setting(), asked, (), (), ("",), ("Net",), (stream,))


@given(programs())
def test_sound_programs_pass(found: Program) -> None:
    assert verify(found) is found


def test_a_sound_one_passes() -> None:
    verify(program((PHASE, 0, 0), (OP, 0, 0), (BIRTH, 0, 0), (DEATH, 0, 0), (PHASE, 3, 0)))


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        ([(OP, 1, 0)], "an event of kind 0 points to 1, which is not there"),
        ([(OP, -1, 0)], "an event of kind 0 points to -1, which is not there"),
        ([(OP, 0, 7)], "an event points to scope 7, which is not there"),
        ([(OP, 0, -1)], "an event points to scope -1, which is not there"),
        ([(BIRTH, 0, 0), (BIRTH, 0, 0)], "storage 0 is born twice or has no role"),
        ([(DEATH, 0, 0)], "storage 0 dies without having been born"),
        ([(BIRTH, 0, 0), (DEATH, 0, 0), (DEATH, 0, 0)], "storage 0 dies without having been born"),
    ],
)
def test_what_is_not_sound_is_named(rows: list[Any], text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is compared whole
        verify(program(*rows))
    assert str(caught.value) == text


def test_a_role_nobody_knows() -> None:
    with pytest.raises(ValueError, match="has no role"):
        verify(program((BIRTH, 0, 0), role="scratch"))


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([(BIRTH, 0, 0), (DEATH, 0, 0), (BIRTH, 0, 0)], id="born again"),
        pytest.param([(BIRTH, 5, 0)], id="a storage that is not there"),
        pytest.param([(BIRTH, -1, 0)], id="a storage below zero"),
        pytest.param([(PHASE, 9, 0)], id="a phase that is not there"),
        pytest.param([(7, 0, 0)], id="a kind that is not there"),
    ],
)
def test_what_the_contract_excludes_too(rows: list[Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        verify(program(*rows))


ROWS = st.tuples(st.integers(-1, 4), st.integers(-1, 3), st.integers(-1, 2))


@settings(max_examples=400)
@given(st.lists(ROWS | st.tuples(st.sampled_from([BIRTH, DEATH]), st.integers(0, 2), st.just(0))))
@example(rows=[(DEATH, 0, 0), (BIRTH, 0, 0)])
@example(rows=[(BIRTH, 2, 0), (BIRTH, 0, 0), (DEATH, 2, 1), (PHASE, 3, 0), (OP, 0, 0)])
def test_all_events_at_once_are_as_sound_as_one_by_one(rows: list[tuple[int, int, int]]) -> None:
    columns = [array("i", column) for column in zip(*rows, strict=True)] or [array("i")] * 3
    storages = (Storage(8, "temporary", 0), Storage(8, "nobody's", 0), Storage(4, "input", 0))
    stream = Stream(Regime(), (Call("aten.relu", "default", {}, ()),), storages, *columns)
    found = Program("net", Setting(), {}, (), (), ("", "part"), ("Net", "Part"), (stream,))
    try:
        verify_stream(found, stream)
    except ValueError:
        assert not sound(found, stream)
    else:
        assert sound(found, stream)


def test_micro_batches_count_as_often_as_they_run() -> None:
    """The second of two stands for three; the optimizer's ops are of neither."""
    first = [(PHASE, 0, 0), (OP, 0, 0), (PHASE, 1, 0), (OP, 0, 0), (OP, 0, 0)]
    (stream,) = program(*first, *first, (PHASE, 2, 0), (OP, 0, 0), (PHASE, 3, 0)).streams
    found = replace(stream, repeated=3, scopes=array("i", range(len(stream.kinds))))
    whole = {(0, "forward", 0): 1 + 3, (0, "backward", 0): 2 + 6, (0, "optimizer", 0): 1}
    assert found.occurrences(scopes=False) == whole
    assert sum(found.occurrences().values()) == 13
    assert len(found.occurrences()) == 7


@given(programs())
def test_occurrences_are_the_ops_of_the_events(found: Program) -> None:
    """Counted event by event in the plainest way."""
    for stream in found.streams:
        phase, expected = "forward", Counter()
        for kind, index, scope in stream.events():
            if kind == PHASE:
                phase = [*PHASES, "end"][index]
            if kind == OP:
                expected[index, phase, scope] += 1
        assert stream.occurrences() == dict(expected)


@pytest.mark.parametrize(
    ("regime", "inside", "outside"),
    [
        (Regime(), [{}, {"B": 1}], []),
        (FREE, [{"B": 2, "S": 2}, {"B": 10**9, "S": 4096}], [(1, 2), (2, 1), (2, 4097)]),
        (ONE, [{"B": 1, "S": 2}, {"B": 1, "S": 96}], [(2, 2), (1, 3), (1, 0)]),
    ],
)
def test_where_a_regime_holds(regime: Regime, inside: Any, outside: Any) -> None:
    assert all(regime.holds(point) for point in inside)
    assert not any(regime.holds({"B": b, "S": s}) for b, s in outside)


@pytest.mark.parametrize(
    ("regime", "text"),
    [
        (Regime(), "always"),
        (FREE, "B ≥ 2, 2 ≤ S ≤ 4096"),
        (ONE, "B = 1, S ≥ 2, S a multiple of 2"),
        (Regime(fixed={"B": 4, "S": 7}), "B = 4, S = 7"),
    ],
)
def test_a_regime_in_words(regime: Regime, text: str) -> None:
    assert str(regime) == text


def test_the_stream_that_holds() -> None:
    streams = [Stream(r, (), (), *[array("i")] * 3) for r in (FREE, ONE)]
    found = replace(program(B=2, S=8), streams=tuple(streams))
    assert found.stream() is streams[0]
    assert found.stream({"B": 1}) is streams[1]
    assert found.point({"S": 3}) == {"B": 2, "S": 3}
    with pytest.raises(OutsideRegime) as caught:
        found.stream({"B": 1, "S": 5})
    assert str(caught.value) == (
        "B=1, S=5: formulas are known for (B ≥ 2, 2 ≤ S ≤ 4096) or "
        "(B = 1, S ≥ 2, S a multiple of 2); read the model again at B=1, S=5"
    )
    with pytest.raises(BadInput) as refused:
        found.stream({"T": 5})
    assert str(refused.value) == "T=5: dimensions are B, S; name one of them"
    with pytest.raises(BadInput, match="dimensions are none"):
        program().point({"B": 1})
