"""A report as one JSON object, and back.

``{"botec": version, "model": {…}, "setting": {…}, "figures": {KEY: FIGURE}, "sections": [SECTION],
"notes": [TEXT]}`` with::

    FIGURE  = {"unit", "counted": {"value", "formula", "status", "missing"[, "why"]} | null,
               "rule": {"value", "name"} | null, "measured": {"value", "how"} | null
               [, "low"][, "high"]}
    SECTION = {"title", "parts": [PART]}
    PART    = {"part": "figures", "keys": [KEY], "titles": {KEY: TEXT},
               "whys": {KEY: {"rule": TEXT, "measured": TEXT}}}
            | {"part": "table", "title", "columns": [COLUMN], "rows": [[CELL]], "total"}
            | {"part": "picture", "title", "across": COLUMN, "up": COLUMN,
               "curves": [{"title", "points": [[ACROSS, UP]]}][, "linear"][, "steps"]}
            | {"part": "layers", "title", "up": COLUMN, "layers": [{"title", "points"}],
               "marks": [[MOMENT, TEXT]], "top": [MOMENT, TEXT] | null, "limit": [UP, TEXT] | null}
            | {"part": "lifetimes", "title", "storages": [[BORN, DIED, BYTES, FORMULA, ROLE, MODULE,
               OP, SHAPE, WHY]], "total": [[MOMENT, BYTES, FORMULA]], "end": MOMENT,
               "marks", "top", "limit"}
            | {"part": "fields", "title", "axes": [TEXT], "sizes": [SIZE],
               "layers": [[LAYER, OP, [[REACH, STRIDE, PADDING, PLACES, FORMULA] | null]]]}
            | {"part": "text", "text", "kind"}
    COLUMN  = {"title", "unit"[, "apart"][, "spare"]}

Numbers are raw, in their figure's or column's unit; whole ones stay whole however large. Unknown is
``null``, and so is what JSON has no number for (``nan``, ``inf``). What a figure is called, and why
its columns differ, stands with the section that shows it; figures that no section shows get one
of their own, so that nothing is lost.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, NoReturn

from botec.errors import BadInput
from botec.report import (
    STATUSES,
    Column,
    Counted,
    Curve,
    Field,
    Fields,
    Figure,
    Figures,
    Layers,
    Lifetimes,
    Lived,
    Measured,
    Part,
    Picture,
    Report,
    Ruled,
    Section,
    Table,
    Text,
)
from botec.write.places import placed

SUFFIX = ".json"
LIVED = tuple(one.name for one in fields(Lived))


def write(report: Report) -> str:
    """The report as JSON text, one object, ending in a line break."""
    return json.dumps(as_object(report), indent=1, allow_nan=False) + "\n"


def as_object(report: Report) -> dict[str, Any]:
    """The report as the plain object its JSON text stands for."""
    figures = report.figures
    return {
        "botec": report.version,
        "model": plain(report.model),
        "setting": plain(report.setting),
        "figures": {key: figure_object(figure) for key, figure in figures.items()},
        "sections": [section_object(section, figures) for section in placed(report).sections],
        "notes": list(report.notes),
    }


def plain(value: Any) -> Any:
    """``value`` as JSON knows it: whole numbers whole, other numbers floats, the rest as text."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        number = float(value)
        return number if math.isfinite(number) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)


def figure_object(figure: Figure) -> dict[str, Any]:
    counted, rule, measured = figure.counted, figure.rule, figure.measured
    return {
        "unit": figure.unit,
        "counted": counted and counted_object(counted),
        "rule": rule and {"value": plain(rule.value), "name": rule.name},
        "measured": measured and {"value": plain(measured.value), "how": measured.how},
        **given(low=plain(figure.low), high=plain(figure.high)),
    }


def counted_object(counted: Counted) -> dict[str, Any]:
    return {
        "value": plain(counted.value),
        "formula": counted.formula,
        "status": counted.status,
        "missing": plain(counted.missing),
        **given(why=counted.why),
    }


def given(**entries: Any) -> dict[str, Any]:
    """Those entries that are there."""
    return {name: value for name, value in entries.items() if value is not None}


def section_object(section: Section, figures: Mapping[str, Figure]) -> dict[str, Any]:
    return {"title": section.title, "parts": [part_object(part, figures) for part in section.parts]}


