"""The book of ops: what is true of ONE op, whoever asks.

An op is declared once, with its aliases (the names front ends know it by) and its shape signature,
and its facts hang under it::

    convolution = op("convolution", "aten.convolution", shapes="n c *x, o i *k -> n o *y")

    @convolution.multiplications
    def _(n, o, i, k, y, x, c, transposed):
        ...

The names a fact asks for are bound from the call: letters of the signature (``*x`` is a tuple of
sizes), arguments of the op by its own schema's names (``groups``), or ``call``, ``inputs``,
``outputs``. Facts work on whole numbers and on polynomials alike.

Facts told today: ``multiplications`` (multiply-adds of products), ``flops`` (2 per multiply-add
plus one per elementwise arithmetic result), ``bytes`` (read + written), ``causal`` (the
multiplications that a causal mask leaves, where the call has one). A fact nobody has told is
``None`` and prints ``?``; zero is claimed by name, with :func:`nothing`.

What the analyses ask: :func:`multiplications`, :func:`flops`, :func:`bytes_moved`, :func:`kind_of`
and :func:`causal`, each of one call.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from botec.calls import Call, Tensor
from botec.errors import BotecError

Fact = Callable[..., Any]
FACTS = ("multiplications", "flops", "bytes", "causal")
OPS: dict[str, Op] = {}


class Op:
    """One op of the book: ``name``, ``aliases``, ``kind`` (family), ``shapes``, and its facts."""

    def __init__(self, name: str, aliases: tuple[str, ...], kind: str, shapes: str) -> None:
        self.name, self.aliases, self.kind, self.shapes = name, aliases, kind, shapes
        self.facts: dict[str, Fact] = {}
        self.because = ""

    def tell(self, fact: str, formula: Fact) -> Fact:
        """Hang ``formula`` under this op as its ``fact``; told twice is an error."""
        if fact in self.facts:
            raise BotecError(f"the {fact} of {self.name} are told twice", "keep one")
        self.facts[fact] = formula
        return formula

    def multiplications(self, formula: Fact) -> Fact:
        """Decorator: scalar multiply-adds of one call."""
        return self.tell("multiplications", formula)

    def flops(self, formula: Fact) -> Fact:
        """Decorator: floating-point operations of one call."""
        return self.tell("flops", formula)

    def bytes(self, formula: Fact) -> Fact:
        """Decorator: bytes read and written, where inputs + outputs is not the answer."""
        return self.tell("bytes", formula)

    def causal(self, formula: Fact) -> Fact:
        """Decorator: multiplications that a causal mask leaves; ``None`` where there is no mask."""
        return self.tell("causal", formula)


def op(name: str, *aliases: str, shapes: str = "", kind: str = "") -> Op:
    """Declare an op. ``kind`` is the declaring file's family unless given."""
    caller = sys._getframe(1).f_globals.get("__name__", "ops")
    declared = Op(name, aliases, kind or caller.rsplit(".", 1)[-1], shapes)
    for alias in aliases:
        if alias in OPS:
            raise BotecError(f"{alias} is declared by {OPS[alias].name} and by {name}", "keep one")
        OPS[alias] = declared
    return declared


def nothing(because: str, *aliases: str, kind: str) -> Op:
    """Claim by name that these ops compute nothing: no floating-point operation at all."""
    declared = op(aliases[0], *aliases, kind=kind)
    declared.because = because
    declared.tell("multiplications", lambda: 0)
    declared.tell("flops", lambda: 0)
    return declared


def multiplications(call: Call) -> Any | None:
    """Scalar multiply-adds of ``call``; ``None`` where nobody has told.

    An op whose other operations are told and whose multiplications are not has none: the word
    means products of matrices and what reduces to them.
    """
    known = op_of(call.op)
    if known is None:
        return None
    if "multiplications" in known.facts:
        return value(known, "multiplications", call)
    return 0 if "flops" in known.facts else None


def flops(call: Call) -> Any | None:
    """Floating-point operations of ``call``; ``None`` where nobody has told."""
    known = op_of(call.op)
    if known is None:
        return None
    if "flops" in known.facts:
        return value(known, "flops", call)
    products = multiplications(call)
    return None if products is None else 2 * products


