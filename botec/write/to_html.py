"""A report as one HTML file that needs nothing else: no network, no server, no other file.

The page holds no science. Figures, tables and texts are set here; the charts are drawn, and the
figures worked out anew as sizes change, by the scripts of ``page/`` from the data embedded in it:
the report's own formulas, pictures and tables. Everything that comes from a model (names above
all) is escaped, in the markup by the template engine, in the data by :func:`embedded`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from botec.errors import MissingPackage
from botec.report import (
    Column,
    Counted,
    Fields,
    Figure,
    Figures,
    Layers,
    Lifetimes,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from botec.units import UNITS, UNKNOWN, Quantity
from botec.write.controls import answered, choices, controls, dimensions, live_devices, ranges
from botec.write.places import placed
from botec.write.timeline import largest, timeline
from botec.write.to_json import plain
from botec.write.to_terminal import step_text

SUFFIX = ".html"
PAGE = Path(__file__).parent / "page"
SCRIPTS = (
    "charts.min.js",
    "evaluate.js",
    "numbers.js",
    "sums.js",
    "trials.js",
    "crossing.js",
    "pictures.js",
    "rows.js",
    "marks.js",
    "page.js",
)
MOST_ROWS = 60  # of a table before the rest is folded away
HEADLINES = (
    *("parameters", "multiplications.step", "multiplications.forward", "memory.peak"),
    *("memory.device", "fit.room", "fit.largest.B"),
    *("time.forward", "time.step", "time.run", "cost.run"),
)


def write(report: Report) -> str:
    """The page. Raises :class:`MissingPackage` where jinja2 is not installed."""
    report = placed(report.whole())
    pictures: list[dict[str, Any]] = []
    sections = [section_view(section, report, pictures) for section in report.sections]
    data = {
        **controls(report),
        "units": {key: figure.unit for key, figure in report.figures.items()},
        "ladders": ladders(),
        "pictures": pictures,
    }
    return template().render(
        name=report.model.get("name", "a model"),
        step=step_text(report.setting),
        about=[(key, text_of(value)) for key, value in report.model.items() if key != "name"],
        point=dimensions(report),
        ranges=ranges(report),
        headlines=[figure_view(report.figures[k]) for k in HEADLINES if k in report.figures],
        live=bool(report.formulas and dimensions(report)),
        choices=choices(report),
        devices=dict(sorted(report.devices.items(), key=lambda one: (one[1], one[0]))),
        places=live_devices(report),
        given=report.work.given if report.work else {},
        asked=", ".join(f"{key}={size}" for key, size in dimensions(report).items()),
        sections=sections,
        notes=report.notes,
        version=report.version,
        data=embedded(data),
        style=(PAGE / "page.css").read_text(encoding="utf-8"),
        scripts=[(PAGE / name).read_text(encoding="utf-8") for name in SCRIPTS],
    )


def fragment(report: Report) -> str:
    """The same parts without a page around them, for a notebook: its own style stays its own."""
    report = placed(report.whole())
    return template("fragment.html").render(
        name=report.model.get("name", "a model"),
        point={**dimensions(report), **ranges(report)},
        step=step_text(report.setting),
        sections=[section_view(section, report, []) for section in report.sections],
        notes=report.notes,
    )


def template(name: str = "page.html") -> Any:
    """A template of ``page/``, everything put into it escaped."""
    try:
        from jinja2 import Environment
    except ImportError as error:
        do = 'run pip install "botec[page]"'
        raise MissingPackage("the package jinja2 is not installed", do, "a page") from error
    text = (PAGE / name).read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(text)


def embedded(data: Any) -> str:
    """JSON that cannot end the script it stands in, whatever a model is called."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    for sign in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def ladders() -> dict[str, Any]:
    """How numbers of every unit print: prefixes as whole numerators and denominators."""
    return {
        name: {
            "ladder": [[*step.as_integer_ratio(), text] for step, text in unit.ladder],
            "digits": unit.digits, "whole": unit.whole,
        }
        for name, unit in UNITS.items()
    }  # fmt: skip


