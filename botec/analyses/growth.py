"""How a network grows: exact formulas, their leading terms, and where one passes another.

Everything is read off the formulas of the program; nothing is fitted here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from botec.analyses.asymptote import (
    exponents,
    growth_words,
    leading,
    terms_text,
)
from botec.analyses.formulas import PEAK, placed, rules_beside
from botec.analyses.passings import PARTIAL, crossings, passing_table, passings, said
from botec.analyses.quantities import Known, quantities
from botec.errors import OutsideRegime
from botec.poly import Log2, Poly, Symbol, as_poly, at, log2, plain, product, symbol
from botec.program import Program, Stream
from botec.report import (
    Column,
    Curve,
    Figure,
    Figures,
    Formulas,
    Part,
    Picture,
    Section,
    Table,
    Text,
)

DECADES = tuple(10**power for power in range(7))
MOST_TERMS = 8  # of a formula whose terms are told one by one
TERMS = "grow.terms"  # a table that a page works out anew
CONVENTION = (
    "O(…) keeps, of the formula of the widest regime, the terms that no other outgrows. A term "
    "passes the rest at the least size from which it is the larger at every greater size, with the "
    "other dimensions where they were asked; solved in whole numbers, floors included."
)


CHOICES = (
    "The device's kernels choose by size what they take inside an op. Formulas of memory.peak are "
    "written with the choices made at the asked point; its numbers at other sizes, in tables and "
    "sweeps, with those made there."
)


# --- the page -----------------------------------------------------------------------------------


def sections(
    program: Program,
    figures: Mapping[str, Figure],
    known: Mapping[str, Known] | None = None,
) -> tuple[Section, ...]:
    """The page of growth: formulas, exponents, who passes whom, decades, pictures, regimes.

    ``figures`` are those of the page; the ones with a formula are shown. ``known`` are the
    program's own :func:`~botec.analyses.quantities.quantities` where nothing else is said.
    """
    known = quantities(program) if known is None else known
    shown = tuple(key for key in figures if key in known)
    found = [Section("Formulas", (Figures(shown),))]
    if not program.dimensions:
        text = "Nothing is left free: every size of the inputs is a number."
        return (*found, Section("Growth", (Text(text),)))
    growing, whole = passings(program, known=known), growth_table(program, known)
    why = f"{program.why or 'no formula: the traced point is all that is known'}."
    terms: tuple[Part, ...] = (whole, Text(CONVENTION, always=True), *chosen(program, figures))
    terms += term_table(program, known)
    found.append(Section("Growth", terms if whole.rows else (Text(why),)))
    for name in program.dimensions:
        own = [one for one in growing if one.name == name]
        table = decades(program, known, name)
        if own and table.rows:
            parts: tuple[Part, ...] = (
                *said(own, name),
                passing_table(own, name),
                table,
                *pictured(table, name),
            )
            found.append(Section(f"Growth in {name}", parts))
    other = regimes(program, known) if whole.rows else ()
    return (*found, Section("Other regimes", other)) if other else tuple(found)


def chosen(program: Program, figures: Mapping[str, Figure]) -> tuple[Text, ...]:
    """What formulas of the peak leave open where kernels take memory by size."""
    if "memory.peak" not in figures or not any(one.kernels for one in program.streams):
        return ()
    return (Text(CHOICES, always=True),)


def growth_table(program: Program, known: Mapping[str, Known]) -> Table:
    """Every figure's growth in words, its exponents and its leading terms."""
    names, widest = program.dimensions, program.streams[0]
    rows = []
    for one in known.values():
        polys = one.of(widest)
        if any(isinstance(poly, Poly) for poly in polys):
            leads = terms_text(leading(polys, names))
            rows.append((one.key, growth_words(polys, names), exponents(polys, names), leads))
    heads = (Column("figure"), Column("grows as"), Column("exponents"), Column("leading terms"))
    return Table(f"For {widest.regime}", heads, tuple(rows), always=True)


def term_table(program: Program, known: Mapping[str, Known]) -> tuple[Table, ...]:
    """What each term of the formulas is where it was asked, and its share of the figure."""
    try:
        rows = term_rows(known, program.stream())
    except OutsideRegime:
        return ()
    point = program.asked
    cells = tuple(
        (key, text, at(term, point), 100 * at(term, point) / at(whole, point))
        for key, text, term, whole in rows
        if at(whole, point)
    )
    columns = (Column("figure"), Column("term"), Column("is", "1", True), Column("share", "%"))
    title, retold = (f"Terms at {text}" for text in place_texts(point))
    return (Table(title, columns, cells, key=TERMS, retold=retold),) if cells else ()


def place_texts(point: Mapping[str, int]) -> tuple[str, str]:
    """Sizes in words, and as a page tells them anew."""
    now = ", ".join(f"{name} = {size:,}" for name, size in point.items())
    return now, ", ".join(f"{name} = {{{name}|,0}}" for name in point)


def term_rows(known: Mapping[str, Known], stream: Stream) -> list[tuple[str, str, Poly, Poly]]:
    """Of every figure that is one polynomial of several terms: each term in words, and both."""
    found = []
    for key, one in known.items():
        whole = one.of(stream)[0]
        if key.endswith(PARTIAL) or len(one.of(stream)) > 1 or not isinstance(whole, Poly):
            continue
        if 1 < len(whole.terms) <= MOST_TERMS:
            terms = [Poly({monomial: factor}) for monomial, factor in whole.terms.items()]
            found += [(key, str(term), term, whole) for term in terms]
    return found


