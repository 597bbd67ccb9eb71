"""``botec fit``: the answer, its exit code, and what bad questions get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from botec import devices

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


def test_a_context_larger_than_the_device_is_said_to_be_it(say: Any) -> None:
    said = say("fit", SMALL, "B=64", *CARD, "--context", "30GiB")
    assert said.code == 1
    assert "the driver's context (30 GiB) is all of its 23.64 GiB." in " ".join(said.out.split())


def sections(said: Any) -> dict[str, list[Any]]:
    """The parts of each section, by its title."""
    return {one["title"]: one["parts"] for one in json.loads(said.out)["sections"]}


def test_what_does_not_fit_is_exit_1_with_remedies(say: Any) -> None:
    said = say("fit", "mlp:20000-20000-20000-20000", "B=8", "--device", "rtx3060", "--json")
    found = figures(said)
    assert said.code == 1
    assert found["fit.room"] < 0
    assert found["fit.largest.B"] == 0
    assert "What would help" in sections(said)


def test_weights_that_are_too_large_alone_are_said_first_in_one_line(say: Any) -> None:
    said = say("fit", "mlp:60000-60000", "B=2", "--device", "rtx3060", "--json")
    first = sections(said)["Fit"][0]
    assert said.code == 1
    assert "the weights alone (13.41 GiB) are larger than its memory (12 GiB" in first["text"]
    assert said.err.count("\n") == 1
    assert first["text"] in said.err


def test_the_page_shows_the_timeline_and_who_stands_on_its_peak(say: Any) -> None:
    said = say("fit", SMALL, "B=64", *CARD, "--json")
    found = sections(said)
    (pile,) = found["Timeline"]
    assert [name for _, name in pile["marks"]] == ["forward", "backward", "optimizer"]
    assert 20 * 2**30 < pile["limit"][0] < 24 * 2**30
    table = found["Memory at the peak"][-1]
    assert table["title"] == "Who stands on the peak"
    assert table["total"][-1] == figures(said)["memory.peak"]


def test_which_sum_is_seen_where_is_told(say: Any) -> None:
    said = say("fit", SMALL, "B=64", *CARD, "--json")
    text = sections(said)["Fit"][2]["text"]
    for word in ("max_memory_allocated()", "max_memory_reserved()", "nvidia-smi"):
        assert word in text


def test_rules_stand_beside_the_count_with_their_error(say: Any) -> None:
    (table,) = sections(say("fit", SMALL, "B=64", *CARD, "--json"))["Rules of thumb"]
    rows = {row[0]: row for row in table["rows"]}
    name = "sixteen bytes a parameter"
    assert rows[name][1] == 16 * (785 * 512 + 513 * 10)
    assert rows[name][3] == rows[name][1] / rows[name][2] == pytest.approx(1, abs=1e-5)
    assert {"four times the weights", "twice the outputs"} <= rows.keys()


def test_an_inference_has_the_rule_of_a_fifth(say: Any) -> None:
    (table,) = sections(say("fit", SMALL, "B=64", "--infer", *CARD, "--json"))["Rules of thumb"]
    assert [row[0] for row in table["rows"]] == ["weights and a fifth"]


def test_without_a_device_every_device_is_answered(say: Any) -> None:
    said = say("fit", "mlp:30x3", "B=2", "--json")
    text, table = sections(said)["Where it fits"]
    assert said.code == 0
    assert len(table["rows"]) > 40
    assert all(row[3] == "yes" and row[4] > 2**20 for row in table["rows"])
    memories = [row[1] for row in table["rows"]]
    assert memories == sorted(memories)
    assert text["text"].startswith(f"It fits on {len(memories)} of {len(memories)} ")


def test_where_not_even_the_weights_fit_is_told_without_a_trace(say: Any) -> None:
    said = say("fit", "mlp:90000-90000-90000", "B=2", "--json")
    rows = sections(said)["Where it fits"][1]["rows"]
    assert {row[5] for row in rows if row[3] == "no"} == {"weights alone", "the step"}
    assert all(row[4] == 0 for row in rows if row[5] == "weights alone")


def test_where_nothing_fits_is_exit_1(say: Any) -> None:
    assert say("fit", "mlp:400000-400000", "B=2", "--json").code == 1


def test_a_network_without_parameters_is_answered_where_it_infers(say: Any, tmp_path: Any) -> None:
    source = tmp_path / "empty.py"
    source.write_text("from torch import nn\n\n\ndef net():\n    return nn.ReLU()\n")
    asked = ("fit", f"{source}:net", "--input", "B,8", "B=4", *CARD)
    assert figures(say(*asked, "--infer", "--json"))["memory.peak"] == 2 * 4 * 8 * 4
    assert "no parameter that requires a gradient; use --infer" in say(*asked).wrong


def test_a_page_is_about_the_users_device_not_one_of_its_name(tmp_path: Any) -> None:
    from botec.fit.controls import for_page

    text = (Path(devices.__file__).parent / "rtx-4090.toml").read_text(encoding="utf-8")
    for titled, room in ((True, 48), (False, 8)):
        lines = [
            line for line in text.splitlines()
            if not line.startswith("memory.") and (titled or not line.startswith("title"))
        ]  # fmt: skip
        path = tmp_path / "rtx-4090.toml"
        path.write_text("\n".join([*lines, f"memory.GiB = {room}"]), encoding="utf-8")
        page = for_page("mlp:8-8", told=lambda _: None, device=str(path), B=2)
        assert page.work is not None
        assert page.work.devices[page.work.device]["total"] == room * 2**30


def test_a_batch_beyond_all_counting_does_not_fit(say: Any) -> None:
    said = say("fit", "mlp:8-8", f"B={10**17}", *CARD, "--json")
    assert said.code == 1
    assert figures(said)["memory.peak"] > 10**18


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--device", "rtx4091"), "no such device in the catalogue; did you mean rtx-4090"),
        (
            ("--device", "m2-max"),
            "are not known to botec; use cpu, cuda or a device",
        ),
        ((*CARD, "--context", "much"), "much"),
        ((*CARD, "--optimizer", "adamm"), "did you mean"),
        ((*CARD, "Q=3"), "no dimension Q"),
    ],
)
def test_a_wrong_question_is_one_line(say: Any, words: tuple[str, ...], line: str) -> None:
    assert line in say("fit", SMALL, *words).wrong


def test_segments_that_grow_hold_less(say: Any) -> None:
    """Pages of 2 MiB behind one another leave no segment half used."""
    asked = ("fit", "mlp:3000-3000-3000", "B=700", *CARD, "--json")
    fixed, growing = figures(say(*asked)), figures(say(*asked, "--expandable"))
    assert growing["memory.peak"] == fixed["memory.peak"]
    assert fixed["memory.peak"] <= growing["memory.reserved"] < fixed["memory.reserved"]
    assert "expandable_segments:True" in say(*asked, "--expandable").out


def test_the_context_is_told_with_its_spread(say: Any) -> None:
    assert "300 to 600 MB are seen" in say("fit", SMALL, "B=64", *CARD, "--json").out
