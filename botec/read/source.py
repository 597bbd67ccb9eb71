"""What a front door hands on: how to build the network, and how it is called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botec.inputs import Input
from botec.program import Program


@dataclass(frozen=True)
class Source:
    """A network that can be built, with the inputs it is called with.

    ``build`` returns a fresh ``torch.nn.Module`` each time; it is called with the default device
    set to ``meta`` and initialisation switched off, so it costs no memory. ``defaults`` gives every
    named dimension a value, ``most`` bounds one where the model does (positions it has embeddings
    for). ``arguments`` are further plain keyword arguments of the call. ``notes`` go on the page.
    ``finish`` changes the program once it is traced: what only the door knows of the weights.
    """

    name: str
    build: Callable[[], Any]
    inputs: tuple[Input, ...]
    defaults: Mapping[str, int] = field(default_factory=dict)
    most: Mapping[str, int] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    finish: Callable[[Program], Program] | None = None
