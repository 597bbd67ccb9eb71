"""Where a condition can hold at all, though some figures are only known to lie between two values.

Interval arithmetic (R. E. Moore, Interval Analysis, 1966): sums, differences, products and
quotients lie between the least and the largest that the ends give. So points that cannot meet a
condition are known before what takes long is worked out for them.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from botec.analyses.expression import ARITHMETIC, Expression, applied

Between = tuple[Any, Any]  # the least and the largest it may be
Truths = tuple[Any, Any]  # where it holds for certain, where it may


def possible(condition: Expression, least: Mapping[str, Any], most: Mapping[str, Any]) -> Any:
    """Where a checked condition may hold, every name between its ``least`` and ``most`` value:
    numbers, or numpy arrays of one shape."""
    return truths(condition.tree, least, most)[1]


def truths(node: ast.expr, least: Mapping[str, Any], most: Mapping[str, Any]) -> Truths:
    """Where a condition holds whatever its names are, and where it may hold."""
    import numpy as np

    if isinstance(node, ast.UnaryOp):
        certain, may = truths(node.operand, least, most)
        return np.logical_not(may), np.logical_not(certain)
    if isinstance(node, ast.BoolOp):
        parts = [truths(part, least, most) for part in node.values]
        both = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
        return all_of(parts, both)
    assert isinstance(node, ast.Compare)
    sides = [between(part, least, most) for part in (node.left, *node.comparators)]
    held = [compared(op, *pair) for op, pair in zip(node.ops, pairwise(sides), strict=True)]
    return all_of(held, np.logical_and)


def all_of(parts: Sequence[Truths], both: Any) -> Truths:
    """All of the conditions, or any of them, by what ``both`` of two are."""
    import numpy as np

    certain, may = (both.reduce(np.broadcast_arrays(*one)) for one in zip(*parts, strict=True))
    return certain, may


def compared(op: ast.cmpop, left: Between, right: Between) -> Truths:
    """Where a comparison holds for certain, and where it may."""
    import numpy as np

    if isinstance(op, (ast.Gt, ast.GtE)):
        left, right = right, left
    if isinstance(op, (ast.Lt, ast.Gt)):
        return left[1] < right[0], left[0] < right[1]
    if isinstance(op, (ast.LtE, ast.GtE)):
        return left[1] <= right[0], left[0] <= right[1]
    may = (left[0] <= right[1]) & (right[0] <= left[1])
    certain = (left[0] == right[1]) & (right[0] == left[1])
    if isinstance(op, ast.NotEq):
        certain, may = np.logical_not(may), np.logical_not(certain)
    return certain, may


def between(node: ast.expr, least: Mapping[str, Any], most: Mapping[str, Any]) -> Between:
    """Between which values a checked number lies."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = ast.unparse(node)
        return least[name], most[name]
    if isinstance(node, ast.UnaryOp):
        low, high = between(node.operand, least, most)
        return (-high, -low) if isinstance(node.op, ast.USub) else (low, high)
    if isinstance(node, ast.BinOp):
        left, right = (between(part, least, most) for part in (node.left, node.right))
        return ends(ARITHMETIC[type(node.op)], left, right)
    assert isinstance(node, ast.Constant)
    return node.value, node.value


def ends(operate: Any, left: Between, right: Between) -> Between:
    """Between which values the result of an operation lies; anywhere where that is not known."""
    import numpy as np

    corners = [np.asarray(applied(operate, one, other), float) for one in left for other in right]
    rows = np.stack(np.broadcast_arrays(*corners))
    open_ended = np.isnan(rows).any(axis=0)
    if operate is operator.truediv:
        open_ended = open_ended | ((np.asarray(right[0]) <= 0) & (np.asarray(right[1]) >= 0))
    low, high = rows.min(axis=0), rows.max(axis=0)
    return np.where(open_ended, -np.inf, low), np.where(open_ended, np.inf, high)
