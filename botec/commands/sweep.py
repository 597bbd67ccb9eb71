"""``botec sweep MODEL B=1:4096 …``: the formulas at every point of a grid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import MODEL_OPTIONS, Asked, OneOf, command, question_from
from botec.errors import BadInput

if TYPE_CHECKING:
    from botec.analyses.axes import Axis
    from botec.analyses.sweep import Wanted
    from botec.commands.many import Network

ORDER = 40
DIMENSION = re.compile(r"[^\W\d][\w.]*=")
BACKENDS = ("loky", "threading", "multiprocessing", "dask", "ray")


@dataclass(frozen=True)
class Run:
    """How many networks are swept: with which backend, in how many jobs, kept in which file."""

    backend: str
    jobs: int
    resume: str


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
    click.option(
        "--vary",
        multiple=True,
        metavar="FIELDS",
        help="Fields of the build and their sizes, as in botec grow. Repeatable.",
    ),
    click.option(
        "--backend",
        default=None,
        type=OneOf(BACKENDS),
        metavar="NAME",
        help=f"Who works on many networks: joblib's {', '.join(BACKENDS)} (loky: processes).",
    ),
    click.option(
        "--jobs",
        default=0,
        type=click.IntRange(0, 4096),
        metavar="N",
        help="How many networks at a time; by default one for each core.",
    ),
    click.option(
        "--resume",
        default="",
        metavar="FILE",
        help="Of many networks: keep what is done in FILE, and go on from it.",
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
    vary: tuple[str, ...],
    backend: str | None,
    jobs: int,
    resume: str,
    points: str | None,
    **given: Any,
) -> Answer:
    """The formulas at every point of a grid, filtered and ordered.

    \b
    botec sweep transformers:llama B=1:64:x2 S=128:131072
    botec sweep mlp:784-512-10 B=1:4096 --where "memory.peak < 64MiB" --best=-B
    botec sweep timm:resnet18 B=1:512:x2 --device a100 --where "memory.device < 24GiB"
    botec sweep mlp:784-512-10 B=1:4096 -o points.csv
    botec sweep timm:resnet18 timm:resnet50 B=1:512:x2 --best flops.step/B
    botec sweep mlp:KxL B=1:64:x2 --vary K=128,256 --vary L=4,8 --resume done.jsonl

    DIM=START:STOP is a range: --points sizes, evenly spaced in logarithms. START:STOP:STEP goes in
    steps, START:STOP:xFACTOR in factors, DIM=SIZE stays. -o FILE.csv (or .parquet, with pyarrow)
    takes all points that are kept; expressions know the figures of botec grow --json by their keys,
    the dimensions, numbers with units (24GiB, 1.5T), + - * /, < <= > >= == !=, and, or, not. On a
    CUDA device they know memory.reserved and memory.device, on one of the catalogue time.step.

    Several MODELs, or --vary, make a sweep over many networks, worked on at the same time; what
    one of them refuses stands in its row.
    """
    from botec.analyses.axes import parse_axes
    from botec.analyses.grid import Grid, parse_sizes
    from botec.analyses.sweep import Wanted, known_keys

    names = [text for text in dimensions if not DIMENSION.match(text)]
    lists = [text for text in dimensions if DIMENSION.match(text) and "," in text]
    ranges = [text for text in dimensions if text not in names and text not in lists]
    axes = parse_axes([*vary, *lists], least=1)
    grid = Grid(axes_of([parse_sizes(text, most) for text in ranges]))
    asked = question_from(model, [f"{n}={size}" for n, size in grid.last.items()], **given)
    wanted = Wanted(where, best, figures)
    options = asked.options
    known = known_keys(options["train"], options["optimizer"] is not None, options["device"])
    wanted.check((*grid.axes, *(name for axis in axes for name in fields_of(axis))), known)
    if names or axes or backend or resume:
        networks = networks_of([asked.model, *names], axes)
        run = Run(backend or "loky", jobs, resume)
        return of_many(networks, asked, grid, wanted, run, points)
    return of_one(asked, grid, wanted, points)


def fields_of(axis: Axis) -> tuple[str, ...]:
    return (axis.name, *axis.beside)


def of_one(asked: Asked, grid: Any, wanted: Wanted, points: str | None) -> Answer:
    """A sweep of one network: its formulas alone."""
    from botec import __version__
    from botec.analyses.sweep import sections
    from botec.analyses.sweep import sweep as asked_of
    from botec.estimate import described, notes
    from botec.read import read
    from botec.report import Report
    from botec.write.points import PointsFile

    with PointsFile(points) if points else nullcontext() as file:
        program = read(asked.model, *asked.inputs, **asked.options)
        question = asked_of(program, grid, wanted.where, wanted.best, wanted.figures)
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
    return Answer(page, refusals(found.kept, found.points, wanted.where))


def of_many(
    networks: Sequence[Network],
    asked: Asked,
    grid: Any,
    wanted: Wanted,
    run: Run,
    points: str | None,
) -> Answer:
    """A sweep of many networks, each read in a process of its own."""
    from botec import __version__
    from botec.commands.many import Gathered, Question, columns_of, outcomes
    from botec.report import Report
    from botec.write.points import PointsFile
    from botec.write.progress import tell

    question = Question(asked.inputs, asked.options, grid.axes, wanted)
    fields = dict.fromkeys(name for one in networks for name in one.fields)
    gathered = Gathered(("model", *fields), wanted.best)
    header: dict[str, None] = dict.fromkeys(["model", *fields, *grid.axes])
    waiting = []
    with PointsFile(points) if points else nullcontext() as file:
        found = outcomes(networks, question, run.backend, run.jobs, run.resume)
        for done, one in enumerate(found, start=1):
            tell(f"sweep: {done} of {len(networks)} networks")
            gathered.take(one)
            if file is None:
                continue
            waiting.append(one)
            if one.columns:  # the first with figures says which columns there are
                header.update(dict.fromkeys([*one.columns, "reason"]))
                for each in waiting:
                    file.take(columns_of(each, tuple(header)))
                waiting.clear()
        if file is not None and waiting:
            for each in waiting:
                file.take(columns_of(each, (*header, *["reason"][: "reason" not in header])))
    ranges = {name: span_text(sizes) for name, sizes in grid.axes.items()}
    page = Report(
        model={"name": f"{len(networks)} networks", "inputs": list(map(str, asked.inputs))},
        setting={**chosen(asked), "dimensions": ranges},
        figures={},
        sections=gathered.sections(len(networks), wanted.where),
        version=__version__,
    )
    return Answer(page, refusals(gathered.kept, gathered.points, wanted.where))


def chosen(asked: Asked) -> dict[str, Any]:
    """The options of the step, without the sizes of dimensions."""
    return {name: value for name, value in asked.options.items() if name not in asked.point}


def networks_of(models: Sequence[str], axes: Sequence[Axis]) -> list[Network]:
    """Every MODEL with every structure."""
    from botec.commands.many import Network

    found = []
    for model in models:
        for sizes in product(*(axis.values for axis in axes)):
            fields: dict[str, int] = {}
            for axis, size in zip(axes, sizes, strict=True):
                fields |= axis.fields(size) or {axis.name: size}
            found.append(Network(model, fields))
    return found


def refusals(kept: int, points: int, where: str) -> tuple[str, ...]:
    """Why the answer is no, where nothing is kept."""
    if kept:
        return ()
    return (f"none of {points:,} points meets {where}" if where else "no point has a formula",)


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