def section_view(
    section: Section, report: Report, pictures: list[dict[str, Any]]
) -> dict[str, Any]:
    """A section as the template wants it; its pictures go into the embedded data."""
    parts = [view for part in section.parts for view in part_view(part, report, pictures)]
    return {"title": section.title, "parts": parts}


def part_view(part: Any, report: Report, pictures: list[dict[str, Any]]) -> Iterator[Any]:
    """One part; a table of modules is a treemap too."""
    if isinstance(part, Figures):
        rows = [figure_view(report.figures[key]) for key in part.keys if key in report.figures]
        has = {name: any(row[name] for row in rows) for name in ("rule", "measured", "formula")}
        yield {"kind": "figures", "rows": rows, "has": has}
    elif isinstance(part, Text):
        key = part.key if part.key in answered(report) else ""
        yield {"kind": "text", "text": part.text, "mood": part.kind, "key": key,
               "always": part.always}  # fmt: skip
    elif isinstance(part, (Picture, Layers)):
        pictures.append(drawing(part))
        yield {"kind": "picture", "number": len(pictures) - 1, "title": part.title,
               "table": table_of(part)}  # fmt: skip
    elif isinstance(part, Lifetimes):
        pictures.append(timeline(part))
        yield {"kind": "picture", "number": len(pictures) - 1, "title": part.title,
               "table": largest(part)}  # fmt: skip
    elif isinstance(part, Fields):
        pictures.append({"kind": "fields", **plain(asdict(part))})
        yield {"kind": "picture", "number": len(pictures) - 1, "title": part.title}
    elif isinstance(part, Table) and part.columns:
        part = part if part.key in answered(report) else replace(part, key="")
        if tree := treemap(part):
            pictures.append(tree)
            yield {"kind": "picture", "number": len(pictures) - 1, "title": tree["title"]}
        view = table_view(part)
        if view["rest"]:
            pictures.append({"kind": "rows", **view["rest"]})
            view["rest"] = {"number": len(pictures) - 1, "many": len(view["rest"]["rows"])}
        yield view


def figure_view(figure: Figure) -> dict[str, Any]:
    """A figure's three columns, short and with every digit."""
    counted = figure.counted
    return {
        "key": figure.key,
        "title": figure.title,
        "unit": figure.unit,
        "rule": figure.rule and number(figure.rule.value, figure.unit),
        "rule_name": figure.rule and figure.rule.name,
        "counted": counted and number(counted.value, figure.unit),
        "formula": counted and counted.formula,
        "measured": figure.measured and number(figure.measured.value, figure.unit),
        "notes": list(footnotes(figure, counted)),
    }


def footnotes(figure: Figure, counted: Counted | None) -> Iterator[str]:
    """What stands behind a figure: why columns differ, what is not in it."""
    if counted and counted.status in ("partial", "estimate", "unknown"):
        yield f"status: {counted.status}"
    if counted and counted.missing:
        yield "not counted: " + ", ".join(f"{n} ({k}×)" for n, k in counted.missing.items())
    if counted and counted.why:
        yield counted.why
    if figure.low is not None and figure.high is not None:
        low, high = Quantity(figure.low, figure.unit), Quantity(figure.high, figure.unit)
        yield f"between {low} and {high}"
    if figure.rule:
        why = f": {figure.rule.why}" if figure.rule.why else ""
        yield f"rule of thumb “{figure.rule.name}”{why}"
    if figure.measured:
        why = f"; {figure.measured.why}" if figure.measured.why else ""
        yield f"measured: {figure.measured.how}{why}"


def number(value: Any, unit: str) -> dict[str, Any]:
    """A number as it is read, with all its digits beside it."""
    quantity = Quantity(value, unit)
    raw = plain(value)
    return {"short": str(quantity), "exact": quantity.exact, "raw": UNKNOWN if raw is None else raw}


