"""``botec time -o page.html``: the page with what its controls need to work times out anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from botec.analyses.count import Counts
from botec.analyses.duration.controls import calls, constants, precisions_of, rules_of, work
from botec.analyses.duration.pages import Timed
from botec.analyses.duration.speeds import Speeds, speeds_of
from botec.analyses.duration.times import Durations
from botec.analyses.figures import Answers
from botec.analyses.formulas import placed
from botec.devices import Device, devices
from botec.duration import HERE, ITEM, Answer, Asked, answer
from botec.errors import BotecError
from botec.estimate import MOST_EVENTS, VARIED, choices
from botec.fit import GENERATIONS, generation
from botec.inputs import Input
from botec.ops.facts import kind_of
from botec.program import Program
from botec.read import read
from botec.report import KERNELS, Formulas, Report

DECIDED = ("attention", "recurrent")  # families whose calls differ by the device's generation


def for_page(
    model: Any, *inputs: Input, asked: Asked, told: Callable[[str], None], **options: Any
) -> Report:
    """The report with its calls as formulas, in other precisions and on other devices too.

    ``told`` is given a line before each further reading. Raises :class:`BotecError`.
    """
    found = answer(model, inputs, asked, options)
    page, program, speeds = found.page(), found.timed.program, found.timed.speeds
    if speeds.exact or max(len(stream.kinds) for stream in program.streams) > MOST_EVENTS:
        return page  # ops that were timed at one size say nothing of another
    own = kernels(found.sheet)
    known = list(formulas(found, program, {KERNELS: own}))
    alike = not any(kind_of(call) in DECIDED for one in program.streams for call in one.calls)
    for choice in others(program, own, alike):
        told(", ".join(choice.values()))
        known += other(model, inputs, options, choice, found)
    if alike and own != HERE:
        known += [
            replace(one, choice={**one.choice, KERNELS: f"cuda:{each}"})
            for one in known for each in GENERATIONS if f"cuda:{each}" != own
        ]  # fmt: skip
    return replace(page, formulas=tuple(known), work=work_of(found, known))


def kernels(sheet: Device | None) -> str:
    """Whose kernels a device runs: those of its generation, traced once."""
    if sheet is None or sheet.kind == "CPU":
        return HERE
    return "cuda" if sheet.capability is None else f"cuda:{generation(sheet)}"


def others(program: Program, own: str, alike: bool) -> Iterator[dict[str, str]]:
    """Other precisions and optimizers with the own kernels, every precision with others'; where
    all devices' kernels are ``alike``, the own ones stand for them.
    """
    setting = program.setting
    for choice in choices(setting):
        yield {**choice, KERNELS: own}
    if own == HERE or alike:
        return
    optimizer = {"optimizer": str(setting.optimizer)} if setting.optimizer else {}
    for one in GENERATIONS:
        for precision in dict.fromkeys((setting.precision, *VARIED["precision"])):
            if f"cuda:{one}" != own:
                yield {"precision": precision, **optimizer, KERNELS: f"cuda:{one}"}


def other(
    model: Any, inputs: Any, options: dict[str, Any], choice: dict[str, str], found: Answer
) -> tuple[Formulas, ...]:
    """The formulas of a choice; none where the model or the optimizer refuses it."""
    asked = {name: value for name, value in choice.items() if name != KERNELS}
    try:
        program = read(model, *inputs, **{**options, **asked, "device": choice[KERNELS]})
    except BotecError:
        return ()
    return tuple(formulas(found, program, choice))


def formulas(answer: Answer, program: Program, choice: dict[str, str]) -> Iterator[Formulas]:
    """The calls of every stream, what rules give beside their times, and the bytes of a number that
    devices send each other."""
    speeds = answer.timed.speeds
    for stream in program.streams:
        done = Counts(program, stream).total("multiplications", Answers(program).phases)
        values = {"item": str(ITEM[program.setting.precision]), "products": f"2 * ({done.value})"}
        found = placed(stream.regime, values)
        rows = calls(Durations(program, stream, speeds))
        rules = rules_of(Timed(program, speeds), stream, answer.run)
        yield replace(found, choice=choice, calls=rows, rules=rules)


def work_of(found: Answer, known: list[Formulas]) -> Any:
    """The sums over calls, with the constants of every device they can be asked of."""
    timed, sheet, asked = found.timed, found.sheet, found.asked
    pairs = sorted({(row[0], row[1]) for one in known for row in one.calls})
    read_for = {one.choice[KERNELS] for one in known}
    precisions = sorted({one.choice.get("precision", "") for one in known} - {""})
    precisions = list(dict.fromkeys((timed.program.setting.precision, *precisions)))
    places: list[tuple[Device | None, Speeds]] = [(sheet, timed.speeds)]
    places += [(one, speeds_of(one, timed.program.setting.train)) for one in offered(read_for)]
    entries: dict[str, dict[str, Any]] = {}
    for one, speeds in places:
        entry = constants(timed, speeds, one, pairs)
        named = precisions_of(one, precisions) if one else precisions
        entries.setdefault(speeds.title, {**entry, KERNELS: kernels(one), "precisions": named})
    given: dict[str, tuple[str, float | None]] = {}
    if found.run is not None:
        amount = found.run.amount * found.run.epochs
        given = {
            "amount": (f"{found.run.unit} of the run", amount),
            "gpus": ("devices", asked.gpus),
            "price": ("price of an hour", found.price),
            "pue": ("PUE", asked.pue),
        }
    return work(timed, entries, found.run, given)


def offered(read_for: set[str]) -> Iterator[Device]:
    """Devices of the catalogue whose kernels were read and whose speeds are known."""
    for one in devices():
        if kernels(one) in read_for - {HERE}:
            try:
                speeds_of(one)
            except BotecError:
                continue
            yield one
