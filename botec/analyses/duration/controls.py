"""What a page needs to work times out anew: calls as formulas, devices as numbers, and the
arithmetic between them as text, so that one evaluator does what :mod:`times` and :mod:`run` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log
from typing import Any

from botec.analyses.count import Counts, parameter_count
from botec.analyses.duration.classes import multiplies
from botec.analyses.duration.pages import (
    BASIS,
    BOUND,
    FEW,
    NO_LINK,
    SHARED,
    SPENT,
    USED,
    VIEWS,
    Timed,
    rests_on,
)  # fmt: skip
from botec.analyses.duration.run import (
    EXAMPLES,
    HIDDEN,
    IN_A_NODE,
    LINK_SHARE,
    STEPS,
    Run,
    link_of,
)  # fmt: skip
from botec.analyses.duration.speeds import (
    ASSUMED,
    LARGE,
    MEASURED,
    Rate,
    Speeds,
    check_precision,
    fitted,
)  # fmt: skip
from botec.analyses.duration.times import BOUNDS, SHARPEST, Durations
from botec.analyses.duration.times import Work as Op
from botec.analyses.figures import token_sizes
from botec.analyses.paths import grouping
from botec.analyses.spelled import Spelled, part
from botec.analyses.storages import ITSELF
from botec.devices import Device
from botec.errors import BadInput
from botec.program import Stream
from botec.report import Group, Saying, Work
from botec.rules.time import (
    USUAL,
    operations_over_rate,
    run_over_rate,
    step_is_three_forwards,
    thousands_are_nothing,
)  # fmt: skip

Calls = tuple[tuple[str, str, str, str, int, str, str, str], ...]

#: One call, as :func:`botec.analyses.duration.times.parts_of` works it out.
CALL = (
    ("compute", "slow * operations / rate"),
    ("moving", "slow * bytes / width"),
    ("overhead", "cost"),
    ("more", "max(compute, moving)"),
    ("less", "min(compute, moving)"),
    ("new", "fresh * made"),
    ("bandwidth", "moving + new"),
    ("ideal", "max(operations / peak, bytes / full)"),
)
SMOOTH = "more * (1 + (less / max(more, 1e-300)) ** sharpness) ** (1 / sharpness) + overhead + new"
PLAIN = "more + overhead + new"
NO_LIMIT = 1e300  # operations a second of what is not bound by them


def calls(durations: Durations) -> Calls:
    """The calls of a step, equal ones of a module together, in the order of the modules."""
    program = durations.program
    group = grouping(program.scopes)
    found: dict[tuple[str, str, str, str, str, str, str], int] = {}
    for work in durations.work:
        module = group(program.scopes[work.scope]) or ITSELF
        made = made_text(work) if durations.speeds.fresh else "0"
        key = (
            *(work.name or VIEWS, work.dtype, work.phase, module),
            *(str(work.operations), str(work.bytes), made),
        )
        found[key] = found.get(key, 0) + work.times
    names = dict.fromkeys(group(scope) or ITSELF for scope in program.scopes)
    order = {name: place for place, name in enumerate(names)}
    ordered = sorted(found.items(), key=lambda pair: order[pair[0][3]])
    return tuple((*key[:4], times, *key[4:]) for key, times in ordered)


def made_text(work: Op) -> str:
    """Bytes of the large results of a call, as :meth:`Work.fresh` adds them up."""
    return " + ".join(f"choose({one}, {LARGE}, 0, {one})" for one in work.results) or "0"


def work(
    timed: Timed, devices: Mapping[str, Mapping[str, Any]], run: Run | None = None,
    given: Mapping[str, tuple[str, float | None]] | None = None,
) -> Work:  # fmt: skip
    """How the figures, the tables and the roofline of the page are worked out."""
    sharp = timed.speeds.sharpness >= SHARPEST
    figures = [(f"time.{name}", f"seconds.{name}") for name in timed.spans if name != "step"]
    if "step" in timed.spans:
        figures.append(
            ("time.step", " + ".join(f"seconds.{phase}" for phase in timed.answers.phases))
        )
    step = figures[-1][0]
    if run is not None:
        figures += run_formulas(timed, run, step)
    return Work(
        call=(*CALL, ("seconds", PLAIN if sharp else SMOOTH)),
        bounds=BOUNDS,
        views=VIEWS,
        figures=tuple(figures),
        groups=groups(timed, step),
        devices=devices,
        device=timed.speeds.title,
        given=given or {},
        texts=texts(timed, step),
    )


def texts(timed: Timed, step: str) -> dict[str, tuple[Saying, ...]]:
    """What the page begins with, as :func:`botec.analyses.duration.pages.verdict` says it."""
    used = f"Utilisation (MFU) {{products / ({step} * roof)|%1}} of the {{type}} peak"
    first = next(iter(timed.program.asked), "")
    named = "examples" if first == "B" else f"of {first}"
    speed = f" {{{first} / {step}|,0}} {named} a second." if first else ""
    ideal = f"at full peak and bandwidth the step takes {{ideal / {step}|%0}} of the time."
    return {
        BASIS: (Saying("1", "{said}"),),
        BOUND: (Saying("1", "Bound by {shares}.", shares={one: f"bound.{one}" for one in BOUNDS}),),
        SPENT: (Saying("1", "{run.steps|,0} steps; {time.run * gpus / 3600|1} device-hours."),),
        SHARED: (
            Saying("2 - gpus", "One device has none to tell."),
            Saying(
                "moved",
                "Sharded over {gpus|.0} devices each sends {moved|,0} bytes a step; "
                f"{{exposed / ({step} + exposed)|%1}} of the step waits for it.",
            ),
            Saying("1", NO_LINK),
        ),
        USED: (
            Saying(f"choose(ideal, {step}, roof, 0)", f"{used}; {ideal}{speed}"),
            Saying("roof", f"{used}.{speed}"),
            Saying("1", "No peak is known to hold it against."),
        ),
    }


def groups(timed: Timed, step: str) -> dict[str, Group]:
    """Tables and dots as sums over calls, cell by cell."""
    share, reached = f"100 * seconds / {step}", "operations / seconds"
    phases = timed.answers.phases
    spans = [f"seconds.{phase}" for phase in phases] + ["seconds"] * (len(phases) > 1)
    kinds = Group(
        "kind", ("calls", "seconds", share, "bound", "operations", "bytes", reached),
        ("calls", "seconds", "", "", "operations", "bytes", reached), largest_first=True,
    )  # fmt: skip
    return {
        "time.kind": kinds,
        "time.module": Group("module", (*spans, share, "bound"), (*spans, "", "")),
        "time.roofline": Group("kind", ("operations / bytes", reached), largest_first=True),
    }


def run_formulas(timed: Timed, run: Run, step: str) -> list[tuple[str, str]]:
    """A run's steps, seconds, dollars and joules, as :func:`whole_run` has them."""
    first = next(iter(timed.program.asked), "1")
    tokens = " * ".join(token_sizes(timed.program))
    each = {STEPS: "1", EXAMPLES: f"{first} * gpus"}.get(run.unit, f"{tokens} * gpus")
    return [
        ("run.steps", f"ceil(amount / ({each}))"),
        ("time.run", f"run.steps * ({step} + exposed)"),
        ("cost.run", "time.run / 3600 * gpus * price"),
        ("energy.run", "time.run * gpus * power * pue"),
    ]


