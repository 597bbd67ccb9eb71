"""A stream of few equal blocks becomes the stream of many, event by event.

In every pass over the blocks (forward, backward, forward again) the events between one block's
first event and the next one's are a section. Sections of inner blocks must be equal once storages
are named by the pass and the block they were born in, as seen from here: "born in the forward pass
of this block, as its seventh". Such a section is then repeated for as many blocks as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botec.program import BIRTH, DEATH, PHASE


class NotPeriodicError(Exception):
    """The events do not repeat from block to block."""


@dataclass(frozen=True)
class Few:
    """How many units stand for many: ``edge`` at each end of a pass keep events of their own."""

    edge: int

    @property
    def units(self) -> int:
        """The edges, and two inner units to compare: these show the period."""
        return 2 * self.edge + 2

    @property
    def longer(self) -> int:
        """The units of a proof."""
        return self.units + 1


@dataclass
class Rows:
    """Events as in :class:`botec.program.Stream`, in numpy; ``born`` is the event at which each
    storage got its number, ``source`` and ``scope_of`` say which storage of the short stream it
    copies, and the module that made it."""

    kinds: Any
    index: Any
    scopes: Any
    born: Any
    source: Any
    scope_of: Any


@dataclass(frozen=True)
class Layers:
    """Where a run's modules stand among the scopes: ``first``, ``size`` of a unit, ``count``; and
    how many units at either ``edge`` keep events of their own."""

    first: int
    size: int
    count: int
    edge: int


@dataclass
class Section:
    """Events ``start``…``end`` of one unit in one pass (of nobody where ``unit`` is -1)."""

    start: int
    end: int
    visit: int = -1
    unit: int = -1
    numbers: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Visits:
    """One pass over the units: where each starts, in the order they are passed."""

    starts: tuple[int, ...]
    units: tuple[int, ...]


def lengthened(rows: Rows, layers: Layers, units: int) -> Splice:
    """``rows`` of ``units`` units, ready to be written out for ``layers.count`` of them.

    Raises :class:`NotPeriodicError` where inner units differ.
    """
    passes = scope_passes(rows, layers, units)
    splice = Splice(rows, layers, units, parted(rows, passes))
    lists = list(list_passes(rows, splice, units))
    if lists:
        passes = sorted([*passes, *lists], key=lambda one: one.starts[0])
        splice = Splice(rows, layers, units, parted(rows, passes))
    return splice


def scope_passes(rows: Rows, layers: Layers, units: int) -> list[Visits]:
    """The passes over a run by the modules that events belong to."""
    import numpy as np

    inside = (rows.scopes >= layers.first) & (rows.scopes < layers.first + layers.size * units)
    phase = np.cumsum(rows.kinds == PHASE)
    places = np.flatnonzero(inside)
    owner = (rows.scopes[places] - layers.first) // layers.size + phase[places] * units
    found = list(monotone(places, owner, units))
    if not all(covers(one, units, layers.edge) for one in found):
        raise NotPeriodicError("blocks do not run one after the other")
    return found


def monotone(places: Any, owner: Any, units: int) -> Iterator[Visits]:
    """Visits to units one after the other as stretches that go up or down by one."""
    import numpy as np

    if not len(places):
        return
    changes = np.flatnonzero(np.append(True, owner[1:] != owner[:-1]))
    starts, visited = places[changes].tolist(), (owner[changes] % units).tolist()
    place = 0
    while place < len(visited):
        step = -1 if visited[place : place + 2] == [visited[place], visited[place] - 1] else 1
        end = place + 1
        while end < len(visited) and visited[end] == visited[end - 1] + step:
            end += 1
        yield Visits(tuple(starts[place:end]), tuple(visited[place:end]))
        place = end


def parted(rows: Rows, passes: Sequence[Visits]) -> list[Section]:
    """All events in sections: of a unit, and of nobody. The last unit of a pass has no end."""
    import numpy as np

    sections = []
    place = 0
    for number, one in enumerate(passes):
        if one.starts[0] < place:
            raise NotPeriodicError("passes overlap")
        sections.append(Section(place, one.starts[0]))
        for start, end, unit in zip(one.starts, one.starts[1:], one.units, strict=False):
            sections.append(Section(start, end, number, unit))
        place = one.starts[-1]
    sections.append(Section(place, len(rows.kinds)))
    limits = np.searchsorted(rows.born, [one.end for one in sections]).tolist()
    limits[-1] = len(rows.born)
    for section, low, high in zip(sections, [0, *limits], limits, strict=False):
        section.numbers = (low, high)
    return sections


def list_passes(rows: Rows, splice: Splice, units: int) -> Iterator[Visits]:
    """Where nobody's events let go of every unit's storages, one unit after the other."""
    import numpy as np

    for section in splice.sections:
        if section.unit >= 0 or section.end == section.start:
            continue
        span = slice(section.start, section.end)
        dead = np.flatnonzero(rows.kinds[span] == DEATH) + section.start
        owner = splice.unit_of[rows.index[dead]]
        inner = dead[owner >= 0]
        passing = owner[owner >= 0]
        for one in monotone(inner, passing, units):
            if covers(one, units, splice.layers.edge):
                yield one


def covers(visits: Visits, units: int, edge: int) -> bool:
    """Whether a pass goes through all inner units, and on to the next, which ends them."""
    up = visits.units[-1] > visits.units[0]
    inside = range(edge, units - edge + 1) if up else range(edge - 1, units - edge)
    return set(inside) <= set(visits.units)


@dataclass
class Content:
    """A section with storages named by home (pass and unit, or section) and order of birth there.

    ``unit`` is the home's unit as seen from the section's own; of nobody's section, a place at
    either end (negative from the end).
    """

    kinds: Any
    index: Any
    scopes: Any
    own: Any
    held: Any
    passes: Any
    unit: Any
    order: Any

    def __eq__(self, other: object) -> bool:
        import numpy as np

        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return all(np.array_equal(one, two) for one, two in pairs)


class Splice:
    """Sections with the homes of all storages, and the way to write them out for more units."""

    def __init__(self, rows: Rows, layers: Layers, units: int, sections: list[Section]) -> None:
        import numpy as np

        self.rows, self.layers, self.units, self.sections = rows, layers, units, sections
        self.extra = layers.count - units
        self.passes = max((one.visit for one in sections), default=-1) + 1
        self.home = np.repeat(
            np.arange(len(sections)), [one.numbers[1] - one.numbers[0] for one in sections]
        )
        self.unit_of = np.array([one.unit for one in sections])[self.home]
        self.first_of = np.array([one.numbers[0] for one in sections])[self.home]
        # sections of nobody are homes too, numbered after the passes
        rank = [one.visit if one.unit >= 0 else self.passes + i for i, one in enumerate(sections)]
        self.pass_of = np.array(rank)[self.home]
        self.bases = np.full((self.passes + len(sections), layers.count), -1)

    def inner(self, unit: int) -> bool:
        """Whether a unit is neither among the first nor among the last."""
        return self.layers.edge <= unit < self.units - self.layers.edge

    def seen_from(self, numbers: Any, section: Section) -> Any:
        """The units of storages' homes, counted from a section's own, or from either end."""
        import numpy as np

        units = self.unit_of[numbers]
        if section.unit >= 0:
            return np.where(units >= 0, units - section.unit, 0)
        return self.from_the_ends(np.maximum(units, 0))

    def from_the_ends(self, units: Any) -> Any:
        """Short units as units of all, where nobody's section speaks of them."""
        import numpy as np

        if np.any((units >= self.layers.edge) & (units < self.units - self.layers.edge)):
            raise NotPeriodicError("inner blocks are met outside of their turn")
        return np.where(units < self.layers.edge, units, units + self.extra)

    def content(self, section: Section) -> Content:
        """The events of a section, named as seen from it."""
        rows, span = self.rows, slice(section.start, section.end)
        kinds, index, scopes = rows.kinds[span], rows.index[span].copy(), rows.scopes[span].copy()
        held = (kinds == BIRTH) | (kinds == DEATH)
        numbers = index[held]
        index[held] = 0
        own = self.moved(scopes, section)
        order = numbers - self.first_of[numbers]
        seen = self.seen_from(numbers, section)
        return Content(kinds, index, scopes, own, held, self.pass_of[numbers], seen, order)

    def moved(self, scopes: Any, section: Section) -> Any:
        """Which of the ``scopes`` are the unit's, now counted from the first unit's; nobody's
        section names those of the units at the ends, which go there."""
        first, size = self.layers.first, self.layers.size
        own = (scopes >= first) & (scopes < first + size * self.units)
        if section.unit >= 0:
            scopes[own] -= section.unit * size
            return own
        units = (scopes[own] - first) // size
        scopes[own] += (self.from_the_ends(units) - units) * size
        return own & False

    def plan(self) -> list[tuple[Section, Any]]:
        """The sections in the order they are written, each with the units it is written for."""
        import numpy as np

        found: list[tuple[Section, Any]] = []
        template: dict[int, Content] = {}
        for place, section in enumerate(self.sections):
            if section.unit < 0:
                found.append((section, np.array([0])))
            elif not self.inner(section.unit):
                shift = 0 if section.unit < self.layers.edge else self.extra
                found.append((section, np.array([section.unit + shift])))
            elif section.visit not in template:
                template[section.visit] = self.content(section)
                up = self.sections[place + 1].unit > section.unit
                inner = np.arange(self.layers.edge, self.layers.count - self.layers.edge)
                found.append((section, inner if up else inner[::-1]))
            elif self.content(section) != template[section.visit]:
                raise NotPeriodicError("inner blocks differ")
        return found

    def expanded(self) -> Rows:
        """The rows of all units."""
        import numpy as np

        plan = self.plan()
        self.number(plan)
        parts: list[list[Any]] = [[] for _ in range(6)]
        at = 0
        for section, units in plan:
            one = self.content(section)
            length = len(one.kinds)
            index = np.tile(one.index, (len(units), 1))
            places = units[:, None] + one.unit
            if np.any(places < 0) or np.any(places >= self.layers.count):
                raise NotPeriodicError("a block meets one that is not there")
            bases = self.bases[one.passes, places]
            if np.any(bases < 0):
                raise NotPeriodicError("a block meets one that is not there")
            index[:, one.held] = bases + one.order
            shift = units[:, None] * self.layers.size
            scopes = np.tile(one.scopes, (len(units), 1))
            scopes[:, one.own] += shift
            low, high = section.numbers
            starts = at + length * np.arange(len(units))
            born = self.rows.born[low:high] - section.start + starts[:, None]
            maker = self.rows.scope_of[low:high].copy()
            inside = self.moved(maker, section)
            made = np.tile(maker, (len(units), 1))
            made[:, inside] += shift
            source = np.tile(self.rows.source[low:high], len(units))
            rows = (np.tile(one.kinds, len(units)), index, scopes, born, source, made)
            for part, row in zip(parts, rows, strict=True):
                part.append(row.ravel())
            at += length * len(units)
        return Rows(*(np.concatenate(part) for part in parts))

    def number(self, plan: list[tuple[Section, Any]]) -> None:
        """Give every home in the written rows its first storage number."""
        import numpy as np

        at = 0
        for section, units in plan:
            count = section.numbers[1] - section.numbers[0]
            if section.unit >= 0:
                self.bases[section.visit, units] = at + count * np.arange(len(units))
            else:
                self.bases[self.passes + self.sections.index(section)] = at
            at += count * len(units)

    def storage(self, number: int, unit: int, place: int) -> int:
        """Where a short storage that belongs to ``unit`` is, for the unit ``place`` of all."""
        home, order = int(self.unit_of[number]), number - self.first_of[number]
        seen = 0
        if home >= 0:
            seen = place + home - unit if unit >= 0 else int(self.from_the_ends(home))
        return int(self.bases[self.pass_of[number], seen] + order)
