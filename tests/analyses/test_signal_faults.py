"""Planted faults of initialisation: each is found, and in the right place; sound networks pass."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from botec.analyses.signal.fold import predict
from botec.analyses.signal.layers import layers
from botec.analyses.signal.verdict import findings, siblings
from botec.inputs import parse_input
from botec.read.doors import open_source
from botec.read.executor import Executor, real
from botec.read.source import Source
from botec.read.tape import tape_source

GAINS = {nn.ReLU: math.sqrt(2), nn.GELU: 1.5335304412, nn.Tanh: 1.0, nn.SELU: 1.0}


def plain(act=nn.ReLU, depth: int = 16, width: int = 128, gain: float | None = None):
    """A plain network, each layer by its activation's own gain."""
    rows: list[nn.Module] = []
    for _ in range(depth):
        rows += [nn.Linear(width, width), act()]
        size = GAINS[act] if gain is None else gain
        nn.init.normal_(rows[-2].weight, 0, size / math.sqrt(width))
        nn.init.zeros_(rows[-2].bias)
    return nn.Sequential(*rows)


class Stream(nn.Module):
    """Residual blocks, with or without a norm and a factor on their branches."""

    def __init__(self, depth: int = 12, norm: bool = True, factor: float = 1.0, twice: int = -1):
        super().__init__()
        self.blocks = nn.ModuleList()
        for place in range(depth):
            norms = [nn.LayerNorm(128)] * (norm * (1 + (place == twice)))
            linear = nn.Linear(128, 128)
            nn.init.normal_(linear.weight, 0, factor * math.sqrt(2 / 128))
            norms = [nn.LayerNorm(128) for _ in norms]
            self.blocks.append(nn.Sequential(*norms, nn.ReLU(), linear))

    def forward(self, x):
        for one in self.blocks:
            x = x + one(x)
        return x


def convolutions(depth: int = 10, norm: bool = False, twice: int = -1, out: bool = False):
    rows: list[nn.Module] = []
    for place in range(depth):
        conv = nn.Conv2d(3 if place == 0 else 64, 64, 3, padding=1)
        nn.init.kaiming_normal_(conv.weight, mode="fan_out" if out else "fan_in")
        rows.append(conv)
        rows += [nn.BatchNorm2d(64) for _ in range(norm * (1 + (place == twice)))]
        rows.append(nn.ReLU())
    return nn.Sequential(*rows)


class Scaled(nn.Module):
    """Blocks whose second matrix shrinks with the depth, as of BEiT; a tiny kernel in each."""

    def __init__(self, depth: int = 12):
        super().__init__()
        self.blocks = nn.ModuleList()
        for place in range(depth):
            rows = (nn.LayerNorm(128), nn.Linear(128, 128), nn.GELU(), nn.Linear(128, 128))
            self.blocks.append(nn.Sequential(*rows))
            for row in (rows[1], rows[3]):
                nn.init.trunc_normal_(row.weight, std=0.1)
                nn.init.zeros_(row.bias)
            with torch.no_grad():
                rows[3].weight.div_(math.sqrt(2 * (place + 1)))

    def forward(self, x):
        for one in self.blocks:
            x = x + one(x)
        return x


def tiny(depth: int = 8):
    """Kernels of 16 weights, whose squares differ by chance; leaky slopes that are next to none."""
    rows: list[nn.Module] = [nn.Conv2d(3, 16, 1)]
    for _ in range(depth):
        rows += [nn.Conv2d(16, 16, 1, groups=16), nn.BatchNorm2d(16), nn.LeakyReLU(0.01)]
    return nn.Sequential(*rows)


class Silent(nn.Module):
    """Blocks whose last matrix starts at 0, before a gate; kernels of a channel's own drawn by
    their own fan-out, among others."""

    def __init__(self, depth: int = 6):
        super().__init__()
        self.blocks = nn.ModuleList()
        for place in range(2 * depth):
            conv = nn.Conv2d(
                16, 16, 1 + place % 2 * 2, padding=place % 2, groups=1 + place % 2 * 15
            )
            nn.init.normal_(conv.weight, 0, math.sqrt(2 / (9 if place % 2 else 16)))
            rows = (nn.BatchNorm2d(16), nn.ReLU(), conv)
            self.blocks.append(nn.Sequential(*rows))
        self.last, self.gate = nn.Conv2d(16, 16, 1, bias=False), nn.Conv2d(16, 16, 1, bias=False)
        nn.init.zeros_(self.last.weight)
        self.first = nn.Conv2d(3, 16, 1)

    def forward(self, x):
        x = self.first(x)
        for one in self.blocks:
            x = x + one(x)
        y = self.last(x)
        return x + y * torch.sigmoid(self.gate(torch.relu(y)))


def changed(build, name: str, factor: float):
    def made():
        model = build()
        with torch.no_grad():
            model.get_submodule(name).weight.mul_(factor)
        return model

    return made


def zoo(name: str, part: str = "", factor: float = 1.0, shape: str = "B,3,64,64") -> Source:
    source = open_source(f"torchvision:{name}", True, (parse_input(shape),))
    if not part:
        return source
    from dataclasses import replace

    return replace(source, build=changed(source.build, part, factor))


def judged(source: Source):
    graph = tape_source(source, {"B": 4} if source.inputs[0].names else {}, train=True)
    weights = real(source, train=True).of(graph)
    run = predict(graph, Executor(), weights)
    return findings(run, layers(run), weights)


def vector(build) -> Source:
    return Source("net", build, (parse_input("16,128"),))


def picture(build) -> Source:
    return Source("net", build, (parse_input("4,3,16,16"),))