def growth_formulas(program: Program, known: Mapping[str, Known]) -> tuple[Formulas, ...]:
    """The figures of a page of growth as formulas, stream by stream, with their terms."""
    return tuple(growth_of(program, stream, known) for stream in program.streams)


def growth_of(program: Program, stream: Stream, known: Mapping[str, Known]) -> Formulas:
    """One stream's figures, terms and rules."""
    values = {
        key: formula_text(one.of(stream))
        for key, one in known.items()
        if not (stream.kernels and key == PEAK)  # its kernels choose by size
    }
    terms = tuple(
        (key, text, str(term), f"100 * ({term}) / ({whole})")
        for key, text, term, whole in term_rows(known, stream)
    )
    found = placed(stream.regime, values, {TERMS: terms})
    return replace(
        found, rules=rules_beside(program, stream), crossings=crossings(program, stream, known)
    )


def decades(program: Program, known: Mapping[str, Known], name: str) -> Table:
    """The figures along powers of ten of one dimension, the others where they were asked."""
    step = "step" if program.setting.train else "forward"
    keys = [f"flops.{step}", f"bytes.{step}", "memory.peak", "memory.saved"]
    shown = [known[key] for key in keys if key in known]
    rows = []
    for size in sizes_of(program, name):
        values = [value_at(one, name, size) for one in shown]
        if any(value is not None for value in values):
            rows.append((size, *values))
    rest = {other: size for other, size in program.asked.items() if other != name}
    title, retold = (f"At {text}" if rest else "" for text in place_texts(rest))
    heads = (Column(name, "1", True), *(Column(one.key, one.unit, True) for one in shown))
    return Table(title, heads, tuple(rows), key=f"along {name}", retold=retold)


def sizes_of(program: Program, name: str) -> tuple[int, ...]:
    """Powers of ten, each at the next size of the lattice the widest formula is proved on.

    Where that formula ends, sizes from its first to its last, evenly spread, stand for them.
    """
    regime = program.streams[0].regime
    step = regime.step.get(name, 1)
    sizes: Iterable[int] = DECADES
    if name in regime.most:
        first, last = regime.least.get(name, 1), regime.most[name]
        inside = [size for size in DECADES if first <= size <= last]
        sizes = inside if len(inside) > 2 else spread(first, last)
    return tuple(dict.fromkeys(-(-size // step) * step for size in sizes))


def spread(first: int, last: int, count: int = 5) -> tuple[int, ...]:
    """Whole numbers from the first to the last, evenly in logarithms."""
    ratio = last / first
    return tuple(round(first * ratio ** (place / (count - 1))) for place in range(count))


def value_at(one: Known, name: str, size: int) -> int | None:
    """A figure at one size, ``None`` where no formula holds there."""
    try:
        return int(one.at(**{name: size}))
    except OutsideRegime:
        return None


def pictured(table: Table, name: str) -> tuple[Picture, ...]:
    """The table as a picture, both axes in powers of ten."""
    curves = []
    for place, head in enumerate(table.columns[1:], start=1):
        points = [(row[0], row[place]) for row in table.rows]
        known = tuple((across, up) for across, up in points if up)
        curves.append(Curve(f"{head.title} [{head.unit}]", known, head.title))
    curves = [curve for curve in curves if len(curve.points) > 1]
    return (Picture("", Column(name, "1"), Column("", "1"), tuple(curves)),) if curves else ()


def regimes(program: Program, known: Mapping[str, Known]) -> tuple[Text, ...]:
    """The formulas of every regime but the widest, where they differ from it."""
    widest = program.streams[0]
    found: list[Text] = []
    for stream in program.streams[1:]:
        lines = [
            Text(f"{one.key} = {formula_text(one.of(stream))}", "formula", always=True)
            for one in known.values()
            if differs(one, stream, widest)
        ]
        same = "" if lines else " the formulas are the same"
        found += [Text(f"For {stream.regime}{':' if lines else same + '.'}", always=True), *lines]
    return tuple(found)


def differs(one: Known, stream: Stream, widest: Stream) -> bool:
    """Whether a regime's formula is another than the widest one's at the sizes it fixes."""
    wide, own = (largest_put(one.of(each), stream.regime.fixed) for each in (widest, stream))
    return wide != own


def largest_put(formulas: tuple[Any, ...], sizes: Mapping[str, int]) -> set[Any]:
    """Formulas with sizes put in; of those that become numbers the largest alone."""
    found = {put(formula, sizes) for formula in formulas}
    numbers = {each for each in found if isinstance(each, int)}
    return found - numbers | {max(numbers)} if numbers else found


def put(poly: Any, sizes: Mapping[str, int]) -> Any:
    """A formula with some dimensions' sizes put in, inside floors and logarithms too."""
    total: Any = as_poly(0)
    for monomial, factor in as_poly(poly).terms.items():
        total = total + factor * product(put_symbol(b, sizes) ** power for b, power in monomial)
    return plain(total)


def put_symbol(base: Symbol, sizes: Mapping[str, int]) -> Any:
    if isinstance(base, str):
        return sizes.get(base, symbol(base))
    inner = base.of if isinstance(base, Log2) else base.base
    inner = put_symbol(inner, sizes) if isinstance(inner, str) else put(inner, sizes)
    if isinstance(base, Log2):
        return log2(inner)
    if isinstance(inner, int):
        return (inner + base.shift) // base.divisor
    return symbol(base if isinstance(base.base, str) else replace(base, base=inner))


def formula_text(formulas: tuple[Any, ...]) -> str:
    texts = list(map(str, formulas))
    return texts[0] if len(texts) == 1 else f"max({', '.join(texts)})"
