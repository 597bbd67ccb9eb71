"""Pictures in the terminal: points where they belong, ticks at powers of ten, nothing lost."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botec.errors import BadInput
from botec.report import Column, Curve, Picture, Report, Section, Table
from botec.write import to_json
from botec.write.to_terminal import write


def page(*curves: Curve, width: int = 80, plain: bool = True, across: str = "S") -> str:
    picture = Picture("P", Column(across, "1"), Column("", "1"), curves)
    return write(Report({"name": "m"}, {}, {}, (Section("G", (picture,)),)), width, False, plain)


def places(text: str, letter: str) -> list[tuple[int, int]]:
    """Where a letter stands in the drawing: ``(row, column)``, rows from above."""
    rows = [line for line in text.splitlines() if re.search(r"\|", line)]
    return [
        (place, column)
        for place, line in enumerate(rows)
        for column, sign in enumerate(line.partition("|")[2])
        if sign == letter
    ]


def test_a_power_is_a_line_of_its_slope() -> None:
    """Ten places across and one row up are a decade each (twelve decades up: 12 rows of 14)."""
    text = page(Curve("square", tuple((10**n, 10 ** (2 * n)) for n in range(7))))
    found = places(text, "a")
    steps = {(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(found)}
    assert len(found) >= 6
    assert steps == {(2, -10)}


def test_ticks_stand_at_powers_of_ten() -> None:
    text = page(Curve("f", ((1, 10), (1000, 10**7))))
    assert re.findall("10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", text.splitlines()[-2]) == ["10⁰", "10¹", "10²", "10³"]
    upward = re.findall(r"^ +(10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+) \|", text, re.MULTILINE)
    assert upward == ["10⁷", "10⁶", "10⁵", "10⁴", "10³", "10²", "10¹"]
    assert text.endswith("  a  f\n")


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_the_name_of_an_axis_stays_on_the_page(width: int) -> None:
    curve = Curve("f", tuple((10**n, 10**n) for n in range(9)))
    text = page(curve, width=width, across="operations a byte")
    assert "operations a byte" in text
    assert max(map(len, text.splitlines())) <= width


def test_a_plain_picture_has_no_dots_of_braille() -> None:
    curve = Curve("f", tuple((n, n * n) for n in range(1, 100, 7)))
    assert not re.search("[\u2800-\u28ff]", page(curve))
    assert re.search("[\u2801-\u28ff]", page(curve, plain=False))
    assert "\u2800" not in page(curve, plain=False)


@pytest.mark.parametrize("points", [(), ((1, 1),), ((0, 1), (1, 0)), ((None, 1), (2, None))])
def test_nothing_to_draw_draws_nothing(points: Any) -> None:
    assert "|" not in page(Curve("f", points))


@given(st.lists(st.tuples(st.integers(0, 10**30), st.integers(-5, 10**60)), max_size=9))
def test_any_numbers_fit_the_page(points: list[tuple[int, int]]) -> None:
    for width in (40, 80):
        rows = page(Curve("f", tuple(points)), width=width).splitlines()
        assert all(len(row) <= width + 2 for row in rows), "the axis' arrow may stand in the margin"


def test_a_picture_survives_json() -> None:
    picture = Picture("P", Column("S", "1"), Column("", "B"), (Curve("f", ((1, 2), (3, None))),))
    report = Report({"name": "m"}, {}, {}, (Section("G", (picture,)),))
    text = to_json.write(report)
    assert to_json.load(text) == report
    part = json.loads(text)["sections"][0]["parts"][0]
    assert (part["part"], part["curves"][0]["points"]) == ("picture", [[1, 2], [3, None]])


@pytest.mark.parametrize(
    "broken",
    [{"curves": 3}, {"curves": [{"title": "f", "points": [[1]]}]}, {"across": None}, {"up": {}},
     {"curves": [{"title": "f", "points": [[1, "x"]]}]}, {"title": 3}, {"curves": [3]}],
)  # fmt: skip
def test_a_broken_picture_is_refused(broken: dict[str, Any]) -> None:
    picture = Picture("P", Column("S", "1"), Column("", "B"), (Curve("f", ((1, 2),)),))
    page = json.loads(to_json.write(Report({"name": "m"}, {}, {}, (Section("G", (picture,)),))))
    page["sections"][0]["parts"][0].update(broken)
    with pytest.raises(BadInput):
        to_json.load(json.dumps(page))


def test_numbers_decades_apart_each_have_their_prefix() -> None:
    table = Table("T", (Column("n", "1", True), Column("f", "B", True)), ((1, 2), (10**6, 2**40)))
    report = Report({"name": "m"}, {}, {}, (Section("G", (table,)),))
    text = write(report, 80)
    assert re.search(r"\b1 +2 B\n", text)
    assert re.search(r"1,000,000 +1 TiB\n", text)
    assert to_json.load(to_json.write(report)) == report
