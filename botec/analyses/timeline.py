"""Memory over a step, moment by moment: the picture of its timeline."""

from __future__ import annotations

from collections.abc import Mapping

from botec.analyses.cache import CACHE
from botec.analyses.memory import Memory
from botec.analyses.requests import step_begins
from botec.program import BIRTH, DEATH, PHASE, PHASES, ROLES, Storage
from botec.report import Column, Curve, Layers

MOMENTS = 144
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
