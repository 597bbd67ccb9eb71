"""Who passes whom: of every figure and dimension the term that grows fastest, and from where on it
is the larger; at a point, and as formulas from which a page works it out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

from botec.analyses.asymptote import degree, in_logarithm, period, smooth, split, terms_text
from botec.analyses.crossing import passes
from botec.analyses.quantities import Known, quantities
from botec.poly import Poly, as_poly, at
from botec.program import Program, Stream
from botec.report import Column, Crossing, Table, Text
from botec.units import Quantity

FAR = 10**30  # where the largest power of a dimension is all that counts; whole numbers have no end
PARTIAL = (".backward", ".optimizer")  # phases the sentences leave to the table
MOST_OWNERS, MOST_OF = 2, 0.9
MOST_PERIOD, MOST_FORMULAS = 256, 64  # of a crossing that a page works out
TOLD, TABLE = "passed ", "passing "  # what a page tells anew, by dimension


@dataclass(frozen=True)
class Passing:
    """In one dimension: the term that grows fastest, who owns it, and where it passes the rest.

    ``start`` is the size the regime begins at; ``size`` is ``start`` where the term leads from
    there on, and ``None`` where no size does it; ``most`` is where the regime ends, if it does.
    """

    known: Known
    name: str
    term: Poly
    rest: Poly
    owners: str
    start: int
    size: int | None
    most: int | None = None

    @property
    def within(self) -> bool:
        """Whether it passes where the formula holds."""
        return self.size is not None and (self.most is None or self.size <= self.most)


def passings(
    program: Program, keys: Iterable[str] = (), known: Mapping[str, Known] | None = None
) -> tuple[Passing, ...]:
    """Of every figure and dimension, the fastest term and where it takes over."""
    known = quantities(program) if known is None else known
    wanted = [known[key] for key in keys or known]
    found = (passing(one, name) for name in program.dimensions for one in wanted)
    return tuple(one for one in found if one is not None)


def passing(known: Known, name: str) -> Passing | None:
    """The fastest term of a figure in one dimension, or ``None`` where it does not grow in it."""
    stream, point = along(known.program, name)
    start = stream.regime.least.get(name)
    if start is None or name in stream.regime.fixed:
        return None
    last, since = settled(known.of(stream), name, point, start)
    term, rest = split(last, name)
    if not degree(term, name):
        return None
    size = passes(term, rest, name, point, start)
    step = stream.regime.step.get(name, 1)
    late = None if size is None or since is None else -(-max(size, since) // step) * step
    owners = owned(known.parts(stream), name, point)
    most = stream.regime.most.get(name)
    return Passing(known, name, term, rest, owners, start, late, most)


def along(program: Program, name: str) -> tuple[Stream, dict[str, int]]:
    """The stream that holds for large sizes of a dimension, and a point for the others in it."""
    point = dict(program.asked)
    for stream in program.streams:
        regime = stream.regime
        if name in regime.least:
            far = regime.most.get(name, FAR)
            far -= far % regime.step.get(name, 1)
            if regime.holds({**point, name: far}):
                return stream, point
    widest = program.streams[0]
    low = {n: max(size, widest.regime.least.get(n, size)) for n, size in point.items()}
    return widest, {**low, **widest.regime.fixed}


def settled(
    formulas: tuple[Any, ...], name: str, point: Mapping[str, int], start: int
) -> tuple[Poly, int | None]:
    """Of some formulas the one that is the largest in the end, and from where on."""
    polys = [as_poly(formula) for formula in formulas]
    last = max(polys, key=lambda poly: at(poly, {**point, name: FAR}))
    others = [passes(last, other, name, dict(point), start) for other in polys if other != last]
    known = [size for size in others if size is not None]
    return last, max(known, default=start) if len(known) == len(others) else None


def owned(parts: Mapping[str, Any], name: str, point: Mapping[str, int]) -> str:
    """Who makes up the fastest terms: at most two names that have nine tenths of them."""
    highest = max((degree(part, name) for part in parts.values()), default=0)
    own = {who: part for who, part in parts.items() if highest and degree(part, name) == highest}
    far = {**point, name: FAR}
    shares = {who: at(split(part, name)[0], far) for who, part in own.items()}
    total, found, held = sum(shares.values()), list[str](), 0
    for who in sorted(shares, key=lambda who: (-shares[who], who))[:MOST_OWNERS]:
        if held < MOST_OF * total:
            found.append(who)
            held += shares[who]
    return ("mostly " if held < MOST_OF * total else "") + " and ".join(found) if found else ""


def said(growing: Iterable[Passing], name: str) -> tuple[Text, ...]:
    """The sentences about one dimension; none where nothing passes."""
    found = sentences(growing)
    return (Text(" ".join(found), key=f"{TOLD}{name}"),) if found else ()


def sentences(growing: Iterable[Passing]) -> list[str]:
    """``Multiplications of the step: attention passes the rest at S = 21,465.``"""
    found = []
    for one in growing:
        whole = not one.known.key.endswith(PARTIAL)
        if whole and one.within and one.size is not None and one.size > one.start:
            who, where = one.owners or "its fastest term", Quantity(one.size).exact
            verb = "pass" if " and " in who else "passes"
            found.append(f"{one.known.key}: {who} {verb} the rest at {one.name} = {where}.")
    return found


def passing_table(growing: Iterable[Passing], name: str) -> Table:
    """Every figure's fastest term in a dimension, who owns it, and where it passes the rest."""
    rows = tuple((one.known.key, power_text(one), one.owners, since(one)) for one in growing)
    heads = ("figure", "fastest term", "owned by", "passes the rest")
    return Table("The fastest terms", tuple(map(Column, heads)), rows, key=f"{TABLE}{name}")


