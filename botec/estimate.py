"""The whole corridor in one call: a network in, one page out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from typing import Any

from botec.analyses.figures import Answers, figures
from botec.analyses.formulas import formulas
from botec.analyses.standing import PEAK
from botec.analyses.storages import lifetimes
from botec.analyses.tables import sections
from botec.devices import devices
from botec.errors import BotecError
from botec.inputs import Input
from botec.program import Program, Setting
from botec.read import again, read
from botec.report import Formulas, Report

ALWAYS = ("train", "optimizer", "precision", "device", "checkpoint", "loss")
VARIED = {"precision": ("fp32", "amp-bf16", "bf16"), "optimizer": ("sgd", "adamw")}
MOST_EVENTS = 50_000  # of a step that is read again for other choices
MOST_LETTERS = 300_000  # of the formulas of all other choices, so that a page stays small


def estimate(model: Any, *inputs: Input, **options: Any) -> Report:
    """Everything botec says of a network before it is run, in one report.

    ``model`` is what :func:`botec.read` takes, or a :class:`botec.Program` read before;
    ``options`` are those of :func:`botec.read`. Raises :class:`botec.errors.BotecError`.
    """
    if isinstance(model, Program):
        return report(again(model, options))
    return report(read(model, *inputs, **options))


def for_page(model: Any, *inputs: Input, told: Callable[[str], None], **options: Any) -> Report:
    """The report with what a page's controls need: formulas of other choices, and devices.

    ``told`` is given a line before each further reading. Raises :class:`BotecError`.
    """
    program = read(model, *inputs, **options)
    others: list[Formulas] = []
    if max(len(stream.kinds) for stream in program.streams) <= MOST_EVENTS:
        for choice in choices(program.setting):
            told(", ".join(choice.values()))
            others += other(choice, model, inputs, {**options, **choice})
            if sum(len(text) for one in others for text in one.values.values()) > MOST_LETTERS:
                break
    page = report(program).whole()
    known = {one.title: one.usable for one in devices() if one.usable is not None}
    return replace(page, formulas=(*page.formulas, *others), devices=known)


def choices(setting: Setting) -> Iterator[dict[str, str]]:
    """Every other precision and, of a step that has one, optimizer."""
    for precision in dict.fromkeys((setting.precision, *VARIED["precision"])):
        optimizers = (setting.optimizer, *VARIED["optimizer"]) if setting.optimizer else ("",)
        for optimizer in dict.fromkeys(optimizers):
            if (precision, optimizer) != (setting.precision, setting.optimizer or ""):
                named = {"optimizer": optimizer} if optimizer else {}
                yield {"precision": precision, **named}


def other(choice: dict[str, str], model: Any, inputs: Any, options: Any) -> tuple[Formulas, ...]:
    """The formulas of a choice; none where the model or the optimizer refuses it."""
    try:
        return tuple(
            replace(one, choice=choice) for one in formulas(read(model, *inputs, **options))
        )
    except BotecError:
        return ()


def report(program: Program) -> Report:
    """The page of a program at its asked point."""
    from botec import __version__

    answers = Answers(program)
    found = figures(answers)
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting=described(program),
        figures=found,
        sections=sections(answers, found),
        notes=notes(program),
        version=__version__,
        more=partial(with_lives, answers),
    )


def with_lives(answers: Answers, page: Report) -> Report:
    """The page with what a terminal does not show: formulas for all sizes, every storage's life."""
    lives = lifetimes(answers.memory)
    sections = (
        replace(one, parts=(*one.parts, lives)) if one.title == PEAK else one
        for one in page.sections
    )
    known = page.formulas or formulas(answers.program)
    return replace(page, sections=tuple(sections), formulas=known)


def described(program: Program) -> dict[str, Any]:
    """The setting in plain words for the report, with the asked sizes; further choices only where
    one was made."""
    usual = asdict(Setting())
    found = {
        name: value
        for name, value in asdict(program.setting).items()
        if name in ALWAYS or (name != "inputs" and value != usual[name])
    }
    return {**found, "dimensions": dict(program.asked)}


def notes(program: Program) -> tuple[str, ...]:
    """What the reader must know: regimes, reasons, answers given, and the source's own notes."""
    found = [f"Formulas hold for {stream.regime}" + proof(stream) for stream in program.streams]
    if program.why:
        found.append(f"{program.why}.")
    for answer in program.assumed:
        found.append(f"The model asked for a value that follows from shapes: {answer}.")
    return (*found, *program.notes)


def proof(stream: Any) -> str:
    proved = "; ".join(
        ", ".join(f"{name}={size}" for name, size in point.items())
        for point in stream.regime.proved
    )
    return f" (proved at {proved})." if proved else " (the traced point)."
