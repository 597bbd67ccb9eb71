"""How much is there and how much is done: parameters, multiplications, operations, bytes moved.

One fold over the program with the ops' facts: counts add. Every distinct call is asked once and
weighted with how often it occurs, so totals come out as exact polynomials.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from botec.analyses.evaluate import at_points
from botec.calls import Call
from botec.errors import UnknownName, nearest
from botec.ops import facts
from botec.poly import at, plain, summed
from botec.program import PHASES, Parameter, Program, Stream

MEASURES = ("multiplications", "flops", "bytes")
SPANS = (*PHASES, "end")


@dataclass(frozen=True)
class Line:
    """One kind of work: a call, where and when it happens, how often, and what each time costs."""

    call: Call
    kind: str
    phase: str
    scope: int
    times: int
    costs: Mapping[str, Any]


@dataclass(frozen=True)
class Cost:
    """What one call of an ``op`` of a ``kind`` costs in every measure; ``None`` is unknown."""

    op: str
    kind: str
    costs: Mapping[str, Any]


@dataclass(frozen=True)
class Total:
    """A sum in formulas, and the ops nobody has told the cost of (name → how often)."""

    value: Any
    missing: Mapping[str, int] = field(default_factory=dict)

    def at(self, **point: Any) -> Any:
        """The sum where every dimension has a value (numbers or arrays)."""
        return at(self.value, point)


@dataclass(frozen=True)
class Counts:
    """Everything counted of one stream of a program."""

    program: Program
    stream: Stream
    point: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def occurrences(self) -> Mapping[tuple[int, str, int], int]:
        """How often each call occurs, by phase and module."""
        return self.stream.occurrences()

    @cached_property
    def columns(self) -> Any:
        """The same as four columns of whole numbers: calls, phases, modules, how often."""
        import numpy as np

        rows = [
            (index, SPANS.index(phase), scope, times)
            for (index, phase, scope), times in self.occurrences.items()
        ]
        return np.array(rows, dtype=np.int64).reshape(len(rows), 4).T

    @cached_property
    def told(self) -> Mapping[int, Cost]:
        """The op, its kind and its costs, for every call that occurs, each asked once."""
        calls = dict.fromkeys(index for index, _ in self.work)
        return {index: told_of(self.stream.calls[index]) for index in calls}

    @cached_property
    def work(self) -> Mapping[tuple[int, str], int]:
        """How often each call occurs in each phase, whatever module runs it."""
        rows = self.stream.occurrences(scopes=False).items()
        return {(index, phase): times for (index, phase, _), times in rows}

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """The work, one line for every distinct call, phase and module."""
        calls, told = self.stream.calls, self.told
        return tuple(
            Line(calls[index], told[index].kind, phase, scope, times, told[index].costs)
            for (index, phase, scope), times in self.occurrences.items()
        )

    def total(self, measure: str, phases: Iterable[str] = PHASES) -> Total:
        """``multiplications``, ``flops`` or ``bytes`` of some phases (by default of the step)."""
        wanted = known_phases(phases)
        if measure not in MEASURES:
            do = nearest(measure, MEASURES) or f"use one of {', '.join(MEASURES)}"
            raise UnknownName(f"no measure {measure!r}", do)
        rows = ((self.told[i], times) for (i, phase), times in self.work.items() if phase in wanted)
        return add(rows, measure)

    def multiplications(self, *phases: str, **values: Any) -> Any:
        """Multiplications of the named phases (by default of the step), at numbers or arrays."""
        return self.anywhere("multiplications", phases, values)

    def flops(self, *phases: str, **values: Any) -> Any:
        """Floating-point operations of the named phases, at numbers or arrays."""
        return self.anywhere("flops", phases, values)

    def bytes(self, *phases: str, **values: Any) -> Any:
        """Bytes moved in the named phases, at numbers or arrays."""
        return self.anywhere("bytes", phases, values)

    def anywhere(self, measure: str, phases: tuple[str, ...], values: dict[str, Any]) -> Any:
        """A sum where each point lies, stream by stream."""

        def formulas(stream: Stream) -> tuple[Any, ...]:
            return (Counts(self.program, stream).total(measure, phases or PHASES).value,)

        return at_points(self.program, formulas, {**self.point, **values})

    def by_kind(self, measure: str, phases: Iterable[str] = PHASES) -> dict[str, Total]:
        """The same sum, parted by the ops' families."""
        wanted = known_phases(phases)
        groups: dict[str, list[tuple[Cost, int]]] = {}
        for (index, phase), times in self.work.items():
            if phase in wanted:
                told = self.told[index]
                groups.setdefault(told.kind, []).append((told, times))
        return {kind: add(rows, measure) for kind, rows in groups.items()}

    def by_scope(self, measure: str, phases: Iterable[str] = PHASES) -> dict[int, Total]:
        """The same sum, parted by the modules that ran the ops themselves."""
        return self.by_group(measure, phases, range(len(self.program.scopes)))

    def by_group(
        self, measure: str, phases: Iterable[str], group: Sequence[Any]
    ) -> dict[Any, Total]:
        """The same sum, parted by the ``group`` of the module that ran the op."""
        groups: dict[Any, list[tuple[int, int]]] = {}
        for name, index, times in self.tallied(known_phases(phases), group):
            groups.setdefault(name, []).append((index, times))
        sums: dict[tuple[tuple[int, int], ...], Total] = {}  # equal layers do equal work
        for rows in map(tuple, groups.values()):
            if rows not in sums:
                sums[rows] = add(((self.told[index], times) for index, times in rows), measure)
        return {name: sums[tuple(rows)] for name, rows in groups.items()}

    def tallied(self, phases: set[str], group: Sequence[Any]) -> Iterator[tuple[Any, int, int]]:
        """Each group with each call that its modules run in some phases, and how often."""
        import numpy as np

        index, phase, scope, times = self.columns
        names = list(dict.fromkeys(group))
        number = {name: place for place, name in enumerate(names)}
        here = np.isin(phase, [SPANS.index(one) for one in phases])
        pairs = np.array([number[one] for one in group])[scope[here]] << 32 | index[here]
        known, first, place = np.unique(pairs, return_index=True, return_inverse=True)
        often = np.zeros(len(known), dtype=np.int64)
        np.add.at(often, place, times[here])
        for one in np.argsort(first).tolist():
            pair = int(known[one])
            yield names[pair >> 32], pair & 0xFFFFFFFF, int(often[one])

    def without_causal_half(self, phases: Iterable[str] = PHASES) -> Any:
        """Multiplications with causal attention at the triangle it needs; ``None`` without any."""
        wanted = set(phases)
        saved: Any = 0
        found = False
        for (index, phase), times in self.work.items():
            discounted = facts.causal(self.stream.calls[index]) if phase in wanted else None
            if discounted is not None:
                found = True
                saved = saved + (self.told[index].costs["multiplications"] - discounted) * times
        return plain(self.total("multiplications", wanted).value - saved) if found else None


