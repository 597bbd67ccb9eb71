"""The page in a real browser, where one is present: it opens from disk and answers."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from write.in_browser import Opened, agree, disagreements, needed, tables_of

import botec
from botec.analyses.count import count
from botec.analyses.memory import memory
from botec.devices import device
from botec.estimate import for_page
from botec.report import Column, Lifetimes, Lived, Report, Section, Table
from botec.units import Quantity
from botec.write.to_json import as_object

pytestmark = needed
MODEL = "mlp:64-32-10"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page as the command writes it, with every control."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    for_page(MODEL, told=str, B=8).save(str(path))
    return path


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
    keys = ("multiplications.step", "flops.step", "bytes.step", "memory.peak", "memory.saved")
    for key in (*keys, "parameters", "memory.weights"):
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


@pytest.mark.parametrize(
    ("precision", "optimizer"), [("bf16", "adamw"), ("amp-bf16", "sgd"), ("fp32", "sgd")]
)
def test_a_choice_gives_the_numbers_of_the_command(
    opened: Opened, precision: str, optimizer: str
) -> None:
    opened.page.locator('[data-choose="precision"]').select_option(precision)
    opened.page.locator('[data-choose="optimizer"]').select_option(optimizer)
    opened.page.locator('[data-type="B"]').fill("33")
    report = botec.estimate(MODEL, B=33, precision=precision, optimizer=optimizer)
    wanted = as_object(report)["figures"]
    for key in ("multiplications.step", "flops.optimizer", "bytes.step", "memory.peak"):
        assert opened.raw(key) == str(wanted[key]["counted"]["value"]), key


def with_rules(report: dict[str, Any]) -> dict[str, Any]:
    """What rules give beside the figures that have one."""
    figures = report["figures"].items()
    return {key: figure["rule"]["value"] for key, figure in figures if figure["rule"]}


@pytest.mark.parametrize("size", [1, 33])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rules_give_the_numbers_of_the_command(opened: Opened, size: int, precision: str) -> None:
    opened.give('[data-choose="precision"]', precision)
    opened.give('[data-type="B"]', str(size))
    rules = with_rules(as_object(botec.estimate(MODEL, B=size, precision=precision)))
    assert len(rules) == 3
    assert {key: opened.rule(key) for key in rules} == {key: str(one) for key, one in rules.items()}
    assert opened.page.locator("td[data-rule].stale").count() == 0


SPEAKER = "transformers:gpt2?n_layer=1,n_embd=16,n_head=2,vocab_size=50"


@pytest.fixture(scope="module")
def inferred(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a language model's inference."""
    path = tmp_path_factory.mktemp("inferred") / "page.html"
    for_page(SPEAKER, told=str, B=2, S=8, train=False).save(str(path))
    return path


@pytest.mark.parametrize(("examples", "tokens"), [(1, 8), (3, 5), (64, 1024)])
def test_the_cache_of_a_language_model_follows(
    browser: Any, inferred: Path, examples: int, tokens: int
) -> None:
    """Its cache, its rules (tokens and a float among them) and what causal attention needs."""
    opened = Opened(browser, inferred)
    opened.give('[data-type="B"]', str(examples))
    opened.give('[data-type="S"]', str(tokens))
    report = as_object(botec.estimate(SPEAKER, B=examples, S=tokens, train=False))
    cache = report["figures"]["memory.kv_cache"]["counted"]["value"]
    assert opened.raw("memory.kv_cache") == str(cache) == str(2 * 4 * 16 * examples * tokens)
    rules = with_rules(report)
    assert {*rules} == {"flops.forward", "memory.peak"}
    assert all(agree(opened.rule(key), one) for key, one in rules.items())
    halved = report["sections"][-1]["parts"][1]["text"]
    assert opened.page.locator('[data-text="work.causal"]').inner_text() == halved
    assert opened.said == []
    opened.page.close()


@pytest.mark.parametrize("seed", range(4))
def test_tables_follow_every_control(opened: Opened, seed: int) -> None:
    draw = random.Random(seed)
    size, precision = draw.choice([1, 2, 33, 4097]), draw.choice(["fp32", "bf16", "amp-bf16"])
    optimizer = draw.choice(["adamw", "sgd"])
    opened.give('[data-choose="precision"]', precision)
    opened.give('[data-choose="optimizer"]', optimizer)
    opened.give('[data-type="B"]', str(size))
    report = as_object(botec.estimate(MODEL, B=size, precision=precision, optimizer=optimizer))
    section = next(one for one in report["sections"] if one["title"].startswith("Work by kind"))
    for key, table in zip(("work.kind", "work.module"), section["parts"], strict=True):
        assert not disagreements(opened.rows(key), table)


