"""Pictures over evenly divided axes: in the terminal, in JSON, and as drawings."""

from __future__ import annotations

import json
import sys

import pytest

from botec.errors import BadInput, MissingPackage
from botec.report import Column, Curve, Picture, Report, Section
from botec.write import to_json, to_png, to_svg, to_terminal

PICTURE = Picture(
    "Shares",
    Column("place", "1"),
    Column("share", "1"),
    (Curve("even", tuple((x, 0.25) for x in range(4))), Curve("bump", ((0, 0), (1, 1), (2, 0)))),
    linear=True,
)


def page(*parts: Picture) -> Report:
    return Report({"name": "m"}, {}, {}, (Section("S", parts),))


def test_zeros_are_drawn_where_axes_are_even() -> None:
    said = to_terminal.write(page(PICTURE))
    assert "Shares" in said
    assert "a  even" in said
    assert "b  bump" in said
    rows = [row for row in said.splitlines() if "|" in row]
    assert any("b" in row for row in rows)


def test_json_keeps_that_axes_are_even() -> None:
    found = json.loads(to_json.write(page(PICTURE)))["sections"][0]["parts"][0]
    assert found["linear"] is True
    assert to_json.load(to_json.write(page(PICTURE))).sections[0].parts == (PICTURE,)


def test_a_drawing_is_the_same_each_time() -> None:
    assert to_svg.write(page(PICTURE)) == to_svg.write(page(PICTURE))
    assert to_png.write(page(PICTURE, PICTURE))[:4] == b"\x89PNG"


def test_a_page_without_pictures_is_no_drawing() -> None:
    with pytest.raises(BadInput, match="this answer has no picture"):
        to_svg.write(page())


def test_without_matplotlib_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingPackage, match=r'matplotlib is not installed; .*"botec\[page\]"'):
        to_png.write(page(PICTURE))
