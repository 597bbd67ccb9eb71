"""Small networks, each twice: as the framework's module, and in naive loops that count.

``CASES[name]`` has what botec needs to read it; ``multiplications_of(name)`` is what the loops say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from measure import counting
from measure.counting import Number, Tape, Weights, each, flat, linear
from torch import nn
from torch.nn import functional

from botec.inputs import Input


@dataclass(frozen=True)
class Case:
    """A module's ``factory``, its ``inputs`` and ``point``, and the same network in ``loops``.

    ``kernel`` names the fused CPU kernel whose backward does more than it must: see
    :func:`multiplications_of`.
    """

    factory: Callable[[], nn.Module]
    inputs: tuple[Input, ...]
    point: Mapping[str, int]
    loops: Callable[..., Any]
    train: bool = True
    kernel: str = ""


@dataclass(frozen=True)
class Counts:
    """Products forward and backward; ``scores`` of the forward are attention's query·key.

    ``additions`` are those of the forward. ``module``, ``outputs`` and ``gradients`` (by parameter)
    are there to hold the loops against the framework.
    """

    forward: int
    backward: int
    scores: int
    additions: int
    outputs: list[float]
    expected: list[float]
    gradients: Mapping[str, tuple[list[float], list[float]]] = field(default_factory=dict)


def multiplications_of(name: str, *, on_cpu: bool = False) -> tuple[int, int]:
    """Exact products forward and backward (0 in inference) of case ``name`` at its point.

    The backward is the least there is: a gradient is made for what needs one, with one product for
    each forward product. ``on_cpu`` is what the CPU's fused kernels do instead, where the case has
    one: the attention kernel's backward computes the scores again; oneDNN's LSTM makes the
    gradients of the layer's input and first states whether or not anybody asks.
    """
    kernel = CASES[name].kernel if on_cpu else ""
    counts = counts_of(name, inputs_need_gradient=kernel == "recurrent")
    recomputed = counts.scores if kernel == "attention" else 0
    return counts.forward, counts.backward + recomputed


@cache
def counts_of(name: str, inputs_need_gradient: bool = False) -> Counts:
    """Run case ``name`` both ways, in double precision."""
    case = CASES[name]
    torch.manual_seed(1)
    module = case.factory().double().train(case.train)
    tensors = [values(one, case.point) for one in case.inputs]
    tape = Tape()
    named = dict(module.named_parameters())
    weights = Weights({k: counting.numbers(tape, v.tolist(), True) for k, v in named.items()})
    given = [counting.numbers(tape, one.tolist(), inputs_need_gradient) for one in tensors]
    outputs = case.loops(weights, *given)
    found = list(flat(outputs))
    forward, additions = tape.forward, tape.additions
    expected = first(module(*tensors))
    gradients = {}
    if case.train:
        counting.backward(counting.total(found) * (1 / len(found)))
        expected.mean().backward()
        gradients = {k: pair(weights[k], named[k].grad) for k in named}
    return Counts(
        forward, tape.backward, tape.scores, additions,
        [one.value for one in found], expected.flatten().tolist(), gradients,
    )  # fmt: skip


def values(wanted: Input, point: Mapping[str, int]) -> torch.Tensor:
    shape = wanted.shape(point)
    if wanted.dtype == "complex64":
        return torch.randn(shape, dtype=torch.complex128)
    if wanted.dtype == "int64":
        return torch.randint(0, wanted.below, shape)
    return torch.randn(shape, dtype=torch.float64)


def first(output: Any) -> torch.Tensor:
    return output if isinstance(output, torch.Tensor) else first(output[0])


def pair(weight: Any, gradient: torch.Tensor) -> tuple[list[float], list[float]]:
    """Ours and the framework's, complex numbers as two; no gradient is zeros."""
    if gradient.is_complex():
        gradient = torch.view_as_real(gradient)
    return [one.gradient or 0.0 for one in flat(weight)], gradient.flatten().tolist()


# -- networks ---------------------------------------------------------------------------------


