"""The page in a real browser, where one is present: it opens from disk and answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import botec
from botec.analyses.count import count
from botec.analyses.memory import memory
from botec.report import Column, Report, Section, Table
from botec.write.to_json import as_object

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or ""
playwright = pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium on this machine")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
MODEL = "mlp:64-32-10"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=BROWSER, args=list(QUIET))
        yield found
        found.close()


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
        return self.page.locator(f'td[data-key="{key}"]').first.get_attribute("data-raw")


@pytest.fixture
def opened(browser: Any, tmp_path: Path) -> Opened:
    path = tmp_path / "page.html"
    botec.estimate(MODEL, B=8).save(str(path))
    return Opened(browser, path)


def test_it_opens_from_disk_without_a_word_or_a_request(opened: Opened) -> None:
    opened.page.evaluate("document.querySelectorAll('.chart').forEach((c) => c.scrollIntoView())")
    opened.page.wait_for_selector(".chart[data-drawn] canvas")
    assert opened.said == []
    assert len(opened.asked) == 1
    assert opened.asked[0].startswith("file:")


@pytest.mark.parametrize("size", [1, 2, 33, 4097])
def test_a_size_typed_gives_the_numbers_of_the_command(opened: Opened, size: int) -> None:
    opened.page.locator('[data-type="B"]').fill(str(size))
    wanted = as_object(botec.estimate(MODEL, B=size))["figures"]
    for key in ("multiplications.step", "flops.step", "bytes.step", "memory.peak"):
        assert opened.raw(key) == str(wanted[key]["counted"]["value"]), key


def test_the_slider_moves_the_same_numbers(opened: Opened) -> None:
    slide = opened.page.locator('[data-slide="B"]')
    slide.focus()
    before = opened.raw("memory.peak")
    for _ in range(40):
        slide.press("ArrowRight")
    size = int(opened.page.locator('[data-type="B"]').input_value())
    program = botec.read(MODEL)
    assert size > 8
    assert opened.raw("memory.peak") == str(memory(program, B=size).peak()) != before
    assert opened.raw("multiplications.step") == str(count(program, B=size).multiplications())


def test_reset_gives_back_what_was_asked(opened: Opened) -> None:
    before = opened.raw("memory.peak")
    opened.page.locator('[data-type="B"]').fill("77")
    assert opened.raw("memory.peak") != before
    opened.page.get_by_role("button", name="as asked").click()
    opened.page.wait_for_function(
        "(raw) => document.querySelector('td[data-key=\"memory.peak\"]').dataset.raw === raw",
        arg=before,
    )


def test_hostile_names_stay_text(browser: Any, tmp_path: Path) -> None:
    name = "</script><img onerror=document.title='no' src=x>"
    table = Table("", (Column("module"), Column("size", "B")), ((name, 5), ("b", 3)), ("all", 8))
    path = tmp_path / "page.html"
    Report({"name": name}, {}, {}, (Section(name, (table,)),)).save(str(path))
    opened = Opened(browser, path)
    opened.page.wait_for_selector(".chart[data-drawn]")
    opened.page.locator(".chart").hover()
    assert opened.page.title() != "no"
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("h1").inner_text().startswith("</script>")


def test_print_hides_the_controls_and_keeps_the_figures(opened: Opened) -> None:
    opened.page.emulate_media(media="print")
    assert not opened.page.locator("#controls").is_visible()
    assert opened.page.locator("table.figures").first.is_visible()


def test_a_long_report_is_there_in_two_seconds(browser: Any, tmp_path: Path) -> None:
    """20,000 rows: the clock is the browser's own, its bound the promise of the page."""
    rows = tuple((f"layer.{i}.part", i, 2 * i) for i in range(20_000))
    columns = (Column("module"), Column("parameters", "1"), Column("bytes", "B"))
    table = Table("By module", columns, rows, ("all", 1, 2))
    path = tmp_path / "page.html"
    Report({"name": "long"}, {}, {}, (Section("s", (table,)),)).save(str(path))
    opened = Opened(browser, path)
    taken = json.loads(
        opened.page.evaluate("JSON.stringify(performance.getEntriesByType('navigation')[0])")
    )
    opened.page.locator("details summary").first.click()
    assert opened.page.locator("td", has_text="layer.19999.part").count() == 1
    assert taken["domInteractive"] > 0
