"""Blocks of figures: one row each, in three columns, with formulas and footnotes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botec.report import Counted, Figure
from botec.units import Quantity
from botec.write.grid import GAP, Cell, clean, grid, paragraph, wide
from botec.write.look import FORMULA, QUIET, TITLE, TROUBLE, Look

if TYPE_CHECKING:
    from rich.text import Text as Line

COLUMNS = {"rule": "rule", "counted": "count", "measured": "measured"}
PREFIXES = {"partial": "≥ ", "estimate": "≈ "}
MOST_NAMES, MOST_TEXT, INDENT = 6, 100, 2
Footnotes = dict[str, int]


@dataclass(frozen=True)
class Row:
    """One figure ready to print.

    ``detail`` is its formula or interval; ``aside`` is a lesser one, shown only where it fits.
    """

    title: str
    cells: Mapping[str, Cell]
    detail: Cell
    aside: str


@dataclass(frozen=True)
class Block:
    """Figures that stand together, with the footnotes below them."""

    rows: tuple[Row, ...]
    notes: tuple[tuple[str, str], ...] = ()


def block(figures: Iterable[Figure], look: Look, with_notes: bool = True) -> Block:
    """``figures`` as rows; equal footnotes are one."""
    notes: Footnotes = {}

    def mark(text: str | None) -> str:
        if not text or not with_notes:
            return ""
        return look.mark(notes.setdefault(clean(text), len(notes) + 1))

    rows = tuple(row_of(figure, mark) for figure in figures)
    return Block(rows, tuple((look.mark(number), text) for text, number in notes.items()))


def row_of(figure: Figure, mark: Callable[[str | None], str]) -> Row:
    """One figure's row; its footnotes are marked from left to right."""
    cells = {}
    if rule := figure.rule:
        because = f": {rule.why}" if rule.why else ""
        text = str(Quantity(rule.value, figure.unit))
        cells["rule"] = Cell(text, mark=mark(f"rule of thumb {rule.name}{because}"))
    if counted := figure.counted:
        cells["counted"] = counted_cell(counted, figure.unit, mark(footnote(counted)))
    if measured := figure.measured:
        because = f"; {measured.why}" if measured.why else ""
        text = str(Quantity(measured.value, figure.unit))
        cells["measured"] = Cell(text, mark=mark(f"{measured.how}{because}"))
    return Row(clean(figure.title), cells, detail_of(figure), exact_of(figure))


def counted_cell(counted: Counted, unit: str, mark: str) -> Cell:
    known = counted.value is not None
    text = (PREFIXES.get(counted.status, "") if known else "") + str(Quantity(counted.value, unit))
    return Cell(text, TITLE if known else TROUBLE, mark)


def footnote(counted: Counted) -> str:
    """What the reader must know about a count that is not whole; ``""`` where it is."""
    names = sorted(counted.missing, key=lambda name: (-counted.missing[name], name))
    listed = [f"{name} ({times(counted.missing[name])})" for name in names[:MOST_NAMES]]
    if len(names) > MOST_NAMES:
        listed.append(f"{len(names) - MOST_NAMES} more ops")
    sentences = ["not counted: " + ", ".join(listed)] if listed else []
    if counted.why:
        sentences.append(counted.why if counted.value is None else f"no formula: {counted.why}")
    status = counted.status if counted.status in ("partial", "unknown") else ""
    return ": ".join(part for part in (status, "; ".join(sentences)) if part)


def times(number: int | None) -> str:
    return {None: "?", 1: "once", 2: "twice"}.get(number) or f"{Quantity(number)} times"


def detail_of(figure: Figure) -> Cell:
    """The formula where it has dimensions in it, or the interval of an estimate."""
    formula = figure.counted.formula if figure.counted else None
    if formula and not formula.isdigit():
        return Cell(clean(formula), FORMULA)
    if figure.low is None and figure.high is None:
        return Cell("")
    low, high = (Quantity(end, figure.unit) for end in (figure.low, figure.high))
    return Cell(f"{low} to {high}", QUIET)


