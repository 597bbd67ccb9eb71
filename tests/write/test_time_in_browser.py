"""The page of time in a real browser: at any setting it says what the command says."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from write.in_browser import Opened, agree, disagreements, needed, tables_of

from botec.analyses.duration.pages import SHARED, SPENT, TOLD
from botec.analyses.duration.slowdowns import fitted_to
from botec.analyses.duration.speeds import MEASURED
from botec.devices import devices
from botec.duration import Asked, duration
from botec.duration.controls import for_page
from botec.duration.here import assumed
from botec.errors import BotecError
from botec.units import Quantity
from botec.write.to_json import as_object

pytestmark = needed
MODEL, RUN, CARD = "mlp:64-32-10", "1.28M examples x 90 epochs", "NVIDIA A100 SXM 80 GB"
KEYS = ("time.forward", "time.backward", "time.optimizer", "time.step", "time.run", "cost.run")
NAMES = {one.title: one.name for one in devices()}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("time") / "page.html"
    for_page(MODEL, asked=Asked(NAMES[CARD], RUN, 8), told=str, B=64).save(str(path))
    return path


@pytest.mark.parametrize("seed", range(8))
def test_every_control_gives_the_numbers_of_the_command(opened: Opened, seed: int) -> None:
    draw = random.Random(seed)
    titles = opened.page.eval_on_selector_all("#place option", "(all) => all.map((o) => o.value)")
    card, size = draw.choice(titles), draw.choice([1, 2, 3, 17, 1000, 2**20])
    precision, optimizer = draw.choice(["fp32", "bf16", "amp-bf16"]), draw.choice(["adamw", "sgd"])
    gpus, price = draw.choice([1, 2, 8, 9, 64]), draw.choice(["", "2.5"])
    opened.give("#place", card)
    opened.give('[data-choose="precision"]', precision)
    opened.give('[data-choose="optimizer"]', optimizer)
    opened.give('[data-type="B"]', str(size))
    opened.give('[data-given="gpus"]', str(gpus))
    opened.give('[data-given="price"]', price)
    options: dict[str, Any] = {"B": size, "precision": precision, "optimizer": optimizer}
    try:
        report = as_object(duration(MODEL, asked=Asked(NAMES[card], RUN, gpus, price), **options))
    except BotecError:
        report = None
    if report is None:  # the device has no such type
        assert {opened.raw(key) for key in KEYS} == {"?"}
        return
    for key in (*KEYS, "energy.run"):
        assert agree(opened.raw(key), report["figures"][key]["counted"]["value"]), key
    rules = {key: one["rule"] for key, one in report["figures"].items() if one["rule"]}
    assert {*rules} == {"time.forward", "time.step", "time.run"}
    for key, rule in rules.items():
        assert agree(opened.rule(key), rule["value"]), key
    for key, table in zip(("time.kind", "time.module"), tables_of(report), strict=False):
        assert not disagreements(opened.rows(key), table)
    for place, keys in enumerate((TOLD, (SPENT, SHARED))):
        parts = (one for one in report["sections"][place]["parts"] if one["part"] == "text")
        for key, part in zip(keys, parts, strict=False):
            assert opened.page.locator(f'[data-text="{key}"]').inner_text() == part["text"], key
    assert opened.said == []


def test_a_type_the_device_has_not_is_unknown(opened: Opened) -> None:
    opened.give("#place", "NVIDIA T4")
    opened.give('[data-choose="precision"]', "bf16")
    assert opened.raw("time.step") == "?"
    assert opened.page.locator("#regime").inner_text() == "NVIDIA T4 has no bf16"


def test_the_roof_and_the_areas_follow(opened: Opened) -> None:
    roof = opened.page.locator("figure", has=opened.page.locator("figcaption", has_text="ridge at"))
    roof.scroll_into_view_if_needed()
    roof.locator(".chart[data-drawn]").wait_for()
    opened.give("#place", "NVIDIA GeForce RTX 4090")
    roof.locator("figcaption", has_text="RTX 4090: float32 roof, ridge at 82").wait_for()
    roof.locator("summary").click()
    dots = roof.locator("tbody tr").evaluate_all("(all) => all.map((r) => r.cells[0].textContent)")
    assert dots == ["matmul"]
    reached = roof.locator("tbody tr").first.inner_text().split("\t")[-1]
    report = as_object(duration(MODEL, asked=Asked(NAMES["NVIDIA GeForce RTX 4090"]), B=64))
    row = next(one for one in tables_of(report)[0]["rows"] if one[0] == "matmul")
    assert reached == str(Quantity(row[-1], "flop/s"))
    opened.page.get_by_role("button", name="as asked").click()
    roof.locator("figcaption", has_text=f"{CARD}: float32 roof, ridge at 10").wait_for()
    assert opened.said == []


def test_it_is_small(saved: Path) -> None:
    assert saved.stat().st_size < 1_500_000


def test_this_machine_by_its_calibration(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roofs, slowdowns by size and new memory of a machine that was measured."""
    monkeypatch.setattr("botec.duration.here.known", measured_machine)
    path = tmp_path / "page.html"
    for_page(MODEL, asked=Asked(), told=str, B=64).save(str(path))
    opened = Opened(browser, path)
    for size in (1, 100, 10**6):
        opened.give('[data-type="B"]', str(size))
        report = as_object(duration(MODEL, asked=Asked(), B=size))
        for key in KEYS[:4]:
            assert agree(opened.raw(key), report["figures"][key]["counted"]["value"]), key
        for key, table in zip(("time.kind", "time.module"), tables_of(report), strict=False):
            assert not disagreements(opened.rows(key), table)
        said = [part["text"] for part in report["sections"][0]["parts"] if part["part"] == "text"]
        told = [opened.page.locator(f'[data-text="{key}"]') for key in TOLD[: len(said)]]
        assert [one.inner_text() for one in told] == said
    assert opened.page.locator("#place option").count() == 1
    opened.page.close()


def measured_machine(train: bool) -> Any:
    """Speeds as a calibration gives them."""
    slowdown = fitted_to([(1e3, 1e4, 1e-5), (1e6, 1e6, 2e-4), (1e9, 1e7, 3e-2)])[2]
    kinds = {("matmul", "float32"): slowdown, ("elementwise", "float32"): slowdown}
    return replace(
        assumed(), title="a machine", basis=MEASURED, sharpness=50.0, slowdowns=kinds, fresh=1e-10
    )