def bytes_moved(call: Call) -> Any:
    """Bytes read plus bytes written: each input once, each output once; a view moves nothing."""
    if call.view:
        return 0
    known = op_of(call.op)
    if known is not None and "bytes" in known.facts:
        return value(known, "bytes", call)
    return sum(tensor.bytes for tensor in call.inputs + call.results)


def causal(call: Call) -> Any | None:
    """Multiplications left of ``call`` by its causal mask; ``None`` where no discount applies.

    Printed beside :func:`multiplications`, which counts the whole rectangle.
    """
    known = op_of(call.op)
    if known is None or "causal" not in known.facts:
        return None
    return value(known, "causal", call)


def kind_of(call: Call) -> str:
    """The family of the op, ``"unknown"`` where the book does not have it."""
    known = op_of(call.op)
    return known.kind if known else "unknown"


def value(known: Op, fact: str, call: Call) -> Any:
    """One fact of one call, its letters bound. Raises :class:`BotecError` naming op and fact."""
    formula = known.facts[fact]
    try:
        return formula(**bindings(known, call, parameters_of(formula)))
    except BotecError as error:
        raise error.about(f"{fact} of {call.op}") from None


@cache
def parameters_of(formula: Fact) -> tuple[str, ...]:
    return tuple(inspect.signature(formula).parameters)


def bindings(known: Op, call: Call, wanted: tuple[str, ...]) -> dict[str, Any]:
    """The values of the names a formula asks for."""
    special = {"call": call, "inputs": call.inputs, "outputs": call.results}
    letters = letters_of(known.shapes, call) if known.shapes else {}
    found = {}
    for name in wanted:
        for place in (letters, call.arguments, special):
            if name in place:
                found[name] = place[name]
                break
        else:
            raise BotecError(f"the call has no {name!r}: {call}", "mend the op's shape signature")
    return found


def letters_of(shapes: str, call: Call) -> dict[str, Any]:
    """``"n c *x, o i *k -> n o *y"`` bound to the tensors of ``call``: inputs, then outputs."""
    left, _, right = shapes.partition("->")
    letters: dict[str, Any] = {}
    for side, tensors in ((left, call.inputs), (right, call.results)):
        patterns = [pattern.split() for pattern in side.split(",")] if side.strip() else []
        if len(tensors) < len(patterns):
            raise BotecError(f"{len(patterns)} tensors expected by {shapes!r}, got {call}")
        for pattern, tensor in zip(patterns, tensors, strict=False):
            bind(pattern, tensor, letters, shapes)
    return letters


def bind(pattern: list[str], tensor: Tensor, letters: dict[str, Any], shapes: str) -> None:
    """Bind one tensor's sizes; ``_`` is skipped, the first meaning of a letter stays."""
    stars = [place for place, name in enumerate(pattern) if name.startswith("*")]
    fixed = len(pattern) - len(stars)
    rank = len(tensor.shape)
    if len(stars) > 1 or rank < fixed or (not stars and rank != fixed):
        raise BotecError(
            f"shape {tensor.shape} does not read as {' '.join(pattern)!r} of {shapes!r}"
        )
    before = stars[0] if stars else fixed
    after = fixed - before
    for name, size in zip(pattern[:before], tensor.shape, strict=False):
        letters.setdefault(name, size)
    for name, size in zip(pattern[::-1][:after], tensor.shape[::-1], strict=False):
        letters.setdefault(name, size)
    if stars:
        letters.setdefault(pattern[before][1:], tensor.shape[before : rank - after])


@cache
def op_of(name: str) -> Op | None:
    """The op a front end's name belongs to.

    An in-place op (``aten.add_``) is its plain twin; ``aten._foreach_add_`` is looked up by its own
    name first and is built from ``aten.add`` otherwise (see :mod:`botec.ops.foreach`).
    """
    load()
    found = OPS.get(name)
    if found is None and name.endswith("_") and not name.endswith("__"):
        found = OPS.get(name[:-1])
    if found is None and "._foreach_" in name:
        from botec.ops.foreach import foreach

        found = foreach(name)
    return found


@cache
def load() -> Mapping[str, Op]:
    """Open every file of this folder once: the folder is the registry."""
    from importlib import import_module
    from pkgutil import iter_modules

    import botec.ops as folder

    for entry in iter_modules(folder.__path__):
        import_module(f"botec.ops.{entry.name}")
    return OPS