def exact_of(figure: Figure) -> str:
    """All digits of a whole number that its column has rounded."""
    value = figure.counted.value if figure.counted else None
    quantity = Quantity(value, figure.unit)
    return quantity.exact if isinstance(value, int) and quantity.exact != str(quantity) else ""


@dataclass(frozen=True)
class Room:
    """The places of one column: for its texts, and for the marks behind them."""

    text: int
    mark: int


@dataclass(frozen=True)
class Shape:
    """The columns all blocks of a page share, so that its numbers stand under each other."""

    width: int
    title: int
    columns: Mapping[str, Room]

    @property
    def widths(self) -> list[int]:
        """The places of the title and of each column."""
        return [self.title, *(room.text + room.mark for room in self.columns.values())]

    @property
    def detail(self) -> int:
        """The places left for the detail."""
        return self.width - INDENT - sum(GAP + size for size in self.widths)

    def lines(self, cells: Sequence[Cell], detail: Cell) -> list[Line]:
        """One row: the title and the columns, and the detail where there is room for it."""
        flush, widths = [False] + [True] * len(self.columns), self.widths
        if not detail.text or wide(detail.text) > self.detail:
            return grid([cells], widths, flush, INDENT)
        return grid([[*cells, detail]], [*widths, self.detail], [*flush, False], INDENT)


def shape_of(blocks: Sequence[Block], width: int) -> Shape:
    """Columns wide enough for every block; the titles wrap where the page is narrow."""
    rows = [row for each in blocks for row in each.rows]
    columns = {
        name: room_for(cells, header)
        for name, header in COLUMNS.items()
        if (cells := [row.cells[name] for row in rows if name in row.cells])
    }
    titles = max((wide(row.title) for row in rows), default=0)
    left = width - INDENT - sum(GAP + room.text + room.mark for room in columns.values())
    return Shape(width, max(min(titles, left), 8), columns)


def room_for(cells: Sequence[Cell], header: str) -> Room:
    """Room for the widest number, the widest mark, and the longest word of the header."""
    text = max(wide(cell.text) for cell in cells)
    return Room(max(text, *map(wide, header.split())), max(wide(cell.mark) for cell in cells))


def block_lines(rows: Block, shape: Shape, brief: bool = False) -> list[Line]:
    """A block with its header above and its footnotes below; ``brief`` keeps one line a figure."""
    lines = header_lines(rows, shape)
    for row in rows.rows:
        lines += figure_lines(row, shape, brief)
    for mark, text in rows.notes:
        width = min(shape.width, MOST_TEXT)
        lines += paragraph(text, width, QUIET, first=f"{mark} ", indent=INDENT)
    return lines


def header_lines(rows: Block, shape: Shape) -> list[Line]:
    """The names of those columns that the block fills."""
    used = {name for row in rows.rows for name in row.cells}
    headers = [
        Cell(COLUMNS[name] if name in used else "", QUIET, " " * room.mark)
        for name, room in shape.columns.items()
    ]
    beside = any(
        row.detail.style == FORMULA and wide(row.detail.text) <= shape.detail for row in rows.rows
    )
    return shape.lines([Cell(""), *headers], Cell("formula" if beside else "", QUIET))


def figure_lines(row: Row, shape: Shape, brief: bool) -> list[Line]:
    """A figure's row; a detail that does not fit beside it stands below, indented."""
    cells = [Cell(row.title)]
    for name, room in shape.columns.items():
        cell = row.cells.get(name, Cell(""))
        cells.append(Cell(cell.text, cell.style, cell.mark.ljust(room.mark)))
    fits = not row.detail.text or wide(row.detail.text) <= shape.detail
    beside = row.detail if fits and row.detail.text else Cell(row.aside, QUIET)
    lines = shape.lines(cells, beside)
    if fits or brief:
        return lines
    return lines + paragraph(row.detail.text, shape.width, row.detail.style, indent=INDENT + 4)
