"""``botec optimizer``: one optimizer on one page."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from botec.analyses.optimizers import find
from botec.analyses.optimizers.figures import STATES, belongs, figures, judged, raw
from botec.analyses.optimizers.method import MEANINGS, Limit, option_name, options_of
from botec.analyses.optimizers.path import Way, change
from botec.errors import BadInput
from botec.report import Column, Curve, Figure, Figures, Picture, Report, Section, Table, Text
from botec.units import Quantity

DECADES = tuple(range(-12, 7))
LISTED = (-12, -10, -9, -8, -7, -6, -4, -2, 0, 2, 4, 6)
FACTORS = (10.0, 0.1, 0.0, -1.0)
MOST_STEPS, MOST_SUMMED, WARM = 10**9, 20_000, 10_000
SYMBOLS = {
    "w": "the weight, w₀ at the start", "c": "the constant gradient", "t": "the steps taken",
    "k": "the number of a step, 1 to t", "d": "what decay leaves of a weight, 1 - η λ",
    "m": "the average of gradients", "v": "the average of their squares", "b": "the momentum",
}  # fmt: skip


def asked(
    name: str, gradient: float = 1.0, steps: int = 1000, start: float = 0.0, **given: Any
) -> Way:
    """The optimizer called ``name`` with the options given, on its way from ``start``.

    Raises :class:`~botec.errors.BotecError` for an unknown optimizer or option, and for numbers
    without a meaning.
    """
    method = find(name)
    if not (math.isfinite(gradient) and gradient):
        seen = "it moves nothing" if gradient == 0 else "not a finite number"
        raise BadInput(seen, "give a number that is not 0", f"--gradient {gradient:g}")
    if not math.isfinite(start):
        raise BadInput("not a finite number", "give a number", f"--start {start}")
    if not 1 <= steps <= MOST_STEPS:
        raise BadInput(
            "not a number of steps", f"give one from 1 to {MOST_STEPS:,}", f"--steps {steps}"
        )
    options = options_of(method, given)
    if options.lr == 0:
        raise BadInput("a rate of 0 moves nothing", "give a rate above 0", "--lr 0")
    way = Way(method, options, float(gradient), steps, float(start))
    formula = method.formula(options)
    if steps > MOST_SUMMED and (way.reason or formula is None or "sum(" in formula):
        do = f"ask for at most {MOST_SUMMED:,} steps"
        raise BadInput(
            "every step is computed here: no formula jumps over them", do, f"--steps {steps}"
        )
    return way


def report(
    way: Way, path: Sequence[Mapping[str, float]] = (), kept: Sequence[float] = (), how: str = ""
) -> Report:
    """The page; ``path`` and ``kept`` after each step are the real optimizer's where it was run."""
    from botec import __version__

    try:
        found = figures(way)
        if kept:
            found = judged(way, found, path, kept, how)
        parts = tuple(sections(way, found))
    except OverflowError:
        seen = "the weight grows beyond all numbers"
        raise BadInput(seen, "give a smaller rate, decay or gradient, or fewer steps") from None
    return Report(
        model={"name": way.method.title, "source": way.method.source},
        setting=setting(way),
        figures=found,
        sections=parts,
        notes=(f"Source: {way.method.source}.", *way.method.notes),
        version=__version__,
    )


def setting(way: Way) -> dict[str, Any]:
    """What a formula's names stand for."""
    given = {"gradient": way.gradient, "steps": way.steps, "start": way.start}
    return {"optimizer": way.method.name, **given, **vars(way.options)}


def sections(way: Way, found: Mapping[str, Figure]) -> Iterator[Section]:
    """The page in reading order."""
    yield Section("Options", (option_table(way),))
    yield Section("What it keeps", (keys(found, "state"), kept_text(way)))
    names = ("w", *(name for name in STATES), "step", "error")
    yield Section(
        "Under a constant gradient", (keys(found, *names), way_table(way), way_picture(way))
    )
    yield Section("Why", tuple(derivation(way)))
    if (speed := keys(found, "speed", "rest", "halflife", "settled")).keys:
        yield Section("Speed", (speed,))
    parts = (keys(found, "scale"), scale_table(way), scale_picture(way))
    yield Section("The size of the gradient", parts)
    if "optimizer.uncorrected" in found:
        yield Section("Bias correction", (keys(found, "uncorrected"), correction_table(way)))
    changes = (keys(found, "noise", "alternating"), change_table(way))
    yield Section("When the gradient changes", changes)
    if way.method.limit:
        limit = way.method.limit(way.options)
        yield Section("Stability", (keys(found, "stability"), *stability_text(limit)))


def keys(found: Mapping[str, Figure], *names: str) -> Figures:
    """The figures of these names, and those under them."""
    every = [key for name in names for key in found if belongs(key, name)]
    return Figures(tuple(dict.fromkeys(every)))


def option_table(way: Way) -> Table:
    rows = []
    for name, value in vars(way.options).items():
        meaning = MEANINGS[name]
        text = value if isinstance(value, str) else plain(value)
        what = way.method.words.get(meaning.symbol, meaning.text)
        rows.append((option_name(name), meaning.symbol, text, what))
    heads = tuple(map(Column, ("option", "sign", "value", "what it is")))
    return Table("", heads, tuple(rows))


