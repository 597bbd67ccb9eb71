"""Real training steps of real networks, small enough for a test: what the allocator really did.

``MODELS[name]`` is a network with a point to run it at; ``real_peak`` runs it. One model takes 1 to
10 seconds and at most 2 GB, so the tests that call it are slow ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from botec.inputs import Input
from botec.measure import allocator
from botec.measure.allocator import RealPeak
from botec.measure.realise import realise
from botec.read.source import Source


@dataclass(frozen=True)
class Model:
    """A ``source``, made when called (it may import a zoo), and the ``point`` it is run at."""

    source: Callable[[], Source]
    point: Mapping[str, int] = field(default_factory=dict)


def real_peak(
    source: Source, point: Mapping[str, int], train: bool = True, optimizer: str | None = "adam"
) -> RealPeak:
    """The allocator's peak in a real steady step; bytes, see :class:`RealPeak`."""
    return allocator.real_peak(realise(source, point, train=train, optimizer=optimizer))


def named(text: str, inputs: tuple[Input, ...] = ()) -> Callable[[], Source]:
    """The network a MODEL text names, read by botec's own door."""

    def open_it() -> Source:
        from botec.read.doors import open_source

        return open_source(text, True, inputs)

    return open_it


class Recurrent(nn.Module):
    """Embedding, two LSTM layers, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(5000, 256)
        self.inner = nn.LSTM(256, 512, 2, batch_first=True)
        self.head = nn.Linear(512, 5000)

    def forward(self, tokens: Any) -> Any:
        return self.head(self.inner(self.embedding(tokens))[0])


def recurrent() -> Source:
    tokens = Input("B", "S", dtype="int64", name="tokens", below=5000)
    return Source("lstm", Recurrent, (tokens,), {"B": 4, "S": 64})


MODELS = {
    "resnet50": Model(named("torchvision:resnet50"), {"B": 2}),
    "vit_b_16": Model(named("torchvision:vit_b_16"), {"B": 2}),
    "gpt2": Model(named("transformers:gpt2?n_layer=6"), {"B": 2, "S": 64}),
    "bert": Model(named("transformers:bert?num_hidden_layers=6"), {"B": 2, "S": 64}),
    "lstm": Model(recurrent, {"B": 4, "S": 64}),
}
