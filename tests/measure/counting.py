"""Counting multiplications one by one: small networks in plain loops over a counting number.

Nothing here knows a formula for a cost, and nothing is shared with botec or the framework. A
network is written out in naive loops over :class:`Number`, each of which remembers how it was made;
every product that belongs to a matrix product (or what reduces to one: convolution, attention
scores, recurrent cells, einsum, a Fourier transform's butterflies) is told by :func:`times` and
counted when it happens. The backward walks the tape in reverse and counts one product for each
factor that needs a gradient. Elementwise products (gates, norms, softmax) are written with ``*``.

Products with padding zeros are counted, as every kernel multiplies them. The numbers carry values,
so that outputs and gradients can be held against the framework's: what is counted is the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any


@dataclass
class Tape:
    """What happened, in order, and how many products of either direction."""

    nodes: list[Number] = field(default_factory=list)
    forward: int = 0
    backward: int = 0
    scores: int = 0
    additions: int = 0


class Number:
    """A value with its gradient; ``parents`` are ``(number, derivative)`` pairs."""

    __slots__ = ("gradient", "needs", "parents", "products", "tape", "value")

    def __init__(self, tape: Tape, value: float, needs: bool, parents: Sequence[Any] = ()) -> None:
        self.tape, self.value, self.needs = tape, value, needs
        self.parents, self.products = parents, False
        self.gradient: float | None = None
        if parents and needs:
            tape.nodes.append(self)

    def made(self, value: float, *parents: tuple[Number, float]) -> Number:
        return Number(self.tape, value, any(parent.needs for parent, _ in parents), parents)

    def __add__(self, other: Number) -> Number:
        self.tape.additions += 1
        return self.made(self.value + other.value, (self, 1.0), (other, 1.0))

    def __sub__(self, other: Number) -> Number:
        self.tape.additions += 1
        return self.made(self.value - other.value, (self, 1.0), (other, -1.0))

    def __mul__(self, other: Number | float) -> Number:
        if isinstance(other, Number):
            return self.made(self.value * other.value, (self, other.value), (other, self.value))
        return self.made(self.value * other, (self, other))

    def through(
        self, function: Callable[[float], float], slope: Callable[[float], float]
    ) -> Number:
        return self.made(function(self.value), (self, slope(self.value)))

    def exp(self) -> Number:
        return self.through(math.exp, math.exp)

    def power(self, exponent: float) -> Number:
        return self.through(lambda x: x**exponent, lambda x: exponent * x ** (exponent - 1))

    def tanh(self) -> Number:
        return self.through(math.tanh, lambda x: 1 - math.tanh(x) ** 2)

    def sigmoid(self) -> Number:
        return self.through(logistic, lambda x: logistic(x) * (1 - logistic(x)))

    def relu(self) -> Number:
        return self.through(lambda x: max(x, 0.0), lambda x: float(x > 0))


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def times(left: Number, right: Number) -> Number:
    """A product of a matrix product: counted now, and once for each factor on the way back."""
    left.tape.forward += 1
    result = left * right
    result.products = True
    return result


def total(numbers: Sequence[Number]) -> Number:
    """The sum."""
    first, *rest = numbers
    first.tape.additions += len(rest)
    return first.made(sum(one.value for one in numbers), *((one, 1.0) for one in numbers))


def dot(left: Sequence[Number], right: Sequence[Number]) -> Number:
    return total([times(a, b) for a, b in zip(left, right, strict=True)])


def backward(loss: Number) -> None:
    """Walk the tape in reverse. What the loss does not depend on costs nothing."""
    loss.gradient = 1.0
    for node in reversed(loss.tape.nodes):
        if node.gradient is None:
            continue
        for parent, derivative in node.parents:
            if parent.needs:
                loss.tape.backward += node.products
                parent.gradient = (parent.gradient or 0.0) + derivative * node.gradient


# -- tensors as nested lists ------------------------------------------------------------------


def numbers(tape: Tape, value: Any, needs: bool) -> Any:
    """Nested lists of numbers from nested lists of floats; whole numbers stay as they are."""
    if isinstance(value, list):
        return [numbers(tape, one, needs) for one in value]
    if isinstance(value, complex):
        return (Number(tape, value.real, needs), Number(tape, value.imag, needs))
    return value if isinstance(value, int) else Number(tape, value, needs)


def flat(value: Any) -> Iterator[Number]:
    if isinstance(value, (list, tuple)):
        for one in value:
            yield from flat(one)
    else:
        yield value


def at(value: Any, place: Sequence[int]) -> Any:
    for index in place:
        value = value[index]
    return value


def shape_of(value: Any) -> tuple[int, ...]:
    return (len(value), *shape_of(value[0])) if isinstance(value, list) else ()


def filled(shape: Sequence[int], make: Callable[[tuple[int, ...]], Any]) -> Any:
    """Nested lists of this shape, each entry made from its place."""

    def inner(place: tuple[int, ...]) -> Any:
        if len(place) == len(shape):
            return make(place)
        return [inner((*place, index)) for index in range(shape[len(place)])]

    return inner(())


def rows(function: Callable[[Any], Any], value: Any) -> Any:
    """``function`` on every innermost list."""
    if isinstance(value[0], list):
        return [rows(function, one) for one in value]
    return function(value)


def each(function: Callable[[Number], Number], value: Any) -> Any:
    return rows(lambda row: [function(one) for one in row], value)


def plus(left: Any, right: Any) -> Any:
    if isinstance(left, list):
        return [plus(a, b) for a, b in zip(left, right, strict=True)]
    return left + right


def columns(matrix: Any) -> Any:
    return [list(column) for column in zip(*matrix, strict=True)]


# -- layers -----------------------------------------------------------------------------------


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """The last axis of ``x`` times each row of ``weight``."""

    def one(row: Any) -> Any:
        products = [dot(row, unit) for unit in weight]
        return plus(products, bias) if bias else products

    return rows(one, x)


def convolution(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: int = 1,
    pad: int = 0,
    space: int = 1,
    groups: int = 1,
) -> Any:
    """Any number of axes; ``space`` is the dilation."""
    (batch, inside, *size), (outside, per_group, *kernel) = shape_of(x), shape_of(weight)
    grown = [
        (s + 2 * pad - space * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel, strict=True)
    ]
    some = next(flat(x))
    zero = Number(some.tape, 0.0, some.needs)

    def entry(n: int, channel: int, place: Sequence[int]) -> Number:
        inner = all(0 <= p < s for p, s in zip(place, size, strict=True))
        return at(x, (n, channel, *place)) if inner else zero

    def output(where: tuple[int, ...]) -> Number:
        n, o, *y = where
        first = o // (outside // groups) * per_group
        found = []
        for i, *k in product(range(per_group), *map(range, kernel)):
            place = [p * stride - pad + q * space for p, q in zip(y, k, strict=True)]
            found.append(times(entry(n, first + i, place), at(weight, (o, i, *k))))
        return total([*found, bias[o]] if bias else found)

    assert inside == per_group * groups
    return filled((batch, outside, *grown), output)


def transposed(
    x: Any, weight: Any, bias: Any = None, stride: int = 1, pad: int = 0, groups: int = 1
) -> Any:
    """Each entry of ``x`` spreads a kernel over the output; a border of ``pad`` is cut off."""
    (batch, inside, *size), (_, per_group, *kernel) = shape_of(x), shape_of(weight)
    spread = [(s - 1) * stride + k for s, k in zip(size, kernel, strict=True)]
    found: dict[tuple[int, ...], list[Number]] = {}
    for n, i, *p in product(range(batch), range(inside), *map(range, size)):
        first = i // (inside // groups) * per_group
        for o, *k in product(range(per_group), *map(range, kernel)):
            place = tuple(a * stride + b for a, b in zip(p, k, strict=True))
            part = times(at(x, (n, i, *p)), at(weight, (i, o, *k)))
            found.setdefault((n, first + o, *place), []).append(part)

    def output(where: tuple[int, ...]) -> Number:
        n, o, *y = where
        parts = found.pop((n, o, *(p + pad for p in y)))
        return total([*parts, bias[o]] if bias else parts)

    result = filled((batch, per_group * groups, *(s - 2 * pad for s in spread)), output)
    corner = (0,) * (2 + len(size))
    for cut in found.values():  # a kernel's backward meets the border too, as zeros
        border = at(result, corner) + total(cut) * 0.0
        last = at(result, corner[:-1])
        last[0] = border
    return result


def softmax(row: list[Number]) -> list[Number]:
    powers = [one.exp() for one in row]
    scale = total(powers).power(-1.0)
    return [one * scale for one in powers]


def norm(row: list[Number], weight: list[Number], bias: list[Number]) -> list[Number]:
    mean = total(row) * (1 / len(row))
    centred = [one - mean for one in row]
    scale = (total([one * one for one in centred]) * (1 / len(row))).through(
        lambda x: (x + 1e-5) ** -0.5, lambda x: -0.5 * (x + 1e-5) ** -1.5
    )
    return [one * scale * w + b for one, w, b in zip(centred, weight, bias, strict=True)]


def attention(query: Any, key: Any, value: Any) -> Any:
    """One head of one example: ``[S, D]`` each. The scores are also counted apart."""
    scale, tape = len(query[0]) ** -0.5, query[0][0].tape
    before = tape.forward
    scores = [[dot(q, k) * scale for k in key] for q in query]
    tape.scores += tape.forward - before
    channels = columns(value)
    return [
        [dot(softmax_row, channel) for channel in channels] for softmax_row in map(softmax, scores)
    ]


def heads_of(x: Any, heads: int) -> Any:
    """``[S, E]`` as ``heads`` times ``[S, E / heads]``."""
    size = len(x[0]) // heads
    return [[row[h * size : (h + 1) * size] for row in x] for h in range(heads)]


def self_attention(x: Any, p: Weights, heads: int) -> Any:
    """``[B, S, E]`` through ``nn.MultiheadAttention``."""

    def one(example: Any) -> Any:
        whole = linear(example, p["in_proj_weight"], p["in_proj_bias"])
        width = len(example[0])
        parts = [[row[i * width : (i + 1) * width] for row in whole] for i in range(3)]
        split = [heads_of(part, heads) for part in parts]
        found = [attention(*qkv) for qkv in zip(*split, strict=True)]
        joined = [[n for head in found for n in head[s]] for s in range(len(example))]
        return linear(joined, p["out_proj.weight"], p["out_proj.bias"])

    return [one(example) for example in x]


def encoder_layer(x: Any, p: Weights, heads: int) -> Any:
    """``nn.TransformerEncoderLayer`` as it is by default: norm after, ReLU."""
    inner = self_attention(x, p.under("self_attn"), heads)
    x = rows(lambda row: norm(row, p["norm1.weight"], p["norm1.bias"]), plus(x, inner))
    hidden = each(Number.relu, linear(x, p["linear1.weight"], p["linear1.bias"]))
    inner = linear(hidden, p["linear2.weight"], p["linear2.bias"])
    return rows(lambda row: norm(row, p["norm2.weight"], p["norm2.bias"]), plus(x, inner))


def cell(kind: str, x: list[Number], state: Any, w: Sequence[Any]) -> Any:
    """One time step of one example: the new state, whose first part is the output."""
    w_in, w_hidden, b_in, b_hidden = w
    h = state[0]
    from_x, from_h = linear(x, w_in, b_in), linear(h, w_hidden, b_hidden)
    size = len(h)
    gates = [(from_x[i : i + size], from_h[i : i + size]) for i in range(0, len(from_x), size)]
    if kind == "rnn":
        return [[one.tanh() for one in plus(*gates[0])]]
    if kind == "gru":
        r, z = ([one.sigmoid() for one in plus(*gate)] for gate in gates[:2])
        fresh = [(a + r_ * b).tanh() for a, b, r_ in zip(*gates[2], r, strict=True)]
        return [[n + z_ * (h_ - n) for n, z_, h_ in zip(fresh, z, h, strict=True)]]
    i, f, g, o = (plus(*gate) for gate in gates)
    parts = zip(i, f, g, state[1], strict=True)
    c = [f_.sigmoid() * c_ + i_.sigmoid() * g_.tanh() for i_, f_, g_, c_ in parts]
    return [[o_.sigmoid() * c_.tanh() for o_, c_ in zip(o, c, strict=True)], c]


def recurrent(kind: str, x: Any, p: Weights, layers: int = 1, both: bool = False) -> Any:
    """``[T, B, I]`` through ``nn.LSTM``, ``nn.GRU`` or ``nn.RNN``.

    States begin at zero, and need a gradient where the inputs do.
    """
    some = next(flat(x))
    zero = Number(some.tape, 0.0, some.needs)
    for layer in range(layers):
        directions = []
        for suffix in ("", "_reverse")[: 1 + both]:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            w = [p[f"{name}_l{layer}{suffix}"] for name in names]
            size = len(w[1][0])
            states = [[[zero] * size] * 2 for _ in x[0]]
            steps = x[::-1] if suffix else x
            found = []
            for step in steps:
                states = [cell(kind, one, s, w) for one, s in zip(step, states, strict=True)]
                found.append([state[0] for state in states])
            directions.append(found[::-1] if suffix else found)
        x = [
            [[n for part in batch for n in part] for batch in zip(*steps, strict=True)]
            for steps in zip(*directions, strict=True)
        ]
    return x


Complex = tuple[Number, Number]


def fourier(x: list[Complex]) -> list[Complex]:
    """The radix-2 transform, each butterfly one complex product, ones and all."""
    size = len(x)
    if size == 1:
        return x
    even, odd = fourier(x[::2]), fourier(x[1::2])
    turned = [turn(one, -2 * math.pi * k / size) for k, one in enumerate(odd)]
    added = [(a[0] + b[0], a[1] + b[1]) for a, b in zip(even, turned, strict=True)]
    return added + [(a[0] - b[0], a[1] - b[1]) for a, b in zip(even, turned, strict=True)]


def turn(number: Complex, angle: float) -> Complex:
    """A complex product with ``exp(i·angle)``: four real ones."""
    real, imaginary = number
    cosine = Number(real.tape, math.cos(angle), False)
    sine = Number(real.tape, math.sin(angle), False)
    first = times(real, cosine) - times(imaginary, sine)
    return first, times(real, sine) + times(imaginary, cosine)


class Weights(dict[str, Any]):
    """Parameters by name; ``under("layers.0")`` are those of a part."""

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def under(self, part: str) -> Weights:
        start = part + "."
        return Weights({k.removeprefix(start): v for k, v in self.items() if k.startswith(start)})
