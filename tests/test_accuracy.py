"""The page of predictions: its sections, how it is taken up again, and how errors are told."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from benchmarks.accuracy import __main__ as page
from benchmarks.accuracy import rows


def test_every_section_has_a_title_and_makes_itself() -> None:
    found = page.sections()
    assert {"memory", "chains", "korthikanti"} <= found.keys()
    assert all(isinstance(one.TITLE, str) and callable(one.section) for one in found.values())
    orders = [one.ORDER for one in found.values()]
    assert orders == sorted(orders)


def test_the_page_is_read_back_as_it_was_written() -> None:
    texts = {"one": "## One\n\n| a |\n|---|", "two": "## Two\n\ntext"}
    assert page.written(page.page(texts, ["one", "two"])) == texts
    assert page.written("") == {}


def test_a_section_that_fails_keeps_the_text_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = ModuleType("good"), ModuleType("bad")
    good.TITLE, good.ORDER, good.section = "Good", 1, lambda: "new"
    bad.TITLE, bad.ORDER, bad.section = "Bad", 2, lambda: 1 / 0
    monkeypatch.setattr(page, "sections", lambda: {"good": good, "bad": bad})
    file = tmp_path / "page.md"
    file.write_text(page.page({"good": "old", "bad": "old"}, ["good", "bad"]), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["accuracy", "-o", str(file)])
    assert page.main() == 1
    assert page.written(file.read_text("utf-8")) == {"good": "## Good\n\nnew", "bad": "old"}
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_errors_and_their_sum() -> None:
    assert rows.error(95, 100) == "-5.0 %"
    assert rows.error(None, 100) == "?"
    pairs = [(101, 100), (80, 100), (105, 100)]
    told = "3 rows: median error 5.0 %, 67 % of them within 10 %, worst 20.0 %"
    assert rows.summary(pairs) == told
    assert rows.summary([]) == "no row could be predicted"


def test_a_row_is_worked_out_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "STORE", tmp_path / "rows.jsonl")
    made = iter([1, 2])
    assert [rows.worked_out("key", lambda: next(made)) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize(
    "name",
    ["hf_docs_bert", "litgpt", "detectron2", "torchtitan", "memsave_chains", "korthikanti_figure1"],
)
def test_data_have_their_source(name: str) -> None:
    assert len(rows.data(f"{name}.csv")) >= 8
    assert f"`{name}.csv`" in (rows.DATA / "SOURCES.md").read_text("utf-8")
