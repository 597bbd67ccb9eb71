"""A report as Markdown: its tables hold together whatever stands in them."""

from __future__ import annotations

import botec
from botec.report import Column, Report, Section, Table, Text
from botec.write.to_md import write


def test_figures_in_three_columns() -> None:
    text = write(botec.estimate("mlp:8-4", B=3))
    assert text.startswith("# mlp:8-4\n\nB=3 · one training step")
    assert "| multiplications, step | 288 | 192 | 192 |  |" in text


def test_names_stay_text() -> None:
    table = Table("a|b", (Column("module"), Column("size", "B")), (("x|y<b>\nz", None),))
    text = write(Report({"name": "<i>"}, {}, {}, (Section("s", (table, Text("n*K", "formula"))),)))
    assert "# &lt;i&gt;" in text
    assert "| x\\|y&lt;b&gt; z | ? |" in text
    assert "    n*K" in text
