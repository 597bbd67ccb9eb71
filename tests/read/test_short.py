"""Equal blocks are read once, and the program is the one of reading every block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import botec
from botec.analyses.memory import memory, peak_of
from botec.analyses.requests import requests
from botec.inputs import Input
from botec.program import BIRTH, Kernels, Program, Setting
from botec.read import around, from_torch, short
from botec.read.align import align
from botec.read.around import of_all
from botec.read.from_file import source_of_module
from botec.read.repeats import equal, runs_of
from botec.read.splice import Few, NotPeriodicError
from botec.read.step import Subject

DEEP = 11
FEW = Few(1)
SHORT = FEW.units


class Block(nn.Module):
    """A block as in GPT: attention and a wide layer, each added to what came in."""

    def __init__(self, width: int = 8, place: int = 0, rate: float = 0.0) -> None:
        super().__init__()
        self.place, self.rate = place, rate
        self.norm, self.mix = nn.LayerNorm(width), nn.Linear(width, 3 * width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.mix(self.norm(x)).unsqueeze(1).chunk(3, -1)
        x = x + functional.scaled_dot_product_attention(query, key, value).squeeze(1)
        x = functional.dropout(x, self.rate) if self.rate else x
        return x + self.narrow(functional.gelu(self.wide(x)))


class Stack(nn.Module):
    """Blocks one after the other, with a layer before and one after."""

    def __init__(self, blocks: list[nn.Module], width: int = 8, tied: bool = False) -> None:
        super().__init__()
        self.words = nn.Embedding(20, width)
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(width, 20, bias=False)
        if tied:
            self.head.weight = self.words.weight

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.words(words)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Residual(nn.Module):
    """A block as in a ResNet."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = (nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(2))
        self.norms = nn.ModuleList([nn.BatchNorm2d(4), nn.BatchNorm2d(4)])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norms[0](self.one(x)))
        return functional.relu(self.norms[1](self.two(y)) + x)


class Every(Block):
    """Behaves differently at every fourth place, though nothing in it looks so."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(torch.tanh(x) if self.place % 4 == 3 else x)


class Listed(Stack):
    """The caller treats one block in the middle differently."""

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.words(words)
        for place, block in enumerate(self.blocks):
            x = block(x)
            x = torch.tanh(x) if place == DEEP - 3 else x
        return self.head(x)


class Keeping(Stack):
    """Two inner blocks' outputs are used at the end."""

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x, kept = self.words(words), []
        for place, block in enumerate(self.blocks):
            x = block(x)
            kept += [x.exp()] if place in (4, 8) else []
        return self.head(x) + sum(map(self.head, kept))


class Collecting(Stack):
    """All blocks' outputs are kept to the end."""

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x, kept = self.words(words), []
        for block in self.blocks:
            x = block(x)
            kept.append(x.exp())
        del kept
        return self.head(x)


class Backwards(Stack):
    """Blocks are run from the last to the first, and back."""

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.words(words)
        for block in (*reversed(self.blocks), *self.blocks):
            x = block(x)
        return self.head(x)


class Shared(Block):
    """Adds the same layer of the network's in every block."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(self.layer(x))


class TwoTowers(nn.Module):
    """An encoder and a decoder; every block of the latter looks at the encoder's output."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = Stack(blocks(DEEP)), Stack(blocks(DEEP - 1))

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        x = self.below.words(words)
        for block in self.below.blocks:
            x = block(x)
        y = self.above.words(words)
        for block in self.above.blocks:
            y = block(y) * x
        return self.above.head(y)


def blocks(count: int = DEEP, kind: type[Block] = Block) -> list[nn.Module]:
    return [kind(place=place) for place in range(count)]


def alternating() -> list[nn.Module]:
    """Narrow blocks after wide ones, and one left over."""
    pairs = [(Block(), Every(place=4)) for _ in range(SHORT + 3)]
    return [*(block for pair in pairs for block in pair), Block()]


WORDS = (Input("B", "S", dtype="int64"),)
LIKE: dict[str, Callable[[], nn.Module]] = {
    "stack": lambda: Stack(blocks()),
    "tied": lambda: Stack(blocks(), tied=True),
    "collecting": lambda: Collecting(blocks()),
    "backwards": lambda: Backwards(blocks()),
    "two towers": TwoTowers,
    "alternating": lambda: Stack(alternating()),
    "other first": lambda: Stack([Block(place=7), Shared(nn.Linear(8, 8)), *blocks()]),
}
UNLIKE: dict[str, Callable[[], nn.Module]] = {
    "every fourth": lambda: Stack(blocks(kind=Every)),
    "one in the list": lambda: Listed(blocks()),
    "kept outputs": lambda: Keeping(blocks()),
    "rates": lambda: Stack([Block(rate=place / 20) for place in range(DEEP)]),
    "shared": lambda: Stack([Shared(layer) for layer in [nn.Linear(8, 8)] for _ in range(DEEP)]),
    "the same block": lambda: Stack([Block()] * DEEP),
}


