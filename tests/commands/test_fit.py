"""``botec fit``: the answer, its exit code, and what bad questions get."""

from __future__ import annotations

import json
from typing import Any

import pytest

SMALL = "mlp:784-512-10"
CARD = ("--device", "rtx4090")


def figures(said: Any) -> dict[str, Any]:
    """The counted values of a JSON answer, by key."""
    found = json.loads(said.out)["figures"]
    return {key: figure["counted"]["value"] for key, figure in found.items()}


def test_a_small_network_fits_and_the_largest_batch_is_told(say: Any) -> None:
    said = say("fit", SMALL, "B=64", *CARD, "--json")
    found = figures(said)
    assert said.code == 0
    assert found["fit.room"] > 20 * 2**30
    assert found["fit.largest.B"] > 64
    assert found["memory.peak"] < found["memory.reserved"]
    assert found["memory.device"] == found["memory.reserved"] + 450 * 2**20


def test_the_context_is_the_users_to_set(say: Any) -> None:
    found = figures(say("fit", SMALL, "B=64", *CARD, "--context", "1GiB", "--json"))
    assert found["memory.device"] - found["memory.reserved"] == 2**30


def test_what_does_not_fit_is_exit_1_with_remedies(say: Any) -> None:
    said = say("fit", "mlp:20000-20000-20000-20000", "B=8", "--device", "rtx3060", "--json")
    found = figures(said)
    assert said.code == 1
    assert found["fit.room"] < 0
    assert found["fit.largest.B"] == 0
    assert json.loads(said.out)["sections"][-1]["title"] == "What would help"


def test_without_a_device_every_device_is_answered(say: Any) -> None:
    said = say("fit", "mlp:30x3", "B=2", "--json")
    (table,) = json.loads(said.out)["sections"][0]["parts"]
    assert said.code == 0
    assert len(table["rows"]) > 40
    assert all(row[3] == "yes" for row in table["rows"])


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--device", "rtx4091"), "no such device in the catalogue; did you mean rtx-4090"),
        (("--device", "m2-max"), "are not known to botec; use cpu, cuda or an NVIDIA device"),
        ((*CARD, "--context", "much"), "much"),
        ((*CARD, "--optimizer", "adamm"), "did you mean"),
        ((*CARD, "Q=3"), "no dimension Q"),
    ],
)
def test_a_wrong_question_is_one_line(say: Any, words: tuple[str, ...], line: str) -> None:
    assert line in say("fit", SMALL, *words).wrong
