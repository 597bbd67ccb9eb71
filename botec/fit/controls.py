"""``botec fit -o page.html``: the page with what its controls need to say anew whether it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from botec.analyses.fit import CONTEXT, Fit
from botec.analyses.formulas import peaks
from botec.analyses.trials import Trial
from botec.analyses.verdict import HOUR, LARGEST, SAYINGS
from botec.devices import Device
from botec.errors import BotecError
from botec.estimate import MOST_EVENTS, VARIED, choices
from botec.fit import (
    ELSEWHERE,
    GENERATIONS,
    answered,
    catalogue,
    generation,
    price_of,
    priced,
    question,
    run_on,
    target_of,
)  # fmt: skip
from botec.inputs import Input
from botec.ops.facts import kind_of
from botec.program import Program
from botec.read import read
from botec.report import (
    KERNELS,
    Counted,
    Figure,
    Formulas,
    Group,
    Layers,
    Lifetimes,
    Report,
    Trials,
    Work,
)

FINE, COARSE = 4, 1  # sizes tried in an octave
FEW_EVENTS = 8_000  # of a step that is simulated at many sizes
FIGURES = (
    ("memory.device", "memory.reserved + context"), ("fit.room", "total - memory.device"),
    (HOUR, "price"),
)  # fmt: skip
DECIDED = ("attention", "recurrent")  # families whose calls differ by the device's generation
WRITTEN_OUT = ("aten._safe_softmax",)  # attention that no kernel does
NOTES = (
    "What the allocator holds has no formula: it was simulated at many sizes. Between two of them "
    "this page says from what to what, taking it that more of a size never needs less.",
    "Other precisions and optimizers are answered here for devices of the same architecture, other "
    "generations of devices for the precision and the optimizer that were asked.",
)
GROUPS = {
    ELSEWHERE: Group("device", ("total", "memory.device", "fits", "price")),
    LARGEST: Group("dimension", ("largest", "memory.device", "fit.room")),
}


def for_page(
    model: Any, *inputs: Input, told: Callable[[str], None], context: int = CONTEXT,
    expandable: bool = False, price: float | None = None, **options: Any,
) -> Report:  # fmt: skip
    """The report with the sizes it was tried at, on other devices and by other choices too.

    ``told`` is given a line before each further reading. Raises :class:`BotecError`.
    """
    target = target_of(options)
    asked = question(read(model, *inputs, **options), target, context, expandable)
    report = answered(asked, target, model, inputs, options)
    known = list(readings(model, inputs, options, asked, target, told))
    found = [formula for one in known for formula in one[0]]
    whole = with_one_timeline(replace(report, formulas=tuple(found)).whole())
    trials = tuple(one[1] for one in known)
    unknown = Figure(HOUR, "price of an hour", "$", Counted(None, None, "unknown"))
    return replace(
        whole, trials=trials, work=work_of(asked, target, trials, price),
        figures={**whole.figures, HOUR: unknown, **priced(target, price)},
        notes=(*whole.notes, *NOTES),
    )  # fmt: skip


def with_one_timeline(report: Report) -> Report:
    """The page with the timeline whose storages follow the controls in the place of the other."""
    lives = next(
        part for one in report.sections for part in one.parts if isinstance(part, Lifetimes)
    )
    parts = {one.title: [p for p in one.parts if p is not lives] for one in report.sections}
    sections = (
        replace(one, parts=tuple(lives if isinstance(p, Layers) else p for p in parts[one.title]))
        for one in report.sections
    )
    return replace(report, sections=tuple(sections))


def readings(
    model: Any, inputs: Any, options: Any, asked: Fit, target: Device, told: Callable[[str], None]
) -> Iterator[tuple[tuple[Formulas, ...], Trials]]:
    """The own choice on every device, read again for the generations that need it; other precisions
    and optimizers on the devices that run as the target does."""
    program = asked.program
    events = max(len(stream.kinds) for stream in program.streams)
    fine = FINE if events <= FEW_EVENTS else COARSE
    one = one_for_all(program)
    told("the sizes around")
    yield from tried(program, asked, same_kernels(target), {}, fine)
    if one:
        yield from tried(program, asked, of_others(target), {}, COARSE)
    if events > MOST_EVENTS:
        return
    own = [*same_kernels(target), *(of_others(target) if one else ())]
    for choice in choices(program.setting):
        told(", ".join(choice.values()))
        other = again(model, inputs, {**options, **choice})
        if other is not None:
            yield next(tried(other, asked, own, choice, min(fine, 2), (target.title,)))
    for gen in (one for one in GENERATIONS if one != generation(target)) if not one else ():
        places = [one for one in of_others(target) if generation(one) == gen]
        told(f"kernels of {places[0].title} and its like")
        other = again(model, inputs, {**options, "device": places[0].name})
        if other is not None:
            yield from tried(other, asked, places, {}, COARSE)


def one_for_all(program: Program) -> bool:
    """Whether a reading is the same for every generation: they differ in attention alone."""
    calls = (call for stream in program.streams for call in stream.calls)
    return not any(kind_of(call) in DECIDED or call.op in WRITTEN_OUT for call in calls)


def again(model: Any, inputs: Any, options: Any) -> Program | None:
    """Another reading; none where the model or the optimizer refuses it."""
    try:
        return read(model, *inputs, **options)
    except BotecError:
        return None


def same_kernels(target: Device) -> list[Device]:
    """The target, and the devices that the same reading serves."""
    return [target, *(one for one in others(target) if generation(one) == generation(target))]


def of_others(target: Device) -> list[Device]:
    """The devices of other generations than the target's."""
    return [one for one in others(target) if generation(one) != generation(target)]


