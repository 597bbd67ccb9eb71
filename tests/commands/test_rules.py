"""``botec rules`` on the command line: the book, one rule, and the rules of a network."""

from __future__ import annotations

import json

import pytest

from botec.analyses.rulebook import picture
from botec.rules.book import book


def test_the_whole_book(say):
    said = say("rules")
    assert said.code == 0
    for rule in book().values():
        assert rule.name in said.out


def test_there_are_forty():
    assert len(book()) >= 40


def test_one_rule_is_derived(say):
    said = say("rules", "six", "per", "parameter", "and", "token")
    assert said.code == 0
    for part in ("Training costs six operations", "F = 2*N*D", "F + G = 6*N*D", "Source: Kaplan"):
        assert part in said.out
    assert say("rules", "six_per_parameter_and_token").out == said.out


def test_a_rule_that_nothing_derives_says_why(say):
    assert "Nothing derives it: it is read off fits" in say("rules", "twenty tokens").out


def test_on_equal_layers(say):
    """All by hand: 5 layers of 64, 32 examples."""
    said = say("rules", "--on", "mlp:64x5", "B=32", "--optimizer", "adam", "--json")
    figures = json.loads(said.out)["figures"]
    forward = figures["rule.forward_of_equal_layers"]
    assert forward["rule"]["value"] == forward["counted"]["value"] == 32 * 64 * 64 * 5
    step = figures["rule.step_of_equal_layers"]
    assert step["rule"]["value"] - step["counted"]["value"] == 32 * 64 * 64
    assert figures["rule.adam_keeps_two"]["rule"]["value"] == 2 * 5 * (64 * 64 + 64)


def test_it_says_why_they_differ(say):
    said = say("rules", "--on", "mlp:64x5", "B=32")
    assert "inputs or frozen weights take no gradient (-131,072)" in said.out
    assert "Rule ÷ count: 1.071." in said.out


def test_on_a_language_model(say):
    model = "transformers:llama?num_hidden_layers=2,hidden_size=64,intermediate_size=128"
    said = say("rules", "--on", f"{model},num_attention_heads=4", "B=2", "S=64")
    assert said.code == 0
    text = " ".join(said.out.split())
    for part in ("six per parameter and token", "looked up, not multiplied", "attention is in no"):
        assert part in text


def test_rules_that_do_not_apply_are_left_out(say):
    said = say("rules", "--on", "mlp:8-16-4", "--json")
    names = json.loads(said.out)["figures"]
    assert "rule.three_forwards" in names
    assert "rule.forward_of_equal_layers" not in names
    assert "rule.six_per_parameter_and_token" not in names


@pytest.mark.parametrize("rule", [one for one in book().values() if one.along])
def test_a_picture_shows_the_rule_along_one_letter(rule):
    drawn = picture(rule)
    points = dict(drawn.curves[0].points)
    middle = rule.example[rule.along]
    assert points[middle] == rule.worked
    assert max(points) > 50 * middle


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["thre forwards"], "did you mean"),
        (["B=32"], "name it with --on MODEL"),
        (["--on", "torchvision:resnet51"], "resnet5"),
    ],
)
def test_wrong_questions(say, arguments, words):
    said = say("rules", *arguments)
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert words in said.err
