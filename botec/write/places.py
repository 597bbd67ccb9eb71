"""Every figure has a place: those that no section shows stand in one of their own, the first."""

from __future__ import annotations

from dataclasses import replace

from botec.report import Figures, Report, Section

REST = "Figures"


def placed(report: Report) -> Report:
    """``report`` with a first section for the figures that none of its sections shows, if any."""
    parts = [part for section in report.sections for part in section.parts]
    shown = {key for part in parts if isinstance(part, Figures) for key in part.keys}
    left = tuple(key for key in report.figures if key not in shown)
    rest = (Section(REST, (Figures(left),)),) if left else ()
    return replace(report, sections=(*rest, *report.sections))
