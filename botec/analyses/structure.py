"""How a network's cost grows with its own build: width, depth, heads, in exact formulas.

The network is read at sample structures; each reading gives every figure as a polynomial in the
dimensions of the inputs. What multiplies their monomials is then a polynomial in the varied fields:
along each field samples are taken until their differences vanish, the grid of all fields is
interpolated in fractions, and structures the fit has not seen prove the result. What does not hold
there is refused: nothing is rounded, nothing is drawn through points.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, cached_property
from itertools import product
from math import lcm
from random import Random
from typing import Any, TypeAlias

from botec.analyses.axes import Axis
from botec.analyses.envelope import upper_envelope
from botec.analyses.interpolate import Powers, degree_through, on_grid, polynomial, value
from botec.analyses.kernels.choices import representative
from botec.analyses.kernels.weaving import woven
from botec.analyses.memory import peak_envelope
from botec.analyses.moments import moments
from botec.analyses.quantities import Known, quantities
from botec.errors import BotecError
from botec.poly import Monomial, Poly, as_poly, at, plain
from botec.program import Program, Regime, Stream

Structure: TypeAlias = tuple[int, ...]  # the size of every axis, in their order
Reader: TypeAlias = Callable[[Structure], Program]
Which: TypeAlias = tuple[tuple[tuple[str, int], ...], tuple[str, ...]]  # a regime: fixed, free
Part: TypeAlias = tuple[str, str]  # a figure, and of the peak a moment, of work a family of ops
Coefficients: TypeAlias = dict[Part, dict[Monomial, int]]
Fits: TypeAlias = dict[Part, dict[Monomial, dict[Powers, Fraction]]]

PEAK = "memory.peak"
MOST_SAMPLES = 6  # along one field
USUAL_DEGREE = 2  # of a width in a product; what seems higher must hold at two samples more
CHECKS = 64  # points at which the peak is held against that of a structure read afresh
FARTHEST = 10**6
NOTHING = array("i")  # the events of a program that is formulas alone


class NoFormula(Exception):
    """Why the figures are no polynomials in the varied fields."""


@dataclass(frozen=True)
class Sample:
    """A network at one structure: every figure of every regime, as coefficients."""

    program: Program

    @cached_property
    def streams(self) -> dict[Which, Stream]:
        """The streams by what their regimes fix and leave free."""
        own = self.program
        chosen = (woven(stream, representative(own, stream)) for stream in own.streams)
        return {which(stream.regime): stream for stream in chosen}

    @cached_property
    def known(self) -> dict[str, Known]:
        """Its figures."""
        return quantities(self.program)

    def sums(self, stream: Stream) -> dict[Part, Poly]:
        """Every figure that is a sum, and the parts of work by the ops' families."""
        found: dict[Part, Poly] = {}
        for key, one in self.known.items():
            if key != PEAK:
                found[key, ""] = as_poly(one.of(stream)[0])
                if not key.startswith("memory"):
                    parts = one.parts(stream).items()
                    found.update({(key, family): as_poly(value) for family, value in parts})
        return found

    def moments(self, stream: Stream) -> dict[str, Poly]:
        """Every local maximum of the timeline by its name."""
        return moments(self.program, stream)


def which(regime: Regime) -> Which:
    return tuple(sorted(regime.fixed.items())), tuple(regime.least)


@dataclass(frozen=True)
class Structured:
    """Figures in the dimensions and in the varied fields: a program of formulas alone.

    ``known`` are its figures; ``why`` says why there are none, and ``rows`` are then the figures of
    the structures that were asked, at the asked dimensions.
    """

    program: Program
    known: Mapping[str, Known]
    samples: Mapping[Structure, Sample]
    why: str = ""


