"""``botec conv`` on the command line."""

from __future__ import annotations

import json

import pytest


def test_one_layer(say):
    said = say("conv", "224", "-k", "7", "-s", "2", "-p", "3", "--json")
    assert said.code == 0
    figures = json.loads(said.out)["figures"]
    found = {key: figure["counted"]["value"] for key, figure in figures.items()}
    assert found["conv.output"] == 112
    assert found["conv.receptive_field"] == 7
    assert found["conv.needed"] == 223
    assert figures["conv.output"]["counted"]["formula"] == "(W + 2*P - D*(K-1) - 1)//S + 1"


def test_a_chain_and_a_transposed_layer(say):
    said = say("conv", "224", "7/2/3", "3/2/1", "4/2/1t", "--json")
    page = json.loads(said.out)
    assert page["figures"]["conv.output"]["counted"]["value"] == 112
    assert page["figures"]["conv.jump"]["counted"]["value"] == 2
    by_options = say("conv", "56", "-k", "4", "-s", "2", "-p", "1", "--transposed", "--json")
    assert json.loads(by_options.out)["figures"]["conv.output"]["counted"]["value"] == 112


def test_it_says_that_padding_does_not_widen_the_reach(say):
    assert "Padding does not widen the reach" in say("conv", "224", "-k", "3", "-p", "1").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["5", "-k", "7"], "does not fit into its input of 5"),
        (["5", "-k", "3", "-s", "0"], "stride of 0"),
        (["5", "3/0"], "stride of 0"),
        (["5"], "no layer"),
        (["five", "-k", "3"], "not a valid integer"),
        (["5", "3/1/1", "-k", "3"], "already"),
        (["0", "-k", "3"], "not a size"),
        (["99", "1/64t", "1/65t"], "ask for fewer"),
    ],
)
def test_a_wrong_question_is_one_line(say, arguments, words):
    assert words in say("conv", *arguments).wrong