def test_areas_are_those_of_the_table(opened: Opened) -> None:
    """The treemap has the table's numbers where the controls stand, saved bytes among them."""
    figure = opened.page.locator(
        "figure", has=opened.page.locator("figcaption", has_text="By module")
    )
    chart = figure.last.locator(".chart")
    chart.scroll_into_view_if_needed()
    figure.last.locator(".chart[data-drawn]").wait_for()
    opened.give('[data-type="B"]', "512")
    figure.last.locator("select").select_option(label="saved")
    rows = opened.rows("work.module")
    chart.focus()
    chart.press("ArrowRight")
    first = next(row for row in rows if row[-1] != "0")
    wanted = f"{first[0]}: {Quantity(int(first[-1]), 'B')}"
    assert figure.last.locator("output").inner_text() == wanted
    assert rows[-1][-1] == str(memory(botec.read(MODEL), B=512).saved().at(B=512))


@pytest.mark.parametrize("size", [1, 2, 60, 100_000])
def test_who_stands_on_the_peak_follows(opened: Opened, size: int) -> None:
    """Another moment is the peak of a small batch than of a large one."""
    opened.give('[data-type="B"]', str(size))
    report = as_object(botec.estimate(MODEL, B=size))
    parts = next(one["parts"] for one in report["sections"] if one["title"] == "Memory at the peak")
    for key, table in zip(("memory.role", "memory.module"), parts[1:], strict=True):
        wanted = [[str(cell) for cell in row] for row in (*table["rows"], table["total"])]
        assert opened.rows(key) == wanted, key
    assert opened.page.locator('[data-text="memory.moment"]').inner_text() == parts[0]["text"]


@pytest.mark.parametrize("size", [8, 10**9])
def test_a_device_says_whether_the_peak_fits(opened: Opened, size: int) -> None:
    card = device("rtx4090")
    opened.page.locator("#device").select_option(card.title)
    opened.page.locator('[data-type="B"]').fill(str(size))
    peak = as_object(botec.estimate(MODEL, B=size))["figures"]["memory.peak"]["counted"]["value"]
    said = opened.page.locator("#verdict")
    assert said.get_attribute("data-fits") == ("yes" if peak <= card.usable else "no")
    assert said.inner_text().startswith("fits" if size == 8 else "does not fit")


TIMELINE = '.chart[aria-label^="Memory over the step"]'


def test_a_storage_says_why_it_is_alive_by_mouse_and_by_keyboard(opened: Opened) -> None:
    chart = opened.page.locator(TIMELINE)
    chart.scroll_into_view_if_needed()
    opened.page.wait_for_selector(f"{TIMELINE}[data-drawn]")
    chart.focus()
    said = opened.page.locator(f"{TIMELINE} + output")
    for _ in range(3):
        chart.press("ArrowRight")
    assert " stays" in said.inner_text()
    seen = set()
    for _ in range(8):
        chart.press("ArrowDown")
        seen.add(said.inner_text())
    assert any("saved for the backward pass; freed at aten." in text for text in seen)
    chart.press("Escape")
    assert said.inner_text() == ""


def test_the_timeline_follows_the_controls(opened: Opened) -> None:
    """The curve of all that is alive has the peak at the size that is typed."""
    opened.page.locator(TIMELINE).scroll_into_view_if_needed()
    opened.page.wait_for_selector(f"{TIMELINE}[data-drawn]")
    opened.page.locator('[data-type="B"]').fill("4096")
    peak = memory(botec.read(MODEL), B=4096).peak()
    opened.page.wait_for_selector(f'{TIMELINE}[data-most="{peak}"]', timeout=5000)


def test_what_stays_as_asked_says_so(opened: Opened) -> None:
    assert opened.marked() == set()
    opened.page.locator('[data-type="B"]').fill("9")
    assert opened.marked() == {("Work", "details"), ("Memory", "details"), ("Notes", "ul")}
    changed = opened.page.locator("td.changed").evaluate_all(
        "(all) => all.map((c) => c.dataset.key)"
    )
    assert "memory.peak" in changed
    assert "parameters" not in changed
    opened.page.locator(".figures summary").first.click()
    said = opened.page.locator(".figures .asked").first
    assert said.is_visible()
    assert "B=8" in said.inner_text()


def test_every_control_and_chart_is_reached_by_tab(opened: Opened) -> None:
    reached = set()
    for _ in range(60):
        opened.page.keyboard.press("Tab")
        reached.add(
            opened.page.evaluate("document.activeElement.id || document.activeElement.className")
        )
    assert {"slide-B", "choose-precision", "choose-optimizer", "device", "chart"} <= reached


