"""What lets a page answer anew as somebody slides: formulas, sums, trials and texts, all as data.

A page's scripts run them and know no rule of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

KERNELS = "kernels"  # a choice of Formulas that the device makes, not the user


@dataclass(frozen=True)
class Case:
    """One of the moments that can be the peak: it is where its ``formula`` is the largest.

    What is so then, by key: figures' formulas, texts, and tables as :class:`Formulas` has them.
    """

    formula: str
    values: Mapping[str, str]
    texts: Mapping[str, str]
    tables: Mapping[str, tuple[tuple[str, ...], ...]]


@dataclass(frozen=True)
class Crossing:
    """What decides, in one dimension, where a ``figure``'s fastest term passes the rest.

    Each of its ``formulas`` is the whole, the fastest term, the rest, and that term in words, empty
    where it does not grow; the largest in the end is the one. ``owners`` have fastest terms of
    their own. The dimension runs from ``least`` to ``most`` in steps of ``step``; ``degree`` is its
    highest power in the formulas, and on every lattice of ``period`` they are polynomials.
    """

    figure: str
    formulas: tuple[tuple[str, str, str, str], ...]
    owners: Mapping[str, str]
    least: int
    most: int | None
    step: int
    degree: int
    period: int


@dataclass(frozen=True)
class Formulas:
    """Figures that can be worked out anew where ``where`` holds, as Python text by their keys.

    ``where`` maps ``"fixed"``, ``"least"``, ``"most"`` and ``"step"`` to sizes by dimension, as
    :class:`botec.program.Regime` has them; ``text`` says it in words. ``choice`` names what was
    chosen otherwise than the report's setting has it (``{"precision": "bf16"}``).

    ``tables`` are rows by the table's key, a formula in every column that has a unit. ``calls`` are
    the rows that a :class:`Work` sums up: class, type, phase, module, how often, and the formulas
    of its operations, its bytes, and the bytes it makes anew. Of the ``cases`` one holds: the first
    of those with the largest formula.

    ``rules`` are what rules of thumb give, by the key of the figure they stand beside, and
    ``texts`` are told with numbers in them, as :class:`Saying` has them. In these and in tables a
    figure can stand by its key. ``crossings`` are those of its dimensions, told in the table called
    ``"passing"`` and the text called ``"passed"`` and the dimension.
    """

    text: str
    where: Mapping[str, Mapping[str, int]]
    values: Mapping[str, str]
    choice: Mapping[str, str] = field(default_factory=dict)
    tables: Mapping[str, tuple[tuple[str, ...], ...]] = field(default_factory=dict)
    calls: tuple[tuple[str, str, str, str, int, str, str, str], ...] = ()
    cases: tuple[Case, ...] = ()
    rules: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    crossings: Mapping[str, tuple[Crossing, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Trials:
    """What was found size by size because no formula says it.

    A row has sizes of the dimensions ``names``, then values of the figures ``keys``, the last of
    which is what a device must hold. Where that is more than it has, ``within`` may say by its name
    and the row's number that it makes do with less. ``most`` and ``step`` are where dimensions end
    and what they are multiples of. ``given`` are numbers of the ``choice``, which is as
    :class:`Formulas` has it.
    """

    choice: Mapping[str, str]
    names: tuple[str, ...]
    keys: tuple[str, ...]
    rows: tuple[tuple[int, ...], ...]
    within: Mapping[str, Mapping[str, int]]
    most: Mapping[str, int] = field(default_factory=dict)
    step: Mapping[str, int] = field(default_factory=dict)
    given: Mapping[str, float | int] = field(default_factory=dict)


@dataclass(frozen=True)
class Saying:
    """How a text reads ``when`` a formula is above zero: ``{formula|unit}`` are its numbers.

    ``%0`` and ``%1`` are units too (hundredths with so many digits), as are ``.2`` and ``,0`` (so
    many digits, by thousands). ``shares`` are formulas by name, told as ``{shares}``: their parts
    of their sum, the largest first. ``kind`` is as :class:`Text` has it.
    """

    when: str
    text: str
    kind: str = "note"
    shares: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """Sums of calls under one name: a table's rows, or a picture's dots.

    ``by`` is what names a group: ``"kind"``, ``"type"``, ``"phase"`` or ``"module"``. ``cells`` are
    formulas over its sums, ``total`` those over all calls, empty where a cell is. By ``"device"``
    or ``"dimension"`` it is a table whose rows are told anew: on the device that its first cell
    names, or at the largest size of that dimension that fits.
    """

    by: str
    cells: tuple[str, ...]
    total: tuple[str, ...] = ()
    largest_first: bool = False


@dataclass(frozen=True)
class Work:
    """How a page works out sums over calls, such as seconds: all it does comes from here.

    Of every call the formulas of ``call`` are worked out in their order, from its operations and
    bytes and from what ``devices`` say of its class; ``bounds`` name those of which the largest
    bounds it, and ``views`` the kind that only looks. ``figures`` are formulas over the sums, by
    key, in their order. ``groups`` are tables and pictures by their key, and of the
    sayings of ``texts``, by theirs, the first that holds is told. ``given`` are numbers a user may
    change, by name, with what they are called and what they are now.
    """

    call: tuple[tuple[str, str], ...]
    bounds: tuple[str, ...]
    views: str
    figures: tuple[tuple[str, str], ...]
    groups: Mapping[str, Group]
    devices: Mapping[str, Mapping[str, Any]]
    device: str
    given: Mapping[str, tuple[str, float | None]] = field(default_factory=dict)
    texts: Mapping[str, tuple[Saying, ...]] = field(default_factory=dict)
