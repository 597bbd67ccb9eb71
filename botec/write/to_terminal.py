"""A report as a page for the terminal.

Its first lines answer the question: the model, the setting, and the few figures most people came
for. Then come the sections as the report orders them. Figures stand in up to three columns (rule of
thumb, count, measured; one that nobody fills is left out) with their formula; what needs a word
(not counted, unknown, why columns differ) has a footnote under its block. Tables show a column's
numbers in one prefix, so that they add up as printed. ``≥`` marks a count that something is missing
from, ``≈`` an estimate.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from botec.report import Fields, Figures, Layers, Part, Picture, Report, Section, Table, Text
from botec.units import Quantity
from botec.write.figures import Block, Shape, block, block_lines, shape_of
from botec.write.grid import Cell, clean, line, paragraph
from botec.write.layers import layers_lines
from botec.write.look import FORMULA, HEADING, PLAIN, QUIET, REFUSAL, TITLE, TROUBLE, USUAL, Look
from botec.write.pictures import picture_lines
from botec.write.places import placed
from botec.write.seen import seen_lines
from botec.write.tables import is_number, table_lines

if TYPE_CHECKING:
    from rich.text import Text as Line

SUFFIX = ".txt"
LEAST_WIDTH, MOST_TEXT, SHORT_PAGE = 40, 100, 8

#: What the second line of the page speaks of.
SPOKEN = ("train", "optimizer", "precision", "device", "checkpoint")
#: What most people came for: of each row the first key the report has.
HEADLINES = (
    ("parameters",),
    ("multiplications.forward",),
    ("flops.step", "flops.forward"),
    ("memory.peak",),
    ("fit.largest.B",),
    ("time.step", "time.forward"),
)


def write(report: Report, width: int = 100, colour: bool = False, plain: bool = False) -> str:
    """The page, ``width`` places wide (40 at least), ending in a line break.

    ``plain`` draws with the signs of a keyboard and without colour.
    """
    lines = page(placed(report), max(width, LEAST_WIDTH), PLAIN if plain else USUAL)
    return rendered(lines, colour and not plain)


def rendered(lines: Iterable[Line], colour: bool) -> str:
    """The lines as text, with colours where they are wanted."""
    from rich.console import Console

    if not colour:
        return "".join(f"{made.plain.rstrip()}\n" for made in lines)
    paper = io.StringIO()
    console = Console(file=paper, force_terminal=True, color_system="standard", no_color=False)
    for made in lines:
        console.print(made, soft_wrap=True, highlight=False)
    return paper.getvalue()


def page(report: Report, width: int, look: Look) -> Iterator[Line]:
    """The whole page, line by line."""
    summary = block([report.figures[key] for key in headlines(report)], look, with_notes=False)
    blocks = [blocks_of(section, report, look) for section in report.sections]
    shape = shape_of([summary, *(each for found in blocks for each in found.values())], width)
    yield from head(report, width)
    if summary.rows:
        yield from [line(), *block_lines(summary, shape, brief=True)]
    yield from asked(report, width)
    for section, found in zip(report.sections, blocks, strict=True):
        yield from section_lines(section, found, shape, look)
    if report.notes:
        yield from heading("Notes")
        for note in report.notes:
            yield from paragraph(note, min(width, MOST_TEXT), first=look.bullet, indent=2)


def headlines(report: Report) -> list[str]:
    """The figures for the top of the page; none where the page is short."""
    if len(report.figures) <= SHORT_PAGE:
        return []
    found = (next((key for key in row if key in report.figures), "") for row in HEADLINES)
    return [key for key in found if key]


def blocks_of(section: Section, report: Report, look: Look) -> dict[int, Block]:
    """The blocks of figures in a section, by their place in it."""
    found = {}
    for place, part in enumerate(section.parts):
        if isinstance(part, Figures):
            figures = [report.figures[key] for key in part.keys if key in report.figures]
            found[place] = block(figures, look)
    return found


def section_lines(
    section: Section, blocks: Mapping[int, Block], shape: Shape, look: Look
) -> Iterator[Line]:
    """A section's title and its parts, an empty line between them."""
    yield from heading(section.title)
    for place, part in enumerate(section.parts):
        lines = part_lines(part, blocks.get(place), shape, look)
        if place and lines:
            yield line()
        yield from lines


def part_lines(part: Part, figures: Block | None, shape: Shape, look: Look) -> list[Line]:
    """The lines of a part. Lifetimes have none: storages are many, and a page shows them."""
    if isinstance(part, Table):
        return table_lines(part, shape.width, look) if part.columns else []
    if isinstance(part, Picture):
        return picture_lines(part, shape.width, look)
    if isinstance(part, Layers):
        return layers_lines(part, shape.width, look)
    if isinstance(part, Fields):
        return seen_lines(part, shape.width, look)
    if isinstance(part, Text):
        return text_lines(part, shape.width)
    return block_lines(figures, shape) if figures and figures.rows else []


def text_lines(text: Text, width: int) -> list[Line]:
    """A sentence; formulas stand apart, warnings and refusals say so."""
    width = min(width, MOST_TEXT)
    if text.kind == "formula":
        return paragraph(text.text, width, FORMULA, indent=4)
    if text.kind == "warning":
        return paragraph(text.text, width, TROUBLE, first="warning: ", indent=2)
    return paragraph(text.text, width, REFUSAL if text.kind == "no" else "", indent=2)


def heading(title: str) -> list[Line]:
    return [line(), line(Cell(clean(title), HEADING))]


def head(report: Report, width: int) -> Iterator[Line]:
    """The model with its dimensions, and how the step is run."""
    name, point = clean(report.model.get("name", "a model")), dimension_texts(report.setting)
    yield line(Cell("  ".join((name, *point)), TITLE))
    if step := step_text(report.setting):
        yield from paragraph(step, width, QUIET)


def asked(report: Report, width: int) -> list[Line]:
    """What else was set, one line each."""
    lines = []
    for source, spoken in ((report.model, ("name",)), (report.setting, SPOKEN)):
        for key, value in source.items():
            if key not in spoken and not isinstance(value, Mapping) and worth(value):
                first = f"{clean(key)}: "
                lines += paragraph(plain_text(value), min(width, MOST_TEXT), QUIET, first, indent=2)
    return [line(), *lines] if lines else []


def step_text(setting: Mapping[str, Any]) -> str:
    """``one training step · adamw · fp32 · on cpu``."""
    train = setting.get("train")
    step = "one training step" if train else "inference" if train is False else ""
    parts = [step, setting.get("optimizer") if train is not False else "", setting.get("precision")]
    parts.append(f"on {setting['device']}" if setting.get("device") else "")
    parts.append("activations checkpointed" if setting.get("checkpoint") else "")
    return " · ".join(clean(part) for part in parts if part)


def dimension_texts(setting: Mapping[str, Any]) -> Iterator[str]:
    """``B=32`` for each entry of a mapping in the setting."""
    for value in setting.values():
        if isinstance(value, Mapping):
            for name, size in value.items():
                yield f"{clean(name)}={clean(size)}"


def worth(value: Any) -> bool:
    """Whether an entry says anything: not ``None``, empty or the default ``False``."""
    return is_number(value) or bool(value)


def plain_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain_text, value))
    if value is True:
        return "yes"
    return str(Quantity(value)) if is_number(value) else clean(value)