def power_text(one: Passing) -> str:
    """The fastest term, the other dimensions left as letters; floors by what they grow as."""
    return terms_text(smooth(one.term))


def since(one: Passing) -> str:
    """Where the term takes over, in words."""
    if one.size is None:
        return "never for good"
    if one.size == one.start:
        return f"from the start ({one.name} = {one.start})"
    beyond = "" if one.within else f", beyond {one.name} ≤ {one.most}"
    return f"at {one.name} = {Quantity(one.size).exact}{beyond}"


# --- as formulas ---------------------------------------------------------------------------------


def crossings(
    program: Program, stream: Stream, known: Mapping[str, Known]
) -> dict[str, tuple[Crossing, ...]]:
    """Of every dimension a stream leaves free: each figure's terms. None where one of them takes
    more than a page works out (logarithms, floors of long periods, many formulas)."""
    found = {}
    for name in program.dimensions:
        if name in stream.regime.least and name not in stream.regime.fixed:
            own = [crossing(one, stream, name) for one in known.values()]
            if all(own):
                found[name] = tuple(one for one in own if one)
    return found


def crossing(known: Known, stream: Stream, name: str) -> Crossing | None:
    """What :func:`passing` asks of a figure in a stream."""
    polys = [as_poly(one) for one in known.of(stream)]
    repeat = lcm(*(period(one, name) for one in polys))
    logs = any(in_logarithm(one, name) for one in polys)
    if logs or repeat > MOST_PERIOD or len(polys) > MOST_FORMULAS:
        return None
    regime = stream.regime
    return Crossing(
        known.key, tuple(terms_of(one, name) for one in polys),
        dict(fastest(known.parts(stream), name)), regime.least[name], regime.most.get(name),
        regime.step.get(name, 1), max(degree(one, name) for one in polys), repeat,
    )  # fmt: skip


def terms_of(poly: Poly, name: str) -> tuple[str, str, str, str]:
    """A formula, its fastest term, the rest, and that term in words ("" where it does not grow)."""
    term, rest = split(poly, name)
    words = terms_text(smooth(term)) if degree(term, name) else ""
    return str(poly), str(term), str(rest), words


def fastest(parts: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """Who has the highest power of a dimension, with those terms."""
    highest = max((degree(part, name) for part in parts.values()), default=0)
    for who, part in parts.items():
        if highest and degree(part, name) == highest:
            yield who, str(split(part, name)[0])