CONTRAST = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const parts = (text) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = text;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.03928 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((all, one, place) => all + one * [0.2126, 0.7152, 0.0722][place], 0);
  const under = (node) => {
    for (let here = node; here; here = here.parentElement) {
      const found = parts(getComputedStyle(here).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const faded = (node) => {
    let all = 1;
    for (let here = node; here; here = here.parentElement) all *= +getComputedStyle(here).opacity;
    return all;
  };
  const TEXTS = "h1,h2,h3,p,td,th,label,summary,output,var,span,b,figcaption";
  const mixed = (one, under, share) => one.map((part, i) => part * share + under[i] * (1 - share));
  let least = [99, ""];
  for (const node of document.querySelectorAll(TEXTS)) {
    if (!node.textContent.trim() || !node.checkVisibility()) continue;
    const back = under(node), share = faded(node);
    const ink = mixed(parts(getComputedStyle(node).color), back, share);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < least[0]) least = [ratio, node.outerHTML.slice(0, 120)];
  }
  return least;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(opened: Opened, scheme: str) -> None:
    """4.5 to 1 at least (WCAG 2.2, 1.4.3), also where figures have moved."""
    opened.page.emulate_media(color_scheme=scheme)
    opened.page.locator('[data-type="B"]').fill("1000000000")
    opened.page.locator("#device").select_option(index=3)
    ratio, where = opened.page.evaluate(CONTRAST)
    assert ratio >= 4.5, where


def test_a_narrow_screen_needs_no_scrolling_aside(opened: Opened) -> None:
    opened.fit_a_phone()


def test_nothing_moves_by_itself(opened: Opened) -> None:
    """Charts are drawn without animation for everybody; the style has no other one."""
    assert opened.page.evaluate("document.getAnimations().length") == 0


def test_reset_gives_back_what_was_asked(opened: Opened) -> None:
    before = opened.raw("memory.peak")
    opened.page.locator('[data-type="B"]').fill("77")
    assert opened.raw("memory.peak") != before
    opened.page.get_by_role("button", name="as asked").click()
    opened.page.wait_for_selector(f'td[data-key="memory.peak"][data-raw="{before}"]')


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


def test_a_long_report_is_there_at_once(browser: Any, tmp_path: Path) -> None:
    """20,000 modules and 1,500 storages: aggregates first, and each row once somebody asks.

    What makes it quick is held, no clock: few elements, a small file, rows made on demand.
    """
    rows = tuple((f"layer.{i}.part", i, 2 * i) for i in range(20_000))
    columns = (Column("module"), Column("parameters", "1"), Column("bytes", "B"))
    table = Table("By module", columns, rows, ("all", 1, 2))
    storages = tuple(
        Lived(i, 20_000 - i, 1000 + i, "1", "activation", f"layer.{i}", "aten.mm", "", "why")
        for i in range(1500)
    )
    life = Lifetimes("Memory over the step", storages, ((0, 5, "5"),), 20_000)
    path = tmp_path / "page.html"
    Report({"name": "long"}, {}, {}, (Section("s", (life, table)),)).save(str(path))
    opened = Opened(browser, path)
    opened.page.wait_for_selector(".chart[data-drawn]")
    assert opened.page.evaluate("document.querySelectorAll('*').length") < 2_000
    opened.page.locator("details[data-rest] summary").click()
    opened.page.wait_for_selector("td:text-is('layer.19999.part')")
    assert opened.said == []


def test_a_long_table_stays_folded_and_follows(browser: Any, tmp_path: Path) -> None:
    """Eighty layers: sixty rows are shown wherever the controls stand, the others on demand."""
    path = tmp_path / "page.html"
    botec.estimate("mlp:8x80", B=2).save(str(path))
    opened = Opened(browser, path)
    rest = opened.page.locator('.wide:has(> table[data-table="work.module"]) + [data-rest]')
    for size in (2, 5):
        opened.give('[data-type="B"]', str(size))
        report = as_object(botec.estimate("mlp:8x80", B=size))
        table = next(one for one in tables_of(report) if one["title"] == "By module"
                     and one["columns"][1]["title"] == "type")  # fmt: skip
        shown = opened.rows("work.module")
        assert len(shown) == 61
        if size == 2:
            rest.locator("summary").click()
        rest.locator("tbody tr").first.wait_for()
        more = rest.locator("tbody").evaluate(
            """(body) => [...body.rows].map((row) =>
              [...row.cells].map((cell) => cell.dataset.raw ?? cell.textContent))"""
        )
        assert not disagreements([*shown[:-1], *more, shown[-1]], table)
    assert ("Work by kind and by module", "details") not in opened.marked()
    opened.page.close()


def test_a_notebook_keeps_its_own_style(browser: Any) -> None:
    """What surrounds the fragment looks the same with it and without."""
    shown = (
        "<table id=own><tr><td>1</td></tr></table><p id=text>text</p><details id=fold></details>"
    )
    page = browser.new_page()
    styles = """() => ["own", "text", "fold"].map((name) => {
      const found = document.querySelector(`#${name} td`) || document.getElementById(name);
      const style = getComputedStyle(found);
      return [style.padding, style.margin, style.color, style.font, style.textAlign];
    })"""
    page.set_content(shown)
    before = page.evaluate(styles)
    page.set_content(shown + botec.estimate("mlp:8-4", B=3)._repr_html_())
    assert page.evaluate(styles) == before
    assert page.locator(".botec-report td.flush").first.evaluate(
        "(cell) => getComputedStyle(cell).textAlign"
    ) == "right"  # fmt: skip
    page.close()
