"""The answer, fully computed: figures in three columns, sections of tables and notes.

Plain data. A writer needs nothing but this; a saved report prints again without the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from botec.report.live import KERNELS as KERNELS
from botec.report.live import Case as Case
from botec.report.live import Crossing as Crossing
from botec.report.live import Formulas as Formulas
from botec.report.live import Group as Group
from botec.report.live import Saying as Saying
from botec.report.live import Trials as Trials
from botec.report.live import Work as Work

STATUSES = ("exact", "complete", "partial", "estimate", "unknown")


@dataclass(frozen=True)
class Counted:
    """The exact count: a ``value`` (``None`` is unknown), its ``formula`` and its ``status``.

    ``missing`` names what was not counted and how often it occurred; ``why`` says why there is no
    formula.
    """

    value: float | int | None
    formula: str | None = None
    status: str = "complete"
    missing: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True)
class Ruled:
    """What the rule of thumb called ``name`` gives; ``why`` says why it differs from the count."""

    value: float | int
    name: str
    why: str | None = None


@dataclass(frozen=True)
class Measured:
    """What a real run gave, and ``how`` it was run."""

    value: float | int
    how: str
    why: str | None = None


@dataclass(frozen=True)
class Figure:
    """One answer in three columns. ``key`` is its name in JSON, ``title`` its name in words.

    ``unit`` is one of ``"1"`` (a plain count), ``"multiplication"``, ``"flop"``, ``"B"``, ``"s"``
    and what later questions need; values are raw numbers in that unit.
    """

    key: str
    title: str
    unit: str
    counted: Counted | None = None
    rule: Ruled | None = None
    measured: Measured | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and the unit its numbers carry ("" for text).

    ``apart``: its numbers lie decades apart, and each prints in its own prefix. ``spare``: left out
    where a terminal is too narrow for all.
    """

    title: str
    unit: str = ""
    apart: bool = False
    spare: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under columns. ``total`` is a last row the rows add up to, where there is one.

    Cells are texts, raw numbers in the column's unit, or ``None`` for unknown. ``key`` is its name
    among :class:`Formulas`' tables, where a page can work it out anew: the ``largest_first`` by
    its last column, no more than ``most`` rows, and one of ``rest`` for the others. What is so
    ``always``, whatever sizes were asked, needs no key. ``retold`` is its title with sizes in
    braces, as :class:`Saying` has them.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    total: tuple[Any, ...] | None = None
    key: str = ""
    largest_first: bool = False
    most: int = 0
    rest: tuple[str, ...] = ()
    always: bool = False
    retold: str = ""


@dataclass(frozen=True)
class Curve:
    """One line of a picture: its title, and its points ``(across, up)``, raw numbers.

    ``key`` is the figure whose value at every size across it shows, where it shows one.
    """

    title: str
    points: tuple[tuple[float | int, float | int], ...]
    key: str = ""


@dataclass(frozen=True)
class Picture:
    """Curves over one axis, both axes in powers of ten, or evenly divided where ``linear``.

    ``up`` has no unit where curves differ. ``steps`` says that only the axis across is evenly
    divided. ``key`` is its name among :class:`Work`'s groups, where a page can draw it anew.
    """

    title: str
    across: Column
    up: Column
    curves: tuple[Curve, ...]
    linear: bool = False
    steps: bool = False
    key: str = ""


@dataclass(frozen=True)
class Layers:
    """A picture of layers that lie on each other, moment by moment.

    ``layers`` are curves over the same moments, the lowest first; their points are
    ``(moment, thickness)``. ``marks`` name moments (where a phase begins), ``top`` the one moment
    to point at, and ``limit`` a height that the pile should stay under.
    """

    title: str
    up: Column
    layers: tuple[Curve, ...]
    marks: tuple[tuple[int, str], ...] = ()
    top: tuple[int, str] | None = None
    limit: tuple[float | int, str] | None = None


@dataclass(frozen=True)
class Lived:
    """A piece of memory on a timeline: alive from the moment ``born`` until the moment ``died``.

    ``formula`` is its ``bytes`` at other sizes. ``module`` and ``op`` made it, of ``shape`` where
    that is known; ``why`` says what keeps it alive.
    """

    born: int
    died: int
    bytes: int
    formula: str
    role: str
    module: str
    op: str
    shape: str
    why: str