@contextmanager
def watched() -> Iterator[list[bool]]:
    """Notes whether programs were made of few blocks, to the end."""
    used: list[bool] = []
    streams = from_torch.Search.streams

    def noted(search: Any) -> Any:
        found = streams(search)
        used.append(search.short is not None)
        return found

    with patch.object(from_torch.Search, "streams", noted):
        yield used


def both(make: Callable[[], nn.Module], inputs: Any = WORDS, **asked: Any) -> tuple[Any, Any, bool]:
    """The program as it is read, the program of every block, whether the first is spliced."""
    torch.manual_seed(0)
    with watched() as used:
        spliced = botec.read(make(), *inputs, **asked)
    with patch.object(from_torch, "shorter", lambda *_: None):
        whole = botec.read(make(), *inputs, **asked)
    return spliced, whole, used[0]


def assert_same(one: Program, other: Program) -> None:
    """The same in everything: events, storages, calls, weights, regimes, words."""
    for name in vars(one):
        if name != "streams":
            assert getattr(one, name) == getattr(other, name), name
    for stream, second in zip(one.streams, other.streams, strict=True):
        for name in ("regime", "kinds", "index", "scopes", "storages"):
            assert getattr(stream, name) == getattr(second, name), name
        for call, twin in zip(stream.calls, second.calls, strict=True):
            assert (call.op, call.overload) == (twin.op, twin.overload)
            assert (call.arguments, call.outputs) == (twin.arguments, twin.outputs)
        assert vars(stream.kernels or Kernels(0, ())) == vars(second.kernels or Kernels(0, ()))


@pytest.mark.parametrize("device", ["cpu", "a100"])
@pytest.mark.parametrize("name", LIKE)
def test_the_program_is_that_of_every_block(name, device):
    spliced, whole, used = both(LIKE[name], B=3, S=7, device=device)
    assert used
    assert_same(spliced, whole)


@pytest.mark.parametrize("device", ["cpu", "a100"])
@pytest.mark.parametrize("name", UNLIKE)
def test_blocks_that_only_look_equal_are_all_traced(name, device):
    spliced, whole, used = both(UNLIKE[name], B=3, S=7, device=device)
    assert not used
    assert_same(spliced, whole)


@pytest.mark.parametrize(
    "asked",
    [
        {"optimizer": None},
        {"optimizer": "sgd"},
        {"optimizer": "sgd-momentum"},
        {"optimizer": "adagrad"},
        {"optimizer": "radam"},
        {"optimizer": "adafactor"},
        {"train": False},
        {"checkpoint": True},
        {"precision": "bf16"},
        {"precision": "amp-bf16"},
        {"B": 1, "S": 1},
    ],
    ids=str,
)
def test_whatever_the_setting(asked):
    spliced, whole, used = both(LIKE["stack"], **{"B": 2, "S": 5, **asked})
    assert used
    assert_same(spliced, whole)


class Uneven(torch.optim.SGD):
    """Goes over every fifth weight twice: blocks of eight weights are not alike."""

    def step(self, closure: Any = None) -> None:
        super().step()
        for weight in self.param_groups[0]["params"][::5]:
            weight.data.mul_(1.0)


