"""Memory over a step, storage by storage: who is alive from when until when, and why.

The largest by bytes times lifetime stand one by one; what all storages take together is kept at the
fullest event of every stretch, so the peak is among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from botec.analyses.memory import Memory, owner_of
from botec.analyses.requests import STAYS, step_begins
from botec.calls import shape_text
from botec.poly import Poly, as_poly, plain
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, Storage
from botec.report import Lifetimes, Lived

MOST, STRETCHES = 1500, 300
ITSELF = "(the model itself)"


@dataclass
class Span:
    """A storage's life: its moments, the call it was born in, and what ran when it died."""

    born: int
    died: int
    call: int | None
    until: str = ""


def lifetimes(memory: Memory, limit: tuple[int, str] | None = None) -> Lifetimes:
    """The timeline of a step; a moment is an event of the stream, counted from the step's start.

    ``limit`` is the memory of a device, with its name.
    """
    begun = step_begins(memory.stream)
    end = max(1, len(memory.stream.kinds) - begun)
    found = spans(memory, begun, end)
    largest = sorted(found, key=lambda n: -memory.sizes[n] * (found[n].died - found[n].born))
    chosen = sorted(largest[:MOST], key=lambda number: (found[number].born, number))
    top = (max(0, memory.fullest.event - begun), "peak")
    storages = tuple(lived(memory, number, found[number]) for number in chosen)
    return Lifetimes(
        "Memory over the step, storage by storage",
        tuple(one for one in storages if one.bytes),
        tuple(totals(memory, begun, end)),
        end,
        tuple(marks(memory, begun)),
        top,
        limit,
    )


def spans(memory: Memory, begun: int, end: int) -> dict[int, Span]:
    """Every storage's life; what is never freed lives until the end."""
    stream, scopes = memory.stream, memory.program.scopes
    found: dict[int, Span] = {}
    call, running = None, ""
    for event, (kind, index, scope) in enumerate(stream.events()):
        moment = max(0, event - begun)
        if kind == OP:
            call, running = index, f"{stream.calls[index].op} of {scopes[scope] or ITSELF}"
        elif kind == PHASE:
            call, running = None, PHASES[index] if index < len(PHASES) else "the end of the step"
        elif kind == BIRTH:
            found[index] = Span(moment, end, call)
        elif kind == DEATH:
            found[index].died, found[index].until = moment, running
    return found


def lived(memory: Memory, number: int, span: Span) -> Lived:
    """A storage as a page shows it."""
    storage = memory.stream.storages[number]
    call = None if span.call is None else memory.stream.calls[span.call]
    return Lived(
        span.born,
        span.died,
        memory.sizes[number],
        str(storage.bytes),
        storage.role,
        memory.program.scopes[owner_of(memory.program, storage)] or ITSELF,
        call.op if call else "",
        shape_of(memory, storage, call),
        why(storage, span),
    )


def shape_of(memory: Memory, storage: Storage, call: Any) -> str:
    """Its shape: a weight's by its name, else that of the call's output with as many bytes."""
    for one in (*memory.program.parameters, *memory.program.buffers) if storage.name else ():
        if storage.name in one.names:
            return shape_text(one.tensor)
    for one in call.results if call else ():
        if one.bytes == storage.bytes:
            return shape_text(one)
    return ""


def why(storage: Storage, span: Span) -> str:
    """What keeps it: a name that stays, or the op after which nobody needs it."""
    if storage.role in STAYS:
        return f"{storage.name or storage.role} stays"
    freed = f"; freed at {span.until}" if span.until else ", until the end"
    if storage.role == "activation":
        return f"saved for the backward pass{freed}"
    return f"in use{freed}"


def marks(memory: Memory, begun: int) -> Iterator[tuple[int, str]]:
    """Where phases begin."""
    for event, (kind, index, _) in enumerate(memory.stream.events()):
        if kind == PHASE and index < len(PHASES):
            yield max(0, event - begun), PHASES[index]


def totals(memory: Memory, begun: int, end: int) -> Iterator[tuple[int, int, str]]:
    """The bytes alive and their formula at the fullest event of every stretch."""
    fullest: dict[int, tuple[int, int]] = {}
    live = 0
    for event, (kind, index, _) in enumerate(memory.stream.events()):
        live += sign(kind) * (memory.sizes[index] if kind in (BIRTH, DEATH) else 0)
        if event >= begun:
            stretch = (event - begun) * STRETCHES // end
            if stretch not in fullest or live > fullest[stretch][0]:
                fullest[stretch] = (live, event)
    told = {event: size for size, event in fullest.values()}
    terms: dict[Any, int] = {}
    for event, (kind, index, _) in enumerate(memory.stream.events()):
        if kind in (BIRTH, DEATH):
            for monomial, factor in as_poly(memory.stream.storages[index].bytes).terms.items():
                terms[monomial] = terms.get(monomial, 0) + sign(kind) * factor
        if event in told:
            yield event - begun, told[event], str(plain(Poly(dict(terms))))


def sign(kind: int) -> int:
    return {BIRTH: 1, DEATH: -1}.get(kind, 0)
