"""Points in files: whole, exact, and in place only when all are in it."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

from botec.errors import BadInput, MissingPackage
from botec.write.points import PointsFile, takes

PIECES = (
    {"B": np.array([1, 2]), "memory.peak": np.array([2**61, 5]), "x / y": np.array([0.1, 1e300])},
    {"B": np.array([3]), "memory.peak": np.array([7]), "x / y": np.array([np.nan])},
)


def test_csv_holds_every_point_exactly(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    with PointsFile(str(path)) as file:
        for piece in PIECES:
            file.take(piece)
    rows = list(csv.reader(path.open()))
    assert rows[0] == ["B", "memory.peak", "x / y"]
    assert [row[:2] for row in rows[1:]] == [["1", str(2**61)], ["2", "5"], ["3", "7"]]
    assert [float(row[2]) for row in rows[1:3]] == [0.1, 1e300]


def test_parquet_holds_every_point_exactly(tmp_path: Path) -> None:
    module = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "points.parquet"
    with PointsFile(str(path)) as file:
        for piece in PIECES:
            file.take(piece)
    table = module.read_table(path)
    assert table.column_names == ["B", "memory.peak", "x / y"]
    assert table["memory.peak"].to_pylist() == [2**61, 5, 7]
    assert str(table.schema.field("B").type) == "int64"


def test_parquet_without_its_package_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage, match=r"pyarrow is not installed; run pip install pyarrow"):
        PointsFile(str(tmp_path / "points.parquet"))
    assert list(tmp_path.iterdir()) == []


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("mine")
    with pytest.raises(AttributeError), PointsFile(str(path)) as file:
        file.take({**PIECES[0], "S": "no column"})
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [("points.csv", "mine")]


def test_no_place_to_write(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="it cannot be written"):
        PointsFile(str(tmp_path / "none" / "points.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(BadInput, match="it is a folder"):
        PointsFile(str(tmp_path / "folder.csv"))


def test_which_files_take_points() -> None:
    assert [takes(name) for name in ("a.csv", "b.PARQUET", "c.json", "d", None)] == [
        True, True, False, False, False,
    ]  # fmt: skip


def test_numbers_among_unknowns_have_one_type_in_every_piece() -> None:
    """Parquet's columns have one type; a piece may hold nothing but unknowns."""
    from botec.write.points import one_type

    numbers = one_type(np.array([1, None], dtype=object))
    assert (numbers.dtype, numbers[0]) == (np.float64, 1.0)
    assert np.isnan(numbers[1])
    assert one_type(np.array([None], dtype=object)).dtype == np.float64
    texts = np.array(["a", "b"], dtype=object)
    assert one_type(texts) is texts
    whole = np.array([2**60 + 1])
    assert one_type(whole) is whole