def count(program: Program, **point: int) -> Counts:
    """Count the stream that holds at ``point`` (by default the asked one).

    Raises :class:`botec.errors.OutsideRegime` where no stream does.
    """
    return Counts(program, program.stream(point), program.point(point))


def known_phases(phases: Iterable[str]) -> set[str]:
    """The phases as a set. Raises :class:`UnknownName` for one that is none."""
    for phase in phases:
        if phase not in PHASES:
            do = nearest(phase, PHASES) or f"use {', '.join(PHASES)}"
            raise UnknownName(f"no phase {phase!r}", do)
    return set(phases)


def told_of(call: Call) -> Cost:
    """What the facts say of one call."""
    return Cost(call.op, facts.kind_of(call), costs_of(call))


def costs_of(call: Call) -> dict[str, Any]:
    """The three costs of one call; ``None`` is unknown."""
    return {
        "multiplications": facts.multiplications(call),
        "flops": facts.flops(call),
        "bytes": facts.bytes_moved(call),
    }


def add(rows: Iterable[tuple[Cost, int]], measure: str) -> Total:
    """The sum over costs and how often each occurs; what is unknown is left out and named."""
    weights: dict[Any, int] = {}
    missing: Counter[str] = Counter()
    for told, times in rows:
        cost = told.costs[measure]
        if cost is None:
            missing[told.op] += times
        else:
            weights[cost] = weights.get(cost, 0) + times
    return Total(summed(weights), dict(missing))


def parameter_count(parameters: Iterable[Parameter]) -> int:
    """How many numbers the weights hold, tied ones once."""
    return sum(at(parameter.tensor.elements, {}) for parameter in parameters)


def active_count(parameters: Iterable[Parameter]) -> int:
    """How many of them one example uses: of stacked experts the chosen share."""
    return sum(at(p.tensor.elements, {}) * p.active[0] // p.active[1] for p in parameters)
