"""A report's pictures as one PNG file."""

from __future__ import annotations

from botec.report import Report
from botec.write.drawn import drawn

SUFFIX = ".png"


def write(report: Report) -> bytes:
    """The pictures; raises :class:`botec.errors.BadInput` where the report has none."""
    return drawn(report, "png")
