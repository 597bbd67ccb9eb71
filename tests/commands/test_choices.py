"""The choices of a step on the command line reach the step; wrong ones are one line and exit 2."""

from __future__ import annotations

import json
from typing import Any

import pytest

ASKED: list[tuple[list[str], dict[str, Any]]] = [
    (["--accumulate", "4", "--zero-grad", "between"], {"accumulate": 4, "zero_grad": "between"}),
    (["--first-step"], {"first_step": True}),
    (["--precision", "bf16", "--master"], {"master": True, "precision": "bf16"}),
    (["--precision", "amp-fp16", "--scaler"], {"scaler": True}),
    (["--freeze", "0", "--freeze", "2.bias"], {"freeze": ["0", "2.bias"]}),
    (["--train-only", "2"], {"train_only": ["2"]}),
    (["--optimizer", "sgd(momentum=0.9)"], {"optimizer": "sgd(momentum=0.9)"}),
    (["--lora", "r=2,targets=0,2"], {"lora": "r=2,targets=0,2"}),
]


@pytest.mark.parametrize(("words", "setting"), ASKED)
def test_choices_are_in_the_report(say: Any, words: list[str], setting: dict[str, Any]) -> None:
    said = say("estimate", "mlp:8-6-4", "B=2", *words, "--json")
    assert said.code == 0
    found = json.loads(said.out)["setting"]
    assert {name: found[name] for name in setting} == setting


def test_what_is_not_chosen_is_not_in_the_report(say: Any) -> None:
    said = say("estimate", "mlp:8-6-4", "B=2", "--json")
    assert set(json.loads(said.out)["setting"]) == {
        *("train", "optimizer", "precision", "device", "checkpoint", "loss", "dimensions"),
    }


WRONG = [
    (["--accumulate", "0"], "botec: --accumulate 0: accumulate is 0; give a whole number from 1"),
    (["--zero-grad", "never"], "botec: --zero-grad never: 'never' is unknown; use one of after, "
     "before, between, keep"),
    (["zero_grad=keep"],
     "botec: zero_grad=keep: zero_grad is an option; write --zero-grad keep"),
    (["scaler=1"], "botec: scaler=1: scaler is an option; write --scaler"),
    (["--freeze", "9"], "botec: --freeze 9: no weight is called '9'; the first is 0.weight"),
    (["--checkpoint-how", "evry=2"], "botec: --checkpoint-how evry=2: 'evry=2' is not known; did "
     "you mean every=2?"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "line"), WRONG)
def test_wrong_choices(say: Any, words: list[str], line: str) -> None:
    said = say("estimate", "mlp:8-6-4", "B=2", *words)
    assert said.code == 2
    assert said.err.strip() == line
    assert said.out == ""
