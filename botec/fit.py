"""``botec fit``: the corridor with one question, on one device or on every one of the catalogue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from botec.analyses.fit import Fit, Room
from botec.analyses.verdict import REMEDIES, Tried, fit_figures, fit_sections
from botec.devices import Device, device, devices
from botec.errors import BadInput, BotecError
from botec.estimate import described, notes
from botec.inputs import Input
from botec.program import Program
from botec.read import read
from botec.report import Column, Report, Section, Table

# The driver's context and the libraries' code on a CUDA device: 300 to 600 MB by GPU, driver and
# what is loaded; it cannot be computed, so it is an assumption the user can replace.
CONTEXT = 450 * 2**20


def fit(model: Any, *inputs: Input, context: int = CONTEXT, **options: Any) -> Report:
    """Whether a step fits on ``device``, what fills it, and the largest that fits.

    ``context`` is the driver's own memory in bytes. Raises :class:`BotecError`.
    """
    name = options.get("device", "cpu")
    if name == "cpu":
        raise BadInput(
            "fit asks about a device's memory", "name one with --device, such as rtx4090", "cpu"
        )
    target = device(name)
    asked = question(read(model, *inputs, **options), target, context)
    largest = {dimension: asked.largest(dimension) for dimension in asked.program.asked}
    tried = [] if asked.fits else list(remedies(model, inputs, options, target, context))
    return page(asked, largest, tried, target)


def question(program: Program, target: Device, context: int) -> Fit:
    """A program on a device. Raises :class:`BadInput` where its memory is not known."""
    if target.usable is None:
        seen = f"the memory of {target.title} is not known"
        raise BadInput(seen, "name another device", f"--device {target.name}")
    return Fit(program, Room(target.usable, context), program.asked)


def remedies(model: Any, inputs: Any, options: Any, target: Device, context: int) -> Any:
    """Each change alone, traced again; those a model or an optimizer refuses are left out."""
    from botec.analyses.figures import Answers

    for name, change in REMEDIES.items():
        if not options.get("train", True) and "precision" not in change:
            continue
        if all(options.get(key) == value for key, value in change.items()):
            continue
        try:
            program = read(model, *inputs, **{**options, **change})
        except BotecError:
            continue
        answers = Answers(program)
        flops = answers.here.total("flops", answers.phases).at(**program.asked)
        yield Tried(name, question(program, target, context), flops)


def page(asked: Fit, largest: Any, tried: Any, target: Device) -> Report:
    """The report of one device."""
    from botec import __version__

    program = asked.program
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting={**described(program), "dimensions": dict(program.asked)},
        figures=fit_figures(asked, largest),
        sections=fit_sections(asked, largest, tried, target.title),
        notes=(
            f"The driver's context is taken as {asked.room.context:,} bytes; --context sets it.",
            "cuDNN's workspaces are not in it: a convolutional network can take hundreds of "
            "megabytes more, above all with benchmark mode.",
            *notes(program),
        ),
        version=__version__,
    )


def everywhere(model: Any, *inputs: Input, context: int = CONTEXT, **options: Any) -> Report:
    """The same question for every CUDA device of the catalogue, one trace for each generation."""
    options.pop("device", None)
    programs: dict[Any, Program] = {}
    rows = []
    for target in devices():
        if target.capability is None or target.usable is None:
            continue
        generation = min(target.capability, (9, 0))
        if generation not in programs:
            programs[generation] = read(model, *inputs, device=target.name, **options)
        asked = question(programs[generation], target, context)
        first = next(iter(asked.program.asked), "")
        most = asked.largest(first) if first else None
        rows.append(
            (target.title, target.usable, asked.device, "yes" if asked.fits else "no", most)
        )
    rows.sort(key=lambda row: (row[1], row[0]))
    program = next(iter(programs.values()))
    columns = (
        Column("device"), Column("memory", "B"), Column("used", "B"), Column("fits"),
        Column(f"largest {next(iter(program.asked), '')}".strip(), "1"),
    )  # fmt: skip
    table = Table("Every device of the catalogue", columns, tuple(rows))
    base = page(question(program, device(program.setting.device), context), {}, [], devices()[0])
    return replace(base, figures={}, sections=(Section("Where it fits", (table,)),))
