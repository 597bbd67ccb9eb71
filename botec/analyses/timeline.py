"""Memory over a step, moment by moment: the picture of its timeline, and who stands on the peak."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botec.analyses.cache import CACHE
from botec.analyses.memory import Memory, owner_of
from botec.analyses.requests import step_begins
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, ROLES, Storage
from botec.report import Column, Curve, Layers, Table

MOMENTS, MOST_ROWS = 144, 12
# What stays lies below what comes and goes.
ORDER = ("parameter", "buffer", "optimizer", CACHE, "gradient", "input", "activation", "temporary")


def picture(memory: Memory, limit: tuple[int, str] | None = None) -> Layers:
    """Bytes alive by role over the step; time goes by ops, births and deaths.

    A moment of the picture is the fullest of the events it stands for, so the peak is in it.
    ``limit`` is the memory of a device, with its name.
    """
    events = list(memory.stream.events())
    begun = step_begins(memory.stream)
    moments = min(MOMENTS, len(events) - begun)

    def moment_of(event: int) -> int:
        return max(0, event - begun) * moments // (len(events) - begun)

    fullest: dict[int, tuple[int, Mapping[str, int]]] = {}
    live, total = dict.fromkeys((*ROLES, CACHE), 0), 0
    marks: list[tuple[int, str]] = []
    for event, (kind, index, _) in enumerate(events):
        moment = moment_of(event)
        if kind == PHASE and index < len(PHASES):
            marks.append((moment, PHASES[index]))
        elif kind in (BIRTH, DEATH):
            size = memory.sizes[index] if kind == BIRTH else -memory.sizes[index]
            live[layer_of(memory.stream.storages[index])] += size
            total += size
        if event >= begun and (moment not in fullest or total > fullest[moment][0]):
            fullest[moment] = (total, dict(live))
    roles = [role for role in ORDER if any(state[role] for _, state in fullest.values())]
    layers = tuple(
        Curve(role, tuple((moment, state[role]) for moment, (_, state) in sorted(fullest.items())))
        for role in roles
    )
    top = (moment_of(memory.fullest.event), "peak")
    return Layers("Memory over the step", Column("memory", "B"), layers, tuple(marks), top, limit)


def layer_of(storage: Storage) -> str:
    """The layer a storage lies in: its role, and a language model's cache apart."""
    return CACHE if storage.name == CACHE else storage.role


def standing_table(memory: Memory) -> Table:
    """The largest groups of tensors alive at the peak: whose, by which op, since which phase.

    A group is what one module holds in one role by one op; the rows add up to the peak.
    """
    made = makers(memory)
    sums: dict[tuple[str, str, str, str], list[int]] = {}
    for number in memory.fullest.alive:
        storage = memory.stream.storages[number]
        module = memory.program.scopes[owner_of(memory.program, storage)] or "(the model itself)"
        op, phase = made[number]
        group = sums.setdefault((storage.role, module, op, phase), [0, 0])
        group[0] += memory.sizes[number]
        group[1] += 1
    order = sorted(sums.items(), key=lambda pair: -pair[1][0])
    rows: list[Any] = [
        (role, module, op, phase, many, size) for (role, module, op, phase), (size, many) in order
    ]
    rest = rows[MOST_ROWS:]
    if rest:
        many, size = (sum(row[place] for row in rest) for place in (4, 5))
        rows = [*rows[:MOST_ROWS], ("", f"{len(rest)} more groups", "", "", many, size)]
    columns = (
        Column("role"), Column("module"), Column("made by"), Column("in"), Column("tensors", "1"),
        Column("bytes", "B"),
    )  # fmt: skip
    total = ("all", "", "", "", sum(row[4] for row in rows), sum(row[5] for row in rows))
    return Table("Who stands on the peak", columns, tuple(rows), total)


def makers(memory: Memory) -> dict[int, tuple[str, str]]:
    """For every storage born by the peak: the op that made it, and the phase it was born in."""
    found: dict[int, tuple[str, str]] = {}
    op, phase = "", "before the step"
    for event, (kind, index, _) in enumerate(memory.stream.events()):
        if event > memory.fullest.event:
            break
        if kind == PHASE:
            op, phase = "", PHASES[index] if index < len(PHASES) else "end"
        elif kind == OP:
            op = memory.stream.calls[index].op
        elif kind == BIRTH:
            found[index] = (op, phase)
    return found
