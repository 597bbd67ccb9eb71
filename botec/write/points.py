"""Points in a file as they come, a piece at a time: ``.csv``, and ``.parquet`` with pyarrow.

A column of whole numbers stays whole. The file takes its place when all points are in it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any, Self

from botec.errors import MissingPackage
from botec.write.file import Draft

SUFFIXES = (".csv", ".parquet")


def takes(path: str | None) -> bool:
    """Whether a file of this name holds points."""
    return bool(path) and PurePath(path or "").suffix.lower() in SUFFIXES


class PointsFile:
    """``with PointsFile(path, header) as file: file.take(columns)``, over and over.

    ``header`` names every column with its unit. Raises :class:`~botec.errors.BotecError` at once
    where the file cannot be written or its package is missing; what stood there stays, whole,
    until the end, and for good where the work fails.
    """

    def __init__(self, path: str) -> None:
        self.kind = PurePath(path).suffix.lower()
        if self.kind == ".parquet":
            parquet()
        self.draft = Draft(path)
        self.rows: CsvRows | ParquetRows | None = None

    def __enter__(self) -> Self:
        return self

    def take(self, columns: Mapping[str, Any]) -> None:
        """Add points: numpy arrays of one length by the column's name."""
        with self.draft.guarded():
            if self.rows is None:
                self.rows = (CsvRows if self.kind == ".csv" else ParquetRows)(self.draft.path)
            self.rows.take(columns)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self.draft.guarded():
                if self.rows is not None:
                    self.rows.close()
            if kind is None:
                self.draft.place()
        finally:
            self.draft.drop()


class CsvRows:
    """Comma-separated values, a header first."""

    def __init__(self, path: str) -> None:
        self.file = open(path, "w", encoding="utf-8", newline="")  # noqa: SIM115
        self.writer = csv.writer(self.file, lineterminator="\n")
        self.begun = False

    def take(self, columns: Mapping[str, Any]) -> None:
        """Add rows; the first time a header before them."""
        if not self.begun:
            self.writer.writerow(columns)
            self.begun = True
        self.writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))

    def close(self) -> None:
        self.file.close()


class ParquetRows:
    """Apache Parquet, a row group for every piece."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.writer: Any = None

    def take(self, columns: Mapping[str, Any]) -> None:
        """Add a row group; the first says what the columns are."""
        arrow, module = parquet()
        table = arrow.table({name: one_type(column) for name, column in columns.items()})
        if self.writer is None:
            self.writer = module.ParquetWriter(self.path, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


def one_type(column: Any) -> Any:
    """A column whose type is the same in every piece: numbers among unknowns are floats."""
    if column.dtype != object or any(isinstance(value, str) for value in column):
        return column
    return column.astype(float)


def parquet() -> tuple[Any, Any]:
    """pyarrow and its room for Parquet. Raises :class:`MissingPackage`."""
    from importlib import import_module

    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        do = "run pip install pyarrow, or write .csv"
        raise MissingPackage("the package pyarrow is not installed", do, "-o") from None
