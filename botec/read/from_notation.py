"""Networks botec knows by a notation of its own.

``mlp:784-512-512-10`` is a chain of linear layers through these widths; ``mlp:30x3`` is three
linear layers that keep the width 30. Between two layers stands a ReLU, after the last one nothing.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from botec.errors import BadInput
from botec.inputs import LARGEST, Input
from botec.read.given import with_inputs
from botec.read.source import Source

FORM = "mlp:784-512-10"
DO = "write the widths as mlp:784-512-10, or mlp:30x3 for three layers of width 30"
LAYERS = 10_000


def claims(text: str) -> bool:
    """Whether ``text`` is ``mlp:…``."""
    return text.startswith("mlp:")


def source(text: str, train: bool, inputs: tuple[Input, ...] = ()) -> Source:
    """The multi-layer perceptron ``text`` writes down; input ``B, width``."""
    widths = parse_widths(text)
    own = (Input("B", widths[0], name="x"),)
    return with_inputs(Source(text, lambda: perceptron(widths), own, {"B": 1}), inputs)


def parse_widths(text: str) -> tuple[int, ...]:
    """``(784, 512, 10)`` from ``mlp:784-512-10``, ``(30, 30, 30, 30)`` from ``mlp:30x3``.

    Raises :class:`~botec.errors.BadInput` for anything else.
    """
    body = text.removeprefix("mlp:")
    if repeated := re.fullmatch(r"([0-9]{1,18})x([0-9]{1,18})", body):
        width, layers = int(repeated[1]), int(repeated[2])
        if not 1 <= layers <= LAYERS:
            raise BadInput(f"{layers} layers", f"ask for 1 to {LAYERS} layers", text)
        widths = (width,) * (layers + 1)
    else:
        widths = tuple(parse_width(part, text) for part in body.split("-"))
    if len(widths) < 2:
        raise BadInput("one width makes no layer", DO, text)
    if not all(0 < width < LARGEST for width in widths):
        raise BadInput("a width is a whole number from 1", DO, text)
    return widths


def parse_width(part: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", part):
        raise BadInput(f"{part!r} is no width", DO, text)
    return int(part)


def perceptron(widths: tuple[int, ...]) -> Any:
    """``torch.nn.Sequential`` of linear layers with ReLU between them, called with ``x``."""
    from torch import nn

    class Perceptron(nn.Sequential):
        def forward(self, x: Any) -> Any:
            return super().forward(x)

    layers: list[Any] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return Perceptron(*layers[:-1])
