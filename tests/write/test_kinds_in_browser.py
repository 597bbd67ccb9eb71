"""Every kind of page in a real browser: it opens silently, is small, fits a phone, prints; and the
receptive field is drawn where the network's own gradient falls."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from write.in_browser import Opened, needed

import botec
from botec.analyses.compare import compared
from botec.analyses.optimizers import page as optimizer
from botec.analyses.rulebook import whole_book
from botec.fit import fit
from botec.learn import learn
from botec.report import Report
from botec.rules.book import book

torch = pytest.importorskip("torch")
pytestmark = needed
MOST = 1_500_000


def convolutions() -> Any:
    """Two strided convolutions and a pooling window."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 4, 5, 2, 1), nn.ReLU(), nn.Conv2d(4, 4, 3, 2, 1, dilation=2), nn.MaxPool2d(2)
    )


KINDS: dict[str, Callable[[], Report]] = {
    "fit": lambda: fit("mlp:64-32-10", B=8, device="rtx4090"),
    "reach": lambda: learn(convolutions(), "input=B,3,40,48", only="reach", B=1),
    "signal": lambda: learn("mlp:16x4", only="signal", B=4, measure=True),
    "optimizer": lambda: optimizer.report(optimizer.asked("adam")),
    "rules": lambda: whole_book(book()),
    "compare": lambda: compared(
        {name: botec.estimate(f"mlp:{name}", B=4) for name in ("8-4", "8-8-4")}
    ),
}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("kinds")
    for name, made in KINDS.items():
        made().save(str(folder / f"{name}.html"))
    return {name: folder / f"{name}.html" for name in KINDS}


@pytest.fixture
def opened(browser: Any, pages: dict[str, Path], request: Any) -> Iterator[Opened]:
    found = Opened(browser, pages[request.param])
    yield found
    found.page.close()


@pytest.mark.parametrize("opened", [*KINDS], indirect=True)
def test_it_opens_silently_fits_a_phone_and_prints(opened: Opened) -> None:
    for place in range(opened.page.locator(".chart").count()):
        opened.page.locator(".chart").nth(place).scroll_into_view_if_needed()
        opened.page.locator(".chart[data-drawn]").nth(place).wait_for()
    opened.fit_a_phone()
    opened.page.emulate_media(media="print")
    assert opened.page.locator("h2").first.is_visible()
    assert opened.said == []
    assert len(opened.asked) == 1


@pytest.mark.parametrize("kind", [*KINDS])
def test_it_is_small(pages: dict[str, Path], kind: str) -> None:
    assert pages[kind].stat().st_size < MOST


SEES = re.compile(r"(\w) (-?\d+) to (-?\d+) \((\d+) places of (\d+)\), place (\d+) of (\d+)")


@pytest.mark.parametrize("opened", ["reach"], indirect=True)
@pytest.mark.parametrize(("layer", "modules"), [("0", 1), ("2", 3), ("3", 4)])
@pytest.mark.parametrize("size", [None, 61])
def test_the_field_is_where_the_gradient_falls(
    opened: Opened, layer: str, modules: int, size: int | None
) -> None:
    """The places of the input that a layer's middle place depends on, found by autograd."""
    opened.page.locator(".chart").first.scroll_into_view_if_needed()
    opened.page.locator(".chart[data-drawn]").first.wait_for()
    opened.page.locator('select[aria-label="layer"]').select_option(label=layer)
    sizes = (40, 48)
    if size:
        opened.give("input.size", str(size))
        sizes = (size, size)
    said = opened.page.locator("output.read").first.inner_text()
    told = {one[0]: tuple(map(int, one[1:])) for one in SEES.findall(said)}
    picture = torch.ones(1, 3, *sizes, requires_grad=True)
    net = torch.nn.Sequential(*[*convolutions()][:modules])
    for one in net:
        if hasattr(one, "weight"):
            torch.nn.init.constant_(one.weight, 1.0)
    net = torch.nn.Sequential(
        *(torch.nn.AvgPool2d(2) if isinstance(one, torch.nn.MaxPool2d) else one for one in net)
    )
    made = net(picture)
    high, wide = ((made.shape[axis] - 1) // 2 for axis in (2, 3))
    made[0, 0, high, wide].backward()
    assert picture.grad is not None
    for axis, name, place in ((2, "H", high), (3, "W", wide)):
        other = 5 - axis
        hit = (picture.grad[0].abs().sum(0).sum(other - 2) > 0).nonzero().flatten().tolist()
        first, last, reach, given, own, places = told[name]
        assert (given, own, places) == (sizes[axis - 2], place, made.shape[axis])
        assert (max(first, 0), min(last, given - 1)) == (hit[0], hit[-1])
        assert last - first + 1 == reach


@pytest.mark.parametrize("opened", ["reach"], indirect=True)
def test_arrow_keys_move_the_place(opened: Opened) -> None:
    chart = opened.page.locator(".chart").first
    chart.scroll_into_view_if_needed()
    opened.page.locator(".chart[data-drawn]").first.wait_for()
    said = opened.page.locator("output.read").first
    opened.page.locator('select[aria-label="layer"]').select_option(label="0")
    before = {one[0]: int(one[1]) for one in SEES.findall(said.inner_text())}
    chart.focus()
    chart.press("ArrowRight")
    chart.press("ArrowUp")
    after = {one[0]: int(one[1]) for one in SEES.findall(said.inner_text())}
    assert after == {"H": before["H"] - 2, "W": before["W"] + 2}
