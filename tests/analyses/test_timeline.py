"""The picture of a step's memory, and who stands on its peak, against the events themselves."""

from __future__ import annotations

from collections import defaultdict

import pytest

import botec
from botec.analyses.memory import Memory, memory
from botec.analyses.standing import standing_table
from botec.analyses.timeline import picture
from botec.program import BIRTH, DEATH, PHASE


@pytest.fixture(scope="module")
def timeline() -> Memory:
    return memory(botec.read("mlp:64-128-128-10", B=32))


def highest(timeline: Memory) -> int:
    """The most bytes alive at once from the first phase on, added up here."""
    live = most = 0
    begun = False
    for kind, index, _ in timeline.stream.events():
        begun |= kind == PHASE
        size = timeline.sizes[index] if kind in (BIRTH, DEATH) else 0
        live += -size if kind == DEATH else size
        most = max(most, live) if begun else most
    return most


def test_the_highest_moment_of_the_picture_is_the_peak(timeline: Memory) -> None:
    drawn = picture(timeline)
    heights: dict[int, int] = defaultdict(int)
    for layer in drawn.layers:
        for moment, thickness in layer.points:
            heights[moment] += thickness
    assert max(heights.values()) == timeline.fullest.bytes == highest(timeline)
    assert drawn.top is not None
    assert heights[drawn.top[0]] == timeline.fullest.bytes


def test_phases_are_marked_in_their_order(timeline: Memory) -> None:
    marks = picture(timeline).marks
    assert [name for _, name in marks] == ["forward", "backward", "optimizer"]
    assert [moment for moment, _ in marks] == sorted(moment for moment, _ in marks)


def test_layers_are_those_that_are_there(timeline: Memory) -> None:
    titles = [layer.title for layer in picture(timeline).layers]
    assert titles == ["parameter", "optimizer", "gradient", "input", "activation", "temporary"]


def test_who_stands_on_the_peak_adds_up_to_it(timeline: Memory) -> None:
    table = standing_table(timeline)
    assert table.total is not None
    assert table.total[-1] == sum(row[-1] for row in table.rows) == timeline.fullest.bytes
    assert table.total[-2] == len(timeline.fullest.alive)
    largest = table.rows[0]
    assert largest[-1] == max(row[-1] for row in table.rows[:-1])


def test_weights_were_there_before_and_activations_were_made_by_an_op() -> None:
    large = memory(botec.read("mlp:64-128-128-10", B=4096))
    rows = standing_table(large).rows
    assert all(row[3] == "before the step" for row in rows if row[0] in ("parameter", "optimizer"))
    made = [row for row in rows if row[0] == "activation"]
    assert made
    assert all(row[2].startswith("aten.") and row[3] == "forward" for row in made)


def test_a_models_cache_is_a_layer_of_its_own() -> None:
    small = "transformers:llama?hidden_size=64,num_hidden_layers=2,num_attention_heads=4"
    program = botec.read(f"{small},intermediate_size=64,vocab_size=100", train=False, B=2, S=16)
    assert "cache" in [layer.title for layer in picture(memory(program)).layers]
