"""What goes into a network: shapes with named dimensions.

>>> parse_input("x=B,3,224,224")
Input('B', 3, 224, 224, dtype='float32', name='x')
>>> parse_input("ids=B,S:int64").names
('B', 'S')
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from keyword import iskeyword

from botec.calls import ITEM_BYTES
from botec.errors import BadInput, nearest

LARGEST = 2**62
LONGEST_NUMBER = 30  # digits; Python itself refuses to read thousands of them
RESERVED = {"max", "log2"}  # what formulas are written with


class Input:
    """One tensor the network is called with.

    ``sizes`` are whole numbers or names of dimensions (``"B"``); ``name`` is the keyword it is
    passed by, or ``""`` for the next positional argument. ``below`` bounds whole-number entries
    where a real run needs values (a vocabulary's size); ``only`` is ``"train"`` for labels.
    """

    def __init__(
        self,
        *sizes: int | str,
        dtype: str = "float32",
        name: str = "",
        below: int = 2,
        only: str = "",
    ) -> None:
        dtype = str(dtype).removeprefix("torch.")
        if dtype not in ITEM_BYTES:
            do = nearest(dtype, ITEM_BYTES) or "use one of " + ", ".join(ITEM_BYTES)
            raise BadInput(f"unknown dtype {dtype!r}", do, f"input {name or sizes}")
        for size in sizes:
            check_size(size, name)
        self.sizes, self.dtype, self.name = tuple(sizes), dtype, name
        self.below, self.only = below, only

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions it names, each once, in order."""
        return tuple(dict.fromkeys(size for size in self.sizes if isinstance(size, str)))

    def shape(self, point: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape where every dimension has a value."""
        return tuple(point[size] if isinstance(size, str) else size for size in self.sizes)

    def __str__(self) -> str:
        return f"{self.name or 'input'}={','.join(map(str, self.sizes))}:{self.dtype}"

    def __repr__(self) -> str:
        sizes = ", ".join(map(repr, self.sizes))
        return f"Input({sizes}, dtype={self.dtype!r}, name={self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Input) and (self.sizes, self.dtype, self.name) == (
            other.sizes,
            other.dtype,
            other.name,
        )

    def __hash__(self) -> int:
        return hash((self.sizes, self.dtype, self.name))


def parse_input(text: str) -> Input:
    """An :class:`Input` from ``NAME=SIZE,SIZE,…[:DTYPE]`` (the name may be left out)."""
    body, _, dtype = text.partition(":")
    name, found, sizes = body.rpartition("=")
    parts = [part.strip() for part in (sizes if found else body).split(",")]
    if not all(parts):
        raise BadInput("an empty size", 'write it as "x=B,3,224,224"', f"--input {text}")
    try:
        return Input(*map(parse_size, parts), dtype=dtype or "float32", name=name.strip())
    except BadInput as error:
        raise error.about(f"--input {text}") from None


def parse_size(text: str) -> int | str:
    """A number, or a name. A number too long for any size is one beyond all of them."""
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        return text
    return int(text) if len(text) <= LONGEST_NUMBER else LARGEST


def check_size(size: int | str, name: str) -> None:
    """Raises :class:`BadInput` unless ``size`` is a positive number or a dimension's name."""
    asked = f"input {name}" if name else "input"
    if isinstance(size, str):
        if not size.isidentifier() or iskeyword(size) or size in RESERVED:
            raise BadInput(f"{size!r} is neither a number nor a name", "use 224 or B", asked)
    elif not 0 < size < LARGEST:
        raise BadInput(f"size {size}", "sizes are whole numbers from 1", asked)


def parse_value(text: str) -> tuple[str, int]:
    """``("B", 32)`` from ``"B=32"``. Raises :class:`BadInput` for what is no positive number."""
    name, found, value = text.partition("=")
    if not found or not name.isidentifier():
        raise BadInput("not of the form NAME=NUMBER", "write a dimension as B=32", text)
    size = parse_size(value)
    if not isinstance(size, int) or not 0 < size < LARGEST:
        large = isinstance(size, int) and size >= LARGEST
        do = f"give {'one below 2**62' if large else 'a whole number from 1'}, such as B=32"
        raise BadInput(f"{name} is {shortened(value)!r}", do, shortened(text))
    return name, size


def shortened(text: str) -> str:
    """A text of a readable length."""
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text):,} letters)"
