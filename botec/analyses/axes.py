"""Along which structures a network is read: fields of its build, and the sizes they take.

One axis is one field, or a few that go together: width and heads, say. Sizes between and beyond
those asked lie on the lattice of their greatest common divisor; fields that go along follow on the
line their values lie on. Fields that lie on no line have no sizes but those asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from math import gcd

from botec.errors import BadInput

LARGEST = 2**40
FORM = 'write --vary "hidden_size=512,1024 num_attention_heads=8,16"'
FIELD = re.compile(r"([^\W\d]\w*(?:\.\w+)*)=([^=\s]+)")


@dataclass(frozen=True)
class Axis:
    """A field that varies: its rising ``values``, and those of the fields ``beside`` it."""

    name: str
    values: tuple[int, ...]
    beside: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def symbol(self) -> str:
        """What formulas call it: a part's field without its dots."""
        return self.name.replace(".", "_")

    @property
    def step(self) -> int:
        """The lattice its sizes lie on."""
        return gcd(*self.values)

    def fields(self, size: int) -> dict[str, int] | None:
        """Every field of the axis at a size; ``None`` where one of them has no whole size."""
        found = {self.name: size}
        for name, values in self.beside.items():
            if size in self.values:
                found[name] = values[self.values.index(size)]
                continue
            there = line_through(self.values, values, size)
            if there is None or there.denominator > 1 or there < 1:
                return None
            found[name] = int(there)
        return found

    def sizes(self) -> Iterator[int]:
        """Those asked, then as many more as anyone wants: the gaps first, then beyond."""
        yield from self.values
        first, last, step = self.values[0], self.values[-1], self.step
        gaps = [size for size in range(first, last, step) if size not in self.values]
        more = [*gaps[: 2 * len(self.values)], *(last + step * k for k in range(1, 9))]
        yield from (size for size in more if self.fields(size) is not None)

    def beyond(self, size: int) -> int | None:
        """A size of the lattice more than twice as large, ``None`` where the fields have none."""
        for far in range(2 * size + self.step, 2 * size + 9 * self.step, self.step):
            if far % self.step == 0 and self.fields(far) is not None:
                return far
        return None

    def said(self) -> str:
        """``"num_attention_heads = hidden_size/64"`` for every field beside it."""
        return ", ".join(f"{name} {self.rule(values)}" for name, values in self.beside.items())

    def rule(self, values: tuple[int, ...]) -> str:
        slope, offset = line_of(self.values, values)
        on_line = all(slope * x + offset == y for x, y in zip(self.values, values, strict=True))
        if not on_line:
            return f"= {', '.join(map(str, values))}"
        if not slope:
            return f"= {values[0]}"
        times = f"{slope.numerator}*" if slope.numerator != 1 else ""
        over = f"/{slope.denominator}" if slope.denominator != 1 else ""
        rest = f" {'+' if offset > 0 else '-'} {abs(offset)}" if offset else ""
        return f"= {times}{self.symbol}{over}{rest}"


def line_of(across: tuple[int, ...], up: tuple[int, ...]) -> tuple[Fraction, Fraction]:
    """Slope and offset of the line through the first two of some points."""
    slope = Fraction(up[1] - up[0], across[1] - across[0])
    return slope, up[0] - slope * across[0]


def line_through(across: tuple[int, ...], up: tuple[int, ...], size: int) -> Fraction | None:
    """The height at ``size`` of the line through all points, ``None`` where they lie on none."""
    slope, offset = line_of(across, up)
    if any(slope * x + offset != y for x, y in zip(across, up, strict=True)):
        return None
    return slope * size + offset


def parse_axes(texts: Iterable[str], least: int = 2) -> tuple[Axis, ...]:
    """One axis for every text, of ``least`` sizes; fields in one text go together, size by size.

    Raises :class:`BadInput` for what is none, for a field that is named twice.
    """
    axes = tuple(parse_axis(text, least) for text in texts)
    names = [name for axis in axes for name in (axis.name, *axis.beside)]
    for name in names:
        if names.count(name) > 1:
            raise BadInput(f"{name} is varied twice", "name each field once", f"--vary {name}=…")
    return axes


def parse_axis(text: str, least: int = 2) -> Axis:
    """``hidden_size=512,1024 num_attention_heads=8,16``: one axis, its first field the letter."""
    asked = f"--vary {text}"
    found: dict[str, tuple[int, ...]] = {}
    for part in text.split():
        match = FIELD.fullmatch(part)
        if match is None or match[1] in found:
            raise BadInput(f"{part!r} names no field and its sizes", FORM, asked)
        found[match[1]] = parse_list(match[1], match[2], asked)
    if not found:
        raise BadInput("no field is named", FORM, asked)
    name, *others = found
    counts = {len(values) for values in found.values()}
    if len(counts) > 1:
        seen = f"{' and '.join(found)} have different numbers of sizes"
        raise BadInput(seen, "give as many of each, or a --vary of its own", asked)
    order = sorted(range(len(found[name])), key=found[name].__getitem__)
    rows = {key: tuple(values[place] for place in order) for key, values in found.items()}
    if len(set(rows[name])) < max(least, len(rows[name])):
        raise BadInput(f"{name} needs {least} sizes or more, all different", FORM, asked)
    return Axis(name, rows[name], {key: rows[key] for key in others})


def parse_list(name: str, text: str, asked: str) -> tuple[int, ...]:
    """``(512, 1024)`` from ``512,1024``."""
    values = []
    for one in text.split(","):
        if not re.fullmatch(r"[0-9]{1,13}", one) or not 0 < int(one) < LARGEST:
            raise BadInput(f"{name} is {one!r}", "give whole numbers from 1, with commas", asked)
        values.append(int(one))
    return tuple(values)