class Counting(torch.optim.SGD):
    """Does more the more weights there are."""

    def step(self, closure: Any = None) -> None:
        super().step()
        weights = self.param_groups[0]["params"]
        for _ in range(len(weights) // 7):
            weights[0].data.mul_(1.0)


@pytest.mark.parametrize("kind", [Uneven, Counting, torch.optim.SGD])
@pytest.mark.parametrize("tied", [False, True])
def test_an_update_that_does_not_repeat_is_run_over_all_weights(kind, tied, monkeypatch):
    updates = []
    monkeypatch.setattr(torch.optim, "Sgd2", type("Sgd2", (kind,), {}), raising=False)
    monkeypatch.setattr(torch.optim.Sgd2, "__module__", "torch.optim.sgd2")
    monkeypatch.setattr(around, "of_all", lambda *a: updates.append(1) or of_all(*a))
    spliced, whole, used = both(lambda: Stack(blocks(), tied=tied), B=2, S=5, optimizer="sgd2")
    assert used
    assert_same(spliced, whole)
    assert bool(updates) == (kind is not torch.optim.SGD)


class Masked(Block):
    """A block that has a buffer."""

    def __init__(self, place: int = 0) -> None:
        super().__init__(place=place)
        self.register_buffer("mask", torch.zeros(1000))


@pytest.mark.parametrize("kind", [Block, Masked])
def test_an_optimizer_of_the_users_own_is_run_over_all_weights(kind, tmp_path, monkeypatch):
    text = "from torch.optim import SGD\nclass Mine(SGD):\n    pass\n"
    (tmp_path / "mine.py").write_text(text, encoding="utf-8")
    updates = []
    monkeypatch.setattr(around, "of_all", lambda *a: updates.append(1) or of_all(*a))
    asked = {"B": 2, "S": 5, "optimizer": f"{tmp_path / 'mine.py'}:Mine(lr=0.1,momentum=0.9)"}
    spliced, whole, used = both(lambda: Stack(blocks(kind=kind)), **asked)
    assert used
    assert updates
    assert_same(spliced, whole)


@pytest.mark.parametrize("device", ["t4", "a100", "cuda:90"])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"optimizer": "adamw(fused=True)", "precision": "amp-bf16"},
        {"optimizer": "adafactor", "precision": "bf16"},
        {"train": False, "precision": "bf16"},
        {"checkpoint": True},
    ],
    ids=str,
)
def test_another_devices_kernels_are_those_of_every_block(asked, device):
    """Calls, what their kernels look at, and the peaks that follow from it at many points."""
    spliced, whole, used = both(LIKE["stack"], **{"B": 2, "S": 5, "device": device, **asked})
    assert used
    assert_same(spliced, whole)
    point = {"B": np.array([1, 2, 3, 64, 999]), "S": np.array([5, 2, 100, 513, 4096])}
    assert peak_of(spliced, point).tolist() == peak_of(whole, point).tolist()
    for there in ({"B": 3, "S": 100}, {"B": 999, "S": 4096}):
        assert requested(spliced, there) == requested(whole, there)


def requested(program: Program, point: dict[str, int]) -> list[Any]:
    """Every request to the device's allocator in two steps, in order."""
    return list(requests(memory(program, **point)))


def test_pictures_on_another_device():
    make = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *(Residual() for _ in range(DEEP)))  # noqa: E731
    asked = {"B": 2, "H": 9, "W": 12, "device": "a100", "precision": "amp-bf16"}
    spliced, whole, used = both(make, (Input("B", 3, "H", "W"),), **asked)
    assert used
    assert_same(spliced, whole)


@pytest.mark.parametrize("asked", [{"zero_grad": "keep"}, {"accumulate": 2}])
def test_settings_that_are_traced_in_full_say_the_same(asked):
    spliced, whole, used = both(LIKE["stack"], B=2, S=5, **asked)
    assert not used
    assert_same(spliced, whole)


def test_pictures():
    make = lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *(Residual() for _ in range(DEEP)))  # noqa: E731
    spliced, whole, used = both(make, (Input("B", 3, "H", "W"),), B=2, H=9, W=12)
    assert used
    assert_same(spliced, whole)


def test_frozen_blocks_are_another_kind():
    def make() -> nn.Module:
        model = Stack(blocks(2 * DEEP))
        for block in model.blocks[:DEEP]:
            block.requires_grad_(False)
        return model

    spliced, whole, used = both(make, B=2, S=3)
    assert used
    assert_same(spliced, whole)


def test_a_model_is_left_as_it_was():
    model = Stack(blocks())
    botec.read(model, *WORDS, B=2, S=3)
    assert len(model.blocks) == DEEP
    assert [block.place for block in model.blocks] == list(range(DEEP))
    assert not any(parameter.is_meta for parameter in model.parameters())


def test_few_blocks_are_traced():
    """The traces of a deep network are as long as those of a shallower one."""
    lengths = []
    for depth in (DEEP, 2 * DEEP):
        subject = subject_of(Stack(blocks(depth)))
        found, _ = short.shorter(subject, {"B": 2, "S": 3}, iter([FEW]))
        lengths.append(len(found.run({"B": 5, "S": 4}).kinds))
    assert lengths[0] == lengths[1]


