"""A sweep against a loop over its points, one at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import botec.analyses.grid as grid_module
from botec.analyses.count import count
from botec.analyses.grid import Grid, parse_sizes
from botec.analyses.memory import memory
from botec.analyses.sweep import sections, sweep
from botec.errors import BadInput, OutsideRegime, UnknownName
from botec.program import Program

pytest.importorskip("torch")
from botec.inputs import Input
from botec.read import read


@pytest.fixture(scope="module")
def program() -> Program:
    return read("mlp:12-20-3", Input("B", "S", 12), B=3, S=5)


def by_hand(program: Program, grid: Grid) -> list[dict[str, int]]:
    """Every point with its peak and operations, by the timeline of each single point."""
    rows = []
    for b in grid.axes["B"]:
        for s in grid.axes["S"]:
            try:
                peak = memory(program, B=b, S=s).fullest.bytes
                flops = count(program, B=b, S=s).total("flops").at(B=b, S=s)
            except OutsideRegime:
                continue
            rows.append({"B": b, "S": s, "memory.peak": peak, "flops.step": flops})
    return rows


def collected(asked: Any) -> tuple[Any, list[dict[str, Any]]]:
    pieces: list[dict[str, Any]] = []
    found = asked.run(pieces.append)
    names = list(asked.header)
    rows = [
        dict(zip(names, (cell.item() for cell in row), strict=True))
        for piece in pieces
        for row in zip(*(piece[name] for name in names), strict=True)
    ]
    return found, rows


def test_every_point_is_the_single_point(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    grid = Grid({"B": (1, 2, 3, 7), "S": (1, 2, 5, 64)})
    monkeypatch.setattr(Grid, "chunks", lambda self: original(self, 3))
    found, rows = collected(sweep(program, grid))
    expected = by_hand(program, grid)
    assert [{key: row[key] for key in expected[0]} for row in rows] == expected
    assert (found.points, found.kept, found.outside) == (16, len(expected), 16 - len(expected))


original = Grid.chunks


@pytest.mark.parametrize("most", [7, 40, 10**6])
def test_where_and_best_are_what_sorting_finds(
    program: Program, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(Grid, "chunks", lambda self: original(self, most))
    grid = Grid({"B": tuple(range(2, 40)), "S": tuple(range(2, 30, 3))})
    asked = sweep(program, grid, "memory.peak < 40KiB and B*S > 20", "flops.step / (B*S)")
    found, rows = collected(asked)
    kept = [r for r in by_hand(program, grid) if r["memory.peak"] < 40960 and r["B"] * r["S"] > 20]
    assert len(rows) == found.kept == len(kept) > 16
    kept.sort(key=lambda row: row["flops.step"] / (row["B"] * row["S"]))
    shown = [(row["B"], row["S"]) for row in found.rows]
    assert shown == [(row["B"], row["S"]) for row in kept[:16]]


def test_beyond_63_bits_floats_and_no_wrap(program: Program) -> None:
    grid = Grid({"B": (2, 10**12), "S": (2, 10**12)})
    asked = sweep(program, grid)
    assert "flops.step" not in asked.whole
    _, rows = collected(asked)
    exact = count(program, B=10**12, S=10**12).total("flops").at(B=10**12, S=10**12)
    assert rows[-1]["flops.step"] == pytest.approx(exact, rel=1e-12)
    assert exact > 2**63


def test_the_page_counts_its_points(program: Program) -> None:
    asked = sweep(program, Grid({"B": (2, 3), "S": (4,)}), "B > 2")
    (section,) = sections(asked, asked.run())
    assert section.parts[0].text == "2 points asked; 1 kept. Kept where B > 2."


@pytest.mark.parametrize(
    ("text", "points", "sizes"),
    [
        ("B=32", 9, (32,)),
        ("B=1:8", 50, tuple(range(1, 9))),
        ("B=64:200:64", 9, (64, 128, 192)),
        ("B=3:50:x2", 9, (3, 6, 12, 24, 48)),
        ("B=1:1000", 4, (1, 10, 100, 1000)),
        ("B=5:900", 1, (900,)),
    ],
)
def test_ranges(text: str, points: int, sizes: tuple[int, ...]) -> None:
    assert parse_sizes(text, points) == ("B", sizes)


@given(st.integers(1, 10**6), st.integers(0, 10**9), st.integers(2, 60))
def test_spaced_sizes_rise_between_both_ends(start: int, more: int, points: int) -> None:
    _, sizes = parse_sizes(f"B={start}:{start + more}", points)
    assert (sizes[0], sizes[-1]) == (start, start + more)
    assert list(sizes) == sorted(set(sizes))
    assert len(sizes) <= points


@pytest.mark.parametrize(
    "text",
    ["B", "B=", "=3", "B=0:3", "B=5:2", "B=1:9:0", "B=1:9:x1", "B=1:9:x0", "B=a:3", "B=1:2:3:4",
     "B=-1:3", "B=1.5:3", "B=1:1000000000000:1", "B=1:9:-1", f"B=1:{2**62}", "B=1e9", "B=²"],
)  # fmt: skip
def test_what_is_no_range(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_sizes(text, 10)
    assert str(caught.value).startswith(text)


def test_unknown_names(program: Program) -> None:
    with pytest.raises(UnknownName, match="Q: dimensions are B, S; sweep one of them"):
        sweep(program, Grid({"Q": (1,)}))
    with pytest.raises(UnknownName, match=r"--figure memory.pek: .*did you mean memory.peak"):
        sweep(program, Grid({"B": (1,)}), figures=["memory.pek"])


def test_a_grid_in_pieces_is_the_whole_grid() -> None:
    grid = Grid({"B": (1, 2), "S": (5, 6, 7)})
    pieces = list(grid.chunks(4))
    joined = [np.concatenate([piece[name] for piece in pieces]).tolist() for name in ("B", "S")]
    assert joined == [[1, 1, 1, 2, 2, 2], [5, 6, 7, 5, 6, 7]]
    assert grid_module.CHUNK * 8 * 10 < 2**27  # ten columns at once stay below 128 MiB
