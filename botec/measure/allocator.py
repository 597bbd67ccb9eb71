"""What the CPU allocator really did in a training step.

``torch.profiler`` with ``profile_memory`` sees every allocation and free of the framework's CPU
allocator, nested under the op that made it. Frees of blocks that were there before the profiler
started are not told, so two steps are watched from the first one on: gradients and optimizer states
are born in the first, the second is the steady one. What was there before (weights, inputs) is
added as :attr:`Recording.base`.

Memory that oneDNN or MKL take from the system by themselves is not the framework's and not in here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from botec.measure.realise import Step

MARK = "botec."


class Change(NamedTuple):
    """One allocation (``bytes`` > 0) or free, at address ``block``.

    ``op`` is the number of the op it happened in, -1 between ops; ``phase`` is a name.
    """

    bytes: int
    block: int
    op: int
    phase: str


@dataclass
class Recording:
    """Every change of the allocator, in order; ``base`` bytes were alive before the first.

    ``starts`` says for each phase how many changes had happened when it began.
    ``ops[i]`` is the name of op ``i``, ``ends[i]`` how many changes had happened at its end. An op
    is what arrives below autograd (``aten::addmm``, not the ``aten::linear`` it is part of, nor the
    ``aten::empty`` inside its kernel).
    """

    base: int = 0
    changes: list[Change] = field(default_factory=list)
    starts: dict[str, int] = field(default_factory=dict)
    ops: list[str] = field(default_factory=list)
    phases: list[str] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class RealPeak:
    """Bytes of tensors alive in a steady step: the maximum, and the maximum between ops.

    ``peak`` has everything the allocator handed out, ``peak_at_boundaries`` leaves out the scratch
    memory that an op takes and gives back before it returns. ``by_phase`` and
    ``by_phase_at_boundaries`` are the same for each phase; ``boundaries`` are
    ``(op, live bytes after it)`` in order, ``at_end`` what is left after the step;
    ``largest_scratch`` is the op whose scratch reached furthest above its own boundaries, with
    these bytes.
    """

    peak: int
    peak_at_boundaries: int
    by_phase: Mapping[str, int]
    by_phase_at_boundaries: Mapping[str, int]
    boundaries: tuple[tuple[str, int], ...]
    at_end: int
    largest_scratch: tuple[str, int] = ("", 0)


def real_peak(step: Step) -> RealPeak:
    """The peak of a steady step: the second of two, the first makes gradients and states."""
    base = live_bytes(step.tensors())
    phases = {f"{turn}.{name}": run for turn in (1, 2) for name, run in step.phases.items()}
    recording = record(phases)
    recording.base = base
    return peak_of(recording, "2.")


def live_bytes(tensors: Iterable[Any]) -> int:
    """Bytes of all distinct storages behind ``tensors``."""
    storages = {}
    for tensor in tensors:
        if tensor.layout.__str__() == "torch.strided":
            storage = tensor.untyped_storage()
            storages[storage._cdata] = storage.nbytes()
    return sum(storages.values())


def record(phases: Mapping[str, Callable[[], None]]) -> Recording:
    """Run ``phases`` in order under the profiler and keep what the allocator did.

    The garbage collector is off meanwhile: when it runs is chance, what lives until then is not.
    """
    import gc

    from torch.profiler import ProfilerActivity, profile, record_function

    gc.collect()
    collecting = gc.isenabled()
    gc.disable()
    profiler = profile(activities=[ProfilerActivity.CPU], profile_memory=True)
    with quiet():
        profiler.start()
    try:
        for name, run in phases.items():
            with record_function(MARK + name):
                run()
    finally:
        with quiet():
            profiler.stop()
        if collecting:
            gc.enable()
    recording = Recording()
    note(recording, profiler.profiler.kineto_results.experimental_event_tree())
    return recording


@contextmanager
def quiet() -> Iterator[None]:
    """The profiler's library writes its start and stop to the standard error; not on our page."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def note(recording: Recording, nodes: Any, phase: str = "", op: int = -1) -> None:
    """Walk the profiler's tree in time order. Only allocations and ops below autograd are kept."""
    for node in sorted(nodes, key=lambda one: one.start_time_ns):
        if str(node.tag).endswith("Allocation"):
            fields = node.extra_fields
            if fields.alloc_size and str(fields.device) == "cpu":
                recording.changes.append(Change(fields.alloc_size, fields.ptr, op, phase))
        elif node.name.startswith(MARK):
            name = node.name.removeprefix(MARK)
            recording.starts[name] = len(recording.changes)
            note(recording, node.children, name, op)
        elif op < 0 and is_op(node.name):
            note_op(recording, node, phase)
        else:
            note(recording, node.children, phase, op)


