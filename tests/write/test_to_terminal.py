"""The page as it prints: goldens at three widths, and laws that hold for every report."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from write.reports_to_write import HOSTILE, example, reports

from botec.report import Column, Counted, Figure, Figures, Report, Section, Table, Text
from botec.write.to_terminal import write

ESCAPE = re.compile(r"\x1b\[[\d;]*m")


def one_table(rows: list[tuple[object, ...]], total: tuple[object, ...] | None) -> Report:
    columns = (Column("module"), Column("flops", "flop"))
    section = Section("S", (Table("T", columns, tuple(rows), total),))
    return Report({"name": "m"}, {}, {}, (section,))


def one_figure(counted: Counted, **columns: object) -> str:
    figure = Figure("a", "title", "flop", counted, **columns)  # type: ignore[arg-type]
    return write(Report({"name": "m"}, {}, {"a": figure}, (Section("S", (Figures(("a",)),)),)))


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_page_is_as_agreed(width: int, golden: Callable[[str, str], None]) -> None:
    golden(f"page-{width}.txt", write(example(), width))


def test_the_plain_page_is_as_agreed(golden: Callable[[str, str], None]) -> None:
    page = write(example(), 80, colour=True, plain=True)
    assert not re.search("[─-╿\x1b]", page)
    golden("page-plain-80.txt", page)


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_first_ten_lines_answer(width: int) -> None:
    top = "\n".join(write(example(), width).splitlines()[:10])
    for answer in ("resnet50  B=32", "25,557,032", "130.9 G", "2.870 GiB"):
        assert answer in top


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_page(width: int) -> None:
    assert max(map(len, write(example(), width).splitlines())) <= width


def test_colours_change_nothing_but_colours() -> None:
    coloured = write(example(), 80, colour=True)
    assert "\x1b[" in coloured
    bare = "\n".join(row.rstrip() for row in ESCAPE.sub("", coloured).splitlines())
    assert bare + "\n" == write(example(), 80)


def test_names_are_never_markup_nor_escapes() -> None:
    page = write(example(), 120, colour=True)
    assert HOSTILE.replace("\x1b", "�") in ESCAPE.sub("", page)
    assert "</script>[bold]x[/]" in page


def test_a_column_nobody_fills_is_left_out() -> None:
    page = one_figure(Counted(5))
    assert "rule" not in page
    assert "measured" not in page


@pytest.mark.parametrize(
    ("counted", "said"),
    [
        (Counted(None, status="unknown", why="no data sheet"), ["?¹", "¹ unknown: no data sheet"]),
        (
            Counted(7, None, "partial", {"aten.b": 1, "aten.a": 12}),
            ["≥ 7¹", "¹ partial: not counted: aten.a (12 times), aten.b (once)"],
        ),
        (Counted(7, why="B is data"), ["7¹", "¹ no formula: B is data"]),
        (Counted(2_000_001, "2000001"), ["2.000 M", "2,000,001"]),
        (Counted(2_000_001, "2000001*B"), ["2.000 M", "2000001*B"]),
        (Counted(0), [" 0"]),
    ],
)
def test_what_is_not_whole_says_so(counted: Counted, said: list[str]) -> None:
    page = one_figure(counted)
    assert all(text in page for text in said), page


def test_an_estimate_shows_its_interval() -> None:
    assert "≈ 5" in one_figure(Counted(5, status="estimate"), low=3, high=8.5)
    assert "3 to 8.5" in one_figure(Counted(5, status="estimate"), low=3, high=8.5)


def test_equal_footnotes_are_one() -> None:
    figures = {key: Figure(key, key, "1", Counted(1, why="because")) for key in "abc"}
    page = write(Report({}, {}, figures, (Section("S", (Figures(("a", "b", "c")),)),)))
    assert page.count("because") == 1
    assert page.count("¹") == 4


def test_figures_without_a_place_are_printed_all_the_same() -> None:
    page = write(Report({}, {}, {"a": Figure("a", "lonely", "1", Counted(3))}, ()))
    assert "\n\nFigures\n" in page
    assert "lonely" in page


def numbers_of(page: str) -> list[Decimal]:
    """The last column of the table on the page, ``<0.01`` as nothing."""
    body = page[page.index("─\n") :].splitlines()[1:]
    cells = [row.split()[-1] for row in body if row.strip() and "─" not in row]
    return [Decimal(0) if cell[0] == "<" else Decimal(cell.replace(",", "")) for cell in cells]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 10**13), min_size=1, max_size=60))
def test_a_long_table_still_adds_up(sizes: list[int]) -> None:
    rows: list[tuple[object, ...]] = [(f"layer.{n}", size) for n, size in enumerate(sizes)]
    page = write(one_table(rows, ("total", sum(sizes))), 80)
    shown = numbers_of(page)
    assert sum(shown[:-1]) == shown[-1]
    assert len(shown) <= 1 + 17


def test_a_spare_column_goes_before_a_table_is_broken() -> None:
    columns = (Column("module"), *(Column(f"number {n}", "B") for n in range(5)))
    columns = (*columns, Column("more", "B", spare=True))
    table = Table("T", columns, (("layer", *range(1000, 1006)),))
    report = Report({"name": "m"}, {}, {}, (Section("S", (table,)),))
    assert "more" in write(report, 80)
    narrow = max(map(len, write(report, 80).splitlines())) - 1
    assert "more" not in write(report, narrow)
    assert len(write(report, narrow).splitlines()) == len(write(report, 80).splitlines())


def test_the_largest_rows_stay_and_the_rest_is_summed() -> None:
    rows: list[tuple[object, ...]] = [(f"layer.{n}", n) for n in range(100)]
    page = write(one_table(rows, ("total", 4950)), 80)
    assert "… 84 more, together" in page
    assert "layer.99" in page
    assert "layer.84" in page
    assert "layer.83" not in page


def test_the_rest_is_named_under_numbers_of_all_prefixes_too() -> None:
    columns = (Column("size", "B", apart=True), Column("time", "s"))
    rows = tuple((10**n, n) for n in range(40))
    table = Table("T", columns, rows, (None, sum(range(40))))
    assert "… 24 more" in write(Report({"name": "m"}, {}, {}, (Section("S", (table,)),)))


def test_a_table_without_total_sums_nothing() -> None:
    rows: list[tuple[object, ...]] = [(f"layer.{n}", n) for n in range(160)]
    page = write(one_table(rows, None), 80)
    assert "… 60 more\n" in page
    assert "together" not in page


def test_an_unknown_among_the_rest_keeps_its_row() -> None:
    rows: list[tuple[object, ...]] = [(f"layer.{n}", n) for n in range(100)]
    rows.append(("mystery", None))
    page = write(one_table(rows, ("total", 4950)), 80)
    assert re.search(r"mystery +\?", page)


def test_long_names_keep_their_ends() -> None:
    path = "encoder." * 20 + "attention"
    page = write(one_table([(path, 1)], None), 60)
    assert re.search(r"…[\w.]*encoder\.attention +1\n", page)


def test_texts_of_every_kind() -> None:
    kinds = [
        Text("a sentence"),
        Text("x = 1", "formula"),
        Text("care", "warning"),
        Text("No.", "no"),
    ]
    page = write(Report({}, {}, {}, (Section("S", tuple(kinds)),)))
    assert "\n  a sentence\n\n    x = 1\n\n  warning: care\n\n  No.\n" in page


@settings(max_examples=150, deadline=None)
@given(reports(), st.integers(20, 160), st.booleans(), st.booleans())
def test_any_report_prints(report: Report, width: int, colour: bool, plain: bool) -> None:
    page = write(report, width, colour, plain)
    assert page.endswith("\n")
    bare = ESCAPE.sub("", page)
    assert all(char.isprintable() or char == "\n" for char in bare)


def test_inference_says_so() -> None:
    setting = {**example().setting, "train": False}
    assert "\ninference · fp32 · on cpu\n" in write(replace(example(), setting=setting), 80)


@pytest.mark.parametrize("width", [60, 80])
def test_a_long_title_keeps_to_the_width(width: int) -> None:
    title = "After 10,000 steps at the gradient, 10,000 at the new one, and as many along the old"
    section = Section("S", (Table(title, (Column("module"),), (("a",),)),))
    page = write(Report({"name": "m"}, {}, {}, (section,)), width)
    assert max(map(len, page.splitlines())) <= width
    assert "".join(title.split()) in "".join(page.split())
