"""Which function stands for an ONNX operator.

A translation is a function of the node's inputs, in their order, and of its attributes, by name::

    @onnx("LeakyRelu")
    def leaky_relu(x, *, alpha=0.01):
        return functional.leaky_relu(x, alpha)

Inputs are tensors; those whose values the graph itself fixes (shapes, axes, constants) come as
numpy arrays to the parameters named in ``known``. Missing optional inputs are ``None``.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Translation:
    """How one operator is run: ``known`` names the inputs wanted as numpy arrays; where
    ``numbers`` is set, a known single number comes as Python's own."""

    run: Callable[..., Any]
    known: frozenset[str]
    inputs: tuple[str, ...]
    attributes: frozenset[str]
    numbers: bool

    def wants_known(self, place: int) -> bool:
        """Whether the input at ``place`` is wanted as an array."""
        return place < len(self.inputs) and self.inputs[place] in self.known


def numbers_of(given: Any, attribute: Any) -> list[Any]:
    """Numbers that are an input now and were an attribute in older files; none where neither is."""
    return list(attribute or ()) if given is None else given.ravel().tolist()


TRANSLATIONS: dict[str, Translation] = {}


def onnx(*names: str, known: Iterable[str] = (), numbers: bool = False) -> Callable[[Any], Any]:
    """Register a function for operators. Its parameters are inputs, keyword-only ones attributes
    (``opset`` is the version of the operators that the file was written for)."""

    def registered(function: Callable[..., Any]) -> Callable[..., Any]:
        parameters = inspect.signature(function).parameters.values()
        inputs = tuple(one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD)
        own = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
        for name in names:
            TRANSLATIONS[name] = Translation(
                function, frozenset(known), inputs, frozenset(own), numbers
            )
        return function

    return registered


@cache
def translations() -> dict[str, Translation]:
    """Every operator that is known, from all files of this folder."""
    folder = import_module(__package__).__path__
    for one in pkgutil.iter_modules(folder):
        import_module(f"{__package__}.{one.name}")
    return TRANSLATIONS
