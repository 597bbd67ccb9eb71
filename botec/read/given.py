"""Inputs the user gives, laid over the inputs a door knows.

The rules, in order:

1. An input whose name the source has replaces that one. An input without a name replaces the first
   one not yet replaced (labels are replaced by name only). What replaces keeps the name, the bound
   on its entries, and, where the source wants whole numbers and the user said nothing or
   ``float32``, the type.
2. An input with another name is added: the model is called with it as well.
3. More inputs without a name than the source is called with replace the source's own wholly; so do
   named ones where the source's own have no names (examples in a file): both spell out the call.
4. What the user leaves alone follows: where ``S`` became ``128`` or ``L``, every other input that
   says ``S`` says ``128`` or ``L`` too, and labels follow fixed sizes as well (a label map follows
   its picture). A size that became two different ones is left as it was.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from botec.inputs import Input
from botec.read.source import Source

Size = int | str


def with_inputs(source: Source, given: Sequence[Input]) -> Source:
    """``source``, called with ``given`` where the user gave any (see the rules above)."""
    if not given:
        return source
    if spelled_out(source.inputs, given):
        return limited(source, tuple(given))
    places = paired(source.inputs, given)
    pairs = [(source.inputs[place], one) for place, one in places.items()]
    became = renamed(pairs)
    inputs = [
        merged(own, places[place]) if place in places else follow(own, became)
        for place, own in enumerate(source.inputs)
    ]
    taken = {id(one) for one in places.values()}
    inputs += [one for one in given if id(one) not in taken]
    kept = replace(source, notes=source.notes + kept_types(pairs))
    return limited(kept, tuple(inputs), became)


def spelled_out(own: Sequence[Input], given: Sequence[Input]) -> bool:
    """Whether ``given`` is the whole call (rule 3)."""
    unnamed = [one for one in given if not one.name]
    callable_with = [one for one in own if not one.only]
    named_at_last = len(unnamed) < len(given) and not any(one.name for one in own)
    return len(unnamed) > len(callable_with) or named_at_last


def paired(own: Sequence[Input], given: Sequence[Input]) -> dict[int, Input]:
    """Which own input (by its place) each given one replaces: by name first, then in order."""
    named = {one.name: one for one in given if one.name}
    places = {place: named[one.name] for place, one in enumerate(own) if one.name in named}
    free = [place for place, one in enumerate(own) if place not in places and not one.only]
    unnamed = [one for one in given if not one.name]
    return {**places, **dict(zip(free, unnamed, strict=False))}


def merged(own: Input, given: Input) -> Input:
    """``given`` in the place of ``own``: its sizes, ``own``'s name, bound and type rule."""
    dtype = own.dtype if keeps_type(own, given) else given.dtype
    return Input(*given.sizes, dtype=dtype, name=own.name, below=own.below, only=own.only)


def keeps_type(own: Input, given: Input) -> bool:
    return given.dtype == "float32" and own.dtype in ("int64", "int32", "bool")


def kept_types(pairs: Sequence[tuple[Input, Input]]) -> tuple[str, ...]:
    return tuple(
        f"input {own.name} is {own.dtype}, as the model needs it"
        for own, given in pairs
        if keeps_type(own, given)
    )


def renamed(pairs: Sequence[tuple[Input, Input]]) -> dict[Size, Size]:
    """What each size that changed became; sizes that became two different ones are left out."""
    became: dict[Size, set[Size]] = {}
    for own, given in pairs:
        if len(own.sizes) == len(given.sizes):
            for old, new in zip(own.sizes, given.sizes, strict=True):
                became.setdefault(old, set()).add(new)
    return {old: new.pop() for old, new in became.items() if len(new) == 1 and new != {old}}


def follow(own: Input, became: Mapping[Size, Size]) -> Input:
    """``own`` with the changes of the others: named sizes always, fixed ones in labels only."""
    moves = {old: new for old, new in became.items() if own.only or isinstance(old, str)}
    sizes = [moves.get(size, size) for size in own.sizes]
    return Input(*sizes, dtype=own.dtype, name=own.name, below=own.below, only=own.only)


def limited(
    source: Source, inputs: tuple[Input, ...], became: Mapping[Size, Size] | None = None
) -> Source:
    """``source`` with ``inputs``; a renamed dimension keeps its default and its bound."""
    names = {name for one in inputs for name in one.names}
    moves = {old: new for old, new in (became or {}).items() if isinstance(old, str)}
    defaults = {moves.get(name, name): size for name, size in source.defaults.items()}
    most = {moves.get(name, name): size for name, size in source.most.items()}
    return replace(
        source,
        inputs=inputs,
        defaults={name: size for name, size in defaults.items() if name in names},
        most={name: size for name, size in most.items() if name in names},
    )


@contextmanager
def hushed() -> Iterator[None]:
    """Libraries' warnings and log lines held back: the page says what the reader must know."""
    before: Any = logging.root.manager.disable
    if before < logging.CRITICAL:  # setting it anew empties the caches of all loggers
        logging.disable(logging.CRITICAL)
    try:
        with silenced():
            yield
    finally:
        if before < logging.CRITICAL:
            logging.disable(before)


@contextmanager
def silenced() -> Iterator[None]:
    """Warnings held back. :func:`hushed` costs more: it empties the caches of all loggers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