def part_object(part: Part, figures: Mapping[str, Figure]) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"part": "text", "text": part.text, "kind": part.kind}
    if isinstance(part, Table):
        return {
            "part": "table",
            "title": part.title,
            "columns": [column_object(column) for column in part.columns],
            "rows": plain(part.rows),
            "total": plain(part.total),
        }
    if isinstance(part, Picture):
        return picture_object(part)
    if isinstance(part, Layers):
        return layers_object(part)
    if isinstance(part, Lifetimes):
        return lifetimes_object(part)
    if isinstance(part, Fields):
        layers = [list(vars(one).values()) for one in part.layers]
        return {"part": "fields", **plain(vars(part)), "layers": plain(layers)}
    known = [key for key in part.keys if key in figures]
    return {
        "part": "figures",
        "keys": list(part.keys),
        "titles": {key: figures[key].title for key in known},
        "whys": {key: whys for key in known if (whys := whys_of(figures[key]))},
    }


def column_object(column: Column) -> dict[str, Any]:
    said = {name: True for name in ("apart", "spare") if getattr(column, name)}
    return {"title": column.title, "unit": column.unit, **said}


def picture_object(picture: Picture) -> dict[str, Any]:
    return {
        "part": "picture",
        "title": picture.title,
        "across": column_object(picture.across),
        "up": column_object(picture.up),
        "curves": [{"title": each.title, "points": plain(each.points)} for each in picture.curves],
        **{name: True for name in ("linear", "steps") if getattr(picture, name)},
    }


def layers_object(pile: Layers) -> dict[str, Any]:
    return {
        "part": "layers",
        "title": pile.title,
        "up": column_object(pile.up),
        "layers": [{"title": each.title, "points": plain(each.points)} for each in pile.layers],
        **{name: plain(getattr(pile, name)) for name in ("marks", "top", "limit")},
    }


def lifetimes_object(part: Lifetimes) -> dict[str, Any]:
    rows = [list(vars(one).values()) for one in part.storages]
    return {"part": "lifetimes", **plain(vars(part)), "storages": plain(rows)}


def whys_of(figure: Figure) -> dict[str, str]:
    """Why the rule and the measurement differ from the count."""
    rule, measured = figure.rule, figure.measured
    return given(rule=rule and rule.why, measured=measured and measured.why)


def load(text: str) -> Report:
    """The report that ``text`` was written from.

    ``write(load(write(report))) == write(report)``. Raises :class:`~botec.errors.BadInput` where
    ``text`` is not such a report, saying which part of it is not.
    """
    try:
        content = json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        raise broken(f"it is not JSON: {error}") from None
    top = object_in(content, "the file")
    figures = entries(top, "figures", figure_from)
    sections = tuple(
        section_from(section, f"sections[{place}]")
        for place, section in enumerate(field(top, "sections", list, "the file"))
    )
    return Report(
        model=frozen(field(top, "model", dict, "the file")),
        setting=frozen(field(top, "setting", dict, "the file")),
        figures=told(figures, field(top, "sections", list, "the file")),
        sections=sections,
        notes=texts(top, "notes", "the file"),
        version=field(top, "botec", str, "the file"),
    )


def broken(seen: str) -> BadInput:
    return BadInput(seen, "save the report again with botec estimate MODEL -o page.json")


