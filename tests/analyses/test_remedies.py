"""What would make a step fit: each change is one a user can type, and says what it saves."""

from __future__ import annotations

from typing import Any

import pytest

import botec
from botec.analyses.fit import CONTEXT, Fit
from botec.analyses.remedies import parts_of, remedies
from botec.devices import device
from botec.errors import BotecError
from botec.fit import fit, question
from botec.report import Table

CARD = {"device": "rtx3060"}


GPT2 = "transformers:gpt2?n_layer=2,n_embd=256,n_head=4,vocab_size=5000"
POINT = {"B": 256, "S": 512}


def helpful(model: str, **options: Any) -> dict[str, dict[str, Any]]:
    """The rows of the table of changes, by their names."""
    report = fit(model, **CARD, **options)
    section = next(one for one in report.sections if one.title == "What would help")
    table = next(one for one in section.parts if isinstance(one, Table))
    keys = [column.title for column in table.columns]
    return {row[0]: dict(zip(keys, row, strict=True)) for row in table.rows}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, Any]]:
    return helpful(GPT2, **POINT)


def test_wide_layers_whose_weights_and_states_are_too_many() -> None:
    rows = helpful("mlp:20000-20000-20000-20000", B=8)
    assert all(row["saved"] > 0 for row in rows.values())
    for name, ratio in (("SGD without momentum", "1.00"), ("training 4 alone", "0.50")):
        assert rows[name]["multiplications, ratio"] == ratio
    # three products forward, five backward; 3 + 1 with one layer trained, 3 + 2 with adapters
    adapters = rows["adapters of rank 16 (LoRA)"]
    assert float(adapters["multiplications, ratio"]) == pytest.approx(5 / 8, abs=0.01)
    assert adapters["fits"] == "yes"
    fitting = [row["fits"] for row in rows.values()]
    assert fitting == sorted(fitting, reverse=True)


@pytest.mark.slow
def test_a_language_model_that_does_not_fit(found: dict[str, dict[str, Any]]) -> None:
    again = found["checkpointing the repeated blocks"]
    kept = found["checkpointing, products kept"]
    # the blocks but not the head are run forward again: between none and a third more
    assert 1.0 < float(again["multiplications, ratio"]) < 4 / 3
    assert float(kept["multiplications, ratio"]) < float(again["multiplications, ratio"])
    assert again["saved"] > kept["saved"] > 0
    assert all(row["saved"] > 0 for row in found.values())


@pytest.mark.slow
def test_micro_batches_are_as_few_as_fit(found: dict[str, dict[str, Any]]) -> None:
    """The same batch in N parts does the same work; half as many parts do not fit."""
    name = next(one for one in found if one.endswith("micro-batches"))
    parts = int(name.split()[4])
    assert found[name]["fits"] == "yes"
    assert found[name]["multiplications, ratio"] == "1.00"

    def asked(many: int) -> Fit:
        program = botec.read(GPT2, accumulate=many, **CARD, **{**POINT, "B": POINT["B"] // many})
        return question(program, device(CARD["device"]), CONTEXT)

    assert asked(parts).device == found[name]["used on the device"]
    assert parts == 2 or not asked(parts // 2).fits


def test_what_is_already_so_is_no_remedy() -> None:
    program = botec.read("mlp:8-8-8", optimizer="sgd", precision="bf16", B=4)
    names = {one.name for one in remedies(program)}
    assert "SGD without momentum" not in names
    assert "weights and what is computed in bf16" not in names
    assert "SGD with momentum" in names


def test_inference_has_few() -> None:
    program = botec.read("mlp:8-8-8", train=False, B=4)
    assert {tuple(one.options) for one in remedies(program)} == {("precision",), ("attention",)}


def test_the_last_module_is_the_head() -> None:
    for text, head in ((f"{GPT2}", "lm_head"), ("mlp:8-8-4", "2"), ("torchvision:resnet18", "fc")):
        program = botec.read(text, B=2)
        assert f"training {head} alone" in {one.name for one in remedies(program)}


def test_equal_parts_only() -> None:
    assert list(parts_of(12)) == [2, 4]
    assert list(parts_of(7)) == []


@pytest.mark.parametrize("options", [{"B": 0}, {"optimizer": "adamx"}])
def test_wrong_questions_stay_wrong(options: dict[str, Any]) -> None:
    with pytest.raises(BotecError):
        fit("mlp:8-8", **CARD, **options)
