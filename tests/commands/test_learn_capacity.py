"""``botec learn --only capacity`` on the command line."""

from __future__ import annotations

import json

import pytest


def test_on_the_command_line(say) -> None:
    said = say(
        "learn", "mlp:784-512-10", "--examples", "60000", "--classes", "10", "--only", "capacity",
        "--json",
    )  # fmt: skip
    assert said.code == 0
    figure = json.loads(said.out)["figures"]["learn.capacity"]
    assert figure["counted"]["value"] == pytest.approx(3.6 * 407_050)
    assert figure["counted"]["status"] == "estimate"
    assert (figure["low"], figure["high"]) == (2 * 407_050, 3.83 * 407_050)
    text = say(
        "learn", "mlp:784-512-10", "--examples", "60000", "--classes", "10", "--only", "capacity"
    ).out
    assert "narrowest hidden layer" in text
    assert "755" in text


def test_bad_data_on_the_command_line(say) -> None:
    said = say("learn", "mlp:3-2", "--only", "capacity", "--classes", "1")
    assert (said.code, said.err.count("\n")) == (2, 1)
    assert "give at least 2" in said.err


def test_every_bound_has_its_source_on_a_narrow_page(say, monkeypatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = say(
        "learn", "mlp:784-512-10", "--examples", "60000", "--classes", "10", "--only", "capacity"
    ).out
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text.split("what")[1].split("Labels given")[0].replace("… ", "")
    for place in range(1, 7):
        assert f"[{place}]" in text
    assert "https://doi.org/10.1109/PGEC.1965.264137" in text.replace("\n  ", "")
