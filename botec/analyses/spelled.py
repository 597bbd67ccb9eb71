"""Arithmetic that is written down instead of worked out: what is asked with it gives its formula.

>>> str(3 * Spelled("B*S") + 1)
'3 * (B*S) + 1'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Spelled:
    """A formula as Python text: operators put it together, in the order Python works them out."""

    text: str

    def __str__(self) -> str:
        return self.text

    def __add__(self, other: Any) -> Spelled:
        return Spelled(f"{self} + {part(other)}")

    def __radd__(self, other: Any) -> Spelled:
        return Spelled(f"{part(other)} + {part(self)}")

    def __sub__(self, other: Any) -> Spelled:
        return Spelled(f"{self} - {part(other)}")

    def __mul__(self, other: Any) -> Spelled:
        return Spelled(f"{part(self)} * {part(other)}")

    def __rmul__(self, other: Any) -> Spelled:
        return Spelled(f"{part(other)} * {part(self)}")

    def __floordiv__(self, other: Any) -> Spelled:
        return Spelled(f"{part(self)} // {part(other)}")

    def __truediv__(self, other: Any) -> Spelled:
        return Spelled(f"{part(self)} / {part(other)}")

    def __pow__(self, power: int) -> Spelled:
        return Spelled(f"{part(self)}**{power}")


def part(value: Any) -> str:
    """A number or a name as it is, anything longer in brackets."""
    text = str(value)
    return text if text.replace(".", "").replace("_", "").isalnum() else f"({text})"
