"""Reports as comma-separated values and Parquet, read back by other readers."""

from __future__ import annotations

import csv
import io

import pytest
from write.reports_to_write import example

from botec.report import Column, Curve, Picture, Report, Section, Table
from botec.write import to_csv, to_parquet
from botec.write.to_json import as_object

HOSTILE = '</script><img onerror="x">,\n"\'; ü'


def report() -> Report:
    table = Table(
        "By module",
        (Column("module"), Column("bytes", "B"), Column(HOSTILE, "1")),
        ((HOSTILE, 2**70, None), ("b", 0.1, 3)),
        ("all", 2**70, 3),
    )
    picture = Picture(
        "P", Column("S", "1"), Column("", "s"), (Curve("c", ((1, 0.5), (2, 1e-300))),)
    )
    return Report({"name": HOSTILE}, {}, {}, (Section("S", (table, picture)),))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_every_cell_comes_back_with_its_place() -> None:
    found = {(row["part"], row["row"], row["column"]): row for row in rows(to_csv.write(report()))}
    assert found["By module", HOSTILE, "bytes"]["value"] == str(2**70)
    assert found["By module", HOSTILE, HOSTILE]["value"] == ""
    assert found["By module", "all", HOSTILE]["value"] == "3"
    assert found["By module", "b", "bytes"]["unit"] == "B"
    assert float(found["P", "S=2", "c"]["value"]) == 1e-300
    assert len(found) == 3 * 3 + 2


def test_figures_are_those_of_json() -> None:
    told = as_object(example())["figures"]
    found = {
        (row["row"], row["column"]): row["value"]
        for row in rows(to_csv.write(example()))
        if row["part"] == "figures"
    }
    names = {"count": "counted", "rule": "rule", "measured": "measured"}
    for key, figure in told.items():
        for column, name in names.items():
            value = figure[name]["value"] if figure[name] else None
            shown = found.get((key, column))
            assert shown == (None if figure[name] is None else "" if value is None else str(value))


def test_parquet_has_the_same_rows() -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(io.BytesIO(to_parquet.write(report())))
    texts = [row["value"] or "" for row in table.to_pylist()]
    assert texts == [row["value"] for row in rows(to_csv.write(report()))]
    assert table.column("number").to_pylist()[1] == float(2**70)
