"""The page's scripts beside Python, on a thousand random cases each: numbers as they print,
formulas of floats, and the seconds of a call."""

from __future__ import annotations

import json
import math
import random
import shutil
import subprocess
from typing import Any

import pytest

from botec.analyses.asymptote import degree, period
from botec.analyses.crossing import passes
from botec.analyses.duration.controls import CALL, PLAIN, SMOOTH, of_class
from botec.analyses.duration.pages import VIEWS
from botec.analyses.duration.slowdowns import fitted_to
from botec.analyses.duration.speeds import Rate, Speeds, constant, speeds_of
from botec.analyses.duration.times import SHARPEST, Work, parts_of
from botec.devices import devices
from botec.errors import BotecError
from botec.poly import Floor, as_poly, product, symbol
from botec.units import UNITS, Quantity
from botec.write.to_html import PAGE, ladders

pytestmark = pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
SHARP = Speeds(
    "here", "measured-here",
    {("matmul", "float32"): Rate((1e3, 1e6, 1e9), (1e8, 7e9, 5e10))},
    {("elementwise", "float32"): constant(3e9)}, 2e-6, 1e-6, 50.0, 0.5, 2.0,
    slowdowns={("matmul", "float32"): fitted_to([(1e3, 1e4, 1e-5), (1e9, 1e7, 3e-2)])[2]},
)  # fmt: skip


