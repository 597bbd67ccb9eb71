"""``botec fit -o page.html``: the page with what its controls need to say anew whether it fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from botec.analyses.fit import CONTEXT, Fit
from botec.analyses.formulas import formulas
from botec.analyses.trials import Trial
from botec.analyses.verdict import LARGEST, SAYINGS
from botec.devices import Device
from botec.errors import BotecError
from botec.estimate import MOST_EVENTS, VARIED, choices
from botec.fit import (
    ELSEWHERE,
    GENERATIONS,
    answered,
    catalogue,
    generation,
    question,
    run_on,
    target_of,
)  # fmt: skip
from botec.inputs import Input
from botec.program import Program
from botec.read import read
from botec.report import KERNELS, Formulas, Group, Report, Trials, Work

FINE, COARSE = 4, 1  # sizes tried in an octave
FEW_EVENTS = 8_000  # of a step that is simulated at many sizes
FIGURES = (("memory.device", "memory.reserved + context"), ("fit.room", "total - memory.device"))
SHOWN = ("memory.peak",)
NOTES = (
    "What the allocator holds has no formula: it was simulated at many sizes. Between two of them "
    "this page says from what to what, taking it that more of a size never needs less.",
    "Other precisions and optimizers are answered here for devices of the same architecture, other "
    "generations of devices for the precision and the optimizer that were asked.",
)
GROUPS = {
    ELSEWHERE: Group("device", ("total", "memory.device", "fits")),
    LARGEST: Group("dimension", ("largest", "memory.device", "fit.room")),
}


def for_page(
    model: Any, *inputs: Input, told: Callable[[str], None], context: int = CONTEXT,
    expandable: bool = False, **options: Any,
) -> Report:  # fmt: skip
    """The report with the sizes it was tried at, on other devices and by other choices too.

    ``told`` is given a line before each further reading. Raises :class:`BotecError`.
    """
    target = target_of(options)
    asked = question(read(model, *inputs, **options), target, context, expandable)
    report = answered(asked, target, model, inputs, options)
    known = list(readings(model, inputs, options, asked, target, told))
    found = [formula for one in known for formula in one[0]]
    whole = replace(report, formulas=tuple(found)).whole()
    trials = tuple(one[1] for one in known)
    return replace(
        whole, trials=trials, work=work_of(asked, target, trials), notes=(*whole.notes, *NOTES)
    )


def readings(
    model: Any, inputs: Any, options: Any, asked: Fit, target: Device, told: Callable[[str], None]
) -> Iterator[tuple[tuple[Formulas, ...], Trials]]:
    """The own choice on every device of its kernels, other precisions and optimizers on those that
    run as the target does, and other generations of kernels with the own choice."""
    program = asked.program
    events = max(len(stream.kinds) for stream in program.streams)
    fine = FINE if events <= FEW_EVENTS else COARSE
    told("the sizes around")
    yield from tried(program, asked, same_kernels(target), {}, fine)
    if events > MOST_EVENTS:
        return
    for choice in choices(program.setting):
        told(", ".join(choice.values()))
        other = again(model, inputs, {**options, **choice})
        if other is not None:
            yield from tried(other, asked, alike(target), choice, min(fine, 2), (target.title,))
    for own in (one for one in GENERATIONS if one != generation(target)):
        places = [one for one in others(target) if generation(one) == own]
        told(f"kernels of {places[0].title} and its like")
        other = again(model, inputs, {**options, "device": places[0].name})
        if other is not None:
            yield from tried(other, asked, places, {}, COARSE)


def again(model: Any, inputs: Any, options: Any) -> Program | None:
    """Another reading; none where the model or the optimizer refuses it."""
    try:
        return read(model, *inputs, **options)
    except BotecError:
        return None


def same_kernels(target: Device) -> list[Device]:
    """The devices that one reading serves, and the target."""
    found = [one for one in others(target) if generation(one) == generation(target)]
    return sorted([target, *found], key=lambda one: (one.usable or 0, one.title))


def others(target: Device) -> list[Device]:
    """The catalogue without the target, which may be a file that changes one of its devices."""
    return [one for one in catalogue() if one.title != target.title]


def alike(target: Device) -> list[Device]:
    """Those of them that run every kernel as the target does."""
    return [one for one in same_kernels(target) if one.architecture == target.architecture]


def tried(
    program: Program,
    asked: Fit,
    places: list[Device],
    choice: dict[str, str],
    fine: int,
    sharp: tuple[str, ...] | None = None,
) -> Iterator[tuple[tuple[Formulas, ...], Trials]]:
    """Formulas and trials of a program on devices, those that run it alike together."""
    room = asked.room
    for kernels in dict.fromkeys(map(kernels_of, places)):
        own = [one for one in places if kernels_of(one) == kernels]
        there = run_on(program, own[0])
        fits = {one.title: question(there, one, room.context, room.expandable) for one in own}
        whole = {**choice, KERNELS: kernels}
        found = Trial(fits, fine, sharp).run(corners=fine > COARSE).trials(whole)
        yield tuple(peaks(there, whole)), found


def peaks(program: Program, choice: dict[str, str]) -> Iterator[Formulas]:
    """The formulas this page shows: the peak's, and who stands on it."""
    for one in formulas(program, one_by_one=True):
        values = {key: text for key, text in one.values.items() if key in SHOWN}
        yield replace(one, values=values, tables={}, choice=choice)


def kernels_of(target: Device) -> str:
    """Whose kernels a device runs."""
    return f"cuda:{target.architecture}"


def work_of(asked: Fit, target: Device, trials: tuple[Trials, ...]) -> Work:
    """What a page works out of the trials, and the devices it can be asked of."""
    known = {one.choice[KERNELS] for one in trials}
    precisions = list(dict.fromkeys((asked.program.setting.precision, *VARIED["precision"])))
    room = asked.room
    entries = {
        one.title: {
            "total": one.usable, "context": room.context,
            "usable": (one.usable or 0) - room.context, KERNELS: kernels_of(one),
            "precisions": precisions,
        }
        for one in (target, *others(target))
        if kernels_of(one) in known
    }  # fmt: skip
    return Work(
        call=(), bounds=(), views="", figures=FIGURES, groups=GROUPS, devices=entries,
        device=target.title, texts=SAYINGS,
    )  # fmt: skip
