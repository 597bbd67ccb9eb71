"""Traces laid side by side: what fits, what is refused, and the regimes it ends in."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import botec
from botec import Input
from botec.analyses.count import Counts
from botec.errors import BadInput
from botec.poly import Floor, Poly, symbol
from botec.program import BIRTH, DEATH, OP, Setting
from botec.read.align import Fit, PartedError, align, expanded_axes, proves
from botec.read.build import on_meta
from botec.read.from_torch import read_source
from botec.read.source import Source
from botec.read.step import Subject

B, S = symbol("B"), symbol("S")
TWO = ({"B": 3, "S": 5}, {"B": 5, "S": 16381})
THREE = (*TWO, {"B": 7, "S": 29})


def fit(points: Any = THREE) -> Fit:
    return Fit((B, S), points)


def seen(formula: Any, points: Any) -> tuple[int, ...]:
    return tuple(formula.at(**point) if isinstance(formula, Poly) else formula for point in points)


WORDS = [B, S, B * S, S**2, B * S**2, B**2, B**2 * S]


@given(st.sampled_from(WORDS), st.integers(1, 5000), st.integers(-50, 50))
def test_what_is_a_line_of_a_monomial_is_found(word: Poly, factor: int, offset: int) -> None:
    """Three points of mixed remainders: the size that made the numbers, offset and all."""
    made = word * factor + offset
    assert fit()(seen(made, THREE)) == made


@pytest.mark.parametrize("made", [7, B, S * 4, B * S, B * S * 3, S**2, B * S**2, B - 2, B**2])
def test_two_points_are_enough_for_plain_sizes(made: Any) -> None:
    assert fit(TWO)(seen(made, TWO)) == made


def test_two_points_can_be_met_by_more_than_one() -> None:
    """3 and 5 are B, and B² − 4 at neither; 9 and 25 are 8·B − 15 and B²: a pure power is taken."""
    assert fit(TWO)((3, 5)) == B
    assert fit(TWO)((9, 25)) == B**2
    assert fit(TWO)((10, 16)) == 3 * B + 1
    assert fit(TWO)(seen(S + 1, TWO)) == S + 1, "the smallest offset of all"
    assert fit(TWO)(seen(S + 20000, TWO)) != S + 20000, "any two numbers lie on a line of B"
    assert fit()(seen(S + 20000, THREE)) == S + 20000
    with pytest.raises(PartedError, match="the size 10, 16, 27 fits no formula"):
        fit()((10, 16, 27))


@pytest.mark.parametrize("vector", [(1, 2, 4), (9, 5, 100), (7, 7, 8)])
def test_what_fits_nothing_is_refused(vector: tuple[int, ...]) -> None:
    with pytest.raises(PartedError) as caught:
        fit()(vector)
    assert str(caught.value) == f"the size {', '.join(map(str, vector))} fits no formula"


@settings(max_examples=60)
@given(st.tuples(*[st.integers(1, 10**6)] * 3))
def test_a_fit_goes_through_its_points(vector: tuple[int, ...]) -> None:
    try:
        found = fit()(vector)
    except PartedError:
        return
    assert seen(found, THREE) == vector


def test_a_size_known_by_rule_stands() -> None:
    floor = symbol(Floor("S", 1, 2))
    one = fit()
    one.know(seen(floor, THREE), floor)
    assert one(seen(floor, THREE)) == floor
    assert one(seen(floor * B * 4, THREE)) == floor * B * 4
    wrong = fit()
    wrong.know((1, 2, 3), floor)
    with pytest.raises(PartedError):
        wrong((1, 2, 3))


# -- whole traces --------------------------------------------------------------------------------


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(4, 6), nn.Linear(6, 2)

    def forward(self, x: Any) -> Any:
        return self.last(torch.relu(self.first(x)))


def traces(module: nn.Module, points: Any, *inputs: Input, train: bool = True) -> list[Any]:
    setting = Setting(train=train)
    with on_meta(module):
        subject = Subject(module, Source("net", lambda: module, inputs), setting)
        return [subject.run(point) for point in points]


POINTS = ({"B": 3}, {"B": 5}, {"B": 7})
X = Input("B", 4)


def small() -> list[Any]:
    return traces(Small(), POINTS, X)


def aligned(found: list[Any]) -> Any:
    return align(found[:2], (B,), POINTS[:2])


def test_a_sound_pair_is_proved_by_a_third() -> None:
    found = small()
    stream = aligned(found)
    assert proves(stream, found[2], POINTS[2]) == ""
    sizes = [str(storage.bytes) for storage in stream.storages]
    assert "24*B" in sizes
    assert "16*B" in sizes


def test_every_stray_byte_is_seen() -> None:
    """One byte more in any storage of the proof, born or adopted."""
    found = small()
    stream = aligned(found)
    for number in range(len(found[2].sizes)):
        found[2].sizes[number] += 1
        said = proves(stream, found[2], POINTS[2])
        assert said.startswith(f"a storage of {found[2].sizes[number]} bytes is ")
        assert said.endswith(" by the formula")
        found[2].sizes[number] -= 1


def test_a_stray_shape_is_seen() -> None:
    found = small()
    stream = aligned(found)
    other = traces(Small(), ({"B": 9},), X)[0]
    other.sizes = found[2].sizes
    assert "has shape" in proves(stream, other, POINTS[2])


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        (lambda t: t.kinds.pop(), "the ops differ"),
        (lambda t: turned(t, OP), "the ops differ after"),
        (lambda t: turned(t, DEATH), "the ops differ after"),
        (lambda t: moved(t), "the ops differ after"),
    ],
)
def test_traces_that_part_are_refused(plant: Any, text: str) -> None:
    found = small()
    plant(found[1])
    with pytest.raises(PartedError, match=text):
        aligned(found)


def turned(trace: Any, kind: int) -> None:
    """The first two different things of a kind change places."""
    places = [i for i, one in enumerate(trace.kinds) if one == kind]
    first = places[0]
    second = next(i for i in places if trace.index[i] != trace.index[first])
    trace.index[first], trace.index[second] = trace.index[second], trace.index[first]


def moved(trace: Any) -> None:
    """One op is said to be another module's."""
    place = list(trace.kinds).index(OP)
    trace.scopes[place] += 1


