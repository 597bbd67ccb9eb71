"""Piles of layers in the terminal: heights, letters, marks, the top and the limit."""

from __future__ import annotations

import pytest

from botec.report import Column, Curve, Layers, Report, Section
from botec.write import to_json
from botec.write.layers import HEIGHT, layers_lines
from botec.write.look import PLAIN, USUAL, Look

WEIGHTS = Curve("parameter", tuple((moment, 2 * 2**30) for moment in range(24)))
HILL = Curve("activation", tuple((m, 2**30 * min(m, 24 - m)) for m in range(24)))
PILE = Layers(
    "Memory", Column("memory", "B"), (WEIGHTS, HILL), ((0, "forward"), (12, "backward")),
    (12, "peak"), (15 * 2**30, "the card"),
)  # fmt: skip


def drawn(pile: Layers = PILE, width: int = 100, look: Look = USUAL) -> list[str]:
    return [line.plain for line in layers_lines(pile, width, look)]


def inside(lines: list[str]) -> list[str]:
    """The rows of the pile, from the top."""
    return [line.partition("│")[2] for line in lines if "│" in line][:HEIGHT]


def test_the_pile_is_as_high_as_its_layers() -> None:
    """A row is 15 x 13/12/12 = 1.354 GiB, and filled where its middle is: 2, 8 and 14 GiB."""
    rows = inside(drawn())
    for moment, (weights, hill) in {0: (1, 0), 6: (1, 5), 12: (1, 9), 18: (1, 5)}.items():
        column = "".join(row[moment : moment + 1] for row in reversed(rows)).rstrip(" ─")
        assert column == "p" * weights + "a" * hill


def test_where_the_top_is_and_where_phases_begin() -> None:
    lines = drawn()
    top = next(line for line in lines if "peak" in line)
    assert top.index("v") - lines[2].index("│") == 13
    marks = lines[-3]
    assert marks.index("^backward") - marks.index("^forward") == 12


def test_the_limit_is_drawn_where_it_is_near_and_told_always() -> None:
    near, far = drawn(), drawn(Layers(PILE.title, PILE.up, PILE.layers, limit=(2**40, "the card")))
    assert any("────" in line for line in near)
    assert not any("────" in line for line in far)
    assert near[-1].strip() == "the card: 15 GiB"
    assert far[-1].strip() == "the card: 1 TiB"


def test_plain_is_signs_of_every_keyboard() -> None:
    assert "".join(drawn(look=PLAIN)).isascii()


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_it_keeps_to_its_width(width: int) -> None:
    long = Curve("parameter", tuple((moment, 2**30 + moment) for moment in range(500)))
    pile = Layers("Memory", Column("memory", "B"), (long,), ((0, "forward"), (499, "optimizer")))
    assert max(map(len, drawn(pile, width))) <= width


def test_layers_of_one_letter_take_the_next_that_is_free() -> None:
    two = (Curve("aa", ((0, 1), (1, 1))), Curve("aa b", ((0, 1), (1, 1))))
    assert "a aa   b aa b" in drawn(Layers("", Column("memory", "B"), two))[-1]


def test_nothing_is_drawn_of_nothing() -> None:
    assert drawn(Layers("x", Column("memory", "B"), ())) == []
    assert drawn(Layers("x", Column("memory", "B"), (Curve("a", ((0, 0),)),))) == []


def test_json_and_back() -> None:
    report = Report({"name": "m"}, {}, {}, (Section("Timeline", (PILE,)),), (), "1")
    text = to_json.write(report)
    assert to_json.write(to_json.load(text)) == text
    assert to_json.load(text).sections[0].parts[0] == PILE


@pytest.mark.parametrize(
    ("old", "new"), [('"marks": [', '"marks": [3, '), ('"top": [', '"top": [true, ')]
)
def test_a_broken_pile_is_one_line(old: str, new: str) -> None:
    from botec.errors import BadInput

    report = Report({"name": "m"}, {}, {}, (Section("Timeline", (PILE,)),), (), "1")
    with pytest.raises(BadInput):
        to_json.load(to_json.write(report).replace(old, new, 1))
