"""Counts against the plainest judge: ask every op of every event for its cost, and add."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from programs_to_ask import SCOPES, programs

import botec
from botec.analyses.count import (
    MEASURES,
    Counts,
    active_count,
    count,
    parameter_count,
)
from botec.calls import Tensor
from botec.errors import BadInput, OutsideRegime
from botec.ops import facts
from botec.poly import at
from botec.program import OP, PHASE, PHASES, Parameter, Program, Stream

ASK = {
    "multiplications": facts.multiplications,
    "flops": facts.flops,
    "bytes": facts.bytes_moved,
}
SPANS = st.sampled_from([PHASES, ("forward",), ("backward",), ("forward", "optimizer"), ()])


def by_hand(stream: Stream, measure: str, phases: tuple[str, ...], point: Any) -> Any:
    """Sums of numbers, event after event: in all, by kind, by module, and who was missing."""
    total, kinds, scopes, missing = 0, Counter(), Counter(), Counter()
    phase = "forward"
    for kind, index, scope in stream.events():
        if kind == PHASE:
            phase = (*PHASES, "end")[index]
        elif kind == OP and phase in phases:
            call = stream.calls[index]
            cost = ASK[measure](call)
            if cost is None:
                missing[call.op] += 1
                continue
            total += at(cost, point)
            kinds[facts.kind_of(call)] += at(cost, point)
            scopes[scope] += at(cost, point)
    return total, kinds, scopes, missing


def at_all(parts: dict[Any, Any], point: Any) -> Counter:
    return Counter({key: total.at(**point) for key, total in parts.items()})


@settings(max_examples=60)
@given(programs(), st.sampled_from(MEASURES), SPANS, st.data())
def test_totals_are_the_sums_over_all_events(
    program: Program, measure: str, phases: tuple[str, ...], data: Any
) -> None:
    stream = data.draw(st.sampled_from(program.streams))
    point = {"B": data.draw(st.integers(1, 9)), "S": data.draw(st.integers(1, 10**9))}
    total, kinds, scopes, missing = by_hand(stream, measure, phases, point)
    counts = Counts(program, stream)
    ours = counts.total(measure, phases)
    assert ours.at(**point) == total
    assert dict(ours.missing) == dict(missing)
    by_kind, by_scope = counts.by_kind(measure, phases), counts.by_scope(measure, phases)
    assert at_all(by_kind, point) == kinds, "Counter equality takes absent as nought"
    assert at_all(by_scope, point) == scopes
    for parts in (by_kind, by_scope):
        assert sum(part.at(**point) for part in parts.values()) == total
        assert sum((Counter(p.missing) for p in parts.values()), Counter()) == missing


@settings(max_examples=40)
@given(programs())
def test_lines_are_the_ops_once_each(program: Program) -> None:
    stream = program.stream()
    lines = count(program).lines
    assert sum(line.times for line in lines) == sum(kind == OP for kind in stream.kinds)
    assert len({(id(line.call), line.phase, line.scope) for line in lines}) == len(lines)
    assert {SCOPES[line.scope] for line in lines} <= set(SCOPES)


@pytest.fixture(scope="module")
def mlp() -> Program:
    return botec.read("mlp:6-5-4", B=4)


def test_numbers_and_arrays_at_other_points(mlp: Program) -> None:
    counts = botec.count(mlp)
    assert counts.multiplications("forward") == 4 * 50
    assert counts.multiplications("forward", B=7) == 7 * 50
    assert counts.multiplications("forward", B=1) == 50
    assert counts.multiplications("backward", B=7) == 7 * (100 - 30)
    assert counts.multiplications(B=7) == 7 * (150 - 30)
    for ask in (counts.multiplications, counts.flops, counts.bytes):
        many = ask("forward", "backward", B=np.array([[1, 2], [3, 10**6]]))
        assert many.shape == (2, 2)
        assert many.tolist() == [
            [ask("forward", "backward", B=size) for size in row] for row in [[1, 2], [3, 10**6]]
        ]


def test_a_point_in_no_regime(mlp: Program) -> None:
    with pytest.raises(OutsideRegime, match="B=0"):
        botec.count(mlp, B=0)
    with pytest.raises(BadInput, match="B is 0"):
        botec.count(mlp).flops(B=0)


def test_the_same_call_told_twice_is_asked_once(
    mlp: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    flops = facts.flops
    monkeypatch.setattr(facts, "flops", lambda call: asked.append(id(call)) or flops(call))
    assert Counts(mlp, mlp.stream()).lines
    assert len(asked) == len(set(asked)) == len({index for index, *_ in mlp.stream().occurrences()})


def test_causal_attention_with_half() -> None:
    """The triangle and its diagonal, S(S+1)/2 of S² pairs, forward and backward."""
    import torch
    from torch import nn

    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, x: Any) -> Any:
            x = x * self.scale
            return nn.functional.scaled_dot_product_attention(x, x, x, is_causal=True)

    x = botec.Input("B", 3, "S", 8)
    program = botec.read(Causal(), x, B=2, S=16, optimizer=None)
    counts = botec.count(program)
    pairs, triangle = 16 * 16, 16 * 17 // 2
    assert counts.total("multiplications", ("forward",)).at(B=2, S=16) == 2 * 3 * pairs * 8 * 2
    assert at(counts.without_causal_half(("forward",)), {"B": 2, "S": 16}) == (
        2 * 3 * triangle * 8 * 2
    )
    mlp = botec.read("mlp:6-5-4", B=4)
    assert botec.count(mlp).without_causal_half() is None


def test_parameters_and_the_share_in_use() -> None:
    dense = Parameter(("a", "b"), Tensor((7, 3)), True)
    experts = Parameter(("experts",), Tensor((8, 5)), True, (2, 8))
    assert parameter_count((dense, experts)) == 21 + 40
    assert active_count((dense, experts)) == 21 + 10
    assert parameter_count(()) == 0
