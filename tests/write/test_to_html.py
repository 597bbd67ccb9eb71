"""A page in one file: names stay text, nothing is fetched, and it works out what Python does."""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import botec
from botec.analyses.figures import Answers
from botec.analyses.formulas import formulas
from botec.poly import Floor, as_poly, at, symbol
from botec.report import Column, Counted, Figure, Report, Section, Table, Text
from botec.write.to_html import PAGE, fragment, write

pytest.importorskip("jinja2")
HOSTILE = "</script><img onerror=alert(1) src=x>"
B, S = symbol("B"), symbol("S")


def hostile() -> Report:
    figure = Figure("memory.peak", HOSTILE, "B", Counted(1024, "512*B", why=HOSTILE))
    table = Table("", (Column("module"), Column(HOSTILE, "B")), ((HOSTILE, 5),), (HOSTILE, 5))
    parts = (Text(HOSTILE), table)
    return Report(
        {"name": HOSTILE, "inputs": [HOSTILE]}, {"dimensions": {"B": 2}}, {"memory.peak": figure},
        (Section(HOSTILE, parts),), (HOSTILE,), HOSTILE,
    )  # fmt: skip


@pytest.fixture(scope="module")
def page() -> str:
    return write(botec.estimate("mlp:64-32-10", B=8))


@pytest.mark.parametrize("form", [write, fragment])
def test_hostile_names_stay_text(form) -> None:
    text = form(hostile())
    assert "<img" not in text
    assert "&lt;/script&gt;&lt;img" in text


def test_ranges_of_a_sweep_are_told_and_no_slider() -> None:
    setting = {"dimensions": {"B": "1:64", "S": 128}}
    page = write(Report({"name": "swept"}, setting, {}, (Section("s", (Text("t"),)),)))
    assert "<var>B</var>=<b>1:64</b>" in page
    assert 'data-size="S">128<' in page
    assert 'data-size="B"' not in page
    assert "data-slide" not in page.partition("<script")[0]


def test_the_embedded_data_cannot_end_its_script() -> None:
    text = write(hostile())
    inside = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert inside is not None
    tree = json.loads(inside[1])["pictures"][0]
    assert (tree["paths"], tree["measures"][HOSTILE]["values"]) == ([HOSTILE], [5])


def test_nothing_is_fetched(page: str) -> None:
    """No address but those of namespaces inside the chart library."""
    own = page.replace((PAGE / "charts.min.js").read_text(encoding="utf-8"), "")
    assert not re.findall(r"https?://", own)
    assert not re.findall(r'(?:src|href)="(?!#)', own)
    assert "default-src 'none'" in page


def test_it_is_small(page: str) -> None:
    assert len(page.encode()) < 1_500_000


def test_the_library_says_where_it_comes_from() -> None:
    assert "6.1.0" in (PAGE / "charts.entry.js").read_text(encoding="utf-8")
    assert "Apache License" in (PAGE / "charts.LICENSE").read_text(encoding="utf-8")


def random_formula(draw: random.Random) -> object:
    """Sums of products of dimensions and floors, as programs have them."""
    words = [
        as_poly(1),
        B,
        S,
        B * S,
        S**2,
        B * S**2,
        symbol(Floor("S", 1, 2)),
        symbol(Floor("S", 0, 7)),
    ]
    terms = [draw.randrange(10 ** draw.randrange(1, 19)) * draw.choice(words) for _ in range(4)]
    return sum(terms, as_poly(draw.randrange(10**12)))


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_the_evaluator_works_out_what_python_does() -> None:
    """A thousand random formulas at random sizes, to the last digit."""
    draw = random.Random(1)
    cases = []
    for _ in range(1000):
        formulas_here = [random_formula(draw) for _ in range(draw.randrange(1, 4))]
        point = {"B": draw.randrange(1, 10**6), "S": draw.randrange(1, 10**6)}
        text = ", ".join(map(str, formulas_here))
        wanted = max(at(one, point) for one in formulas_here)
        cases.append([f"max({text})" if len(formulas_here) > 1 else text, point, str(wanted)])
    assert answers_of_node(cases) == [wanted for *_, wanted in cases]


@pytest.mark.skipif(not shutil.which("node"), reason="node is not installed")
def test_a_wrong_formula_is_an_error_and_a_wrong_answer_is_seen() -> None:
    assert answers_of_node([["B +", {"B": 1}, ""], ["X", {"B": 1}, ""], ["7//2", {}, ""]]) == [
        "error", "error", "3",
    ]  # fmt: skip


def answers_of_node(cases: list) -> list[str]:
    """What ``evaluate.js`` gives for ``[formula, point, …]``."""
    script = (
        f"const f = require({json.dumps(str(PAGE / 'evaluate.js'))});"
        "const read = require('fs').readFileSync(0, 'utf8');"
        "const one = ([text, point]) => { try { return String(f.value(text, f.sizes(point))); }"
        " catch (error) { return 'error'; } };"
        "console.log(JSON.stringify(JSON.parse(read).map(one)));"
    )
    done = subprocess.run(
        ["node", "-e", script], input=json.dumps(cases), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


def test_formulas_give_the_figures_of_the_report() -> None:
    program = botec.read("mlp:64-32-10", B=8)
    report = botec.estimate(program)
    first = formulas(program)[0]
    for key, text in first.values.items():
        counted = report.figures[key].counted
        assert counted is not None
        assert eval(text, {"max": max}, {"B": 8}) == counted.value
    assert Answers(program).memory.fullest.bytes == report.figures["memory.peak"].counted.value


def test_a_notebook_shows_the_same_parts() -> None:
    text = botec.estimate("mlp:8-4", B=3)._repr_html_()
    assert "multiplications, forward" in text
    assert "<script" not in text
    assert "body{" not in text.replace(" ", "")


def test_every_asset_is_there() -> None:
    names = {path.name for path in Path(PAGE).iterdir()}
    assert {"page.html", "page.css", "page.js", "evaluate.js", "charts.min.js"} <= names