def exchange_text(parameters: int, sheet: Device, step: str) -> str:
    """The seconds that telling each other adds to a step: what :func:`exchange` works out."""
    near, far = link_of(sheet, IN_A_NODE), link_of(sheet, IN_A_NODE + 1)
    link = f"choose(gpus, {IN_A_NODE}, {near}, {far})"
    seconds = f"{moved_text(parameters)} / ({LINK_SHARE} * {link})"
    share = fitted()["exchange"]["share"]
    return f"max(0.0, {seconds} - {HIDDEN} * {step}) + {share} * ({seconds})"


def moved_text(parameters: int) -> str:
    """The bytes that each device sends in a step."""
    return f"3 * {parameters} * item * (gpus - 1) / gpus"


def rules_of(timed: Timed, stream: Stream, run: Run | None) -> dict[str, str]:
    """What :func:`rule_beside` and :func:`run_rule` give, by the key of the figure."""
    count = Counts(timed.program, stream).total("multiplications", ("forward",)).value
    forward, roof, products = Spelled(str(count)), Spelled("roof"), Spelled("products")
    none, peak = thousands_are_nothing(forward), operations_over_rate(2 * forward, roof)
    found = {
        "time.forward": f"choose(1, {part(forward)}, choose({part(forward)}, few, {none}, {peak}), "
        f"{peak})",
        "time.step": str(step_is_three_forwards(Spelled("time.forward"))),
    }
    if run is None:
        return found
    if run.unit != EXAMPLES:
        given = operations_over_rate(products * Spelled("run.steps"), roof)
    else:
        each = products / Spelled(next(iter(timed.program.asked), "1"))
        given = run_over_rate(each, Spelled("amount"), 1, USUAL * roof * Spelled("gpus"))
    return {**found, "time.run": str(given)}


