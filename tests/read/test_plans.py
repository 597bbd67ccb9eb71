"""Lengths taken block by block: formulas for whole blocks, and for as many turns as are taken."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import botec
from botec import Input
from botec.analyses.count import Counts
from botec.errors import ModelFailed
from botec.poly import Floor, symbol
from botec.program import Setting
from botec.read.align import Fit, PartedError
from botec.read.from_torch import read_source
from botec.read.source import Source

B, N = symbol("B"), symbol("N")


class Turns(nn.Module):
    """A state handed on from block to block, as linear attention does: more blocks, more ops."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.layer = block, nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        short = -x.shape[1] % self.block
        x = nn.functional.pad(x, (0, 0, 0, short)) if short else x
        state = x[:, :1]
        for start in range(0, x.shape[1], self.block):
            state = self.layer(x[:, start : start + self.block]).sum(1, keepdim=True) + state
        return state


class Whole(Turns):
    """Attention inside of blocks: what is no whole block is padded."""

    def forward(self, x: Any) -> Any:
        short = -x.shape[1] % self.block
        x = nn.functional.pad(x, (0, 0, 0, short)) if short else x
        y = self.layer(x).view(x.shape[0], -1, self.block, 4)
        return y @ y.transpose(-1, -2)


def read(module: nn.Module, **asked: int) -> botec.Program:
    return botec.read(module, Input("B", "S", 4), optimizer=None, **asked)


def confirmed(program: botec.Program, module: nn.Module, **there: int) -> None:
    """Counts and peak of a formula at another point are those of a fresh reading there."""
    fresh = read(module, **there)
    for measure in ("multiplications", "flops", "bytes"):
        ours = Counts(program, program.stream(there)).total(measure).at(**there)
        theirs = Counts(fresh, fresh.stream(there)).total(measure).at(**there)
        assert ours == theirs, measure
    assert botec.memory(program).peak(**there) == botec.memory(fresh).peak()


def test_as_many_turns_as_are_taken() -> None:
    program = read(Turns(64), B=2, S=512)
    wide = program.streams[0].regime
    assert str(wide) == "B ≥ 2, 449 ≤ S ≤ 511"
    assert program.why.startswith(f"no formula in S but for {wide}: the number of ops changes")
    for length in (449, 470, 511, 512):
        confirmed(program, Turns(64), B=3, S=length)
    assert not any(one.regime.holds({"B": 3, "S": 448}) for one in program.streams)


def test_whole_blocks_of_tokens() -> None:
    """From the asked length up; a part of a block is another case."""
    program = read(Whole(128), B=2, S=512)
    assert str(program.streams[0].regime) == "B ≥ 2, S ≥ 512, S a multiple of 128"
    for length in (512, 640, 4096):
        confirmed(program, Whole(128), B=3, S=length)
    assert not any(one.regime.holds({"B": 3, "S": 600}) for one in program.streams)


def test_below_the_asked_length_where_that_is_a_case_of_its_own() -> None:
    """One block: a length below it is padded, the asked one is not."""
    program = read(Whole(96), B=2, S=96)
    assert str(program.streams[0].regime) == "B ≥ 2, 2 ≤ S ≤ 95"
    for length in (2, 50, 95, 96):
        confirmed(program, Whole(96), B=3, S=length)


def test_a_loop_over_every_token_is_no_block() -> None:
    program = read(Turns(1), B=2, S=40)
    assert [str(one.regime) for one in program.streams] == ["S = 40, B ≥ 2", "B = 1, S = 40"]
    assert program.why.startswith("no formula in S: the number of ops changes with it (")


def test_sizes_that_have_an_offset_by_rule() -> None:
    """⌊N/8⌋ + 1 frames of every example in one row: no monomial, but a size known by its rule."""
    points = ({"B": 3, "N": 88}, {"B": 5, "N": 261}, {"B": 7, "N": 190})
    one = Fit((B, N), points)
    frames = symbol(Floor("N", 0, 8)) + 1
    rows = tuple((frames * B).at(**point) for point in points)
    with pytest.raises(PartedError):
        Fit((B, N), points)(rows)
    one.know(tuple(frames.at(**point) for point in points), frames)
    assert one(rows) == frames * B
    assert one(tuple(4 * row + 3 for row in rows)) == frames * B * 4 + 3


def test_frames_in_one_row() -> None:
    class Sound(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frames, self.layer = nn.Conv1d(1, 4, 8, stride=8, padding=4), nn.Linear(4, 4)

        def forward(self, x: Any) -> Any:
            return self.layer(self.frames(x).transpose(1, 2).reshape(-1, 4))

    program = botec.read(Sound(), Input("B", 1, "N"), optimizer=None, B=2, N=128)
    for length in (101, 131, 255):
        fresh = botec.read(Sound(), Input("B", 1, "N"), optimizer=None, B=6, N=length)
        point = {"B": 6, "N": length}
        ours = Counts(program, program.stream(point)).total("flops").at(**point)
        assert ours == Counts(fresh, fresh.stream(point)).total("flops").at(**point)


class Least(nn.Module):
    """A window of seven on strided pictures, as video networks end: nothing much smaller goes."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.pool = nn.Conv2d(3, 4, 3, stride=8, padding=1), nn.AvgPool2d(7, stride=2)

    def forward(self, x: Any) -> Any:
        return self.pool(self.first(x)).mean((2, 3))


def test_upwards_where_nothing_much_smaller_goes() -> None:
    """Odd sizes too, through floors; and none below the asked picture is claimed."""

    def pictures(**asked: int) -> botec.Program:
        return botec.read(Least(), Input("B", 3, "H", "W"), optimizer=None, **asked)

    program = pictures(B=2, H=56, W=56)
    assert program.streams[0].regime.least == {"B": 2, "H": 56, "W": 56}
    for high, wide in ((57, 63), (91, 75), (56, 110)):
        point = {"B": 3, "H": high, "W": wide}
        fresh = pictures(**point)
        ours = Counts(program, program.stream(point)).total("bytes").at(**point)
        assert ours == Counts(fresh, fresh.stream(point)).total("bytes").at(**point)
        assert botec.memory(program).peak(**point) == botec.memory(fresh).peak()


class AtMost(nn.Module):
    """Fails beyond forty tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Any) -> Any:
        assert x.shape[1] <= 40, "too long"
        return self.layer(x)


def test_a_length_that_fails_gives_way_to_a_shorter_one_that_nobody_asked_for() -> None:
    source = Source("net", AtMost, (Input("B", "S", 4),), defaults={"B": 2, "S": 128})
    program = read_source(source, Setting(optimizer=None), {})
    assert program.asked == {"B": 2, "S": 32}
    assert str(program.streams[0].regime) == "B ≥ 2, 2 ≤ S ≤ 32"
    assert program.why.startswith(
        "S=32 was taken: S=128 is not to be had: running it raised AssertionError: too long"
    )
    for asked in ({"S": 128}, {"S": 41, "B": 3}):
        with pytest.raises(ModelFailed, match="too long"):
            read_source(source, Setting(optimizer=None), asked)
