"""The moments that are the peak somewhere: what is looked up at few points beside all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from botec.analyses import standing

LINE = [(), (("B", 1),)]
BENT = [(), (("B", 2),)]


def drawn(seed: int) -> tuple[Any, dict[str, Any]]:
    """Rows of coefficients, some twice, and sizes."""
    draw = np.random.default_rng(seed)
    rows = draw.integers(-50 if seed % 2 else 0, [2000, 9], size=(int(draw.integers(1, 60)), 2))
    rows = np.concatenate([rows, rows[::-1]]) if seed % 3 == 0 else rows
    last, step = int(draw.integers(1, 3000)), int(draw.integers(1, 4))
    return rows.astype(np.int64), {"B": np.arange(step, (last + 1) * step, step)}


def everywhere(columns: list[Any], rows: Any, points: dict[str, Any]) -> list[int]:
    """The first largest at each point, in whole numbers, one after the other."""
    found = set()
    for size in points["B"].tolist():
        parts = [size ** sum(power for _, power in key) for key in columns]
        values = [sum(int(a) * b for a, b in zip(row, parts, strict=True)) for row in rows]
        found.add(values.index(max(values)))
    return sorted(found)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("columns", [LINE, BENT])
def test_the_largest_rows(seed: int, columns: list[Any]) -> None:
    rows, points = drawn(seed)
    points = {"B": points["B"][:400]}
    assert standing.highest(columns, rows, points) == everywhere(columns, rows, points)


def test_a_bend_taken_for_a_line_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bump between two ends that it does not reach."""
    rows, points = np.array([[0, 0, 0], [-1000, 100, -1]]), {"B": np.arange(1, 400)}
    columns = [(), (("B", 1),), (("B", 2),)]
    assert standing.highest(columns, rows, points) == [0, 1]
    monkeypatch.setattr(standing, "is_line", lambda key, points: True)
    assert standing.highest(columns, rows, points) == [0]


def test_what_is_a_line() -> None:
    points = {"B": np.arange(1, 9), "S": np.full(8, 3)}
    assert standing.is_line((("B", 1), ("S", 2)), points)
    assert not standing.is_line((("B", 2),), points)
