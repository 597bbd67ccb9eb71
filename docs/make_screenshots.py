"""Pictures of pages for the README: ``python docs/make_screenshots.py`` writes ``page-*.png``.

Needs playwright, and a Chromium on the path or one that playwright has installed.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from botec.estimate import for_page
from botec.fit import fit

HERE = Path(__file__).parent
WIDE, HIGH = 1100, 760
MOST_BYTES = 300_000


def open_page(browser: Any, path: Path) -> Any:
    """A page on which every chart is drawn."""
    page = browser.new_page(viewport={"width": WIDE, "height": HIGH}, color_scheme="light")
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    for place in range(page.locator(".chart").count()):
        page.locator(".chart").nth(place).scroll_into_view_if_needed()
        page.locator(".chart[data-drawn]").nth(place).wait_for()
    return page


def light(browser: Any, path: Path) -> Path:
    """The head of an estimate's page, its sizes moved and a device chosen."""
    page = open_page(browser, path)
    page.locator("[data-type=B]").fill("256")
    page.locator("#device").select_option("NVIDIA GeForce RTX 4090")
    page.evaluate("scrollTo(0, 0)")
    return kept(page, HERE / "page-light.png")


def timeline(browser: Any, path: Path) -> Path:
    """The timeline of a step on a device, pointed at where it is thick."""
    page = open_page(browser, path)
    figure = page.locator("figure", has=page.locator("figcaption", has_text="storage by storage"))
    figure.scroll_into_view_if_needed()
    box = figure.locator(".chart").bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.55 * box["height"])
    page.wait_for_timeout(300)
    return kept(page, HERE / "page-fit.png")


def kept(page: Any, path: Path) -> Path:
    """The window as it is. Raises ``ValueError`` where the file is larger than a README wants."""
    page.screenshot(path=str(path))
    page.close()
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size:,} bytes, more than {MOST_BYTES:,}")
    return path


def main() -> None:
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("chromium-browser")
    with TemporaryDirectory() as folder, sync_playwright() as driver:
        first, second = Path(folder) / "estimate.html", Path(folder) / "fit.html"
        for_page("torchvision:resnet50", told=lambda text: None, B=32).save(str(first))
        fit("torchvision:resnet50", B=32, device="rtx4090").save(str(second))
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        for path in (light(browser, first), timeline(browser, second)):
            sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes\n")
        browser.close()


if __name__ == "__main__":
    main()
