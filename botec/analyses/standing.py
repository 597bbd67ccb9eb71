"""Who stands on the peak: by role, by module, tensor by tensor; as numbers, and as formulas.

A peak is the largest of a few moments. At each of them other tensors are alive, so its tables are
told moment by moment, and the moment that is the largest where somebody asks is the one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from botec.analyses.envelope import outermost
from botec.analyses.memory import Memory, Peak, live_bytes, local_peaks, owner_of
from botec.analyses.paths import grouping
from botec.analyses.storages import ITSELF
from botec.poly import Poly, plain, summed
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, ROLES, Program, Regime, Stream
from botec.report import Case, Column, Section, Table, Text

PEAK = "Memory at the peak"
MOMENT, BY_ROLE, BY_MODULE, ONE_BY_ONE = (
    "memory.moment", "memory.role", "memory.module", "memory.standing",
)  # fmt: skip
MOST_ROWS = 12
MOST_CASES, MOST_LETTERS = 40, 150_000  # image sizes can make a thousand moments
MOST_POINTS, PIECE = 2**18, 2**10
MOST_KEPT = 128  # moments that are kept, for regimes that share one
# Roles that stand in one column of the table by module.
SHELVES = {
    "parameter": "weights", "buffer": "weights", "input": "passing", "temporary": "passing",
}  # fmt: skip
KINDS = ("weights", "optimizer", "gradient", "activation", "passing")
Group: TypeAlias = tuple[str, str, str, str]  # role, module, the op that made it, the phase


@dataclass(frozen=True)
class Standing:
    """The storages alive at one moment of a stream, by their numbers."""

    program: Program
    stream: Stream
    peak: Peak

    @cached_property
    def roles(self) -> dict[str, list[int]]:
        """By role, in the order of roles."""
        found: dict[str, list[int]] = {role: [] for role in ROLES}
        for number in self.peak.alive:
            found[self.stream.storages[number].role].append(number)
        return found

    @cached_property
    def modules(self) -> dict[str, dict[str, list[int]]]:
        """By module and by what they are for: what is kept, and what passes."""
        group = grouping(self.program.scopes)
        found: dict[str, dict[str, list[int]]] = {}
        for number in self.peak.alive:
            storage = self.stream.storages[number]
            name = group(self.program.scopes[owner_of(self.program, storage)])
            row = found.setdefault(name, {kind: [] for kind in KINDS})
            row[SHELVES.get(storage.role, storage.role)].append(number)
        return found

    @cached_property
    def groups(self) -> dict[Group, list[int]]:
        """What one module holds in one role by one op."""
        made = makers(self.stream, self.peak)
        found: dict[Group, list[int]] = {}
        for number in self.peak.alive:
            storage = self.stream.storages[number]
            module = self.program.scopes[owner_of(self.program, storage)] or ITSELF
            found.setdefault((storage.role, module, *made[number]), []).append(number)
        return found

    @property
    def moment(self) -> str:
        """When it is, in a sentence."""
        if self.peak.phase == "optimizer":
            return f"The peak is in the optimizer's step, at {self.peak.op}."
        where = self.program.scopes[self.peak.scope] or "the model itself"
        op = self.peak.op or "the start"
        return f"The peak is in the {self.peak.phase} phase, at {op} of {where}."


def standing(memory: Memory) -> Standing:
    """Who stands on the peak of a timeline at its point."""
    return Standing(memory.program, memory.stream, memory.fullest)


def memory_section(memory: Memory) -> Section:
    """The peak: when it is, and who stands on it."""
    moment = Text(standing(memory).moment, key=MOMENT)
    return Section(PEAK, (moment, role_table(memory), peak_table(memory)))


def role_table(memory: Memory) -> Table:
    """The bytes at the peak by role."""
    roles = memory.by_role()
    rows = tuple(sorted(roles.items(), key=lambda pair: -pair[1]))
    columns = (Column("role"), Column("bytes", "B"))
    total = ("all", sum(roles.values()))
    return Table("By role", columns, rows, total, BY_ROLE, largest_first=True)


def peak_table(memory: Memory) -> Table:
    """The bytes at the peak by module, parted into what is kept and what passes."""
    sizes = memory.sizes
    rows: list[Any] = []
    for name, shelves in standing(memory).modules.items():
        parts = [sum(sizes[number] for number in numbers) for numbers in shelves.values()]
        rows.append((name or ITSELF, *parts, sum(parts)))
    rows.sort(key=lambda row: -row[-1])
    totals = [sum(row[place + 1] for row in rows) for place in range(len(KINDS) + 1)]
    heads = (*(Column(kind, "B") for kind in KINDS), Column("all", "B"))
    return Table(
        "By module", (Column("module"), *heads), tuple(rows), ("all", *totals), BY_MODULE,
        largest_first=True,
    )  # fmt: skip


def standing_table(memory: Memory) -> Table:
    """The largest groups of tensors alive at the peak: whose, by which op, since which phase.

    A group is what one module holds in one role by one op; the rows add up to the peak.
    """
    rows: list[Any] = [
        (*group, len(numbers), sum(memory.sizes[number] for number in numbers))
        for group, numbers in standing(memory).groups.items()
    ]
    rows.sort(key=lambda row: -row[-1])
    rest = rows[MOST_ROWS:]
    if rest:
        many, size = (sum(row[place] for row in rest) for place in (4, 5))
        rows = [*rows[:MOST_ROWS], ("", f"{len(rest)} more groups", "", "", many, size)]
    columns = (
        Column("role"), Column("module"), Column("made by"), Column("in"), Column("tensors", "1"),
        Column("bytes", "B"),
    )  # fmt: skip
    total = ("all", "", "", "", sum(row[4] for row in rows), sum(row[5] for row in rows))
    return Table(
        "Who stands on the peak", columns, tuple(rows), total, ONE_BY_ONE,
        largest_first=True, most=MOST_ROWS, rest=("", "{} more groups", "", ""),
    )  # fmt: skip


def makers(stream: Stream, peak: Peak) -> dict[int, tuple[str, str]]:
    """For every storage born by the peak: the op that made it, and the phase it was born in."""
    found: dict[int, tuple[str, str]] = {}
    op, phase = "", "before the step"
    for event, (kind, index, _) in enumerate(stream.events()):
        if event > peak.event:
            break
        if kind == PHASE:
            op, phase = "", PHASES[index] if index < len(PHASES) else "end"
        elif kind == OP:
            op = stream.calls[index].op
        elif kind == BIRTH:
            found[index] = (op, phase)
    return found


def cases(
    program: Program, stream: Stream, regime: Regime, one_by_one: bool = False
) -> tuple[Case, ...]:
    """The moments that are the peak somewhere in a regime, the earliest first, with who stands on
    each as formulas, groups of tensors ``one_by_one`` too. None where they are too many to be told.
    """
    found: list[Case] = []
    letters = 0
    for event, formula in moments(stream, regime):
        found.append(case(program, stream, event, str(formula), one_by_one))
        letters += sum(len(text) for text in texts_of(found[-1]))
        if len(found) > MOST_CASES or letters > MOST_LETTERS:
            return ()
    return tuple(found)


def texts_of(one: Case) -> Iterator[str]:
    for rows in one.tables.values():
        for row in rows:
            yield from row


def moments(stream: Stream, regime: Regime) -> list[tuple[int, Any]]:
    """The first event at which each formula of the peak is alive, with that formula."""
    import numpy as np

    kinds, _, _ = stream.columns()
    held = np.flatnonzero((kinds == BIRTH) | (kinds == DEATH))
    columns, live, _ = live_bytes(stream)
    _, rows = local_peaks(stream)
    firsts = {tuple(row): place for place, row in reversed([*enumerate(live.tolist())])}
    order = sorted(range(len(rows)), key=lambda place: firsts[tuple(rows[place].tolist())])
    ordered = rows[order]
    few = few_points(regime)
    kept = (
        outermost(columns, ordered, regime.least) if few is None else highest(columns, ordered, few)
    )
    return [
        (int(held[firsts[tuple(row)]]), plain(Poly(dict(zip(columns, row, strict=True)))))
        for row in ordered[sorted(kept)].tolist()
    ]


def few_points(regime: Regime) -> dict[str, Any] | None:
    """All points of a regime with one free dimension that ends soon; else ``None``."""
    import numpy as np

    free = [name for name in regime.least if name in regime.most]
    if len(regime.least) != 1 or not free:
        return None
    name, step = free[0], regime.step.get(free[0], 1)
    sizes = np.arange(-(-regime.least[name] // step) * step, regime.most[name] + 1, step)
    if len(sizes) > MOST_POINTS:
        return None
    return {name: sizes, **{one: np.full(len(sizes), size) for one, size in regime.fixed.items()}}


def highest(columns: list[Any], rows: Any, points: dict[str, Any]) -> list[int]:
    """The places of the rows that are the first largest at some of the points, which ascend.

    Straight lines need few of them: where one is the first largest at two points, it is between.
    """
    import numpy as np

    values = [
        np.broadcast_to(Poly({one: 1}).at(**points), next(iter(points.values())).shape)
        for one in columns
    ]

    # floats are exact here, and multiplied many times as fast
    pairs = zip(values, rows.T, strict=True)
    most = sum(int(abs(value).max()) * int(abs(row).max()) for value, row in pairs)
    kind = np.float64 if most < 2**53 else rows.dtype
    factors = np.ascontiguousarray(rows.T.astype(kind))

    def first(places: Any) -> Any:
        there = np.array([value[places] for value in values])
        return (there.T.astype(kind) @ factors).argmax(axis=1)

    if all(is_line(key, points) for key in columns):
        return between_lines(first, len(values[0]) - 1)
    starts = range(0, len(values[0]), PIECE)
    found = (first(slice(start, start + PIECE)).tolist() for start in starts)
    return sorted({place for piece in found for place in piece})


def is_line(key: Any, points: dict[str, Any]) -> bool:
    """Whether a monomial is a straight line along points of which one size alone changes."""
    if not all(isinstance(name, str) for name, _ in key):
        return False
    powers = [power for name, power in key if points[name][0] != points[name][-1]]
    return sum(powers) <= 1


def between_lines(first: Callable[[Any], Any], last: int) -> list[int]:
    """What is first somewhere from point 0 to the last one: halves whose ends differ are parted."""
    import numpy as np

    ends = np.array([[0, last]])
    found: set[int] = set()
    while len(ends):
        answers = first(ends.ravel()).reshape(-1, 2)
        found |= set(answers.ravel().tolist())
        wide = ends[(answers[:, 0] != answers[:, 1]) & (ends[:, 1] - ends[:, 0] > 1)]
        middle = wide.sum(axis=1) // 2
        halves = (wide[:, 0], middle), (middle, wide[:, 1])
        ends = np.concatenate([np.stack(half, axis=1) for half in halves])
    return sorted(found)


@lru_cache(maxsize=MOST_KEPT)
def case(program: Program, stream: Stream, event: int, formula: str, one_by_one: bool) -> Case:
    """One moment: its formula, its sentence, and its tables."""
    there = Standing(program, stream, Memory(program, stream, {}).moment(event, 0))
    size = sizes_of(stream)
    roles = {role: size(numbers) for role, numbers in there.roles.items() if numbers}
    modules = []
    for name, shelves in there.modules.items():
        every = [number for numbers in shelves.values() for number in numbers]
        modules.append((name or ITSELF, *map(size, shelves.values()), size(every)))
    tables: dict[str, Any] = {BY_ROLE: tuple(roles.items()), BY_MODULE: tuple(modules)}
    if one_by_one:
        tables[ONE_BY_ONE] = tuple(
            (*group, str(len(numbers)), size(numbers)) for group, numbers in there.groups.items()
        )
    values = {f"memory.peak.{role}": text for role, text in roles.items()}
    return Case(formula, values, {MOMENT: there.moment}, tables)


def sizes_of(stream: Stream) -> Callable[[Iterable[int]], str]:
    """The bytes of some storages as a formula."""

    def size(numbers: Iterable[int]) -> str:
        parts: dict[Any, int] = {}
        for number in numbers:
            one = stream.storages[number].bytes
            parts[one] = parts.get(one, 0) + 1
        return str(summed(parts))

    return size