def node(body: str, given: Any) -> Any:
    """What a script makes of ``given``; ``f``, ``n``, ``t``, ``c``: evaluator, numbers, trials and
    crossings."""
    script = (
        f"const f = require({json.dumps(str(PAGE / 'evaluate.js'))});"
        f"const n = require({json.dumps(str(PAGE / 'numbers.js'))});"
        f"const t = require({json.dumps(str(PAGE / 'trials.js'))});"
        f"const c = require({json.dumps(str(PAGE / 'crossing.js'))});"
        "const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));"
        f"console.log(JSON.stringify({body}));"
    )
    done = subprocess.run(
        ["node", "-e", script], input=json.dumps(given), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_numbers_print_as_python_prints_them() -> None:
    draw = random.Random(3)
    cases: list[tuple[str, str, str]] = []
    for _ in range(3000):
        unit = draw.choice([*UNITS])
        digits = draw.randrange(0, 26)
        value: float | int = draw.randrange(10**digits, 10 ** (digits + 1))
        if draw.random() < 0.5:
            value = draw.choice([1, -1]) * draw.random() * 10.0 ** draw.randrange(-14, 26)
        if draw.random() < 0.2:
            value = draw.choice([0, 999.95, 1023.96, 0.05, 1000, 1024, 59.96, 3599.9, 1e6, 0.9996])
        cases.append((repr(value), unit, str(Quantity(value, unit))))
    body = (
        "given.cases.map(([value, unit]) => n.short(/^-?\\d+$/.test(value) ? BigInt(value)"
        " : Number(value), given.ladders[unit]))"
    )
    shown = node(body, {"cases": cases, "ladders": ladders()})
    assert [one for one in zip(cases, shown, strict=True) if one[0][2] != one[1]] == []


def random_text(draw: random.Random, depth: int = 0) -> str:
    """An expression of floats and whole numbers, as Python writes it."""
    if depth > 3 or draw.random() < 0.2:
        return draw.choice(["B", "S", "x", "y", str(draw.randrange(1, 10**9)), "2.5", "1e-09"])
    left, right = random_text(draw, depth + 1), random_text(draw, depth + 1)
    form = draw.choice(
        ["({} + {})", "({} - {})", "{} * {}", "{} / {}", "max({}, {})", "min({}, {})"]
    )
    return form.format(left, right) if form[0] in "({m" else form


def test_floats_are_worked_out_to_the_last_bit() -> None:
    """Sums, products, quotients and extremes are IEEE's in both languages."""
    draw = random.Random(4)
    cases = []
    while len(cases) < 1000:
        point = {"B": draw.randrange(1, 10**6), "S": draw.randrange(1, 10**6)}
        floats = {"x": draw.random() * 10.0 ** draw.randrange(-9, 9), "y": draw.random() + 0.5}
        text = random_text(draw)
        try:
            value = eval(text, {"max": max, "min": min}, {**point, **floats})
        except ZeroDivisionError:
            continue
        cases.append([text, point, floats, str(value) if isinstance(value, int) else value])
    body = (
        "given.map(([text, point, floats]) => { const found = f.value(text,"
        " { ...f.sizes(point), ...floats });"
        " return typeof found === 'bigint' ? String(found) : found; })"
    )
    shown = node(body, [case[:3] for case in cases])
    # JSON writes a large float as a whole number; whole numbers come as texts
    told = [one if isinstance(one, str) else float(one) for one in shown]
    assert [one for one in zip(cases, told, strict=True) if one[0][3] != one[1]] == []


def test_a_call_takes_what_python_says() -> None:
    """Any class on any device, and on a machine that was measured: twelve digits."""
    draw = random.Random(5)
    known = []
    for one in devices():
        try:
            known.append(speeds_of(one))
        except BotecError:
            continue
    cases, wanted = [], []
    for _ in range(1000):
        speeds = draw.choice([*known, SHARP, SHARP])
        names = sorted({name for name, _ in (*speeds.products, *speeds.memory)})
        name = draw.choice([*names, VIEWS])
        dtype = draw.choice(["float32", "bfloat16", "float16"])
        operations = draw.choice([0, draw.randrange(10 ** draw.randrange(1, 15))])
        moved = draw.randrange(10 ** draw.randrange(1, 12))
        view = name == VIEWS
        work = Work(None if view else name, dtype, "forward", 0, 1, operations, moved)
        parts = parts_of(work, operations, moved, speeds)
        peak = math.inf if view else speeds.peak(dtype) or speeds.peak("float32") or math.inf
        best = max(operations / peak, moved / speeds.bandwidth) if speeds.bandwidth else None
        best = 0.0 if view and speeds.bandwidth else best
        wanted.append([float(parts.compute), float(parts.bandwidth), float(parts.seconds), best])
        seconds = PLAIN if speeds.sharpness >= SHARPEST else SMOOTH
        names_of = {"slow": 1.0, "cost": speeds.overhead, "sharpness": speeds.sharpness,
                    "fresh": 0.0, "made": 0.0, "full": speeds.bandwidth,
                    **of_class(speeds, name, dtype)}  # fmt: skip
        sizes = {"operations": 0 if view else operations, "bytes": 0 if view else moved}
        cases.append([[*CALL, ("seconds", seconds)], names_of, sizes])
    body = (
        "given.map(([call, names, sizes]) => { const at = { ...names, ...f.sizes(sizes) };"
        " for (const [name, text] of call) at[name] = f.value(text, at);"
        " return [at.compute, at.bandwidth, at.seconds, at.ideal]; })"
    )
    for shown, told, case in zip(node(body, cases), wanted, cases, strict=True):
        for one, other in zip(shown, told, strict=True):
            if other is None:
                assert one is None
            else:
                assert math.isclose(one, other, rel_tol=1e-12, abs_tol=1e-280), case


def test_numbers_in_a_text_are_those_of_python() -> None:
    """Hundredths, digits and thousands, halves among them."""
    draw = random.Random(6)
    cases, wanted = [], []
    for _ in range(1000):
        value: float = draw.choice([draw.random() * 10.0 ** draw.randrange(-3, 6), 0.125, 2.5, 0.5])
        digits = draw.randrange(0, 3)
        cases.append([value, digits])
        wanted.append(f"{value:.{digits}%} {value:.{digits}f} {value:,.0f} {-value:.{digits}f}")
    body = (
        "given.map(([x, digits]) => n.filled({ text: `{x|%${digits}} {x|.${digits}} {x|,0}`"
        " + ` {0 - x|.${digits}}` }, [{ x }], String))"
    )
    shown = node(body, cases)
    assert [one for one in zip(cases, shown, wanted, strict=True) if one[1] != one[2]] == []


def test_two_ends_are_told_where_they_differ() -> None:
    saying = {"text": "{x|.1} of {y|}, {z|}", "shares": {}}
    ends = [{"x": 1.25, "y": "it", "z": None}, {"x": 2.5, "y": "it", "z": None}]
    assert node("n.filled(given[0], given[1], String)", [saying, ends]) == "1.2 to 2.5 of it, ?"


def test_what_was_tried_never_says_more_than_is_so() -> None:
    """Rows of a function that never falls: between them its value lies within what is told, and
    yes, no and the largest are right or unknown. Where a row stands all is exact."""
    draw = random.Random(7)
    cases: list[Any] = []
    for _ in range(1000):
        names = ["B", "S"][: draw.choice([1, 2])]
        slopes = [draw.randrange(0, 50) for _ in range(3)]
        room, most = draw.randrange(1, 4000), draw.randrange(20, 60)
        points = [[draw.randrange(1, most) for _ in names] for _ in range(draw.randrange(1, 30))]
        rows = [[*point, bytes_at(slopes, point)] for point in points]
        point = draw.choice([*points, [draw.randrange(1, most) for _ in names]])
        trial = {"names": names, "keys": ["held"], "rows": rows, "within": {},
                 "most": dict.fromkeys(names, most), "step": {}}  # fmt: skip
        cases.append([trial, dict(zip(names, point, strict=True)), room, slopes])
    body = (
        "given.map(([trial, point, room]) => { const rows = t.rowsOn(trial, 'card', room);"
        " const text = (one) => (one === null ? null : [one].flat().map(String));"
        " const held = t.held(trial, rows, point);"
        " return [held && text(held.held), text(t.fits(trial, rows, point)),"
        " text(t.largest(trial, rows, point, 'B'))]; })"
    )
    sharp = 0
    for (trial, point, room, slopes), (held, fits, largest) in zip(
        cases, node(body, cases), strict=True
    ):
        value = bytes_at(slopes, [*point.values()])
        most = trial["most"]["B"]
        others = [*point.values()][1:]
        fitting = (b for b in range(1, most + 1) if bytes_at(slopes, [b, *others]) <= room)
        best = max(fitting, default=0)
        if held:
            assert int(held[0]) <= value <= int(held[1])
        assert fits in (None, [str(int(value <= room))])
        assert int(largest[0]) <= best <= int(largest[1])
        assert (held, largest) == sharpest(trial["rows"], [*point.values()], room, most)
        if [*point.values(), value] in trial["rows"]:
            assert held == [str(value)] * 2
            assert fits is not None
            sharp += 1
    assert sharp > 300


def random_poly(draw: random.Random) -> Any:
    """A formula of two dimensions, floors among its terms, of either sign."""
    bases = [
        symbol("S"),
        symbol("B"),
        symbol(Floor("S", draw.randrange(0, 9), draw.choice([2, 3, 8]))),
    ]
    found = as_poly(draw.randrange(-(10**9), 10**9))
    for _ in range(draw.randrange(1, 5)):
        factor = draw.choice([-1, 1]) * draw.randrange(1, 10 ** draw.randrange(1, 7))
        found = found + factor * product(draw.choices(bases, k=draw.randrange(1, 4)))
    return found


def test_crossings_are_python_s_to_the_last_digit() -> None:
    draw = random.Random(17)
    cases, wanted = [], []
    for _ in range(1000):
        gap, start = random_poly(draw), draw.randrange(1, 5)
        point = {"B": draw.randrange(1, 500), "S": 1}
        found = passes(gap, 0, "S", point, start)
        wanted.append(None if found is None else str(found))
        cases.append([str(gap), point["B"], start, period(gap, "S"), degree(gap, "S")])
    body = (
        "given.map(([gap, B, start, repeat, power]) => { const found = c.passes("
        "(S) => f.value(gap, { S, B: BigInt(B) }), BigInt(start), BigInt(repeat), power);"
        " return found === null ? null : String(found); })"
    )
    shown = node(body, cases)
    assert [one for one in zip(cases, shown, wanted, strict=True) if one[1] != one[2]] == []
    assert 300 < sum(one is not None for one in wanted) < 990
    assert len(set(wanted)) > 200


def sharpest(rows: list[list[int]], at: list[int], room: int, most: int) -> Any:
    """All that rows of a function that never falls tell of a value and of the largest that fits."""
    known = [(row[:-1], row[-1]) for row in rows]
    under = [value for sizes, value in known if all(a <= b for a, b in zip(sizes, at, strict=True))]
    over = [value for sizes, value in known if all(a >= b for a, b in zip(sizes, at, strict=True))]
    held = [str(max(under)), str(min(over))] if under and over else None
    low = max((sizes[0] for sizes, value in known if value <= room and sizes[1:] >= at[1:]),
              default=0)  # fmt: skip
    beyond = (sizes[0] for sizes, value in known if value > room and sizes[1:] <= at[1:])
    high = min((size for size in beyond if size > low), default=most + 1) - 1
    return held, [str(low), str(max(low, high))]


def bytes_at(slopes: list[int], point: list[int]) -> int:
    """Steps that never fall, as an allocator's do."""
    size = slopes[0] + sum(slope * one for slope, one in zip(slopes[1:], point, strict=False))
    return -(-size // 64) * 64
