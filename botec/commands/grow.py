"""``botec grow MODEL``: how a step grows with every dimension, as exact formulas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import MODEL_HELP, MODEL_OPTIONS, Asked, command, question_from
from botec.errors import BadInput, BotecError

if TYPE_CHECKING:
    from botec.analyses.algorithms import Algorithm, Fit
    from botec.analyses.axes import Axis
    from botec.program import Program

ORDER = 30
HELP = f"""How a step grows with every dimension: exact formulas.

    \b
    botec grow transformers:llama S=4096
    botec grow resnet.py:Net --input "x=B,3,H,W" H=224 W=224
    botec grow mlp:KxL --vary K=16,32,64 L=3,4,8
    botec grow fft n=1000000 --verify

    --vary lets fields of the network's build vary: a letter of mlp:KxL, a keyword argument of a
    function in a file, of timm's or torchvision's builder, a field of a transformers configuration.
    Fields in one --vary go together ("hidden_size=512,1024 num_attention_heads=8,16"); each --vary
    (and each FIELD=SIZE,SIZE among the dimensions) is taken with all the others. Formulas are
    fitted at a few structures and proved at others; where there are none, the structures are
    answered in numbers.

    Beside networks it knows pairs of algorithms, by the name of either: dft and fft; conv-direct
    and conv-fft; attention and recurrence.
{MODEL_HELP}"""


def explained(ask: Any) -> Any:
    """``ask`` under :data:`HELP`."""
    ask.__doc__ = HELP
    return ask


@command(
    *MODEL_OPTIONS,
    click.option(
        "--vary",
        multiple=True,
        metavar="FIELDS",
        help="Fields of the build and their sizes: hidden_size=512,1024. Repeatable.",
    ),
    click.option("--sympy", "by_sympy", is_flag=True, help="The formulas as sympy prints them."),
    click.option(
        "--verify",
        is_flag=True,
        help="Of an algorithm: the exponents that timed runs on this machine give.",
    ),
)
@explained
def grow(
    model: str,
    dimensions: tuple[str, ...],
    vary: tuple[str, ...],
    by_sympy: bool,
    verify: bool,
    **given: Any,
) -> Answer:
    from botec.analyses.algorithms import pair_of
    from botec.analyses.axes import parse_axes

    lists = [text for text in dimensions if "," in text]
    asked = question_from(model, [text for text in dimensions if text not in lists], **given)
    axes = parse_axes([*vary, *lists])
    pair = pair_of(asked.model)
    if pair and not axes:
        return of_algorithms(pair, asked, verify)
    if verify:
        do = "use botec verify MODEL"
        raise BadInput("runs are timed for algorithms, not for networks", do, "--verify")
    return of_structures(asked, axes, by_sympy) if axes else of_network(asked, by_sympy)


def of_network(asked: Asked, by_sympy: bool) -> Answer:
    """The growth of a network's step."""
    from botec.analyses.growth import growth_formulas, sections
    from botec.analyses.printed import section
    from botec.analyses.quantities import quantities
    from botec.estimate import report
    from botec.read import read

    program = with_ones(read(asked.model, *asked.inputs, **asked.options), asked)
    page, known = report(program), quantities(program)
    figures = {key: figure for key, figure in page.figures.items() if key in known}
    found = sections(program, figures)
    if by_sympy:
        found = (*found, section(known, program.streams[0]))
    told = growth_formulas(program, known)
    return Answer(replace(page, figures=figures, sections=found, formulas=told, more=None))


def with_ones(program: Program, asked: Asked) -> Program:
    """The program with the regimes of one place (S = 1: a token at a time), where it has them.

    Sizes of one behave differently, as copies become views; the model is read again there. Of
    lengths alone: nobody asks for pictures one pixel high.
    """
    from botec.read import read

    for name in lengths(program):
        fixed = {key for stream in program.streams for key in stream.regime.fixed}
        if name in fixed or name not in program.streams[0].regime.least:
            continue
        try:
            other = read(asked.model, *asked.inputs, **{**asked.options, name: 1})
        except BotecError:
            continue
        ones = [one for one in other.streams if one.regime.fixed.get(name) == 1]
        program = replace(program, streams=(*program.streams, *ones))
    return program


def lengths(program: Program) -> list[str]:
    """The free dimensions that stand alone beside the batch in every input that has them."""
    from botec.inputs import parse_input

    batch, late = program.dimensions[:1], program.dimensions[1:]
    inputs = [parse_input(text).names for text in program.setting.inputs]
    edges = {name for names in inputs for name in names if len({*names}.difference(batch)) > 1}
    return [name for name in late if name not in edges]


def of_structures(asked: Asked, axes: Sequence[Axis], by_sympy: bool) -> Answer:
    """The growth of a step in fields of the network's build."""
    from botec.analyses.growth import growth_formulas
    from botec.analyses.printed import section
    from botec.analyses.structure import structure
    from botec.analyses.structures import figures_in_fields, sections
    from botec.estimate import notes, report
    from botec.read.varied import read_with
    from botec.write.progress import tell

    def read(sizes: tuple[int, ...]) -> Program:
        return read_with(asked.model, fields_at(axes, sizes), asked.inputs, asked.options)

    found = structure(axes, read, lambda text: tell(f"grow {asked.model}: reading {text}"))
    page = report(next(iter(found.samples.values())).program)
    figures = figures_in_fields(found, page.figures)
    parts = sections(found, axes, figures)
    if by_sympy and found.known:
        parts = (*parts, section(found.known, found.program.streams[0]))
    return Answer(
        replace(
            page,
            model={**page.model, "name": asked.model},
            setting={**page.setting, "dimensions": dict(found.program.asked)},
            figures=figures,
            sections=parts,
            notes=notes(found.program) if found.known else page.notes,
            formulas=growth_formulas(found.program, found.known) if found.known else (),
            more=None,
        )
    )


def fields_at(axes: Sequence[Axis], sizes: Sequence[int]) -> dict[str, int]:
    """Every field of the build at a structure."""
    fields: dict[str, int] = {}
    for axis, size in zip(axes, sizes, strict=True):
        fields |= axis.fields(size) or {axis.name: size}
    return fields


def of_algorithms(pair: tuple[Algorithm, Algorithm], asked: Asked, verify: bool) -> Answer:
    """Two algorithms for one job, side by side."""
    from botec import __version__
    from botec.analyses.algorithms import point_of, report

    point = point_of(pair, asked.point)
    fits: dict[str, Fit] = {}
    if verify:
        from botec.measure.exponents import measured

        fits = {one.name: measured(one.name) for one in pair}
    return Answer(report(pair, point, fits, __version__))
