"""A page in a real browser: what it said, what it asked for, and what stands on it."""

from __future__ import annotations

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
needed = pytest.mark.skipif(
    not (BROWSER and find_spec("playwright")), reason="no Chromium, or no playwright, here"
)


class Opened:
    """A page with what it said and asked for."""

    def __init__(self, browser: Any, path: Path) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page = browser.new_page()
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def raw(self, key: str) -> str:
        """The figure as it is, every digit of it."""
        return self.page.locator(f'td[data-key="{key}"]').first.get_attribute("data-raw")

    def rule(self, key: str) -> str | None:
        """What the rule beside a figure gives, every digit of it."""
        return self.page.locator(f'td[data-rule="{key}"]').first.get_attribute("data-raw")

    def rows(self, key: str) -> list[list[str]]:
        """The rows of a table, the total last: numbers as they are, other cells as they read."""
        return self.page.eval_on_selector(
            f'table[data-table="{key}"]',
            """(table) => [...table.tBodies[0].rows, ...(table.tFoot ? table.tFoot.rows : [])]
              .map((row) => [...row.cells].map((cell) => cell.dataset.raw ?? cell.textContent))""",
        )

    def marked(self) -> set[tuple[str, str]]:
        """The section and the kind of every part that says it stands as it was asked."""
        found = self.page.eval_on_selector_all(
            "small.asked",
            """(all) => all.map((tag) => [
              tag.closest("section").querySelector("h2")?.textContent ?? "", tag.dataset.of])""",
        )
        return {(section, kind) for section, kind in found}

    def give(self, selector: str, text: str) -> None:
        """Choose or type."""
        field = self.page.locator(selector)
        if field.evaluate("(field) => field.tagName") == "SELECT":
            field.select_option(text)
        else:
            field.fill(text)

    def fit_a_phone(self) -> None:
        """Nothing is wider than a phone. Charts follow a few frames after the window: it waits."""
        self.page.set_viewport_size({"width": 360, "height": 740})
        for _ in range(100):
            if self.page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError("something is wider than the screen")


def tables_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    """The tables of a report as JSON has them, in their order."""
    parts = [part for section in report["sections"] for part in section["parts"]]
    return [part for part in parts if part["part"] == "table"]


def disagreements(shown: list[list[str]], table: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Where a table of a page and one of JSON differ: numbers to a few of their last bits."""
    known = {str(row[0]): row for row in [*table["rows"], *filter(None, [table["total"]])]}
    if sorted(known) != sorted(row[0] for row in shown):
        return [(sorted(known), sorted(row[0] for row in shown))]
    return [
        (row[0], cell, told)
        for row in shown
        for cell, told in zip(row[1:], known[row[0]][1:], strict=True)
        if not agree(cell, told)
    ]


def agree(shown: str | None, told: Any) -> bool:
    """Whole numbers to the last digit, others to a few of their last bits, texts as they are."""
    if told is None or shown in (None, "?"):
        return told is None and shown == "?"
    if isinstance(told, float):
        return float(shown) == pytest.approx(told, rel=1e-12, abs=1e-300)
    return shown == str(told)