def perceptron(*widths: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        layers: list[nn.Module] = []
        for inside, outside in pairwise(widths):
            layers += [nn.Linear(inside, outside), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return make


def perceptron_loops(p: Weights, x: Any) -> Any:
    layers = sorted({int(name.split(".")[0]) for name in p})
    for layer in layers:
        if layer:
            x = each(Number.relu, x)
        x = linear(x, p[f"{layer}.weight"], p[f"{layer}.bias"])
    return x


def convolved(factory: Callable[[], nn.Module], *sizes: int, **choices: int) -> Case:
    def loops(p: Weights, x: Any) -> Any:
        return counting.convolution(x, p["weight"], p["bias"], **choices)

    return Case(factory, (Input("B", *sizes),), {"B": 2}, loops)


def spread(factory: Callable[[], nn.Module], *sizes: int, **choices: int) -> Case:
    def loops(p: Weights, x: Any) -> Any:
        return counting.transposed(x, p["weight"], p["bias"], **choices)

    return Case(factory, (Input("B", *sizes),), {"B": 2}, loops)


class Functional(nn.Module):
    """A transposed convolution called as a function, between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Conv2d(1, 4, 2), nn.Conv2d(2, 1, 2)
        self.kernel = nn.Parameter(torch.randn(4, 1, 3, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.conv_transpose2d(self.before(x), self.kernel, stride=2, padding=1, groups=2)
        return self.after(x)


def functional_loops(p: Weights, x: Any) -> Any:
    x = counting.convolution(x, p["before.weight"], p["before.bias"])
    x = counting.transposed(x, p["kernel"], stride=2, pad=1, groups=2)
    return counting.convolution(x, p["after.weight"], p["after.bias"])


def depthwise() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.Conv2d(6, 2, 1)
    )


def depthwise_loops(p: Weights, x: Any) -> Any:
    x = counting.convolution(x, p["0.weight"], p["0.bias"])
    x = counting.convolution(x, p["1.weight"], p["1.bias"], pad=1, groups=6)
    return counting.convolution(x, p["2.weight"], p["2.bias"])


def recurrent(kind: str, kernel: str = "", **choices: Any) -> Case:
    kinds: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn": nn.RNN}

    def make() -> nn.Module:
        return kinds[kind](3, 4, choices.get("layers", 1), bidirectional=choices.get("both", False))

    def loops(p: Weights, x: Any) -> Any:
        return counting.recurrent(kind, x, p, **choices)

    return Case(make, (Input("S", "B", 3),), {"S": 3, "B": 2}, loops, kernel=kernel)


class SelfAttention(nn.Module):
    """``nn.MultiheadAttention`` with itself; in eval it is the framework's fast path."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x)[0]


def self_attention_loops(p: Weights, x: Any) -> Any:
    return counting.self_attention(x, p.under("inner"), 2)


class ScaledDotProduct(nn.Module):
    """The fused function between a projection in and one out."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(4, 12, bias=False), nn.Linear(4, 4, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        q, k, v = self.into(x).view(batch, length, 3, 2, 2).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


def scaled_dot_product_loops(p: Weights, x: Any) -> Any:
    names = {"in_proj_weight": p["into.weight"], "out_proj.weight": p["out.weight"]}
    none = {"in_proj_bias": None, "out_proj.bias": None}
    return counting.self_attention(x, Weights({**names, **none}), 2)


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(4, 2, 6, dropout=0.0, batch_first=True)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)


def encoder_loops(p: Weights, x: Any) -> Any:
    for layer in range(2):
        x = counting.encoder_layer(x, p.under(f"layers.{layer}"), 2)
    return x


def linear_loops(p: Weights, x: Any) -> Any:
    return linear(x, p["weight"], p["bias"])


class Einstein(nn.Module):
    """Two sums in Einstein's notation: one with a weight, one of two activations."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(2, 3, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.einsum("bsd,hde->bhse", x, self.weight)
        return torch.einsum("bhse,bhte->bst", y, y)


def einstein_loops(p: Weights, x: Any) -> Any:
    weight = p["weight"]
    units = [counting.columns(head) for head in weight]
    y = [[linear(example, head) for head in units] for example in x]

    def entry(place: tuple[int, ...]) -> Number:
        b, s, t = place
        return counting.total([counting.dot(head[s], head[t]) for head in y[b]])

    return counting.filled((len(x), len(x[0]), len(x[0])), entry)


class Fourier(nn.Module):
    """A filter, a transform, and the size of each frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.filter = nn.Parameter(torch.randn(8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.view_as_real(torch.fft.fft(x * self.filter))
        return (y * y).sum(-1)


def fourier_loops(p: Weights, x: Any) -> Any:
    def one(row: Any) -> Any:
        filtered = [(re * w, im * w) for (re, im), w in zip(row, p["filter"], strict=True)]
        return [re * re + im * im for re, im in counting.fourier(filtered)]

    return [one(row) for row in x]


class Tied(nn.Module):
    """One weight that is looked up on the way in and multiplied on the way out."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.embedding(tokens)))


def tied_loops(p: Weights, tokens: Any) -> Any:
    weight = p["embedding.weight"]
    looked_up = [[weight[token] for token in row] for row in tokens]
    return linear(each(Number.tanh, looked_up), weight)


class Hundred(nn.Module):
    """One layer, called 100 times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(100):
            x = torch.tanh(self.layer(x))
        return x


def hundred_loops(p: Weights, x: Any) -> Any:
    for _ in range(100):
        x = each(Number.tanh, linear(x, p["layer.weight"], p["layer.bias"]))
    return x


BATCH, SEQUENCE = {"B": 2}, {"B": 2, "S": 3}
TOKENS = (Input("B", "S", 4),)

CASES: dict[str, Case] = {
    "linear": Case(lambda: nn.Linear(5, 4), (Input("B", 5),), {"B": 3}, linear_loops),
    "linear of a sequence": Case(lambda: nn.Linear(4, 3), TOKENS, SEQUENCE, linear_loops),
    "mlp": Case(perceptron(6, 5, 4, 3), (Input("B", 6),), {"B": 3}, perceptron_loops),
    "mlp 30x3": Case(perceptron(30, 30, 30, 30), (Input("B", 30),), {"B": 2}, perceptron_loops),
    "mlp in inference": Case(
        perceptron(6, 5, 4, 3), (Input("B", 6),), {"B": 3}, perceptron_loops, train=False
    ),
    "conv1d": convolved(lambda: nn.Conv1d(3, 4, 3), 3, 8),
    "conv2d": convolved(lambda: nn.Conv2d(3, 4, 3, padding=1, stride=2), 3, 6, 6, pad=1, stride=2),
    "conv2d grouped": convolved(lambda: nn.Conv2d(4, 6, 3, groups=2), 4, 5, 5, groups=2),
    "conv2d dilated": convolved(lambda: nn.Conv2d(2, 3, 3, dilation=2), 2, 7, 7, space=2),
    "conv3d": convolved(lambda: nn.Conv3d(2, 3, 2), 2, 3, 4, 3),
    "conv2d depthwise": Case(depthwise, (Input("B", 2, 6, 6),), {"B": 1}, depthwise_loops),
    "conv_transpose2d": spread(
        lambda: nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), 3, 3, 3, stride=2, pad=1
    ),
    "F.conv_transpose2d": Case(Functional, (Input("B", 1, 4, 4),), BATCH, functional_loops),
    "lstm": recurrent("lstm", "recurrent"),
    "lstm two layers both ways": recurrent("lstm", "recurrent", layers=2, both=True),
    "gru": recurrent("gru"),
    "gru two layers": recurrent("gru", layers=2),
    "rnn": recurrent("rnn"),
    "attention in training": Case(SelfAttention, TOKENS, SEQUENCE, self_attention_loops),
    "attention in eval": Case(SelfAttention, TOKENS, SEQUENCE, self_attention_loops, False),
    "scaled_dot_product": Case(
        ScaledDotProduct, TOKENS, SEQUENCE, scaled_dot_product_loops, kernel="attention"
    ),
    "transformer in training": Case(
        encoder, TOKENS, SEQUENCE, encoder_loops, kernel="attention"
    ),
    "transformer in eval": Case(encoder, TOKENS, SEQUENCE, encoder_loops, False),
    "einsum": Case(Einstein, (Input("B", "S", 3),), SEQUENCE, einstein_loops),
    "fft": Case(Fourier, (Input("B", 8, dtype="complex64"),), BATCH, fourier_loops),
    "tied": Case(Tied, (Input("B", "S", dtype="int64", below=7),), SEQUENCE, tied_loops),
    "called 100 times": Case(Hundred, (Input("B", 3),), BATCH, hundred_loops),
}  # fmt: skip
