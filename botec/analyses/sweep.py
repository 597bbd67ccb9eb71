"""Figures at a great many points: the formulas over a grid, filtered, and the best point found.

Everything is worked out a piece of the grid at a time, so memory does not grow with the number of
points. Points that lie in no regime of the program are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from botec.analyses.bounds import possible
from botec.analyses.evaluate import inside
from botec.analyses.expression import CONDITION, Expression, expression
from botec.analyses.fit import CONTEXT
from botec.analyses.grid import Grid
from botec.analyses.memory import peak_formulas
from botec.analyses.on_device import Simulated, device_keys, on_device
from botec.analyses.quantities import Known, keys, phases_of, quantities
from botec.errors import UnknownName, nearest
from botec.poly import at
from botec.program import Program
from botec.report import Column, Part, Section, Table, Text
from botec.units import Quantity

USUAL = ("flops", "bytes", "memory.peak")  # what is shown of every point
SHOWN = 16
WHOLE = 2**62

Columns = Mapping[str, Any]


@dataclass
class Found:
    """What a sweep has found: counts of points, and the rows to show.

    ``outside`` points lie in no regime; ``kept`` are those that meet the condition; ``rows`` the
    best of them (the first, where nothing is to be best), in order.
    """

    points: int = 0
    outside: int = 0
    kept: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Sweep:
    """A question about all points of a grid, checked: names, expressions, figures to show.

    ``fields`` are numbers that expressions may name besides: how the network was built.
    """

    program: Program
    grid: Grid
    shown: tuple[Known, ...]
    where: Expression | None
    best: Expression | None
    fields: Mapping[str, int] = field(default_factory=dict)

    @property
    def header(self) -> dict[str, str]:
        """The columns of every point with their units: dimensions, figures, what is best."""
        units = {**dict.fromkeys(self.grid.axes, "1"), **{one.key: one.unit for one in self.shown}}
        return {**units, self.best.text: "1"} if self.best else units

    @property
    def whole(self) -> tuple[str, ...]:
        """The columns that hold whole numbers at every point."""
        last = self.grid.last
        fit = [one.key for one in self.shown if one.key and self.fits(one, last)]
        return (*self.grid.axes, *fit)

    def fits(self, one: Known, last: Mapping[str, int]) -> bool:
        """Whether a figure is whole, and below 2**62, everywhere on the grid."""
        point = {**self.program.asked, **last}
        formulas = (formula for stream in self.program.streams for formula in one.of(stream))
        values = [at(formula, point) for formula in formulas]
        return all(isinstance(value, int) and abs(value) < WHOLE for value in values)

    def run(self, take: Callable[[Columns], None] = lambda columns: None) -> Found:
        """Go over the grid; ``take`` is given every piece of points that meet the condition."""
        found, whole = Found(), set(self.whole)
        for chunk in self.grid.chunks():
            points = self.promising(self.known_part(chunk, found))
            kept = self.filtered(self.valued(points, whole))
            count = len(next(iter(kept.values())))
            found.kept += count
            if count:
                take({name: kept[name] for name in self.header})
                self.keep_best(found, kept)
        return found

    def known_part(self, chunk: dict[str, Any], found: Found) -> dict[str, Any]:
        """The points of a piece for which a stream holds."""
        import numpy as np

        length = len(next(iter(chunk.values())))
        point = {
            name: np.broadcast_to(size, (length,)) for name, size in self.program.asked.items()
        }
        regimes = (inside(stream.regime, {**point, **chunk}) for stream in self.program.streams)
        held = np.logical_or.reduce(list(regimes))
        found.points += length
        found.outside += length - int(held.sum())
        return chunk if held.all() else {name: array[held] for name, array in chunk.items()}

    def promising(self, points: dict[str, Any]) -> dict[str, Any]:
        """The points that can meet the condition, by what is known before anything is simulated."""
        import numpy as np

        length = len(next(iter(points.values())))
        slow = [one.key for one in self.shown if isinstance(one, Simulated)]
        if self.where is None or not length or not set(slow) & set(self.where.names):
            return points
        known = {**points, **{name: np.full(length, size) for name, size in self.fields.items()}}
        asked = {one.key: one for one in self.shown if one.key in self.where.names}
        between = {key: one.bounds(**points) for key, one in asked.items()}
        least, most = ({key: ends[i] for key, ends in between.items()} for i in range(2))
        held = possible(self.where, {**known, **least}, {**known, **most})
        return {name: array[np.broadcast_to(held, (length,))] for name, array in points.items()}

    def valued(self, points: dict[str, Any], whole: set[str]) -> dict[str, Any]:
        """The points with their figures, each whole or each a float throughout the sweep."""
        import numpy as np

        length = len(next(iter(points.values())))
        values = {**points, **{name: np.full(length, size) for name, size in self.fields.items()}}
        for one in self.shown:
            kind = np.int64 if one.key in whole else np.float64
            numbers = one.at(**points) if length else np.empty(0)
            values[one.key] = np.broadcast_to(np.asarray(numbers), (length,)).astype(kind)
        if self.best:
            best = np.asarray(self.best.at(values), dtype=np.float64)
            values[self.best.text] = np.broadcast_to(best, (length,))
        return values

    def filtered(self, values: dict[str, Any]) -> dict[str, Any]:
        """The points that meet the condition, all of them without one."""
        import numpy as np

        if self.where is None:
            return values
        length = len(next(iter(values.values())))
        held = np.broadcast_to(np.asarray(self.where.at(values), dtype=bool), (length,))
        return {name: array[held] for name, array in values.items()}

    def keep_best(self, found: Found, kept: dict[str, Any]) -> None:
        """Keep the rows to show: those that are best so far, equals in the order of the grid."""
        import numpy as np

        places = range(min(SHOWN - len(found.rows), len(next(iter(kept.values())))))
        if self.best:
            places = np.argsort(kept[self.best.text], kind="stable")[:SHOWN].tolist()
        rows = [{name: kept[name][place].item() for name in self.header} for place in places]
        found.rows += rows
        if self.best:
            text = self.best.text
            known = [row for row in found.rows if row[text] == row[text]]
            found.rows = sorted(known, key=lambda row: row[text])[:SHOWN]


@dataclass(frozen=True)
class Wanted:
    """What is asked of every point: ``where`` keeps it, ``best`` is least, ``figures`` are shown.

    Texts alone: checked before anything is read, and again for what was read.
    """

    where: str = ""
    best: str = ""
    figures: tuple[str, ...] = ()

    def check(self, names: Iterable[str], known: Iterable[str]) -> tuple[Any, Any]:
        """The condition and what is least, where dimensions have ``names``, figures are ``known``.

        Raises :class:`UnknownName` for a figure that is not there, with the nearest that is;
        :class:`botec.errors.BadInput` for what is no expression.
        """
        known = tuple(known)
        for key in self.figures:
            if key not in known:
                do = elsewhere(key) or nearest(key, known) or f"use {', '.join(known)}"
                raise UnknownName(f"{key} is no figure of this", do, f"--figure {key}")
        every = (*names, *known)
        try:
            condition = expression(self.where, every, CONDITION) if self.where else None
            return condition, expression(self.best, every) if self.best else None
        except UnknownName as error:
            name = error.seen.partition(" ")[0]
            raise UnknownName(error.seen, elsewhere(name) or error.do, error.asked) from None


def elsewhere(key: str) -> str:
    """What to do for a figure that only a device has."""
    if key in ("memory.device", "memory.reserved") or key.startswith("time."):
        return "name a device of the catalogue with --device, such as a100"
    return ""


def known_keys(train: bool, optimizer: bool, device: str) -> tuple[str, ...]:
    """Every figure such a step will have, before anything is read."""
    spans = (*phases_of(train, optimizer), *["step"] * train)
    return (*keys(train, optimizer), *device_keys(device, spans))


def sweep(
    program: Program,
    grid: Grid,
    where: str = "",
    best: str = "",
    figures: Iterable[str] = (),
    fields: Mapping[str, int] | None = None,
) -> Sweep:
    """A sweep over ``grid``: points where the condition ``where`` holds, ``best`` the least.

    ``figures`` are shown beside those the expressions name and the usual ones; ``fields`` are
    numbers that expressions may name as well. Raises :class:`UnknownName` for a dimension or figure
    the program does not have, :class:`botec.errors.BadInput` for what is no expression.
    """
    known = {**quantities(program), **on_device(program)}
    for name in grid.axes:
        if name not in program.dimensions:
            dimensions = ", ".join(program.dimensions) or "none"
            raise UnknownName(f"dimensions are {dimensions}", "sweep one of them", name)
    names = (*grid.axes, *(fields or {}))
    condition, least = Wanted(where, best, tuple(figures)).check(names, known)
    used = [name for one in (condition, least) if one for name in one.names]
    step = "step" if program.setting.train else "forward"
    usual = [key if key in known else f"{key}.{step}" for key in USUAL]
    shown = dict.fromkeys([*usual, *figures, *(name for name in used if name in known)])
    chosen = tuple(known[key] for key in shown)
    return Sweep(program, grid, chosen, condition, least, fields or {})


def sections(asked: Sweep, found: Found) -> tuple[Section, ...]:
    """The page of a sweep: how many points, and those to show."""
    ordered = "the least first" if asked.best else "in the order of the grid"
    title = f"{min(len(found.rows), SHOWN)} of {found.kept:,} points, {ordered}"
    heads = tuple(Column(name, unit, True) for name, unit in asked.header.items())
    rows = tuple(tuple(row[name] for name in asked.header) for row in found.rows)
    texts = [f"{found.points:,} points asked; {found.kept:,} kept."]
    if found.outside:
        texts.append(f"{found.outside:,} lie where no formula is known and are left out.")
    if asked.where:
        texts.append(f"Kept where {asked.where.text}.")
    table = (Table(title, heads, rows),) if rows else ()
    parts: tuple[Part, ...] = (Text(" ".join(texts)), *table)
    if any(one.key == "memory.peak" for one in asked.shown):
        parts = (*parts, Text(envelope_text(asked.program)))
    if any(one.key == "memory.device" for one in asked.shown):
        parts = (*parts, Text(f"The driver's context is taken as {Quantity(CONTEXT, 'B')}."))
    return (Section("Sweep", parts),)


def envelope_text(program: Program) -> str:
    """How many formulas the peak is the largest of: what a sweep works with at every point."""
    sizes = dict.fromkeys(len(peak_formulas(program, stream)) for stream in program.streams)
    chosen = any(stream.kernels for stream in program.streams)
    where = ", by the choices that kernels make at each point" if chosen else ""
    many = " or ".join(map(str, sorted(sizes)))
    return f"The peak is the maximum of {many} formula{'s' * (max(sizes) > 1)}{where}."