@dataclass(frozen=True)
class Lifetimes:
    """A timeline of memory: the largest storages one by one, and all of them together.

    ``total`` has the bytes of all that is alive, and their formula, at moments of its own, the
    fullest among them. ``marks``, ``top`` and ``limit`` are as :class:`Layers` has them; ``end`` is
    the last moment.
    """

    title: str
    storages: tuple[Lived, ...]
    total: tuple[tuple[int, int, str], ...]
    end: int
    marks: tuple[tuple[int, str], ...] = ()
    top: tuple[int, str] | None = None
    limit: tuple[float | int, str] | None = None


@dataclass(frozen=True)
class Field:
    """What the places of one ``layer`` see of an input, axis by axis.

    Of every axis: how many input places one sees, how far apart two neighbours see, how far the
    first sees out before the input, how many places there are, and the formula of that in the
    input's ``size`` (empty where there is none); ``None`` where an axis has no such numbers.
    """

    layer: str
    op: str
    axes: tuple[tuple[int, float | int, int, int, str] | None, ...]


@dataclass(frozen=True)
class Fields:
    """Receptive fields to be drawn on the input: the names and sizes of its axes, the layers."""

    title: str
    axes: tuple[str, ...]
    sizes: tuple[int, ...]
    layers: tuple[Field, ...]


@dataclass(frozen=True)
class Text:
    """A sentence or a few; ``kind`` is "note" (default), "formula" or "warning".

    ``key`` is its name among the texts that a page can tell anew; what is so ``always``, whatever
    was asked, needs none.
    """

    text: str
    kind: str = "note"
    key: str = ""
    always: bool = False


@dataclass(frozen=True)
class Figures:
    """A place in a section where figures stand, by their keys."""

    keys: tuple[str, ...]


Part: TypeAlias = Figures | Table | Picture | Layers | Lifetimes | Fields | Text


@dataclass(frozen=True)
class Section:
    """A titled part of the page: figures, tables, pictures and texts in reading order."""

    title: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Report:
    """A whole page: what was asked of which model, every figure by key, sections, notes.

    ``formulas`` let a page answer at other sizes; the first that holds is the one. ``devices`` are
    memories in bytes, by the name of the device, that a page holds its peak against. ``work`` says
    how sums over the formulas' calls are worked out, ``trials`` what was found size by size.
    ``more`` makes of a report the one a page and pictures show: they have what is too much for a
    terminal, and is made only for them.
    """

    model: Mapping[str, Any]
    setting: Mapping[str, Any]
    figures: Mapping[str, Figure]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()
    version: str = ""
    formulas: tuple[Formulas, ...] = ()
    devices: Mapping[str, int] = field(default_factory=dict)
    work: Work | None = None
    trials: tuple[Trials, ...] = ()
    more: Callable[[Report], Report] | None = field(default=None, compare=False, repr=False)

    def whole(self) -> Report:
        """This report with what only a page and pictures show."""
        return replace(self.more(self), more=None) if self.more else self

    def with_figures(self, figures: Mapping[str, Figure], notes: tuple[str, ...] = ()) -> Report:
        """This report with some figures replaced or added (the measured column, say)."""
        return replace(self, figures={**self.figures, **figures}, notes=self.notes + notes)

    def __str__(self) -> str:
        """The page, as the command line prints it where there is no colour."""
        from botec.write.to_terminal import write

        return write(self)

    def _repr_html_(self) -> str:
        """The page in a notebook; plain text where jinja2 is not installed."""
        from html import escape

        from botec.errors import MissingPackage
        from botec.write.to_html import fragment

        try:
            return fragment(self)
        except MissingPackage:
            return f"<pre>{escape(str(self))}</pre>"

    def figure(self, title: str = "") -> Any:
        """A matplotlib figure of the pictures whose title or section has ``title`` in it.

        Raises :class:`botec.errors.BadInput` where none has, :class:`ImportError` without
        matplotlib.
        """
        from botec.write.drawn import figure

        return figure(self, title)

    def save(self, path: str) -> None:
        """Write the report to a file; its suffix says in which format."""
        from pathlib import Path

        from botec.write import format_of

        page = format_of(path).write(self)
        Path(path).write_bytes(page.encode("utf-8") if isinstance(page, str) else page)