@pytest.mark.parametrize(
    ("plant", "text"),
    [
        (lambda t: turned(t, DEATH), "memory is freed in another order"),
        (lambda t: moved(t), "the ops differ in order or number"),
        (lambda t: t.kinds.pop(), "the ops differ in order or number"),
        (lambda t: turned(t, OP), " stands where "),
    ],
)
def test_a_proof_that_parts_is_told(plant: Any, text: str) -> None:
    found = small()
    plant(found[2])
    assert text in proves(aligned(found), found[2], POINTS[2])


def test_a_relu_where_a_tanh_was() -> None:
    class Switching(nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.relu(x) if x.shape[0] < 4 else torch.tanh(x)

    found = traces(Switching(), POINTS, X, train=False)
    with pytest.raises(PartedError, match=r"the ops differ after aten\.(relu|tanh)"):
        aligned(found)


def test_rows_are_whole_numbers() -> None:
    stream = aligned(small())
    assert all(isinstance(row, array) for row in (stream.kinds, stream.index, stream.scopes))
    assert set(stream.kinds) >= {OP, BIRTH, DEATH}


# -- regimes of whole networks -------------------------------------------------------------------


class Attends(nn.Module):
    def forward(self, x: Any) -> Any:
        scores = x @ x.transpose(1, 2)
        return scores.softmax(-1) @ x


class Window(nn.Module):
    """A mask as wide as a window, then the whole length: another way beyond eight."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        return self.layer(x[:, -8:]).sum(1)


class Positions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(32, 4)

    def forward(self, x: Any) -> Any:
        return x + self.table(torch.arange(x.shape[1], device=x.device))


class Loop(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        for step in range(x.shape[1]):
            x = x + self.cell(x[:, step : step + 1])
        return x


class Rows(nn.Module):
    """Flattens the batch: B² in the product of rows with rows."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        y = self.layer(x)
        return y @ y.t()


def read(module: nn.Module, *sizes: Any, **asked: int) -> botec.Program:
    return botec.read(module, Input(*sizes), optimizer=None, **asked)


def confirmed(program: botec.Program, module: nn.Module, *sizes: Any, **there: int) -> None:
    """Counts and peak of a formula at another point are those of a fresh reading there."""
    fresh = read(module, *sizes, **there)
    for measure in ("multiplications", "flops", "bytes"):
        stream = program.stream(there)
        assert Counts(program, stream).total(measure).at(**there) == botec.count(fresh).total(
            measure
        ).at(**there)
    assert botec.memory(program).peak(**there) == botec.memory(fresh).peak()


def test_squares_and_products() -> None:
    class Learned(Attends):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return super().forward(self.layer(x))

    program = read(Learned(), "B", "S", 4, B=2, S=6)
    assert program.why == ""
    total = botec.count(program).total("multiplications", ("forward",)).value
    assert total == 16 * B * S + 8 * B * S**2
    for there in ({"B": 5, "S": 99}, {"B": 1, "S": 7}, {"B": 2, "S": 2}):
        confirmed(program, Learned(), "B", "S", 4, **there)


def test_the_square_of_a_batch() -> None:
    program = read(Rows(), "B", 4, B=6)
    total = botec.count(program).total("multiplications", ("forward",)).value
    assert total == 16 * B + 4 * B**2
    confirmed(program, Rows(), "B", 4, B=17)


def test_a_batch_of_one_is_a_regime_of_its_own() -> None:
    program = read(Small(), "B", 4, B=4)
    assert [str(stream.regime) for stream in program.streams] == ["B ≥ 2", "B = 1"]
    confirmed(program, Small(), "B", 4, B=1)
    confirmed(program, Small(), "B", 4, B=2)


def test_a_batch_of_one_that_is_refused() -> None:
    module = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    program = read(module, "B", 4, B=4)
    assert [str(stream.regime) for stream in program.streams] == ["B ≥ 2"]
    assert "B=1 is not to be had: running it raised ValueError" in program.why
    unasked = read(module, "B", 4)
    assert unasked.asked == {"B": 2}
    assert unasked.why.startswith("B=2 was taken: B=1 is not to be had: running it raised")
    with pytest.raises(botec.BotecError, match="B=1: running it raised ValueError"):
        read(module, "B", 4, B=1)


@pytest.mark.parametrize("length", [5, 20])
def test_a_window_has_two_sides(length: int) -> None:
    """Short of eight the slice is the length, beyond it eight: no formula holds on both sides."""
    program = read(Window(), "B", "S", 4, B=2, S=length)
    here = botec.count(program).total("multiplications", ("forward",)).at(B=2, S=length)
    assert here == 2 * min(length, 8) * 16
    for there in (6, 7, 8, 9, 19, 21, 50):
        point = {"B": 3, "S": there}
        if any(stream.regime.holds(point) for stream in program.streams):
            confirmed(program, Window(), "B", "S", 4, **point)


@pytest.mark.parametrize("length", [10, 31, 32])
def test_positions_have_an_end(length: int) -> None:
    """A source that knows its limit: no formula reaches beyond, and asking there is refused."""
    source = Source("net", Positions, (Input("B", "S", 4),), defaults={"S": length}, most={"S": 32})
    program = read_source(source, Setting(optimizer=None), {"B": 2})
    assert program.asked == {"B": 2, "S": length}
    assert all(stream.regime.most.get("S", 0) <= 32 for stream in program.streams)
    assert not any(stream.regime.holds({"B": 2, "S": 33}) for stream in program.streams)
    for there in (4, 9, length):
        confirmed(program, Positions(), "B", "S", 4, B=3, S=there)
    with pytest.raises(BadInput) as caught:
        read_source(source, Setting(optimizer=None), {"B": 2, "S": 33})
    assert str(caught.value) == ("S=33: the model has positions up to S=32; ask for S=32 or less")


def test_one_more_than_a_length() -> None:
    """A token in front of all others: S + 1 everywhere, its square in the scores."""

    class WithToken(Attends):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 1, 4))

        def forward(self, x: Any) -> Any:
            return super().forward(torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1))

    program = read(WithToken(), "B", "S", 4, B=2, S=6)
    total = botec.count(program).total("multiplications", ("forward",)).value
    assert total == 8 * B * (S + 1) ** 2
    confirmed(program, WithToken(), "B", "S", 4, B=5, S=50)