def table_view(table: Table) -> dict[str, Any]:
    """Rows of cells, numbers flush right; a long table's rest is folded away."""
    rows = [[cell(value, head) for value, head in zip(row, table.columns, strict=True)]
            for row in table.rows[:MOST_ROWS]]  # fmt: skip
    total = table.total and [
        cell(value, head) for value, head in zip(table.total, table.columns, strict=True)
    ]
    return {
        "kind": "table", "title": table.title, "heads": table.columns, "key": table.key,
        "rows": rows, "total": total, "rest": rest_of(table),
        "largest_first": table.largest_first, "most": table.most, "others": json.dumps(table.rest),
        "shown": MOST_ROWS, "always": table.always, "retold": table.retold if table.key else "",
    }  # fmt: skip


def rest_of(table: Table) -> dict[str, Any] | None:
    """The rows of a long table that are not shown at once, raw: a script shows them when asked."""
    rest = table.rows[MOST_ROWS:]
    return {"units": [head.unit for head in table.columns], "rows": plain(rest)} if rest else None


def cell(value: Any, head: Column) -> dict[str, Any]:
    """A cell: text as it is, a number in its column's unit."""
    if value is None:
        return {"text": UNKNOWN, "flush": bool(head.unit), "exact": "", "raw": UNKNOWN}
    if isinstance(value, str) or not head.unit:
        return {"text": text_of(value), "flush": False, "exact": "", "raw": ""}
    quantity = Quantity(value, head.unit)
    return {"text": str(quantity), "flush": True, "exact": quantity.exact, "raw": plain(value)}


def drawing(part: Picture | Layers) -> dict[str, Any]:
    """A picture as the charts want it."""
    if isinstance(part, Picture):
        return {
            "kind": "curves", "title": part.title, "linear": part.linear, "steps": part.steps,
            "across": plain(vars(part.across)), "up": plain(vars(part.up)), "key": part.key,
            "curves": [
                {"name": one.title, "points": plain(one.points), "key": one.key}
                for one in part.curves
            ],
        }  # fmt: skip
    return {
        "kind": "layers", "title": part.title, "up": plain(vars(part.up)),
        "layers": [{"name": one.title, "points": plain(one.points)} for one in part.layers],
        "marks": plain(part.marks), "top": plain(part.top), "limit": plain(part.limit),
    }  # fmt: skip


def table_of(part: Picture | Layers) -> dict[str, Any]:
    """The numbers of a picture, for those who cannot see it; dots of groups one under the other."""
    curves = part.curves if isinstance(part, Picture) else part.layers
    across = part.across if isinstance(part, Picture) else Column("moment", "1")
    if isinstance(part, Picture) and part.key:
        dots = [one for one in curves if len(set(one.points)) == 1]
        units = across.unit or "1", part.up.unit or "1"
        known = [(one.title, *map(Quantity, one.points[0], units)) for one in dots]
        return {"heads": ["", across.title, part.up.title],
                "rows": [list(map(str, row)) for row in known]}  # fmt: skip
    places = sorted({point[0] for one in curves for point in one.points})
    chosen = places[:: max(1, len(places) // 20)]
    curve_points = [dict(one.points) for one in curves]
    rows = [
        [str(Quantity(place, across.unit or "1"))]
        + [str(Quantity(one.get(place), part.up.unit or "1")) for one in curve_points]
        for place in chosen
    ]
    return {"heads": [across.title, *(one.title for one in curves)], "rows": rows}


def treemap(table: Table) -> dict[str, Any] | None:
    """A table of modules as areas, one choice for each column of numbers."""
    heads = [head.title for head in table.columns]
    if heads[0] != "module" or table.total is None:
        return None
    measures = {
        head.title: {
            "unit": head.unit, "values": [plain(row[place]) or 0 for row in table.rows],
            "place": place,
        }
        for place, head in enumerate(table.columns)
        if head.unit not in ("", "%")
    }  # fmt: skip
    paths = [str(row[0]) for row in table.rows]
    title = table.title or "By module"
    return {"kind": "tree", "title": title, "paths": paths, "measures": measures, "key": table.key}


def text_of(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(text_of, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text_of(item)}" for key, item in value.items())
    return str(value)