def note_op(recording: Recording, node: Any, phase: str) -> None:
    number = len(recording.ops)
    recording.ops.append(node.name)
    recording.phases.append(phase)
    recording.ends.append(0)
    note(recording, node.children, phase, number)
    recording.ends[number] = len(recording.changes)


@cache
def is_op(name: str) -> bool:
    """Whether a profiler event is an op below autograd: not one that is only made of others."""
    import torch

    namespace, found, plain = name.partition("::")
    packet = getattr(getattr(torch.ops, namespace), plain, None) if found else None
    if packet is None or not hasattr(packet, "overloads"):
        return False
    overloads = [getattr(packet, overload).name() for overload in packet.overloads()]
    return any(not name.endswith("out") and not made_of_others(name) for name in overloads)


def made_of_others(overload: str) -> bool:
    """Whether it is only a row of other ops, which autograd and a dispatch mode see instead."""
    import torch

    try:
        has = torch._C._dispatch_has_kernel_for_dispatch_key
        return has(overload, "CompositeImplicitAutograd")
    except RuntimeError:  # an overload of the scripting language alone
        return True


def peak_of(recording: Recording, turn: str = "") -> RealPeak:
    """The maxima over the phases whose name begins with ``turn``; see :class:`RealPeak`."""
    running = list(totals(recording))
    everywhere = {phase: running[start] for phase, start in recording.starts.items()}
    between = dict(everywhere)
    for number, change in enumerate(recording.changes):
        top(everywhere, change.phase, running[number + 1])
        if change.op < 0:
            top(between, change.phase, running[number + 1])
    boundaries = []
    for name, phase, end in zip(recording.ops, recording.phases, recording.ends, strict=True):
        top(between, phase, running[end])
        if phase.startswith(turn):
            boundaries.append((name, running[end]))
    steady, steady_between = chosen(everywhere, turn), chosen(between, turn)
    return RealPeak(
        peak=max(steady.values()),
        peak_at_boundaries=max(steady_between.values()),
        by_phase=steady,
        by_phase_at_boundaries=steady_between,
        boundaries=tuple(boundaries),
        at_end=running[-1],
        largest_scratch=largest_scratch(recording, running, turn),
    )


def totals(recording: Recording) -> Iterator[int]:
    """Live bytes before the first change and after each."""
    total = recording.base
    yield total
    for change in recording.changes:
        total += change.bytes
        yield total


def top(highest: dict[str, int], phase: str, value: int) -> None:
    highest[phase] = max(highest.get(phase, 0), value)


def chosen(highest: Mapping[str, int], turn: str) -> dict[str, int]:
    """The phases of one turn, their names without it."""
    return {
        phase.removeprefix(turn): value
        for phase, value in highest.items()
        if phase and phase.startswith(turn)
    }


def largest_scratch(recording: Recording, running: list[int], turn: str) -> tuple[str, int]:
    """The op with the most bytes above both its start and its end, and how many."""
    inside: dict[int, tuple[int, int]] = {}
    for number, change in enumerate(recording.changes):
        if change.op >= 0 and change.phase.startswith(turn):
            start, most = inside.get(change.op, (running[number], 0))
            inside[change.op] = (start, max(most, running[number + 1]))
    found = ("", 0)
    for op, (start, most) in inside.items():
        above = most - max(start, running[recording.ends[op]])
        if above > found[1]:
            found = (recording.ops[op], above)
    return found
