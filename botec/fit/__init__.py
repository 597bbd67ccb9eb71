"""``botec fit``: the corridor with one question, on one device or on every one of the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from botec.analyses.figures import Answers
from botec.analyses.fit import CONTEXT, Fit, Room, weights_exceed
from botec.analyses.remedies import parts_of, remedies
from botec.analyses.verdict import HOUR, Tried, fit_figures, fit_sections
from botec.devices import Device, device, devices
from botec.duration import price_words
from botec.errors import BadInput, BotecError, OutsideRegime
from botec.estimate import described, notes, with_lives
from botec.inputs import Input
from botec.program import Program
from botec.read import read
from botec.report import Column, Counted, Figure, Report, Section, Table, Text

# Capabilities from which on kernels choose otherwise, or their library takes another workspace.
GENERATIONS = (75, 80, 90, 100)
ELSEWHERE = "fit.elsewhere"  # a table that a page works out anew


def fit(
    model: Any,
    *inputs: Input,
    context: int = CONTEXT,
    expandable: bool = False,
    price: float | None = None,
    **options: Any,
) -> Report:
    """Whether a step fits on ``device``, what fills it, and the largest that fits.

    ``context`` is the driver's own memory in bytes; ``expandable`` lets the allocator's segments
    grow (``PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True``). ``price`` is the device's in
    dollars an hour, in the place of the catalogue's. Raises :class:`BotecError`.
    """
    target = target_of(options)
    asked = question(read(model, *inputs, **options), target, context, expandable)
    found = answered(asked, target, model, inputs, options)
    figures = {**found.figures, **priced(target, price)}
    return replace(found, figures=figures)


def priced(target: Device, given: float | None) -> dict[str, Figure]:
    """The price of an hour, where one is given or known."""
    known = price_of(target) if given is None else given
    if known is None:
        return {}
    counted = Counted(known, None, "estimate", {}, price_words(known, given, target))
    return {HOUR: Figure(HOUR, "price of an hour", "$", counted)}


def price_of(target: Device) -> float | None:
    """Dollars an hour of a device, where the catalogue has a price."""
    return target.number("price.USD-per-hour")


def target_of(options: Mapping[str, Any]) -> Device:
    """The device a question names. Raises :class:`BadInput` where it names none."""
    name = options.get("device", "cpu")
    if name == "cpu":
        raise BadInput(
            "fit asks about a device's memory", "name one with --device, such as rtx4090", "cpu"
        )
    return device(name)


def answered(asked: Fit, target: Device, model: Any, inputs: Any, options: Any) -> Report:
    """The report of one device, with what would help where it does not fit."""
    largest = {dimension: asked.largest(dimension) for dimension in asked.program.asked}
    changes = () if asked.fits else tried(model, inputs, options, asked, target)
    helpful = [one for one in changes if one.fit.device < asked.device]
    helpful.sort(key=lambda one: (not one.fit.fits, one.multiplications, one.fit.device))
    return page(asked, largest, helpful, target)


def question(program: Program, target: Device, context: int, expandable: bool = False) -> Fit:
    """A program on a device. Raises :class:`BadInput` where its memory is not known."""
    if target.usable is None:
        seen = f"the memory of {target.title} is not known"
        raise BadInput(seen, "name another device", f"--device {target.name}")
    return Fit(program, Room(target.usable, context, expandable), program.asked)


def tried(model: Any, inputs: Any, options: Any, asked: Fit, target: Device) -> Iterator[Tried]:
    """Each change alone, traced again; those a model or an optimizer refuses are left out.

    A smaller batch per step is no change of the setting, so the micro-batches come first.
    """
    room = asked.room
    parted = micro_batched(model, inputs, options, asked)
    if parted is not None:
        yield parted
    for one in remedies(asked.program):
        try:
            program = read(model, *inputs, **{**options, **asked.program.asked, **one.options})
        except BotecError:
            continue
        there = question(program, target, room.context, room.expandable)
        yield Tried(one.name, there, work(program))


def micro_batched(model: Any, inputs: Any, options: Any, asked: Fit) -> Tried | None:
    """The same batch in as few equal micro-batches as fit, in the most there are where none do."""
    first = next(iter(asked.program.asked), "")
    setting, batch = asked.program.setting, asked.program.asked.get(first, 1)
    parts = list(parts_of(batch))
    if not setting.train or setting.accumulate > 1 or not parts:
        return None
    smaller = {**asked.program.asked, first: batch // parts[0]}
    try:
        program = read(model, *inputs, **{**options, "accumulate": parts[0], **smaller})
    except BotecError:
        return None
    found = None
    for many in parts:
        point = {**smaller, first: batch // many}
        try:
            found = many, Fit(in_parts(program, many, point), asked.room, point)
            if found[1].fits:
                break
        except OutsideRegime:
            break
    if found is None:
        return None
    name = f"the same {first} in {found[0]} micro-batches"
    return Tried(name, found[1], work(found[1].program))


def in_parts(program: Program, many: int, point: Any) -> Program:
    """A program of two micro-batches as one of ``many``: the later one stands for the others."""
    streams = tuple(replace(stream, repeated=many - 1) for stream in program.streams)
    setting = replace(program.setting, accumulate=many)
    return replace(program, asked=point, streams=streams, setting=setting)


def work(program: Program) -> int:
    """Multiplications of a step at the asked point."""
    answers = Answers(program)
    found = answers.here.total("multiplications", answers.phases).at(**program.asked)
    return int(found)


def page(asked: Fit, largest: Any, tried: Any, target: Device) -> Report:
    """The report of one device."""
    from botec import __version__

    program = asked.program
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting=described(program),
        figures=fit_figures(asked, largest),
        sections=(*fit_sections(asked, largest, tried, target.title), elsewhere(asked, target)),
        notes=(
            *assumptions(asked.room.context, asked.room.expandable),
            *notes(program),
        ),
        version=__version__,
        more=partial(with_lives, Answers(program)),
    )


def assumptions(context: int, expandable: bool) -> tuple[str, ...]:
    """What no trace can tell, and is taken or left out."""
    grow = "The allocator's segments grow (PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True)."
    return (
        f"The driver's context is taken as {context:,} bytes; 300 to 600 MB are seen, by driver "
        "and GPU, and --context replaces it.",
        *([grow] if expandable else []),
        "cuDNN's workspaces are not in it: a convolutional network can take hundreds of "
        "megabytes more, above all with benchmark mode.",
    )


def run_on(program: Program, target: Device) -> Program:
    """A program of the target's generation with the target's own kernels: how many processors it
    has decides what they take."""
    return run_by(program, target.architecture or 0)


@lru_cache(maxsize=64)
def run_by(program: Program, capability: int) -> Program:
    """A program with the kernels of a capability of its generation."""
    if all(one.kernels is None or one.kernels.capability == capability for one in program.streams):
        return program
    streams = tuple(
        replace(one, kernels=replace(one.kernels, capability=capability)) if one.kernels else one
        for one in program.streams
    )
    return replace(program, streams=streams)


def elsewhere(asked: Fit, target: Device) -> Section:
    """The devices whose kernels make the same choices as the target's, with the same trace."""
    same = [one for one in catalogue() if generation(one) == generation(target)]
    room = asked.room
    fits = [
        (one, question(run_on(asked.program, one), one, room.context, room.expandable))
        for one in same
    ]
    rows = tuple(
        (one.title, one.usable, there.device, "yes" if there.fits else "no", price_of(one))
        for one, there in fits
    )
    columns = (
        Column("device"), Column("memory", "B"), Column("used", "B"), Column("fits"),
        Column("an hour", "$", spare=True),
    )  # fmt: skip
    text = "Devices of the same generation of kernels; without --device, fit asks all."
    about = Text(text, always=True)
    return Section("Where else it fits", (about, Table("", columns, rows, key=ELSEWHERE)))


