"""``botec time``: the corridor with one question, how long, on one device or on many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from botec.analyses.count import parameter_count
from botec.analyses.duration.pages import (
    Timed,
    Whole,
    run_figures,
    run_section,
    setting_of,
    time_figures,
    time_sections,
)  # fmt: skip
from botec.analyses.duration.run import (
    PUE,
    Exchange,
    Run,
    costs,
    exchange,
    link_of,
    parsed,
    price_from,
)  # fmt: skip
from botec.analyses.duration.speeds import check_precision, fitted, speeds_of
from botec.analyses.figures import tokens_of
from botec.devices import Device, device
from botec.errors import BadInput, UnknownName
from botec.estimate import described, notes
from botec.inputs import Input
from botec.read import read
from botec.report import Report

HERE = "cpu"
ITEM = {"fp32": 4, "bf16": 2, "fp16": 2, "amp-bf16": 2, "amp-fp16": 2}


@dataclass(frozen=True)
class Asked:
    """What is asked of time beside the model: where, how much of it, for how much an hour."""

    device: str = HERE
    run: str = ""
    gpus: int = 1
    price: str = ""
    pue: float = PUE
    exact: bool = False


def duration(model: Any, *inputs: Input, asked: Asked | None = None, **options: Any) -> Report:
    """How long a step takes on a device, what bounds it, and what a whole run costs.

    ``options`` are those of :func:`botec.read`; the device is the one of ``asked``, a name of the
    catalogue or a file of the user's. Raises :class:`BotecError`.
    """
    asked = asked or Asked(options.pop("device", HERE))
    options.pop("device", None)
    return answer(model, inputs, asked, options).page()


@dataclass(frozen=True)
class Answer:
    """A question with what its page is made of; the data sheet is ``None`` on this machine."""

    asked: Asked
    timed: Timed
    sheet: Device | None
    run: Run | None
    price: float | None

    def page(self) -> Report:
        """The report."""
        return page(self.timed, self.sheet, self.asked, self.run, self.price)


def answer(model: Any, inputs: tuple[Input, ...], asked: Asked, options: dict[str, Any]) -> Answer:
    """The question checked, the network read. Raises :class:`BotecError`."""
    run = parsed(asked.run) if asked.run else None
    price = price_from(asked.price) if asked.price else None
    check(asked, run)
    if asked.device == HERE:
        return Answer(asked, on_this_machine(model, inputs, asked, options), None, run, price)
    return Answer(asked, *on_a_device(model, inputs, asked, options), run, price)


def check(asked: Asked, run: Run | None) -> None:
    """Raises :class:`BadInput` for what only a run can answer, without one."""
    if run is None:
        for name, given in (("--price", asked.price), ("--gpus", asked.gpus > 1)):
            if given:
                do = 'add one, such as --run "300B tokens"'
                raise BadInput(f"{name} is about a run, and there is none", do, name)
    if asked.gpus < 1:
        raise BadInput(f"{asked.gpus} devices", "give one or more", f"--gpus {asked.gpus}")
    if asked.pue < 1:
        raise BadInput(f"a PUE of {asked.pue}", "it is 1 or more", f"--pue {asked.pue}")


def on_this_machine(
    model: Any, inputs: tuple[Input, ...], asked: Asked, options: dict[str, Any]
) -> Timed:
    """On this machine: by its calibration, by every op timed, or by a stated default."""
    from botec.duration.here import assumed, exact, known

    program = read(model, *inputs, **options)
    found = known(program.setting.train) or assumed()
    return Timed(program, exact(program, found) if asked.exact else found)


def on_a_device(
    model: Any, inputs: tuple[Input, ...], asked: Asked, options: dict[str, Any]
) -> tuple[Timed, Device]:
    """On a device of the catalogue, or of a file."""
    if asked.exact:
        do = "leave --device out: it times this machine"
        raise BadInput("--exact runs every op", do, f"--device {asked.device}")
    sheet = sheet_of(asked.device)
    check_precision(sheet, options.get("precision", "fp32"))
    program = read(model, *inputs, device=kernels_of(sheet), **options)
    return Timed(program, speeds_of(sheet, program.setting.train)), sheet


def sheet_of(name: str) -> Device:
    """The data sheet called so: a file's, or the catalogue's."""
    try:
        return device(name)
    except UnknownName as error:
        raise UnknownName(error.seen, error.do, f"--device {name}") from None


def kernels_of(sheet: Device) -> str:
    """Whose decisions to read a network with: the device's generation, else CUDA's usual ones."""
    if sheet.kind == "CPU":
        return HERE
    return "cuda" if sheet.architecture is None else f"cuda:{sheet.architecture}"


def page(
    timed: Timed, sheet: Device | None, asked: Asked, run: Run | None, price: float | None
) -> Report:
    """The report."""
    from botec import __version__

    figures = time_figures(timed)
    found = time_sections(timed, tuple(figures))
    if run is not None:
        whole = whole_run(timed, sheet, asked, run, price)
        figures = {**figures, **run_figures(whole, timed)}
        found = (found[0], run_section(whole, timed), *found[1:])
    program = timed.program
    setting = {**described(program), "device": timed.speeds.title}
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting=setting_of(timed, setting),
        figures=figures,
        sections=found,
        notes=(*timed.speeds.notes, *notes(program)),
        version=__version__,
    )


def whole_run(
    timed: Timed, sheet: Device | None, asked: Asked, run: Run, price: float | None
) -> Whole:
    """Steps, seconds, dollars and joules of a run, with low and high."""
    program = timed.program
    first = next(iter(program.asked.values()), 1)
    tokens = tokens_of(program)
    steps = run.steps(first * asked.gpus, tokens * asked.gpus)
    shared = exchanged(timed, sheet, asked.gpus)
    added = shared.exposed if shared else 0.0
    known = price if price is not None else sheet.number("price.USD-per-hour") if sheet else None
    power = sheet.power if sheet else None

    def cost(factor: float) -> Any:
        seconds = timed.step * factor + added
        return costs(steps, seconds, asked.gpus, known, power, asked.pue)

    why = price_words(known, price, sheet)
    low, high = timed.speeds.low, timed.speeds.high
    return Whole(run, asked.gpus, cost(1.0), cost(low), cost(high), shared, why, asked.pue)


def price_words(known: float | None, given: float | None, sheet: Device | None) -> str:
    """Where the price comes from, or that there is none."""
    if known is None:
        return f"no price is known for {sheet.title if sheet else 'this machine'}: --price 2.5/h"
    if given is not None:
        return f"{given:g} $ an hour each"
    datum = sheet.figures["price.USD-per-hour"] if sheet else None
    return f"{known:g} $ an hour each ({datum.date if datum else ''}); sellers differ twofold"


def exchanged(timed: Timed, sheet: Device | None, devices: int) -> Exchange | None:
    """What fully sharded training over many devices adds to a step."""
    if devices < 2 or sheet is None or not timed.program.setting.train:
        return None
    bandwidth = link_of(sheet, devices)
    if bandwidth is None:
        return None
    parameters = parameter_count(timed.program.parameters)
    item = ITEM[timed.program.setting.precision]
    share = fitted()["exchange"]["share"]
    return exchange(parameters, item, devices, timed.step, bandwidth, share)
