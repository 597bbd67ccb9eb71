"""Small expressions over figures: ``memory.peak < 24GiB and flops.step / (B*S) > 1e9``.

Read by Python's own parser, then walked: names of figures with their dots, numbers with units,
``+ - * /``, comparisons, ``and or not``. Nothing else is known, and nothing is ever executed.
"""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn

from botec.errors import BadInput, UnknownName, nearest
from botec.units import parse_bytes

LONGEST, LARGEST = 500, 1e300
FORM = 'write it like "memory.peak < 24GiB and B*S >= 4096"'
NUMBER, CONDITION = "a number", "a condition"
FACTORS: dict[str, float] = {
    **{name: 1000**power for power, name in enumerate("kMGTPE", start=1)},
    "s": 1,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "ns": 1e-9,
    "min": 60,
    "h": 3600,
}
NUMBERS = re.compile(
    r"(?<![\w.])(?P<digits>\d[\d_]*(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+)"
    r"(?P<unit>[A-Za-zµ]+)(?![\w.])"
)
ARITHMETIC: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
COMPARISONS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


@dataclass(frozen=True)
class Expression:
    """A checked expression: its text, its tree, and the names it speaks of."""

    text: str
    tree: ast.expr
    names: tuple[str, ...]

    def at(self, values: Mapping[str, Any]) -> Any:
        """Its value where every name has one: numbers, or numpy arrays of one shape."""
        return value(self.tree, values)


def expression(text: str, known: Iterable[str], kind: str = NUMBER) -> Expression:
    """``text`` as an expression that gives a number, or a condition.

    Raises :class:`BadInput` for what is none, :class:`UnknownName` for a name not in ``known``.
    """
    if len(text) > LONGEST:
        raise BadInput(f"more than {LONGEST} letters", "write a shorter one", text[:20] + "…")
    try:
        tree = ast.parse(with_plain_numbers(text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise BadInput("it is no expression", FORM, text) from None
    names = dict.fromkeys(named(tree, text))
    found = kind_of(tree, text)
    if found != kind:
        raise BadInput(f"it is {found} where {kind} belongs", FORM, text)
    known = tuple(known)
    for name in names:
        if name not in known:
            do = nearest(name, known) or f"use {', '.join(known)}"
            raise UnknownName(f"{name} is no figure of this", do, text)
    return Expression(text, tree, tuple(names))


def with_plain_numbers(text: str) -> str:
    """``24GiB`` as ``25769803776``; an unknown unit stays, and is no expression."""
    return NUMBERS.sub(lambda found: repr(amount(found["digits"], found["unit"])), text)


def amount(digits: str, unit: str) -> int | float:
    """A number with its unit: bytes, seconds, or a plain thousand, million, … Whole where it can.

    Raises ``ValueError`` for another unit.
    """
    if unit in FACTORS:
        factor = FACTORS[unit]
        whole = digits.isdigit() and isinstance(factor, int)
        return int(digits) * factor if whole else float(digits) * factor
    try:
        return parse_bytes(digits + unit)
    except BadInput:
        raise ValueError(unit) from None


def refuse(node: ast.AST, text: str) -> NoReturn:
    part = ast.unparse(node)
    shown = part if len(part) < 40 else f"{part[:40]}…"
    raise BadInput(f"{shown} is not understood", FORM, text)


def named(node: ast.expr, text: str) -> Iterable[str]:
    """Every name in the expression, dots and all."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        yield dotted(node, text)
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from named(child, text)


def dotted(node: ast.expr, text: str) -> str:
    """``memory.peak``."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value, text)}.{node.attr}"
    if not isinstance(node, ast.Name):
        refuse(node, text)
    return node.id


def kind_of(node: ast.expr, text: str) -> str:
    """Whether a part gives a number or a condition; refuses all it does not know."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        return NUMBER
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        plain = not isinstance(node.value, bool) and abs(node.value) <= LARGEST
        return NUMBER if plain else refuse(node, text)
    parts, within, gives = anatomy(node, text)
    for part in parts:
        if kind_of(part, text) != within:
            refuse(node, text)
    return gives


def anatomy(node: ast.expr, text: str) -> tuple[list[ast.expr], str, str]:
    """The parts of an operation, the kind they must be of, and the kind it gives."""
    if isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        return [node.left, node.right], NUMBER, NUMBER
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        return [node.operand], NUMBER, NUMBER
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        return [node.operand], CONDITION, CONDITION
    if isinstance(node, ast.Compare) and all(type(one) in COMPARISONS for one in node.ops):
        return [node.left, *node.comparators], NUMBER, CONDITION
    if isinstance(node, ast.BoolOp):
        return node.values, CONDITION, CONDITION
    refuse(node, text)


def value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """The value of a checked part. Comparisons with what is unknown (``nan``) do not hold."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        return values[ast.unparse(node)]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.BinOp):
        left, right = value(node.left, values), value(node.right, values)
        return applied(ARITHMETIC[type(node.op)], left, right)
    if isinstance(node, ast.UnaryOp):
        inner = value(node.operand, values)
        if isinstance(node.op, ast.Not):
            return inner == 0
        return -inner if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BoolOp):
        parts = [value(part, values) for part in node.values]
        return together(parts, isinstance(node.op, ast.And))
    assert isinstance(node, ast.Compare)
    sides = [value(part, values) for part in (node.left, *node.comparators)]
    held = [
        COMPARISONS[type(op)](*pair) for op, pair in zip(node.ops, pairwise(sides), strict=True)
    ]
    return together(held, True)


def applied(operate: Callable[[Any, Any], Any], left: Any, right: Any) -> Any:
    """An operation; beyond 63 bits whole numbers become floats, nothing divided is ``nan``."""
    import numpy as np

    with np.errstate(all="ignore"):
        if operate is operator.truediv:
            return np.true_divide(left, right)
        largest = float(np.max(np.abs(np.asarray(left, float)), initial=0.0))
        other = float(np.max(np.abs(np.asarray(right, float)), initial=0.0))
        bound = largest * other if operate is operator.mul else largest + other
        if bound >= 2**62:
            return operate(np.asarray(left, float), np.asarray(right, float))
        return operate(left, right)


def together(parts: list[Any], every: bool) -> Any:
    """All of the conditions, or any of them."""
    import numpy as np

    found = parts[0]
    for part in parts[1:]:
        found = np.logical_and(found, part) if every else np.logical_or(found, part)
    return found