class Study:
    """Reads a network at structures, fits, and proves."""

    def __init__(self, axes: Sequence[Axis], read: Reader, told: Callable[[str], None]) -> None:
        """``told`` is given a line before every reading."""
        self.axes, self.read, self.told = tuple(axes), read, told
        self.samples: dict[Structure, Sample] = {}
        self.base: Structure = tuple(axis.values[0] for axis in axes)
        self.tables: dict[tuple[Which, Structure], Coefficients] = {}
        self.wanted: dict[Which, set[str]] = {}

    def sample(self, structure: Structure) -> Sample:
        """The network at a structure, read once. Raises :class:`BotecError` where it is refused."""
        if structure not in self.samples:
            self.told(self.text(structure))
            self.samples[structure] = Sample(self.read(structure))
        return self.samples[structure]

    def text(self, structure: Structure) -> str:
        pairs = zip(self.axes, structure, strict=True)
        return ", ".join(f"{axis.symbol}={size}" for axis, size in pairs)

    def moved(self, axis: int, size: int) -> Structure:
        """The base with another size of one axis."""
        return (*self.base[:axis], size, *self.base[axis + 1 :])

    # -- along one axis ---------------------------------------------------------------------------

    def along(self, place: int) -> list[int]:
        """Sizes of one axis whose samples tell every figure's degree, the last of them a proof.

        Raises :class:`NoFormula`; what an asked size raises is raised.
        """
        axis, taken = self.axes[place], list[int]()
        for size in axis.sizes():
            try:
                self.sample(self.moved(place, size))
            except BotecError:
                if size in axis.values:
                    raise
                continue
            taken.append(size)
            enough = len(taken) >= min(len(axis.values), MOST_SAMPLES) and len(taken) > 2
            if enough and not self.undecided(place, taken):
                return taken
            if len(taken) == MOST_SAMPLES:
                break
        part = self.undecided(place, taken) if len(taken) > 2 else "the figures"
        few = f"{len(taken)} sizes tell no polynomial of {part} in {axis.symbol}"
        raise NoFormula(few if len(taken) < MOST_SAMPLES else f"{part} is none in {axis.symbol}")

    def undecided(self, place: int, sizes: Sequence[int]) -> str:
        """The first figure whose differences do not vanish along an axis."""
        structures = [self.moved(place, size) for size in sizes]
        for name in self.common(structures):
            tables = [self.table(name, structure) for structure in structures]
            for part, rows in columns(tables):
                for row in rows.values():
                    if part[0] != PEAK and not settled(sizes, row):
                        return part[0]
        return ""

    def degree(self, place: int, sizes: Sequence[int]) -> int:
        """The highest degree of any figure along an axis, moments of the peak as far as proved."""
        structures = [self.moved(place, size) for size in sizes]
        found = 0
        for name in self.common(structures):
            for _, rows in columns([self.table(name, one) for one in structures]):
                if all(settled(sizes, row) for row in rows.values()):
                    degrees = (degree_through(sizes, row) for row in rows.values())
                    found = max(found, *degrees, 0)
        return found

    # -- coefficients -----------------------------------------------------------------------------

    def common(self, structures: Iterable[Structure]) -> list[Which]:
        """The regimes all of some structures have. Raises :class:`NoFormula` without the widest."""
        rows = [self.samples[one] for one in structures]
        shared = [name for name in rows[0].streams if all(name in one.streams for one in rows)]
        widest = [which(one.program.streams[0].regime) for one in rows]
        if len(set(widest)) > 1 or widest[0] not in shared:
            reasons = [one.program.why for one in rows if one.program.why]
            raise NoFormula(f"structures have formulas for different sizes: {reasons or widest}")
        return shared

    def know_peaks(self, name: Which, structures: Iterable[Structure]) -> None:
        """Learn which moments can be the fullest: those of the envelope at any structure."""
        for one in structures:
            if name in self.samples[one].streams:
                self.table(name, one)

    def table(self, name: Which, structure: Structure) -> Coefficients:
        """Every figure of a regime at a structure, the moments of the peak among them."""
        key = name, structure
        if key not in self.tables:
            sample = self.samples[structure]
            stream = sample.streams[name]
            found = {part: dict(poly.terms) for part, poly in sample.sums(stream).items()}
            top = set(map(as_poly, peak_envelope(stream)))
            for moment, poly in sample.moments(stream).items():
                found[PEAK, moment] = dict(poly.terms)
                if poly in top:
                    self.wanted.setdefault(name, set()).add(moment)
            self.tables[key] = found
        return self.tables[key]

    # -- the fit ----------------------------------------------------------------------------------

    def fitted(self, name: Which, grid: Sequence[Sequence[int]]) -> Fits:
        """Every figure of a regime: what multiplies each monomial, in powers of the fields."""
        structures = list(product(*grid))
        tables = [self.table(name, structure) for structure in structures]
        found: Fits = {}
        for part, rows in columns(tables):
            if part[0] == PEAK and part[1] not in self.wanted.get(name, ()):
                continue
            found[part] = {}
            for monomial, row in rows.items():
                powers = on_grid(grid, dict(zip(structures, row, strict=True)))
                found[part][monomial] = {key: factor for key, factor in powers.items() if factor}
        return found

    def disproved(self, name: Which, found: Fits, structure: Structure) -> str:
        """The first figure that is another at a structure the fit has not seen."""
        sample = self.samples[structure]
        if name not in sample.streams:
            return "the formula's regime"
        stream = sample.streams[name]
        there = {part: at_structure(found[part], structure) for part in found}
        for part, poly in sample.sums(stream).items():
            if there.get(part, {}) != poly.terms:
                return part[0]
        peaks = [terms for part, terms in there.items() if part[0] == PEAK]
        if not peaks or any(type(size) is not int for one in peaks for size in one.values()):
            return PEAK
        own = [plain(Poly({key: int(size) for key, size in one.items()})) for one in peaks]
        return "" if same_maximum(own, peak_envelope(stream), stream.regime) else PEAK

    def written(self, terms: Mapping[Monomial, Mapping[Powers, Fraction]]) -> Poly:
        """A fitted figure as a formula in dimensions and fields."""
        names = [axis.symbol for axis in self.axes]
        parts = (Poly({one: 1}) * polynomial(powers, names) for one, powers in terms.items())
        return sum(parts, as_poly(0))


