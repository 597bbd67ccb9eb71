"""A MODEL with other sizes in its build: ``--vary hidden_size=1024,2048`` and the like.

What a field is, the form of the MODEL says: a letter of botec's own notation (``mlp:KxL``), a
keyword argument of a function or class in a file, a field of a transformers configuration, a
keyword argument of timm's or torchvision's builder. A letter of ``--input`` that is varied follows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from botec.errors import BadInput, BotecError
from botec.inputs import Input
from botec.program import Program
from botec.read import read
from botec.read.from_file import claims as is_in_file
from botec.read.from_file import parse_name, split

CHANGED = ("transformers:", "timm:", "torchvision:")
DO = "vary the letters of mlp:KxL, or a keyword argument or configuration field of another MODEL"


def read_with(
    model: str, fields: Mapping[str, int], inputs: Sequence[Input], options: Mapping[str, Any]
) -> Program:
    """The program of ``model`` with ``fields`` in its build; ``options`` are those of ``read``.

    Raises :class:`BotecError`, the fields in front of it.
    """
    try:
        text = with_fields(model, fields)
        return read(text, *(with_sizes(one, fields) for one in inputs), **options)
    except BotecError as error:
        asked = f"{model} with {said(fields)}"
        raise type(error)(error.seen, error.do, asked) from error.__cause__


def said(fields: Mapping[str, int]) -> str:
    """``"hidden_size=512, num_attention_heads=8"``."""
    return ", ".join(f"{name}={size}" for name, size in fields.items())


def with_fields(model: str, fields: Mapping[str, int]) -> str:
    """The MODEL that has ``fields`` in its build. Raises :class:`BadInput` where it has none."""
    if model.startswith("mlp:"):
        return in_letters(model, fields)
    if is_in_file(model):
        return in_call(model, fields)
    if model.startswith(CHANGED):
        return in_query(model, fields)
    raise BadInput("its build has no fields to vary", DO, model)


def in_letters(model: str, fields: Mapping[str, int]) -> str:
    """``mlp:16x3`` from ``mlp:KxL``; the ``x`` between width and layers is no letter."""
    scheme, _, body = model.partition(":")
    found = set[str]()

    def size(name: str) -> str:
        found.add(name)
        return str(fields[name])

    parts = []
    for word in body.split("-"):
        halves = re.fullmatch(r"(\w+?)x(\w+)", word)
        pieces = halves.groups() if halves else (word,)
        parts.append("x".join(size(one) if one in fields else one for one in pieces))
    for name in fields:
        if name not in found:
            do = "write mlp:KxL or mlp:784-K-10"
            raise BadInput(f"it has no letter {name}", do, model)
    return f"{scheme}:{'-'.join(parts)}"


def in_call(model: str, fields: Mapping[str, int]) -> str:
    """``net.py:make(depth=3, width=16)`` from ``net.py:make(depth=3)``."""
    path, name = split(model)
    named = parse_name(name)
    keywords = {**(named.keywords or {}), **fields}
    given = [*map(repr, named.positional), *(f"{key}={value!r}" for key, value in keywords.items())]
    return f"{path}:{named}({', '.join(given)})"


def in_query(model: str, fields: Mapping[str, int]) -> str:
    """``transformers:llama?vocab_size=8,hidden_size=512``; a field that stood there is replaced."""
    place, _, query = model.partition("?")
    parts = re.split(r",(?=[\w.]+=)", query) if query else []
    kept = [part for part in parts if part.partition("=")[0].strip() not in fields]
    return f"{place}?{','.join([*kept, *(f'{name}={size}' for name, size in fields.items())])}"


def with_sizes(one: Input, fields: Mapping[str, int]) -> Input:
    """An input in whose shape the varied letters are numbers."""
    sizes = [fields.get(size, size) if isinstance(size, str) else size for size in one.sizes]
    return Input(*sizes, dtype=one.dtype, name=one.name, below=one.below, only=one.only)