def others(target: Device) -> list[Device]:
    """The catalogue without the target, which may be a file that changes one of its devices."""
    return [one for one in catalogue() if one.title != target.title]


def tried(
    program: Program,
    asked: Fit,
    places: list[Device],
    choice: dict[str, str],
    fine: int,
    sharp: tuple[str, ...] | None = None,
) -> Iterator[tuple[tuple[Formulas, ...], Trials]]:
    """Formulas and trials of a program on devices: those that run it as the first one does
    together, then those that run it as the first of the others does, and so on."""
    room = asked.room
    left, known = list(places), dict[Any, Formulas]()
    while left:
        there = run_on(program, left[0])
        fits = {one.title: question(there, one, room.context, room.expandable) for one in left}
        trial = Trial(fits, fine, sharp, corners=fine > COARSE).laid()
        same = alike(trial, program, left)
        trial.edged([one.title for one in same])
        same = alike(trial, program, same)
        whole = {**choice, KERNELS: " ".join(dict.fromkeys(map(kernels_of, same)))}
        found = trial.trials(whole, [one.title for one in same])
        yield tuple(told_of(program, same, choice, known)), found
        left = [one for one in left if one not in same]


def told_of(
    program: Program, places: list[Device], choice: dict[str, str], known: dict[Any, Formulas]
) -> Iterator[Formulas]:
    """The peak on every device and who stands on it, those with the same formulas together."""
    found: dict[str, tuple[Formulas, ...]] = {}
    for one in places:
        if kernels_of(one) not in found:
            found[kernels_of(one)] = tuple(peaks(run_on(program, one), known))
    while found:
        first = next(iter(found.values()))
        served = [kernels for kernels, one in found.items() if one == first]
        for formulas in first:
            yield replace(formulas, choice={**choice, KERNELS: " ".join(served)})
        found = {kernels: one for kernels, one in found.items() if kernels not in served}


def alike(trial: Trial, program: Program, places: list[Device]) -> list[Device]:
    """Those of some devices whose kernels choose at every point of a trial as its own do."""
    known = {one.architecture: one for one in places}
    found = {own for own, one in known.items() if trial.alike(run_on(program, one))}
    return [one for one in places if one.architecture in found]


def kernels_of(target: Device) -> str:
    """Whose kernels a device runs."""
    return f"cuda:{target.architecture}"


def work_of(asked: Fit, target: Device, trials: tuple[Trials, ...], price: float | None) -> Work:
    """What a page works out of the trials, and the devices it can be asked of."""
    known = {own for one in trials for own in one.choice[KERNELS].split()}
    precisions = list(dict.fromkeys((asked.program.setting.precision, *VARIED["precision"])))
    room = asked.room
    entries = {
        one.title: {
            "total": one.usable, "context": room.context,
            "usable": (one.usable or 0) - room.context, KERNELS: kernels_of(one),
            "precisions": precisions, "price": price_of(one),
        }
        for one in (target, *others(target))
        if kernels_of(one) in known
    }  # fmt: skip
    return Work(
        call=(), bounds=(), views="", figures=FIGURES, groups=GROUPS, devices=entries,
        device=target.title, texts=SAYINGS, given={"price": ("price of an hour", price)},
    )  # fmt: skip
