"""Algorithms beside networks: how their work grows, and where one passes another.

Two conventions stand beside each other. The textbook's keeps the growth alone (n², n·log₂ n); the
count keeps every real addition and multiplication. Crossovers differ between the two by an order of
magnitude, which is why both are said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Protocol

from botec.analyses.asymptote import growth_words, in_logarithm
from botec.analyses.crossing import passes
from botec.errors import UnknownName, nearest
from botec.poly import Poly, as_poly, log2, symbol
from botec.report import (
    Column,
    Counted,
    Curve,
    Figure,
    Figures,
    Measured,
    Part,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from botec.units import Quantity

N, K, D = symbol("n"), symbol("k"), symbol("d")
M = N + K - 1  # the length of a full convolution
FAR = 10**30
LARGEST = 10**9  # with logarithms: beyond it the end says nothing about any machine
DECADES = tuple(10**power for power in range(1, 9))


@dataclass(frozen=True)
class Algorithm:
    """One way to do a job: its growth as textbooks write it, its real operations, and what says so.

    ``same`` are dimensions that a measurement lets grow together with ``n``.
    """

    name: str
    title: str
    growth: Poly
    flops: Poly
    source: str
    same: tuple[str, ...] = ()


ALGORITHMS = {
    one.name: one
    for one in (
        Algorithm(
            "dft", "discrete Fourier transform, as a matrix", N**2, 8 * N**2 - 2 * N,
            "n² complex multiplications (6 operations each), n(n - 1) complex additions (2 each)",
        ),
        Algorithm(
            "fft", "fast Fourier transform, radix 2", N * log2(N), 5 * N * log2(N),
            "Cooley & Tukey 1965: n/2·log₂ n butterflies of one complex multiplication and two "
            "complex additions (10 operations), n a power of two; FFTW's nominal count",
        ),
        Algorithm(
            "conv-direct", "convolution of n with k values, directly", N * K,
            2 * N * K - N - K + 1,
            "n·k multiplications, n·k - (n + k - 1) additions; real values, all n + k - 1 results",
            ("k",),
        ),
        Algorithm(
            "conv-fft", "convolution of n with k values, by fast transforms", M * log2(M),
            15 * M * log2(M) + 8 * M,
            "three complex transforms of length m = n + k - 1, m complex products and m scalings; "
            "m is not rounded up to a power of two here",
            ("k",),
        ),
        Algorithm(
            "attention", "self-attention over n places of width d", N**2 * D,
            8 * N * D**2 + 4 * N**2 * D,
            "Vaswani et al. 2017, table 1; four projections and two products, 2 operations for a "
            "multiply-add; the softmax is left out",
        ),
        Algorithm(
            "recurrence", "recurrent layer (LSTM) over n places of width d", N * D**2,
            16 * N * D**2,
            "Vaswani et al. 2017, table 1; eight d x d products a place (Hochreiter & Schmidhuber "
            "1997), 2 operations for a multiply-add; the gates' arithmetic is left out",
        ),
    )
}  # fmt: skip
PAIRS = (("dft", "fft"), ("conv-direct", "conv-fft"), ("attention", "recurrence"))
USUAL = {"n": 10**6, "k": 1000, "d": 1024}


class Fit(Protocol):
    """A measured exponent: ``value`` with its interval, from ``times`` in seconds at ``sizes``.

    ``fixed`` are the other sizes of the runs, ``how`` says in words what was run.
    """

    @property
    def value(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def sizes(self) -> tuple[int, ...]: ...
    @property
    def times(self) -> tuple[float, ...]: ...
    @property
    def how(self) -> str: ...
    @property
    def fixed(self) -> Mapping[str, int]:
        """The sizes of its runs that did not grow."""
        ...


def pair_of(name: str) -> tuple[Algorithm, Algorithm] | None:
    """The algorithm of that name and the one it is compared with, or ``None``."""
    for pair in PAIRS:
        if name in pair:
            return ALGORITHMS[pair[0]], ALGORITHMS[pair[1]]
    return None


def point_of(pair: Iterable[Algorithm], given: Mapping[str, int]) -> dict[str, int]:
    """The sizes to compare at. Raises :class:`UnknownName` for a dimension they do not have."""
    names = sorted({name for one in pair for name in one.flops.names}, key="nkd".index)
    for name in given:
        if name not in names:
            do = nearest(name, names) or f"use {', '.join(names)}"
            raise UnknownName(f"dimensions are {', '.join(names)}", do, f"{name}={given[name]}")
    return {name: given.get(name, USUAL[name]) for name in names}


def report(
    pair: tuple[Algorithm, Algorithm],
    point: Mapping[str, int],
    fits: Mapping[str, Fit],
    version: str,
) -> Report:
    """The page: both algorithms in both conventions, crossovers, decades, measured exponents."""
    figures = {figure.key: figure for one in pair for figure in figures_of(one, point)}
    sections = [Section("At the point", (Figures(tuple(figures)), *logarithms(pair, point)))]
    sections.append(Section("Growth", (growth_table(pair), crossing_table(pair, point))))
    for name in point:
        table = decades(pair, point, name)
        sections.append(Section(f"Growth in {name}", (table, pictured(table, name))))
    found = {figure.key: figure for one in pair for figure in fitted(one, fits.get(one.name))}
    if found:
        sections.append(Section("Measured exponents", (Figures(tuple(found)), *seconds(fits))))
    model = {"name": " against ".join(one.name for one in pair)}
    notes = tuple(f"{one.name}: {one.title}; {one.source}." for one in pair)
    setting = {"dimensions": dict(point)}
    return Report(model, setting, {**figures, **found}, tuple(sections), notes, version)


def figures_of(one: Algorithm, point: Mapping[str, int]) -> list[Figure]:
    """Its growth and its operations at a point."""
    kinds = (("growth", "textbook", one.growth, "1"), ("flops", "operations", one.flops, "flop"))
    return [
        Figure(f"{key}.{one.name}", f"{one.name}, {title}", unit, counted(formula, point))
        for key, title, formula, unit in kinds
    ]


def counted(formula: Poly, point: Mapping[str, int]) -> Counted:
    return Counted(formula.at(**point), str(formula), "exact")


def logarithms(pair: Iterable[Algorithm], point: Mapping[str, int]) -> list[Part]:
    """What the base of the logarithm changes, for algorithms that have one."""
    for one in pair:
        if one.name == "fft":
            size = point["n"]
            binary, natural = Quantity(one.growth.at(**point)), Quantity(size * log(size))
            return [Text(f"n·log n is {binary} with log₂, as halving gives, {natural} with ln.")]
    return []


def growth_table(pair: Iterable[Algorithm]) -> Table:
    rows = tuple(
        (one.name, growth_words([one.growth], "nkd"), str(one.flops).replace("**2", "²"))
        for one in pair
    )
    heads = (Column("algorithm"), Column("grows as"), Column("real operations"))
    return Table("", heads, rows)


def crossing_table(pair: tuple[Algorithm, Algorithm], point: Mapping[str, int]) -> Table:
    """From which size on the one needs no more than the other, in both conventions."""
    rows = []
    for name in point:
        for words, kind in (("textbook", "growth"), ("operations", "flops")):
            formulas = {one.name: getattr(one, kind) for one in pair}
            rows.append((name, words, *crossing(formulas, name, point)))
    heads = ("dimension", "convention", "less work", "from")
    others = ", ".join(f"{name}={size}" for name, size in point.items())
    title = f"Crossovers up to sizes of 10⁹, the others at {others}"
    return Table(title, tuple(map(Column, heads)), tuple(rows))


def crossing(formulas: Mapping[str, Poly], name: str, point: Mapping[str, int]) -> tuple[str, str]:
    """Who needs less at large sizes of a dimension, and from where on."""
    end = LARGEST if any(in_logarithm(f, name) for f in formulas.values()) else FAR
    ends = {who: as_poly(f).at(**{**point, name: end}) for who, f in formulas.items()}
    less, more = sorted(formulas, key=lambda who: (ends[who], who))
    if ends[less] == ends[more]:
        return "both the same", ""
    size = passes(formulas[more], formulas[less], name, dict(point), end=end)
    return less, "?" if size is None else f"{name} = {Quantity(size).exact}"


def decades(pair: tuple[Algorithm, Algorithm], point: Mapping[str, int], name: str) -> Table:
    """Real operations at powers of ten of one dimension."""
    values = [{**point, name: size} for size in DECADES]
    rows = tuple((p[name], *(one.flops.at(**p) for one in pair)) for p in values)
    heads = (Column(name, "1", True), *(Column(one.name, "flop", True) for one in pair))
    rest = ", ".join(f"{key}={size}" for key, size in point.items() if key != name)
    return Table(f"Real operations at {rest}" if rest else "Real operations", heads, rows)


def pictured(table: Table, name: str) -> Picture:
    curves = tuple(
        Curve(head.title, tuple((row[0], row[place]) for row in table.rows))
        for place, head in enumerate(table.columns[1:], start=1)
    )
    return Picture("", Column(name, "1"), Column("flop", "flop"), curves)


def fitted(one: Algorithm, fit: Fit | None) -> list[Figure]:
    """The exponent timed runs gave, beside that of the count at the same sizes."""
    if fit is None:
        return []
    expected = slope(fit.sizes, [one.flops.at(**sizes_at(one, fit, n)) for n in fit.sizes])
    why = None
    if not fit.low <= expected <= fit.high:
        why = "time is not only operations: caches, calls and threads change with the size too"
    measured = Measured(fit.value, fit.how, why)
    title = f"{one.name}, exponent of n"
    counted = Counted(expected, None, "complete", {}, "the slope of the count at the same sizes")
    figure = Figure(f"exponent.{one.name}", title, "1", counted, None, measured, fit.low, fit.high)
    return [figure]


def sizes_at(one: Algorithm, fit: Fit, size: int) -> dict[str, int]:
    return {**fit.fixed, "n": size, **dict.fromkeys(one.same, size)}


def slope(sizes: Iterable[int], values: Iterable[float]) -> float:
    """The least-squares slope of the logarithms."""
    import numpy as np

    across, up = np.log(np.array(list(sizes), float)), np.log(np.array(list(values), float))
    return float(np.polyfit(across, up, 1)[0])


def seconds(fits: Mapping[str, Fit]) -> list[Part]:
    """The timed runs themselves."""
    found: list[Part] = []
    for name, fit in fits.items():
        rows = tuple(zip(fit.sizes, fit.times, strict=True))
        found.append(Table(name, (Column("n", "1"), Column("time", "s", True)), rows))
        found.append(Text(f"Interval of 95 %: {fit.low:.3f} to {fit.high:.3f}."))
    return found
