"""The whole corridor in one call: a network in, one page out."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from botec.analyses.figures import Answers, figures
from botec.analyses.formulas import formulas
from botec.analyses.tables import sections
from botec.inputs import Input
from botec.program import Program, Setting
from botec.read import again, read
from botec.report import Report

ALWAYS = ("train", "optimizer", "precision", "device", "checkpoint", "loss")


def estimate(model: Any, *inputs: Input, **options: Any) -> Report:
    """Everything botec says of a network before it is run, in one report.

    ``model`` is what :func:`botec.read` takes, or a :class:`botec.Program` read before;
    ``options`` are those of :func:`botec.read`. Raises :class:`botec.errors.BotecError`.
    """
    if isinstance(model, Program):
        return report(again(model, options))
    return report(read(model, *inputs, **options))


def report(program: Program) -> Report:
    """The page of a program at its asked point."""
    from botec import __version__

    answers = Answers(program)
    found = figures(answers)
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting={**described(program), "dimensions": dict(program.asked)},
        figures=found,
        sections=sections(answers, found),
        notes=notes(program),
        version=__version__,
        formulas=formulas(program),
    )


def described(program: Program) -> dict[str, Any]:
    """The setting in plain words for the report; further choices only where one was made."""
    usual = asdict(Setting())
    return {
        name: value
        for name, value in asdict(program.setting).items()
        if name in ALWAYS or (name != "inputs" and value != usual[name])
    }


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
