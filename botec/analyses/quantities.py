"""What can be asked of a program at any point: every figure by its key, as formulas.

A quantity's formulas are those of one stream; its value at a point is the largest of them in the
stream that holds there. ``parts`` says who makes up the sum, by the ops' families or by the
modules' types, where that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from botec.analyses.count import Counts
from botec.analyses.evaluate import at_points
from botec.analyses.figures import TITLES, UNITS, Answers, parameter_count
from botec.analyses.memory import owner_of, peak_formulas, peak_of, weight_bytes, written
from botec.poly import as_poly, plain
from botec.program import PHASES, Program, Stream

WITHOUT = "multiplications.optimizer"  # no optimizer of torch multiplies matrices

Formulas = Callable[[Stream], tuple[Any, ...]]
Parts = Callable[[Stream], Mapping[str, Any]]


@dataclass(frozen=True)
class Known:
    """One figure as formulas: ``of(stream)`` are the polynomials whose maximum it is."""

    program: Program
    key: str
    title: str
    unit: str
    of: Formulas
    parts: Parts = lambda stream: {}

    def at(self, **values: Any) -> Any:
        """Its value at numbers or arrays, over the asked point.

        Raises :class:`botec.errors.OutsideRegime` where a point lies in no regime.
        """
        return at_points(self.program, self.of, values)

    def bounds(self, **values: Any) -> tuple[Any, Any]:
        """Between which values it lies, as far as that is known at once: where it has formulas,
        both are its own. Raises :class:`botec.errors.OutsideRegime`."""
        found = self.at(**values)
        return found, found


@dataclass(frozen=True)
class Peak(Known):
    """The memory peak: its formulas are those of the asked point's choices of kernels, its values
    those of each point's own."""

    def at(self, **values: Any) -> Any:
        """Its value at numbers or arrays. Raises :class:`botec.errors.OutsideRegime`."""
        return peak_of(self.program, values)


def quantities(program: Program) -> dict[str, Known]:
    """Every figure that has formulas, by key, in the order of the page."""
    known = [*work(program), *memory_of(program)]
    return {one.key: one for one in known}


def keys(train: bool, optimizer: bool) -> tuple[str, ...]:
    """The keys :func:`quantities` has for such a step, before anything is read."""
    phases = phases_of(train, optimizer)
    work = [f"{measure}.{span}" for measure in UNITS for span in (*phases, *["step"] * train)]
    memory = ["memory.peak", *["memory.saved"] * train, "memory.weights", "parameters"]
    return tuple(key for key in (*work, *memory) if key != WITHOUT)


def phases_of(train: bool, optimizer: bool) -> tuple[str, ...]:
    """The phases of a step, before anything is read."""
    return PHASES[: 3 if optimizer else 2] if train else PHASES[:1]


def spans(program: Program) -> dict[str, tuple[str, ...]]:
    """The phases of this setting, and the whole step where there is more than one."""
    phases = Answers(program).phases
    single: dict[str, tuple[str, ...]] = {phase: (phase,) for phase in phases}
    return {**single, "step": phases} if program.setting.train else single


def work(program: Program) -> list[Known]:
    found = []
    for measure in UNITS:
        for span, phases in spans(program).items():
            if f"{measure}.{span}" != WITHOUT:
                title = f"{TITLES[measure]}, {span}"
                of, parts = counted(program, measure, phases)
                found.append(Known(program, f"{measure}.{span}", title, UNITS[measure], of, parts))
    return found


def counted(program: Program, measure: str, phases: tuple[str, ...]) -> tuple[Formulas, Parts]:
    """A measure of some phases, and the same by the ops' families; each stream is asked once."""

    @cache
    def of(stream: Stream) -> tuple[Any, ...]:
        return (counts(program, stream).total(measure, phases).value,)

    @cache
    def parts(stream: Stream) -> Mapping[str, Any]:
        by_kind = counts(program, stream).by_kind(measure, phases)
        return {kind: total.value for kind, total in by_kind.items()}

    return of, parts


@cache
def counts(program: Program, stream: Stream) -> Counts:
    """The counts of a stream, made once."""
    return Counts(program, stream)


def memory_of(program: Program) -> list[Known]:
    weights, parameters = weight_bytes(program), parameter_count(program.parameters)
    formulas = partial(peak_formulas, program)
    found: list[Known] = [Peak(program, "memory.peak", "memory peak", "B", formulas)]
    if program.setting.train:

        @cache
        def saved(stream: Stream) -> tuple[Any, ...]:
            return (plain(sum(map(as_poly, kept(program, stream).values()), as_poly(0))),)

        def parts(stream: Stream) -> Mapping[str, Any]:
            return kept(program, stream)

        title = "saved for the backward pass"
        found.append(Known(program, "memory.saved", title, "B", saved, parts))
    return [
        *found,
        Known(program, "memory.weights", "weights and buffers", "B", lambda _: (weights,)),
        Known(program, "parameters", "parameters", "1", lambda _: (parameters,)),
    ]


def kept(program: Program, stream: Stream) -> dict[str, Any]:
    """Bytes kept from the forward pass for the backward pass, by the type of module."""
    found: dict[str, Any] = {}
    for storage in written(program, stream).storages:
        if storage.role == "activation":
            name = program.scope_types[owner_of(program, storage)]
            found[name] = as_poly(storage.bytes) + found.get(name, 0)
    return found
