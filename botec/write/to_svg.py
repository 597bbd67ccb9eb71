"""A report's pictures as one SVG file."""

from __future__ import annotations

from botec.report import Report
from botec.write.drawn import drawn

SUFFIX = ".svg"


def write(report: Report) -> bytes:
    """The pictures; raises :class:`botec.errors.BadInput` where the report has none."""
    return drawn(report, "svg")