def test_a_loop_has_numbers_and_a_reason() -> None:
    program = read(Loop(), "B", "S", 4, B=2, S=6)
    assert program.why.startswith("no formula in S: the number of ops changes with it (")
    assert str(program.streams[0].regime) == "S = 6, B ≥ 2"
    total = botec.count(program).total("multiplications", ("forward",)).value
    assert total == 6 * 16 * B
    confirmed(program, Loop(), "B", "S", 4, B=9, S=6)


def test_strided_windows_are_floors() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.MaxPool2d(2))
    program = read(module, "B", 3, "H", "H", B=2, H=17)
    assert program.why == ""
    for side in (9, 16, 17, 18, 19, 20, 33, 224):
        there = {"B": 3, "H": side}
        if any(stream.regime.holds(there) for stream in program.streams):
            confirmed(program, module, "B", 3, "H", "H", **there)


class Averaged(nn.Module):
    """Its gradient is one number read at every place of a picture that may be a single place."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=32, padding=1)

    def forward(self, x: Any) -> Any:
        return self.first(x).mean((2, 3))


def test_what_is_expanded_is_asked_where_it_has_more_than_one_entry() -> None:
    """The first point makes one place of the picture, which is neither expanded nor not."""
    program = read(Averaged(), "B", 3, "H", "W", B=2, H=224, W=224)
    assert program.why == ""
    there = {"B": 4, "H": 175, "W": 177}
    assert program.streams[0].regime.holds(there)
    confirmed(program, Averaged(), "B", 3, "H", "W", **there)


def test_a_proof_sees_what_is_expanded_otherwise() -> None:
    found = traces(Small(), POINTS, X)
    stream = aligned(found)
    place = next(i for i, call in enumerate(stream.calls) if call.op == "aten.relu")
    call = stream.calls[place]
    wide = replace(call.arguments["self"], expanded=(1,))
    calls = list(stream.calls)
    calls[place] = replace(call, arguments={**call.arguments, "self": wide})
    said = proves(replace(stream, calls=tuple(calls)), found[2], POINTS[2])
    assert said == "aten.relu is expanded otherwise"


def test_expanded_at_some_points_only_is_refused() -> None:
    layouts = [((3, 4), (0, 1)), ((5, 4), (4, 1))]
    assert expanded_axes([layouts[0], ((1, 4), (4, 1))]) == (0,)
    assert expanded_axes([((1, 4), (0, 1))]) == ()
    with pytest.raises(PartedError, match="a tensor is expanded at some points only"):
        expanded_axes(layouts)


class Joined(nn.Module):
    """Tokens that look at themselves and at memories laid before them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any, memories: Any) -> Any:
        both = self.layer(torch.cat([memories, x], 1))
        return torch.softmax(x @ both.transpose(1, 2), -1) @ both


def test_two_dimensions_laid_end_to_end() -> None:
    inputs = (Input("B", "S", 4), Input("B", "T", 4))
    source = Source("net", Joined, inputs, {"B": 2, "S": 6, "T": 9})
    program = read_source(source, Setting(train=True, optimizer="adamw"), {})
    assert program.why == ""
    stream = program.streams[0]
    assert {"B", "S", "T"} <= set(stream.regime.least)
    there = {"B": 3, "S": 17, "T": 40}
    assert stream.regime.holds(there)
    other = read_source(source, program.setting, there)
    total = botec.count(program).total("multiplications", ("forward",))
    assert total.at(**there) == 16 * 3 * 57 + 2 * 4 * 3 * 17 * 57
    for measure in ("multiplications", "flops", "bytes"):
        ours, theirs = botec.count(program).total(measure), botec.count(other).total(measure)
        assert ours.at(**there) == theirs.at(**there)
