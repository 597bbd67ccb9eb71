"""Programs nobody ever ran: random ops, storages and lifetimes, sound by construction.

They ask the analyses and the archive what no real network would, and they need no framework.
"""

from __future__ import annotations

from array import array
from typing import Any

from hypothesis import strategies as st

from botec.calls import Call, Tensor
from botec.poly import Floor, as_poly, symbol
from botec.program import (
    BIRTH,
    DEATH,
    OP,
    PHASE,
    ROLES,
    Parameter,
    Program,
    Regime,
    Setting,
    Storage,
    Stream,
)

B, S = symbol("B"), symbol("S")
SCOPES = ("", "stem", "body", "body.0", "body.0.inner", "head")
DTYPES = ("float32", "bfloat16", "int64", "bool")


@st.composite
def sizes(draw: Any) -> Any:
    """A number of bytes or of entries: a plain one, or a formula that is never below zero."""
    word = st.sampled_from([as_poly(1), B, S, B * S, S**2, B * S**2, symbol(Floor("S", 1, 2))])
    terms = st.lists(st.tuples(st.integers(0, 9) | st.integers(0, 10**9), word), max_size=3)
    total = sum((factor * one for factor, one in draw(terms)), as_poly(0))
    return draw(st.integers(0, 5000)) if total.constant is not None else total


@st.composite
def calls(draw: Any) -> Call:
    """A product, a sum, a look or an op that nobody knows."""
    n, k, m = draw(st.tuples(*[st.sampled_from([1, 2, 7, B, S, B * S])] * 3))
    left, right, out = Tensor((n, k)), Tensor((k, m)), Tensor((n, m))
    kind = draw(st.sampled_from(["mm", "add", "t", "unknown"]))
    if kind == "mm":
        return Call("aten.mm", "default", {"self": left, "mat2": right}, (out,))
    if kind == "t":
        return Call("aten.t", "default", {"self": left}, (Tensor((k, n)),), view=True)
    given = {"self": left, "other": left, "alpha": draw(st.sampled_from([1, 2.5, None, "text"]))}
    return Call("aten.add" if kind == "add" else "own.op", "Tensor", given, (left, None))


def parameters() -> Any:
    tensors = st.builds(
        Tensor,
        st.tuples(st.integers(1, 99), st.integers(1, 9)),
        st.sampled_from(DTYPES),
        st.sampled_from([(), (1,)]),
    )
    names = st.sampled_from([("stem.weight",), ("body.0.weight", "head.weight")])
    return st.builds(Parameter, names, tensors, st.booleans(), st.sampled_from([(1, 1), (2, 8)]))


@st.composite
def timelines(draw: Any, storages: int, ops: int, train: bool) -> tuple[Any, Any, Any]:
    """The three rows: every storage is born once at most, and dies only after."""
    rows: list[tuple[int, int, int]] = [(PHASE, 0, 0)]
    waiting, alive = list(range(storages)), []
    phases = [1, 2, 3] if train else [3]
    for action in draw(st.lists(st.integers(0, 9), max_size=40)):
        scope = draw(st.integers(0, len(SCOPES) - 1))
        if action < 3 and ops:
            rows.append((OP, draw(st.integers(0, ops - 1)), scope))
        elif action < 7 and waiting:
            alive.append(waiting.pop(0))
            rows.append((BIRTH, alive[-1], scope))
        elif action < 9 and alive:
            rows.append((DEATH, alive.pop(draw(st.integers(0, len(alive) - 1))), scope))
        elif len(phases) > 1:
            rows.append((PHASE, phases.pop(0), 0))
    rows += [(PHASE, phase, 0) for phase in phases]
    return tuple(array("i", row) for row in zip(*rows, strict=True))


@st.composite
def streams(draw: Any, regime: Regime, train: bool = True) -> Stream:
    ops = draw(st.lists(calls(), max_size=5))
    scopes = st.integers(0, len(SCOPES) - 1)
    names = st.sampled_from(["", "stem.weight", "body.0.weight:exp_avg"])
    one = st.builds(Storage, sizes(), st.sampled_from(ROLES), scopes, names)
    storages = draw(st.lists(one, max_size=12))
    rows = draw(timelines(len(storages), len(ops), train))
    return Stream(regime, tuple(ops), tuple(storages), *rows)


FREE = Regime(
    least={"B": 2, "S": 2},
    most={"S": 4096},
    fitted=({"B": 3, "S": 5}, {"B": 5, "S": 99}),
    proved=({"B": 4, "S": 8},),
)
ONE = Regime(fixed={"B": 1}, least={"S": 2}, step={"S": 2}, fitted=({"B": 1, "S": 4},))


@st.composite
def programs(draw: Any) -> Program:
    """Two regimes: from a batch of two upwards, and a batch of one at even lengths."""
    train = draw(st.booleans())
    optimizer = draw(st.sampled_from([None, "adamw", "sgd"])) if train else None
    return Program(
        name=draw(st.text(max_size=9)),
        setting=Setting(train=train, optimizer=optimizer, inputs=("input=B,S:float32",)),
        asked={"B": draw(st.integers(2, 9)), "S": draw(st.integers(2, 4096))},
        parameters=tuple(draw(st.lists(parameters(), max_size=3))),
        buffers=tuple(draw(st.lists(parameters(), max_size=2))),
        scopes=SCOPES,
        scope_types=("Net", "Linear", "ModuleList", "Block", "Linear", "Linear"),
        streams=(draw(streams(FREE, train)), draw(streams(ONE, train))),
        why=draw(st.sampled_from(["", "no formula in S: it steps through it"])),
        assumed=tuple(draw(st.lists(st.text(max_size=5), max_size=2))),
        notes=tuple(draw(st.lists(st.text(max_size=5), max_size=2))),
    )