def no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def object_in(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise broken(f"{place} holds {kind_of(value)} where an object belongs")
    return value


KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number"}


def kind_of(value: Any) -> str:
    return KINDS.get(type(value), "a number" if isinstance(value, float) else "null")


def field(container: dict[str, Any], name: str, kind: type, place: str) -> Any:
    """``container[name]``, which must be there and of its kind."""
    if name not in container:
        raise broken(f"{place} has no {name!r}")
    if not isinstance(container[name], kind):
        found = kind_of(container[name])
        raise broken(f"{name!r} of {place} is {found} where {KINDS[kind]} belongs")
    return container[name]


def number(container: dict[str, Any], name: str, place: str) -> Any:
    """A number or, for unknown, ``None``."""
    value = container.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        raise broken(f"{name!r} of {place} is {kind_of(value)} where a number or null belongs")
    return value


def optional_text(container: dict[str, Any], name: str, place: str) -> str | None:
    return None if container.get(name) is None else field(container, name, str, place)


def texts(container: dict[str, Any], name: str, place: str) -> tuple[str, ...]:
    found = field(container, name, list, place)
    if not all(isinstance(text, str) for text in found):
        raise broken(f"{name!r} of {place} holds more than texts")
    return tuple(found)


def entries(top: dict[str, Any], name: str, build: Callable[..., Any]) -> dict[str, Any]:
    found = field(top, name, dict, "the file")
    return {key: build(key, object_in(entry, f"{name}[{key!r}]")) for key, entry in found.items()}


def frozen(value: Any) -> Any:
    """Lists as tuples, throughout."""
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    return tuple(map(frozen, value)) if isinstance(value, list) else value


def figure_from(key: str, entry: dict[str, Any]) -> Figure:
    place = f"figure {key!r}"
    columns: dict[str, Any] = {
        name: build(object_in(entry[name], f"{name!r} of {place}"), place)
        for name, build in (("counted", counted_from), ("rule", rule_from), ("measured", run_from))
        if entry.get(name) is not None
    }
    low, high = number(entry, "low", place), number(entry, "high", place)
    unit = field(entry, "unit", str, place)
    return Figure(key, key.replace(".", " "), unit, low=low, high=high, **columns)


def counted_from(entry: dict[str, Any], place: str) -> Counted:
    status = field(entry, "status", str, place)
    if status not in STATUSES:
        raise broken(f"the status of {place} is {status!r}, none of {', '.join(STATUSES)}")
    missing = field(entry, "missing", dict, place)
    return Counted(
        value=number(entry, "value", place),
        formula=optional_text(entry, "formula", place),
        status=status,
        missing={name: number(missing, name, place) for name in missing},
        why=optional_text(entry, "why", place),
    )


def rule_from(entry: dict[str, Any], place: str) -> Ruled:
    return Ruled(number(entry, "value", place), field(entry, "name", str, place))


def run_from(entry: dict[str, Any], place: str) -> Measured:
    return Measured(number(entry, "value", place), field(entry, "how", str, place))


def section_from(section: Any, place: str) -> Section:
    entry = object_in(section, place)
    parts = field(entry, "parts", list, place)
    return Section(field(entry, "title", str, place), tuple(part_from(p, place) for p in parts))


def part_from(part: Any, place: str) -> Part:
    entry = object_in(part, place)
    kind = field(entry, "part", str, place)
    if kind == "figures":
        return Figures(texts(entry, "keys", place))
    if kind == "table":
        return table_from(entry, place)
    if kind == "picture":
        return picture_from(entry, place)
    if kind == "layers":
        return layers_from(entry, place)
    if kind == "lifetimes":
        return lifetimes_from(entry, place)
    if kind == "fields":
        return fields_from(entry, place)
    if kind == "text":
        return Text(field(entry, "text", str, place), field(entry, "kind", str, place))
    known = "figures, table, picture, layers, lifetimes, fields, text"
    raise broken(f"{place} has a part {kind!r}, none of {known}")


def table_from(entry: dict[str, Any], place: str) -> Table:
    place = f"table {field(entry, 'title', str, place)!r}"
    columns = tuple(column_from(each, place) for each in field(entry, "columns", list, place))
    rows = field(entry, "rows", list, place)
    total = None if entry.get("total") is None else field(entry, "total", list, place)
    for row in rows:
        check_row(row, columns, place)
    if total is not None:  # what has no sum is left empty there
        check_row([None if cell == "" else cell for cell in total], columns, place)
    return Table(entry["title"], columns, frozen(rows), frozen(total))


def column_from(column: Any, place: str) -> Column:
    entry = object_in(column, place)
    title, unit = field(entry, "title", str, place), field(entry, "unit", str, place)
    return Column(title, unit, *(entry.get(name) is True for name in ("apart", "spare")))


def picture_from(entry: dict[str, Any], place: str) -> Picture:
    place = f"picture {field(entry, 'title', str, place)!r}"
    across, up = (column_from(entry.get(axis), place) for axis in ("across", "up"))
    curves = tuple(curve_from(each, place) for each in field(entry, "curves", list, place))
    linear, steps = (entry.get(name) is True for name in ("linear", "steps"))
    return Picture(entry["title"], across, up, curves, linear, steps)


def layers_from(entry: dict[str, Any], place: str) -> Layers:
    place = f"picture {field(entry, 'title', str, place)!r}"
    up = column_from(entry.get("up"), place)
    layers = tuple(curve_from(each, place) for each in field(entry, "layers", list, place))
    return Layers(entry["title"], up, layers, **named_places(entry, place))


def named_places(entry: dict[str, Any], place: str) -> dict[str, Any]:
    """The marks, the top and the limit of a timeline."""
    named = (Column("", "1"), Column(""))
    pairs: dict[str, Any] = {"marks": field(entry, "marks", list, place)}
    for one in pairs["marks"]:
        check_row(one, named, place)
    for name in ("top", "limit"):
        if (pair := entry.get(name)) is not None:
            check_row(pair, named, place)
        pairs[name] = pair
    return frozen(pairs)


def lifetimes_from(entry: dict[str, Any], place: str) -> Lifetimes:
    place = f"picture {field(entry, 'title', str, place)!r}"
    storage = tuple(Column(name, "1" if i < 3 else "") for i, name in enumerate(LIVED))
    storages, total = (field(entry, name, list, place) for name in ("storages", "total"))
    for row in storages:
        check_row(row, storage, place)
    for row in total:
        check_row(row, (Column("moment", "1"), Column("bytes", "1"), Column("formula")), place)
    return Lifetimes(
        entry["title"], tuple(Lived(*row) for row in storages), frozen(total),
        field(entry, "end", int, place), **named_places(entry, place),
    )  # fmt: skip


def fields_from(entry: dict[str, Any], place: str) -> Fields:
    place = f"picture {field(entry, 'title', str, place)!r}"
    axes, sizes = texts(entry, "axes", place), field(entry, "sizes", list, place)
    check_row(sizes, tuple(Column(name, "1") for name in axes), place)
    names = ("reach", "stride", "padding", "places")
    numbers = (*(Column(name, "1") for name in names), Column("formula"))
    layers = []
    for layer in field(entry, "layers", list, place):
        if not (isinstance(layer, list) and len(layer) == 3 and isinstance(layer[2], list)):
            raise broken(f"a layer of {place} is no name, op and list of axes")
        check_row(layer[:2], (Column("layer"), Column("op")), place)
        for one in layer[2]:
            if one is not None:
                check_row(one, numbers, place)
        layers.append(Field(*frozen(layer)))
    return Fields(entry["title"], axes, frozen(sizes), tuple(layers))


def curve_from(curve: Any, place: str) -> Curve:
    entry = object_in(curve, place)
    points = field(entry, "points", list, place)
    for point in points:
        check_row(point, (Column("across", "1"), Column("up", "1")), place)
    return Curve(field(entry, "title", str, place), frozen(points))


def check_row(row: Any, columns: tuple[Column, ...], place: str) -> None:
    """Raises :class:`~botec.errors.BadInput` unless ``row`` has one fitting cell a column."""
    if not isinstance(row, list) or len(row) != len(columns):
        raise broken(f"a row of {place} has not one cell for each of its {len(columns)} columns")
    for cell, column in zip(row, columns, strict=True):
        fits = cell is None or isinstance(cell, (int, float) if column.unit else (str, int, float))
        if not fits:
            raise broken(f"a cell under {column.title!r} of {place} is {kind_of(cell)}")


def told(figures: dict[str, Figure], sections: list[dict[str, Any]]) -> dict[str, Figure]:
    """The figures with the titles and whys that the sections (already checked) tell of them."""
    for part in (part for section in sections for part in section["parts"]):
        if part["part"] == "figures":
            titles = field(part, "titles", dict, "the figures of a section")
            whys = field(part, "whys", dict, "the figures of a section")
            for key in titles.keys() & figures.keys():
                reasons = object_in(whys.get(key, {}), f"the whys of figure {key!r}")
                title = field(titles, key, str, "the titles of a section")
                figures[key] = with_whys(replace(figures[key], title=title), reasons)
    return figures


def with_whys(figure: Figure, reasons: dict[str, Any]) -> Figure:
    rule, measured = figure.rule, figure.measured
    return replace(
        figure,
        rule=rule and replace(rule, why=optional_text(reasons, "rule", figure.key)),
        measured=measured and replace(measured, why=optional_text(reasons, "measured", figure.key)),
    )
