"""``botec compare`` on the command line: differences first."""

from __future__ import annotations

import json

import pytest


def tables(out: str, title: str) -> dict[str, list]:
    """``{figure: cells}`` of a section."""
    section = next(one for one in json.loads(out)["sections"] if one["title"] == title)
    return {row[0]: row[1:] for part in section["parts"] for row in part["rows"]}


def test_two_models(say):
    said = say("compare", "mlp:8-4", "mlp:8-6", "B=2", "--json")
    assert said.code == 0
    differ = tables(said.out, "What differs")
    assert differ["parameters"] == [36, 54, 1.5]
    assert differ["multiplications, forward"] == [64, 96, 1.5]
    assert tables(said.out, "What is the same")["buffer entries"] == [0, 0, 1]


def test_settings_of_one_model(say):
    said = say("compare", "mlp:8-4", "B=2", "--optimizer", "sgd,adamw", "--json")
    assert json.loads(said.out)["model"]["name"] == "sgd · adamw"
    differ = tables(said.out, "What differs")
    assert (
        differ["floating-point operations, optimizer"][0]
        < (differ["floating-point operations, optimizer"][1])
    )
    assert "parameters" in tables(said.out, "What is the same")


def test_what_differs_most_comes_first(say):
    said = say("compare", "mlp:8-4", "mlp:8-64-64-4", "B=2", "--json")
    section = json.loads(said.out)["sections"][0]
    ratios = [row[-1] for row in section["parts"][0]["rows"]]
    assert ratios == sorted(ratios, reverse=True)


def test_the_same_twice(say):
    said = say("compare", "mlp:8-4", "mlp:8-4", "B=2")
    assert "Nothing that is counted." in said.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mlp:8-4"], "name two models"),
        (["mlp:8-4", "torchvision:resnet51"], "resnet5"),
        (["mlp:8-4"] * 30, "30 are too many"),
    ],
)
def test_wrong_questions(say, arguments, words):
    said = say("compare", *arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert words in said.err