def at_structure(
    terms: Mapping[Monomial, Mapping[Powers, Fraction]], structure: Structure
) -> dict[Monomial, int | Fraction]:
    """A fitted figure where every field has a size: coefficients, whole where they are."""
    found = {monomial: value(powers, structure) for monomial, powers in terms.items()}
    return {
        monomial: int(size) if size.denominator == 1 else size
        for monomial, size in found.items()
        if size
    }


def settled(sizes: Sequence[int], row: Sequence[int]) -> bool:
    """Whether more samples than a polynomial needs lie on it."""
    degree = degree_through(sizes, row)
    return degree + (2 if degree <= USUAL_DEGREE else 3) <= len(sizes)


def columns(tables: Sequence[Coefficients]) -> Iterator[tuple[Part, dict[Monomial, list[int]]]]:
    """Every part that all tables have, and what each of its monomials is multiplied by in them.

    Families of ops may be absent from a table (nothing of theirs runs), moments may not.
    """
    parts = dict.fromkeys(part for table in tables for part in table)
    for part in parts:
        if part[0] == PEAK and any(part not in table for table in tables):
            continue
        terms = [table.get(part, {}) for table in tables]
        monomials = dict.fromkeys(monomial for one in terms for monomial in one)
        yield part, {monomial: [one.get(monomial, 0) for one in terms] for monomial in monomials}


def same_maximum(own: Iterable[Any], other: Iterable[Any], regime: Regime) -> bool:
    """Whether two maxima of formulas agree at points all over a regime."""
    own, other = tuple(own), tuple(other)
    return all(
        max(at(poly, point) for poly in own) == max(at(poly, point) for poly in other)
        for point in scattered(regime)
    )