def plain(value: Any) -> str:
    """A value as text of its own prefix: columns of decades share none."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(Quantity(value))


def kept_text(way: Way) -> Text:
    names = way.method.kept(way.options)
    if not names:
        return Text("Nothing: the next step needs the gradient alone.")
    counted: Mapping[str, int] = Counter(names)
    what = "; ".join(
        f"{n} × {STATES[name]}" if n > 1 else STATES[name] for name, n in counted.items()
    )
    return Text(f"For each parameter: {what}.")


def apart(*titles: str) -> tuple[Column, ...]:
    """Columns of numbers that lie decades apart."""
    return tuple(Column(title, "1", apart=True) for title in titles)


def way_table(way: Way) -> Table:
    """The weight, its step and its state at 1, 2, 5, 10, … steps."""
    between = (1, 2, 5) if way.steps <= 1000 else (1,)
    stops = sorted({min(n * 10**p, way.steps) for p in range(10) for n in between})
    states = [way.at(stop) for stop in stops]
    names = [name for name in STATES if name in states[-1]]
    rows = [
        (t, s["w"], way.moved(t), *(s[name] for name in names))
        for t, s in zip(stops, states, strict=True)
    ]
    heads = apart("step", "weight", "size of the step", *(STATES[name] for name in names))
    return Table("", heads, tuple(rows))


def way_picture(way: Way) -> Picture:
    """How far it has come at every step drawn."""
    points = []
    for place in range(41):
        steps = round(way.steps ** (place / 40))
        points.append((steps, abs(way.at(steps)["w"] - way.start)))
    title = f"{way.method.title}, from {Quantity(way.start)}"
    return Picture(
        "The way", Column("steps", "1"), Column("way", "1"), (Curve(title, tuple(points)),)
    )


def derivation(way: Way) -> Iterator[Text]:
    """The closed form step by step, after what its signs mean."""
    lines = way.method.derivation(way.options)
    if way.reason:
        yield Text(
            f"There is no closed form here: {way.reason}. The update rule was run.", "warning"
        )
    text = " ".join(lines)
    signs = {MEANINGS[name].symbol: MEANINGS[name].text for name in way.method.options}
    every = {**signs, **SYMBOLS, **way.method.words}
    told = [f"{sign} {what}" for sign, what in every.items() if spoken(sign, text)]
    yield Text("; ".join(told) + ".")
    for line in lines:
        yield Text(line, "formula")


def spoken(sign: str, text: str) -> bool:
    """Whether a sign stands in a text, not as a letter of a word."""
    return bool(re.search(rf"(?<![A-Za-z']){re.escape(sign)}(?![A-Za-z])", text))


def length(way: Way, gradient: float) -> float:
    """How far it comes with another gradient."""
    other = Way(way.method, way.options, gradient, way.steps, way.start)
    return abs(other.at(way.steps)["w"] - way.start)


def scale_table(way: Way) -> Table:
    """How far it comes with gradients of 1e-12 to 1e6, beside the farthest and in rates."""
    lengths = {power: length(way, 10.0**power) for power in LISTED}
    most = max(lengths.values())
    rows = tuple(
        (10.0**p, way_, way_ / way.options.lr, way_ / most if most else 0.0)
        for p, way_ in lengths.items()
    )
    title = f"The way after {Quantity(way.steps)} steps by the gradient's size"
    return Table(title, apart("gradient", "way", "way over η", "beside the farthest"), rows)


def scale_picture(way: Way) -> Picture:
    """The same as a curve, beside plain descent and Adam at the same rate."""
    ways = {way.method.title: way}
    for name in ("sgd", "adam"):
        if name != way.method.name:
            method = find(name)
            options = options_of(method, {"lr": way.options.lr})
            ways[f"{method.title}, same rate"] = Way(method, options, way.gradient, way.steps)
    curves = tuple(
        Curve(title, tuple((10.0**p, length(each, 10.0**p)) for p in DECADES))
        for title, each in ways.items()
    )
    return Picture("", Column("gradient", "1"), Column("way", "1"), curves)


def correction_table(way: Way) -> Table:
    """What the averages hold of a constant, and the step with and without correction."""
    o, rows = way.options, []
    for t in (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000):
        rows.append((t, 1 - o.beta1**t, 1 - o.beta2**t, 1.0, raw(o, t)))
    heads = ("step", "m over c", "v over c²", "corrected step over η", "uncorrected")
    return Table("", apart(*heads), tuple(rows))


def change_table(way: Way) -> Table:
    """What a jump of the gradient does, from a settled state."""
    averages = way.method.averages(way.options).values()
    longest = max((1 / (1 - kept) for kept in averages), default=1)
    after = min(WARM, round(10 * longest) + 2)
    rows = []
    for factor in FACTORS:
        found = change(way, factor, after, after)
        within = plain(found.within) if found.within else "not yet"
        coasted = plain(found.coasted) if factor <= 0 else "does not turn"
        numbers = (found.before, found.largest, found.at, found.settled)
        rows.append((factor, *numbers, within, coasted))
    heads = apart("new gradient over old", "step before", "largest after", "at", "last")
    texts = (Column("settled after"), Column("way on before it turns"))
    title = (
        f"After {after:,} steps at the gradient, {after:,} at the new one (steps along the old way)"
    )
    return Table(title, (*heads, *texts), tuple(rows))


def stability_text(limit: Limit) -> Iterator[Text]:
    """What the limit speaks of."""
    bowl = "The bowl is h w²/2, h its curvature; beyond the limit the weight swings ever wider."
    if limit.value is None or limit.value == 0:
        yield Text(f"{limit.why}.".capitalize())
        return
    yield Text(bowl)
    if limit.divided:
        yield Text(
            "The divisor is √v̂ + ε, taken as constant. Near a minimum v̂ goes to 0 and the limit on "
            "h to the limit times ε; a larger h keeps the weight swinging so widely that its own "
            "gradients hold √v̂ up: the edge of stability."
        )
