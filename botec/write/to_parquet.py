"""A report's numbers as Apache Parquet: the rows of :mod:`botec.write.to_csv`, for data frames."""

from __future__ import annotations

import io

from botec.report import Report
from botec.write.points import parquet
from botec.write.to_csv import COLUMNS, numbers

SUFFIX = ".parquet"


def write(report: Report) -> bytes:
    """The numbers: ``value`` as text with all digits, ``number`` the nearest float of 64 bits.

    Raises :class:`botec.errors.MissingPackage` where pyarrow is not installed.
    """
    arrow, module = parquet()
    rows = list(numbers(report))
    columns = {name: [row[place] for row in rows] for place, name in enumerate(COLUMNS)}
    values = columns.pop("value")
    texts = arrow.array([None if one is None else str(one) for one in values], arrow.string())
    floats = arrow.array(
        [float(one) if isinstance(one, (int, float)) else None for one in values], arrow.float64()
    )
    held = io.BytesIO()
    known = {name: arrow.array(column, arrow.string()) for name, column in columns.items()}
    module.write_table(arrow.table({**known, "value": texts, "number": floats}), held)
    return held.getvalue()
