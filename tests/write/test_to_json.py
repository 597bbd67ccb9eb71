"""A report as JSON: the contract to the letter, and nothing lost on the way back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from write.reports_to_write import FORWARD, example, reports

from botec.errors import BadInput
from botec.report import Column, Counted, Figure, Report, Section, Table
from botec.write.places import placed
from botec.write.to_json import load, write

FIGURE = {"unit", "counted", "rule", "measured"}
COUNTED = {"value", "formula", "status", "missing"}


def small(**figures: Any) -> Report:
    return Report({"name": "m"}, {}, figures, ())


def test_the_object_is_the_contract() -> None:
    page = json.loads(write(example()))
    assert list(page) == ["botec", "model", "setting", "figures", "sections", "notes"]
    for figure in page["figures"].values():
        assert FIGURE <= set(figure) <= FIGURE | {"low", "high"}
        if figure["counted"]:
            assert COUNTED <= set(figure["counted"]) <= COUNTED | {"why"}
        assert figure["rule"] is None or set(figure["rule"]) == {"value", "name"}
        assert figure["measured"] is None or set(figure["measured"]) == {"value", "how"}


def test_figures_of_every_kind() -> None:
    figures = json.loads(write(example()))["figures"]
    assert figures["multiplications.forward"]["counted"] == {
        "value": 32 * FORWARD, "formula": f"{FORWARD}*B", "status": "exact", "missing": {},
    }  # fmt: skip
    assert figures["memory.device"]["counted"]["value"] is None
    assert figures["time.forward"]["counted"] is None
    assert (figures["time.step"]["low"], figures["time.step"]["high"]) == (3.9, 6.8)
    assert "low" not in figures["time.forward"]


def test_whole_numbers_stay_whole_however_large() -> None:
    huge = 10**40 + 1
    text = write(small(a=Figure("a", "a", "1", Counted(huge))))
    assert str(huge) in text
    assert load(text).figures["a"].counted == Counted(huge)


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), -float("inf")])
def test_what_json_has_no_number_for_is_null(value: float | None) -> None:
    figure = json.loads(write(small(a=Figure("a", "a", "1", Counted(value)))))["figures"]["a"]
    assert figure["counted"]["value"] is None


def test_numpy_numbers_are_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    report = small(
        a=Figure("a", "a", "1", Counted(numpy.int64(7))),
        b=Figure("b", "b", "s", Counted(numpy.float32(0.5))),
    )
    figures = json.loads(write(report))["figures"]
    assert (figures["a"]["counted"]["value"], figures["b"]["counted"]["value"]) == (7, 0.5)


def test_the_example_comes_back_whole() -> None:
    again = load(write(example()))
    assert dict(again.figures) == dict(example().figures)
    assert again.sections == placed(example()).sections
    assert again.sections[1:] == example().sections
    assert again.notes == example().notes


@settings(max_examples=150, deadline=None)
@given(reports())
def test_nothing_is_lost(report: Report) -> None:
    text = write(report)
    assert write(load(text)) == text


BROKEN = [
    ("", "it is not JSON"),
    ("{", "it is not JSON"),
    ("[" * 100_000, "it is not JSON"),
    ('{"botec": NaN}', "NaN is no JSON number"),
    ("[]", "the file holds a list where an object belongs"),
    ("{}", "the file has no 'figures'"),
]
SPOILT = [
    (("figures",), [], "'figures' of the file is a list where an object belongs"),
    (("figures", "parameters"), 3, "figures['parameters'] holds a number where an object"),
    (("figures", "parameters", "unit"), None, "'unit' of figure 'parameters' is null"),
    (("figures", "parameters", "counted", "value"), "x", "'value' of figure 'parameters' is"),
    (("figures", "parameters", "counted", "status"), "good", "is 'good', none of exact, complete"),
    (("figures", "parameters", "counted", "missing"), None, "'missing' of figure 'parameters'"),
    (("sections",), {}, "'sections' of the file is an object"),
    (("sections", 0), 1, "sections[0] holds a number"),
    (("sections", 0, "parts", 0, "part"), "song", "has a part 'song', none of figures, table"),
    (("sections", 0, "parts", 0, "titles"), [], "'titles' of the figures of a section is a list"),
    (("sections", 1, "parts", 0, "whys"), {"parameters": 1}, "the whys of figure 'parameters'"),
    (("sections", 2, "parts", 1, "rows", 0), [1], "a row of table 'By module' has not one cell"),
    (("sections", 2, "parts", 1, "rows", 0, 2), "x", "a cell under 'multiplications forward'"),
    (("notes",), [1], "'notes' of the file holds more than texts"),
]  # fmt: skip


def refusal(text: str) -> str:
    with pytest.raises(BadInput) as caught:
        load(text)
    return str(caught.value)


@pytest.mark.parametrize(("text", "seen"), BROKEN, ids=[text[:9] for text, _ in BROKEN])
def test_what_is_no_report_is_refused(text: str, seen: str) -> None:
    assert seen in refusal(text)


@pytest.mark.parametrize(("path", "value", "seen"), SPOILT)
def test_a_spoilt_report_is_refused_in_one_line(
    path: tuple[Any, ...], value: Any, seen: str
) -> None:
    page = json.loads(write(example()))
    place = page
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    said = refusal(json.dumps(page))
    assert seen in said
    assert "\n" not in said
    assert said.endswith("save the report again with botec estimate MODEL -o page.json")


def test_what_a_total_leaves_empty_comes_back_empty() -> None:
    """Shares have no sum: a page of time has such a row."""
    columns = (Column("kind"), Column("time", "s"), Column("share", "%"))
    table = Table("By kind", columns, (("a", 1.5, 75.0), ("b", 0.5, 25.0)), ("all", 2.0, ""))
    report = Report({"name": "timed"}, {}, {}, (Section("s", (table,)),))
    assert load(write(report)) == report


def test_tables_add_up_in_the_example() -> None:
    """The example is a fair one: its columns add up, so the page's must."""
    tables = [p for s in example().sections for p in s.parts if isinstance(p, Table)]
    for table in tables:
        for place, column in enumerate(table.columns):
            if column.unit and table.total:
                assert sum(row[place] or 0 for row in table.rows) == table.total[place]