ODD, UP, DOWN = "odd weight", "explodes", "vanishes"
# What is planted, the kind of finding and where ("": anywhere, it is everywhere).
FAULTS = {
    **{
        f"one ×{f} in a plain network, {act.__name__}, layer {n}": (
            lambda act=act, n=n, f=f: vector(changed(lambda: plain(act), str(n), f)),
            ODD,
            str(n),
        )
        for act, n, f in (
            (nn.ReLU, 4, 1.5),
            (nn.ReLU, 20, 1.5),
            (nn.GELU, 10, 1.5),
            (nn.Tanh, 12, 1.5),
            (nn.SELU, 2, 0.6),
            (nn.ReLU, 16, 1 / math.sqrt(2)),
        )
    },
    **{
        f"one ×{f} in a stream, block {n}": (
            lambda n=n, f=f: vector(changed(Stream, f"blocks.{n}.2", f)),
            ODD,
            f"blocks.{n}.2",
        )
        for n, f in ((3, 1.5), (7, 0.5), (11, 2.0))
    },
    **{
        f"one ×{f} among convolutions, layer {n}": (
            lambda n=n, f=f: picture(changed(convolutions, str(n), f)),
            ODD,
            str(n),
        )
        for n, f in ((4, 1.5), (12, 0.6), (18, 1.5))
    },
    **{
        f"{name} {part} ×{f}": (lambda name=name, part=part, f=f: zoo(name, part, f), ODD, part)
        for name, part, f in (
            ("resnet18", "layer3.0.conv2", 1.5),
            ("resnet50", "layer2.1.conv1", 1.5),
            ("resnet50", "layer3.4.conv3", 0.5),
            ("vgg11", "features.13", 1.5),
            ("mobilenet_v2", "features.9.conv.2", 1.5),
        )
    },
    **{
        f"missing √2, {depth} layers": (
            lambda d=depth: vector(lambda: plain(depth=d, gain=1.0)),
            DOWN,
            "",
        )
        for depth in (20, 30, 40, 50)
    },
    **{
        f"×1.5 everywhere, {depth} layers": (
            lambda d=depth: vector(lambda: plain(depth=d, gain=1.5 * math.sqrt(2))),
            UP,
            "",
        )
        for depth in (16, 40)
    },
    "the framework's own default, 30 layers": (
        lambda: vector(
            lambda: nn.Sequential(*[p for _ in range(30) for p in (nn.Linear(128, 128), nn.ReLU())])
        ),
        DOWN,
        "",
    ),
    "a stack of sigmoids": (
        lambda: vector(
            lambda: nn.Sequential(
                *[p for _ in range(10) for p in (nn.Linear(128, 128), nn.Sigmoid())]
            )
        ),
        DOWN,
        "",
    ),
    "tanh saturated": (lambda: vector(lambda: plain(nn.Tanh, 8, gain=20.0)), "saturated", ""),
    "no residual scale, 24 blocks": (lambda: vector(lambda: Stream(24, norm=False)), UP, ""),
    "no residual scale, 32 blocks": (lambda: vector(lambda: Stream(32, norm=False)), UP, ""),
    "two layer norms": (lambda: vector(lambda: Stream(twice=5)), "double norm", "blocks.5.1"),
    "two batch norms": (
        lambda: picture(lambda: convolutions(norm=True, twice=3)),
        "double norm",
        "11",
    ),
}
SOUND = {
    **{f"plain {act.__name__}": (lambda a=act: vector(lambda: plain(a))) for act in GAINS},
    "plain and deep": lambda: vector(lambda: plain(depth=40)),
    "shallow default": lambda: vector(
        lambda: nn.Sequential(*[p for _ in range(4) for p in (nn.Linear(128, 128), nn.ReLU())])
    ),
    "stream": lambda: vector(Stream),
    "stream of 24 without a norm, scaled": lambda: vector(lambda: Stream(24, False, 24**-0.5)),
    "scaled by depth": lambda: vector(Scaled),
    "tiny kernels, leaky": lambda: picture(tiny),
    "a branch from 0, kernels of two kinds": lambda: picture(Silent),
    "convolutions": lambda: picture(convolutions),
    "convolutions by fan-out": lambda: picture(lambda: convolutions(out=True)),
    "convolutions with norms": lambda: picture(lambda: convolutions(norm=True)),
    **{
        name: (lambda n=name: zoo(n))
        for name in (
            "resnet18",
            "resnet50",
            "vgg11",
            "mobilenet_v2",
            "densenet121",
            "efficientnet_b0",
            "convnext_tiny",
            "squeezenet1_1",
            "regnet_y_400mf",
        )
    },
}


def matches(found, kind: str, where: str) -> bool:
    return any(kind in one.kind and where in ("", one.where) for one in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found_where_it_is(name):
    build, kind, where = FAULTS[name]
    found = judged(build())
    assert matches(found, kind, where), [(one.kind, one.where) for one in found]


def test_siblings_are_those_in_the_same_place_where_there_are_enough():
    names = [f"blocks.{n}.{part}" for n in range(4) for part in ("fc1", "fc2")]
    names += ["layer1.0.conv1", "layer1.0.conv2", "layer2.0.conv1", "layer2.1.conv2"]
    found = sorted(map(sorted, siblings(names)))
    fc1, fc2 = ([f"blocks.{n}.{part}" for n in range(4)] for part in ("fc1", "fc2"))
    assert found == [fc1, fc2, names[8:]]


@pytest.mark.slow
@pytest.mark.parametrize("name", SOUND)
def test_a_sound_network_passes(name):
    assert judged(SOUND[name]()) == []


def test_there_are_as_many_as_promised():
    assert len(FAULTS) >= 30
    assert len(SOUND) >= 20
