"""Goldens: pages as they print, kept in ``goldens``.

Renew them with ``pytest tests/write --overwrite-goldens``, then read the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

GOLDENS = Path(__file__).parent / "goldens"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--overwrite-goldens", action="store_true", help="keep what prints now")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with the golden of that name, or renews it."""

    def check(name: str, text: str) -> None:
        file = GOLDENS / name
        if request.config.getoption("--overwrite-goldens", default=False):
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert text == file.read_text(encoding="utf-8")

    return check


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser without a window."""
    from playwright.sync_api import sync_playwright
    from write.in_browser import BROWSER, QUIET

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=BROWSER, args=list(QUIET))
        yield found
        found.close()


@pytest.fixture
def opened(browser: Any, saved: Path) -> Iterator[Any]:
    """The page that a test's module has ``saved``, fresh for every test."""
    from write.in_browser import Opened

    found = Opened(browser, saved)
    yield found
    found.page.close()
