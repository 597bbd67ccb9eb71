"""``botec sweep MODEL B=1:4096 …``: the formulas at every point of a grid."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import MODEL_OPTIONS, command, question_from
from botec.errors import BadInput

ORDER = 40


@command(
    *MODEL_OPTIONS,
    click.option(
        "--points",
        "most",
        default=50,
        show_default=True,
        type=click.IntRange(1, 10**7),
        metavar="N",
        help="Sizes of each range, evenly spaced in logarithms.",
    ),
    click.option(
        "--where",
        default="",
        metavar="CONDITION",
        help='Keep these points: "memory.peak < 24GiB and B*S >= 4096".',
    ),
    click.option(
        "--best",
        default="",
        metavar="EXPRESSION",
        help='Show those where it is least: "flops.step / (B*S)", "-B*S".',
    ),
    click.option(
        "--figure",
        "figures",
        multiple=True,
        metavar="KEY",
        help="A figure to show beside the usual ones. Repeatable.",
    ),
    points=True,
)
def sweep(
    model: str,
    dimensions: tuple[str, ...],
    most: int,
    where: str,
    best: str,
    figures: tuple[str, ...],
    points: str | None,
    **given: Any,
) -> Answer:
    """The formulas at every point of a grid, filtered and ordered.

    \b
    botec sweep transformers:llama B=1:64:x2 S=128:131072
    botec sweep mlp:784-512-10 B=1:4096 --where "memory.peak < 64MiB" --best=-B
    botec sweep mlp:784-512-10 B=1:4096 -o points.csv

    DIM=START:STOP is a range: --points sizes, evenly spaced in logarithms. START:STOP:STEP goes in
    steps, START:STOP:xFACTOR in factors, DIM=SIZE stays. -o FILE.csv (or .parquet, with pyarrow)
    takes all points that are kept; expressions know the figures of botec grow --json by their keys,
    the dimensions, numbers with units (24GiB, 1.5T), + - * /, < <= > >= == !=, and, or, not.
    """
    from botec import __version__
    from botec.analyses.grid import Grid, parse_sizes
    from botec.analyses.sweep import sections
    from botec.analyses.sweep import sweep as asked_of
    from botec.estimate import described, notes
    from botec.read import read
    from botec.report import Report
    from botec.write.points import PointsFile

    grid = Grid(axes_of([parse_sizes(text, most) for text in dimensions]))
    asked = question_from(model, [f"{n}={size}" for n, size in grid.last.items()], **given)
    with PointsFile(points) if points else nullcontext() as file:
        program = read(asked.model, *asked.inputs, **asked.options)
        question = asked_of(program, grid, where, best, figures)
        found = question.run(*[file.take] if file else [])
    ranges = {name: span_text(sizes) for name, sizes in grid.axes.items()}
    page = Report(
        model={"name": program.name, "inputs": list(program.setting.inputs)},
        setting={**described(program), "dimensions": {**program.asked, **ranges}},
        figures={},
        sections=sections(question, found),
        notes=notes(program),
        version=__version__,
    )
    empty = f"none of {found.points:,} points meets {where}" if where else "no point has a formula"
    return Answer(page, () if found.kept else (empty,))


def axes_of(ranges: list[tuple[str, tuple[int, ...]]]) -> dict[str, tuple[int, ...]]:
    """The ranges by dimension. Raises :class:`BadInput` where one is given twice, or none."""
    axes: dict[str, tuple[int, ...]] = {}
    for name, sizes in ranges:
        if name in axes:
            raise BadInput(f"{name} is given twice", "give each dimension once", f"{name}=…")
        axes[name] = sizes
    if not axes:
        raise BadInput("no dimension to sweep", "write B=1:4096")
    return axes


def span_text(sizes: tuple[int, ...]) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}:{sizes[-1]}"
