"""The page of growth in a real browser: formulas, terms, tables and curves follow the point."""

from __future__ import annotations

import json
import random
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from write.in_browser import Opened, agree, disagreements, needed, tables_of

from botec.cli import run

pytestmark = needed
ASKED = ("grow", "mlp:KxL", "--vary", "K=16,32,64", "L=3,4,8")


def command(*words: str) -> str:
    """What a command prints."""
    said = StringIO()
    with redirect_stdout(said):
        assert run(words) == 0
    return said.getvalue()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("grow") / "page.html"
    command("grow", "mlp:64-32-10", "B=8", "-o", str(path))
    return path


@pytest.mark.parametrize("seed", range(4))
def test_the_point_slides_through_figures_terms_and_decades(opened: Opened, seed: int) -> None:
    size = random.Random(seed).choice([1, 2, 100, 12_345, 10**6])
    opened.give('[data-type="B"]', str(size))
    report = json.loads(command("grow", "mlp:64-32-10", f"B={size}", "--json"))
    for key, figure in report["figures"].items():
        assert agree(opened.raw(key), figure["counted"]["value"]), key
        if figure["rule"]:
            assert agree(opened.rule(key), figure["rule"]["value"]), key
    tables = {table["title"]: table for table in tables_of(report)}
    terms = next((one for title, one in tables.items() if title.startswith("Terms at")), None)
    shown = {(row[0], row[1]): row for row in opened.rows("grow.terms")}
    assert len(shown) == (len(terms["rows"]) if terms else 0)
    for row in terms["rows"] if terms else ():
        for cell, told in zip(shown[row[0], row[1]][2:], row[2:], strict=True):
            assert agree(cell, told), row
    assert not disagreements(opened.rows("along B"), tables[""])
    assert opened.said == []


SPEAKER = "transformers:gpt2?n_layer=1,n_embd=16,n_head=2,vocab_size=50"


def test_who_passes_whom_follows(browser: Any, tmp_path: Path) -> None:
    """In each dimension, the other one elsewhere: owners, terms, sizes and sentences."""
    path = tmp_path / "page.html"
    command("grow", SPEAKER, "B=2", "S=8", "-o", str(path))
    opened = Opened(browser, path)
    for point in ({"B": 1, "S": 8}, {"B": 300, "S": 3}, {"B": 2, "S": 1000}):
        for name, size in point.items():
            opened.give(f'[data-type="{name}"]', str(size))
        report = json.loads(
            command("grow", SPEAKER, *(f"{name}={size}" for name, size in point.items()), "--json")
        )
        for name in point:
            parts = next(
                one["parts"] for one in report["sections"] if one["title"] == f"Growth in {name}"
            )
            table = next(one for one in parts if one.get("title") == "The fastest terms")
            assert opened.rows(f"passing {name}") == table["rows"], (point, name)
            told = opened.page.locator(f'[data-text="passed {name}"]')
            if parts[0]["part"] == "text" and told.count():
                assert told.inner_text() == parts[0]["text"]
    assert {kind for _, kind in opened.marked()} <= {"details", "ul"}
    assert opened.said == []
    opened.page.close()


def test_curves_show_where_the_point_is(opened: Opened) -> None:
    chart = opened.page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    opened.page.wait_for_selector(".chart[data-drawn]")
    opened.give('[data-type="B"]', "1000")
    chart.focus()
    for _ in range(4):
        chart.press("ArrowRight")
    report = json.loads(command("grow", "mlp:64-32-10", "B=1000", "--json"))
    flops = report["figures"]["flops.step"]["counted"]["value"]
    assert f"B 1,000, {flops:,}" in opened.page.locator("output.read").first.inner_text()


def test_fields_of_the_build_slide_too(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    command(*ASKED, "-o", str(path))
    opened = Opened(browser, path)
    for name, size in (("K", 48), ("L", 6), ("B", 5)):
        opened.give(f'[data-type="{name}"]', str(size))
    wanted = json.loads(command("estimate", "mlp:48x6", "B=5", "--json"))["figures"]
    for key in ("parameters", "multiplications.step", "bytes.step", "memory.peak", "memory.saved"):
        assert opened.raw(key) == str(wanted[key]["counted"]["value"]), key
    opened.page.close()
