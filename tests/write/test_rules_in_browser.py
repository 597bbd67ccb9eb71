"""The page of rules on a network in a real browser: wherever its point slides, it says what the
command says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from write.in_browser import Opened, agree, needed

import botec
from botec.analyses.figures import Answers
from botec.analyses.rulebook import on_network
from botec.estimate import described
from botec.report import Report
from botec.rules.book import book
from botec.write.to_json import as_object

pytestmark = needed
SPEAKER = "transformers:gpt2?n_layer=1,n_embd=16,n_head=2,vocab_size=50"


def held(model: str, **options: Any) -> Report:
    program = botec.read(model, **options)
    return on_network(Answers(program), book(), described(program))


@pytest.mark.parametrize(
    ("model", "asked", "others"),
    [
        ("mlp:64-64-64", {"B": 8}, [{"B": 1}, {"B": 5000}]),
        (SPEAKER, {"B": 2, "S": 8}, [{"B": 1, "S": 8}, {"B": 33, "S": 1000}]),
        (SPEAKER, {"B": 2, "S": 8, "train": False}, [{"B": 7, "S": 64}]),
    ],
)
def test_rules_counts_and_sentences_follow(
    browser: Any, tmp_path: Path, model: str, asked: dict[str, Any], others: list[dict[str, Any]]
) -> None:
    path = tmp_path / "page.html"
    held(model, **asked).save(str(path))
    opened = Opened(browser, path)
    for point in others:
        for name, size in point.items():
            opened.give(f'[data-type="{name}"]', str(size))
        report = as_object(held(model, **{**asked, **point}))
        for key, figure in report["figures"].items():
            assert agree(opened.raw(key), figure["counted"]["value"]), key
            assert agree(opened.rule(key), figure["rule"]["value"]), key
        for section in report["sections"]:
            texts = [part["text"] for part in section["parts"] if part["part"] == "text"]
            title = opened.page.get_by_role("heading", name=section["title"], exact=True)
            own = opened.page.locator("section", has=title)
            assert own.locator("> p").all_inner_texts() == texts
        assert {kind for _, kind in opened.marked()} == {"details", "ul"}
    assert opened.said == []
    opened.page.close()