def scattered(regime: Regime) -> Iterator[dict[str, int]]:
    """Points of a regime, evenly spread in logarithms; the lowest and the highest among them."""
    draw = Random(0)
    for turn in range(CHECKS):
        point = dict(regime.fixed)
        for name, least in regime.least.items():
            most = regime.most.get(name, FARTHEST)
            share = (0.0, 1.0)[turn] if turn < 2 else draw.random()
            size = round(least * (max(most, least) / least) ** share)
            step = regime.step.get(name, 1)
            point[name] = max(size // step, -(-least // step)) * step
        yield point


# -- the whole study ------------------------------------------------------------------------------


def structure(
    axes: Sequence[Axis], read: Reader, told: Callable[[str], None] = lambda text: None
) -> Structured:
    """The figures of a network in formulas of its dimensions and of ``axes``.

    ``read`` gives the program at a structure (the size of every axis in their order); what it
    raises for a size that was asked is raised. Where there is no formula, ``why`` says so and
    every asked structure is read.
    """
    study = Study(axes, read, told)
    try:
        return proved(study)
    except NoFormula as reason:
        for asked in product(*(axis.values for axis in axes)):
            study.sample(asked)
        return Structured(study.sample(study.base).program, {}, dict(study.samples), str(reason))


def proved(study: Study) -> Structured:
    """Fit on as few structures as the degrees ask for, prove on the others and on farther ones.

    Structures that prove also tell which moments of the step can be the fullest, never their sizes.
    """
    axes = range(len(study.axes))
    runs = [study.along(place) for place in axes]
    unmoved(study, runs)
    grid = [run[: study.degree(place, run) + 1] for place, run in zip(axes, runs, strict=True)]
    fits = list(product(*grid))
    held = [one for one in dict.fromkeys(within(study, runs)) if one not in fits]
    for one in (*fits, *held):
        study.sample(one)
    far = farther(study, runs)
    names = study.common([*fits, *held])
    for name in names:
        study.know_peaks(name, [*fits, *held, *far])
    found = {name: study.fitted(name, grid) for name in names}
    for name in names:
        for one in held:
            if part := study.disproved(name, found[name], one):
                raise NoFormula(f"{part} is no polynomial: it differs at {study.text(one)}")
    proofs = [one for one in far if not any(study.disproved(n, found[n], one) for n in names)]
    reach = {
        axis.symbol: max(*run, axis.values[-1])
        for place, (axis, run) in enumerate(zip(study.axes, runs, strict=True))
        if not any(one[place] > max(*run, axis.values[-1]) for one in proofs)
    }
    return program_of(study, grid, found, [*held, *proofs], reach)


def unmoved(study: Study, runs: Sequence[Sequence[int]]) -> None:
    """Raises :class:`NoFormula` for a field that changes nothing: nobody reads it."""
    for place, run in enumerate(runs):
        tables = []
        for size in run:
            sample = study.samples[study.moved(place, size)]
            tables.append([sample.sums(stream) for stream in sample.streams.values()])
        if all(table == tables[0] for table in tables):
            raise NoFormula(f"{study.axes[place].symbol} changes no figure of this model")


def along_all(study: Study, runs: Sequence[Sequence[int]]) -> list[Structure]:
    return [study.moved(place, size) for place, run in enumerate(runs) for size in run]


def within(study: Study, runs: Sequence[Sequence[int]]) -> Iterator[Structure]:
    """Structures to prove on: all along the axes, and the largest asked of all together."""
    yield from along_all(study, runs)
    yield tuple(axis.values[-1] for axis in study.axes)
    yield tuple(run[-1] for run in runs)


def farther(study: Study, runs: Sequence[Sequence[int]]) -> list[Structure]:
    """For every field a structure with more than twice its largest size, where one is built.

    Formulas that hold there too are taken to hold without end; the others end where proofs do.
    """
    found = []
    for place, (axis, run) in enumerate(zip(study.axes, runs, strict=True)):
        size = axis.beyond(max(*run, axis.values[-1]))
        with suppress(BotecError):
            if size is not None:
                study.sample(study.moved(place, size))
                found.append(study.moved(place, size))
    return found


def program_of(
    study: Study,
    grid: Sequence[Sequence[int]],
    found: Mapping[Which, Fits],
    held: Sequence[Structure],
    reach: Mapping[str, int],
) -> Structured:
    """The formulas as figures of a program that has nothing but regimes."""
    base = study.samples[study.base]
    symbols = [axis.symbol for axis in study.axes]
    points = [[dict(zip(symbols, one, strict=True)) for one in rows]
              for rows in (list(product(*grid)), held)]  # fmt: skip
    streams: dict[Stream, Which] = {}
    for name in found:
        regime = regime_of(study, name, grid, reach)
        regime = replace(regime, fitted=tuple(points[0]), proved=tuple(points[1]))
        streams[Stream(regime, (), (), NOTHING, NOTHING, NOTHING)] = name
    program = replace(
        base.program,
        asked={**base.program.asked, **dict(zip(symbols, study.base, strict=True))},
        streams=tuple(streams),
    )
    polys = {
        stream: {part: study.written(terms) for part, terms in found[name].items()}
        for stream, name in streams.items()
    }
    known = {key: formulas(program, one, polys) for key, one in base.known.items()}
    return Structured(program, known, dict(study.samples))


def regime_of(
    study: Study, name: Which, grid: Sequence[Sequence[int]], reach: Mapping[str, int]
) -> Regime:
    """Where the dimensions are free at every structure, and the fields from the least fitted."""
    regimes = [one.streams[name].regime for one in study.samples.values() if name in one.streams]
    first = regimes[0]
    least = {key: max(one.least[key] for one in regimes) for key in first.least}
    bounded = {key for one in regimes for key in one.most}
    most = {key: min(one.most[key] for one in regimes if key in one.most) for key in bounded}
    step = {key: lcm(*(one.step.get(key, 1) for one in regimes)) for key in first.least}
    for axis, sizes in zip(study.axes, grid, strict=True):
        least[axis.symbol], step[axis.symbol] = min(sizes), axis.step
    return Regime(
        fixed=first.fixed,
        least=least,
        step={key: size for key, size in step.items() if size > 1},
        most={**most, **reach},
    )


def formulas(program: Program, one: Known, polys: Mapping[Stream, Mapping[Part, Poly]]) -> Known:
    """A figure whose formulas are those that were fitted."""

    @cache
    def parts(stream: Stream) -> dict[str, Poly]:
        rows = polys[stream].items()
        return {name: poly for (key, name), poly in rows if key == one.key and name}

    @cache
    def of(stream: Stream) -> tuple[Any, ...]:
        if one.key != PEAK:
            return (plain(polys[stream][one.key, ""]),)
        moments = [*dict.fromkeys(parts(stream).values())]
        return tuple(map(plain, upper_envelope(moments, stream.regime.least)))

    own = parts if one.key != PEAK else nobody
    return Known(program, one.key, one.title, one.unit, of, own)


def nobody(stream: Stream) -> dict[str, Any]:
    """Nobody owns a moment."""
    return {}