def catalogue() -> list[Device]:
    """CUDA devices whose memory is known, the smallest first."""
    known = [one for one in devices() if one.capability is not None and one.usable is not None]
    return sorted(known, key=lambda one: (one.usable or 0, one.title))


def generation(target: Device) -> int:
    """The first capability with whose kernels a step on the device is the same, traced once."""
    own = target.architecture or 0
    return max((one for one in GENERATIONS if one <= own), default=0)


def everywhere(
    model: Any, *inputs: Input, context: int = CONTEXT, expandable: bool = False, **options: Any
) -> Report:
    """The same question for every CUDA device of the catalogue, one trace for each generation.

    From the largest device down: what holds not even the weights needs no trace of its own.
    """
    options.pop("device", None)
    programs: dict[int, Program] = {}
    said: dict[tuple[Any, Room], tuple[Any, ...]] = {}
    rows = []
    for target in reversed(catalogue()):
        room = Room(target.usable or 0, context, expandable)
        own = generation(target)
        if own not in programs and programs:
            first = next(iter(programs.values()))
            if weights_exceed(first, room):
                rows.append((target.title, target.usable, None, "no", 0, "weights alone"))
                continue
        if own not in programs:
            programs[own] = read(model, *inputs, device=target.name, **options)
        key = target.capability, room
        if key not in said:
            program = run_on(programs[own], target)
            said[key] = answer(Fit(program, room, program.asked))
        rows.append((target.title, target.usable, *said[key]))
    program = next(iter(programs.values()))
    columns = (
        Column("device"), Column("memory", "B"), Column("used", "B", apart=True), Column("fits"),
        Column(f"largest {next(iter(program.asked), '')}".strip(), "1"), Column("why not"),
    )  # fmt: skip
    table = Table("Every CUDA device of the catalogue", columns, tuple(reversed(rows)))
    return catalogue_page(program, table, assumptions(context, expandable))


def answer(asked: Fit) -> tuple[Any, ...]:
    """What one device says: bytes used, whether it fits, the largest that does, why it does not."""
    first = next(iter(asked.program.asked), "")
    most = asked.largest(first) if first else None
    why = "" if asked.fits else "weights alone" if asked.weights_alone else "the step"
    fits = "yes" if asked.fits else "no"
    # No allocator need be asked what it would hold of a step whose weights alone are too large.
    peak = asked.memory.fullest.bytes + asked.room.context if asked.weights_alone else asked.device
    return (peak, fits, most, why)


def catalogue_page(program: Program, table: Table, assumed: tuple[str, ...]) -> Report:
    """The report of all devices: how many it fits on, and the table."""
    from botec import __version__

    many = sum(row[3] == "yes" for row in table.rows)
    text = f"It fits on {many} of {len(table.rows)} CUDA devices of the catalogue."
    return Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting={**described(program), "device": "every CUDA device"},
        figures={},
        sections=(Section("Where it fits", (Text(text, "" if many else "no"), table)),),
        notes=(*assumed, *notes(program)),
        version=__version__,
    )