@pytest.mark.parametrize(("train", "edge"), [(True, 1), (False, 2)])
def test_blocks_with_events_of_their_own(train, edge):
    """In inference the last block lets go of what the one before it gave: two stand at the end."""
    used = []
    ended = from_torch.Search.streams

    def noted(search: Any) -> Any:
        found = ended(search)
        used.append(search.short.few.edge)
        return found

    with patch.object(from_torch.Search, "streams", noted):
        botec.read(Stack(blocks()), *WORDS, B=2, S=3, train=train)
    assert used == [edge]


def test_a_way_that_fails_late_gives_place_to_the_next():
    """Where the splice of the shorter way fails at the end, that of the longer one is taken."""
    whole = short.Short.whole

    def failing(few: Any, *given: Any) -> Any:
        if few.few.edge == 1:
            raise NotPeriodicError("planted")
        return whole(few, *given)

    with watched() as used, patch.object(short.Short, "whole", failing):
        spliced = botec.read(Stack(blocks()), *WORDS, B=2, S=3)
    with patch.object(from_torch, "shorter", lambda *_: None):
        every = botec.read(Stack(blocks()), *WORDS, B=2, S=3)
    assert used[-1]
    assert_same(spliced, every)


def subject_of(model: nn.Module) -> Subject:
    source = source_of_module(model.to("meta"), WORDS)
    return Subject(model, source, Setting(optimizer="adamw"))


def test_runs_and_their_periods():
    model = Stack(alternating())
    scopes = {id(part): place for place, part in enumerate(model.modules())}
    (run,) = runs_of(model, scopes, SHORT)
    assert (run.start, run.period, run.count) == (0, 2, SHORT + 3)
    assert run.first == scopes[id(model.blocks[0])]
    assert runs_of(model, scopes, SHORT + 4) == []


@pytest.mark.parametrize(
    "change",
    [
        lambda block: setattr(block, "rate", 0.1),
        lambda block: setattr(block, "place", 7),
        lambda block: setattr(block, "other", 0),
        lambda block: setattr(block, "mix", nn.Linear(8, 24, bias=False)),
        lambda block: setattr(block, "norm", nn.LayerNorm(8, eps=1e-3)),
        lambda block: block.norm.requires_grad_(False),
        lambda block: block.norm.double(),
        lambda block: block.norm.eval(),
        lambda block: block.register_forward_hook(lambda *_: None),
    ],
)
def test_what_makes_blocks_unequal(change):
    one, other = blocks(2)
    assert equal(one, other, 1)
    change(other)
    assert not equal(one, other, 1)


@pytest.mark.parametrize("method", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_that_do_the_same_are_equal(method):
    """They are numbered through all modules, and made anew for each."""

    def scaling(factor: float, shift: Callable[[], float] = lambda: 0.0) -> Callable[..., Any]:
        return lambda _, x, *more: factor * (x if not more else more[0]) + shift()

    one, other, another, more = blocks(4)
    for block, factor in ((one, 2.0), (other, 2.0), (another, 3.0), (more, 2.0)):
        getattr(block.mix, method)(scaling(factor), with_kwargs=block is more)
    assert equal(one, other, 1)
    assert not equal(other, another, 1)
    assert not equal(other, more, 1)


def test_a_wrong_splice_is_refused():
    """The proofs see an event, a storage's size and a module that are not those of the step."""
    subject = subject_of(Stack(blocks()))
    few = short.Short(subject, runs_of(subject.module, subject.scopes, SHORT), FEW)
    point = {"B": 2, "S": 3}
    trace = few.run(point)
    stream = align([trace], (), (point,))
    for spoil in (wrong_size, wrong_module, wrong_kind):
        longer = few.run(point, FEW.longer)
        few.prove_forward(longer, point)
        assert few.differs(stream, trace, longer, point) == ""
        spoil(longer)
        assert few.differs(stream, trace, longer, point)
        with pytest.raises(NotPeriodicError):
            few.prove_forward(longer, point)


def inner_birth(trace: Any) -> int:
    """A birth in the forward pass of the first block."""
    return next(e for e, k in enumerate(trace.kinds) if k == BIRTH and trace.scopes[e] > 3)


def wrong_size(trace: Any) -> None:
    trace.sizes[trace.index[inner_birth(trace)]] += 4


def wrong_module(trace: Any) -> None:
    trace.scopes[inner_birth(trace)] = 0


def wrong_kind(trace: Any) -> None:
    event = inner_birth(trace)
    trace.kinds[event] = 2