def constants(
    timed: Timed, speeds: Speeds, sheet: Device | None, pairs: Iterable[tuple[str, str]]
) -> dict[str, Any]:
    """A device as the formulas speak of it; a text that begins with ``=`` is a formula itself.

    ``pairs`` are the classes and types of the calls.
    """
    link = sheet is not None and timed.program.setting.train and link_of(sheet, IN_A_NODE)
    step = "time.step" if "step" in timed.spans else "time.forward"
    parameters = parameter_count(timed.program.parameters)
    return {
        "calls": {f"{name} {dtype}": of_class(speeds, name, dtype) for name, dtype in pairs},
        "slow": 1.0,
        "fresh": speeds.fresh,
        "few": FEW if speeds.basis in (MEASURED, ASSUMED) else 0,
        "moved": f"={moved_text(parameters)}" if sheet and link else None,
        "cost": speeds.overhead,
        "sharpness": speeds.sharpness,
        "low": speeds.low,
        "high": speeds.high,
        "bandwidth": speeds.bandwidth,
        "full": speeds.bandwidth,
        "said": rests_on(speeds),
        "peaks": dict(speeds.peaks),
        "price": sheet.number("price.USD-per-hour") if sheet else None,
        "power": sheet.power if sheet else None,
        "exposed": f"={exchange_text(parameters, sheet, step)}" if sheet and link else 0.0,
    }


def of_class(speeds: Speeds, name: str, dtype: str) -> dict[str, Any]:
    """Rate and bandwidth of a class, and what a call of it costs where that is its own."""
    if name == VIEWS:
        return {"rate": NO_LIMIT, "width": NO_LIMIT, "cost": speeds.view, "peak": NO_LIMIT}
    rate = speeds.product(name, dtype) if multiplies(name) else None
    known = NO_LIMIT if rate is None else rate_text(rate, "operations")
    width, slow = rate_text(speeds.moving(name, dtype), "bytes"), speeds.slowdown(name, dtype)
    peak = speeds.peak(dtype) or speeds.peak("float32") or NO_LIMIT
    if slow is None:
        return {"rate": known, "width": width, "peak": peak}
    slowed = {key: f"={str(text).removeprefix('=')} / {slow.text()}"
              for key, text in (("rate", known), ("width", width))}  # fmt: skip
    return {**slowed, "peak": peak}


def rate_text(rate: Rate, work: str) -> float | str:
    """A constant, or the line between logarithms that :meth:`Rate.at` draws."""
    if len(rate.rates) == 1:
        return rate.rates[0]
    sizes, rates = ([log(one) for one in row] for row in (rate.sizes, rate.rates))
    return f"=exp(interpolate(log(max({work}, 1.0)), {sizes}, {rates}))"


def precisions_of(sheet: Device, known: Iterable[str]) -> list[str]:
    """Those of some precisions that a device has a rate for."""
    found = []
    for precision in known:
        try:
            check_precision(sheet, precision)
        except BadInput:
            continue
        found.append(precision)
    return found
