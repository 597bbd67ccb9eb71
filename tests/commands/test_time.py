"""``botec time`` and ``botec calibrate``: the answers, and what bad questions get."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

SMALL = "mlp:784-512-10"
CARD = ("--device", "rtx4090")
RUN = ("--run", "60k examples x 10 epochs")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A cache folder of the test's own: no calibration of this machine is there."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def answer(said: Any) -> dict[str, Any]:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_a_step_on_a_card_has_an_interval_and_its_basis(say: Any) -> None:
    found = answer(say("time", SMALL, "B=64", *CARD, "--json"))
    figures = found["figures"]
    assert list(figures) == ["time.forward", "time.backward", "time.optimizer", "time.step"]
    step = figures["time.step"]
    assert step["unit"] == "s"
    assert 0 < step["low"] < step["counted"]["value"] < step["high"]
    assert step["counted"]["status"] == "estimate"
    assert found["setting"]["basis"] == "calibrated"
    titles = [one["title"] for one in found["sections"]]
    assert titles == ["Time", "Who takes it", "Roofline"]


def test_the_page_says_what_bounds_it_and_draws_the_roof(say: Any) -> None:
    said = say("time", SMALL, "B=4096", *CARD, "--plain")
    assert "Bound by" in said.out
    assert "a  the roof" in said.out
    assert "matmul" in said.out


def test_amp_on_a_device_of_the_catalogue(say: Any) -> None:
    asked = ("--device", "a100-80gb", "--precision", "amp-bf16", "--train", "--json")
    found = answer(say("time", SMALL, "B=64", *asked))
    assert found["setting"]["basis"] == "calibrated"
    assert found["setting"]["precision"] == "amp-bf16"
    unseen = answer(say("time", SMALL, "B=64", "--device", "a10", "--json"))
    assert unseen["setting"]["basis"] == "data-sheet"


def test_a_run_costs_what_arithmetic_says(say: Any) -> None:
    """60,000 x 10 / (64 x 4) steps, 2,343.75 rounded up, each as long as the step (and what is
    exchanged); four cards at 2 $ an hour; 450 W each at PUE 1.1."""
    found = answer(
        say("time", SMALL, "B=64", *CARD, *RUN, "--gpus", "4", "--price", "2/h", "--json")
    )
    figures = {key: one["counted"]["value"] for key, one in found["figures"].items()}
    assert figures["time.run"] >= 2344 * figures["time.step"]
    assert figures["cost.run"] == pytest.approx(figures["time.run"] / 3600 * 4 * 2)
    assert figures["energy.run"] == pytest.approx(figures["time.run"] * 4 * 450 * 1.1)
    run = found["figures"]["time.run"]
    assert run["low"] < run["counted"]["value"] < run["high"]


def test_a_cost_without_a_price_is_unknown_and_says_what_to_give(say: Any) -> None:
    found = answer(say("time", SMALL, "B=64", "--device", "rtx-3070", *RUN, "--json"))
    cost = found["figures"]["cost.run"]["counted"]
    assert cost["value"] is None
    assert cost["status"] == "unknown"
    assert cost["why"] == "no price is known for NVIDIA GeForce RTX 3070: --price 2.5/h"


def test_a_language_model_is_held_against_the_best_split(say: Any, tmp_path: Path) -> None:
    sizes = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 2, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(sizes))
    model = f"transformers:{tmp_path}"
    found = answer(say("time", model, "B=2", "S=64", *CARD, "--run", "1M tokens", "--json"))
    tables = [
        part for one in found["sections"] for part in one["parts"]
        if part.get("title") == "How the operations are split"
    ]  # fmt: skip
    assert tables[0]["rows"][0][2] == 128 * 7813  # 1e6 / 128 rounded up


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (
            (*CARD, "--run", "12 bananas"),
            "--run '12 bananas': not a run; write it as \"1.28M examples x 90 epochs\", "
            '"300B tokens" or "50k steps"',
        ),
        (
            (*CARD, "--run", "300B tokens"),
            "--run '300B tokens': the network reads no tokens; count examples or steps",
        ),
        (
            (*CARD, "--price", "2/h"),
            "--price: --price is about a run, and there is none; add one, such as "
            '--run "300B tokens"',
        ),
        ((*CARD, *RUN, "--price", "cheap"), "not a price; write dollars an hour as 2.5/h"),
        ((*CARD, *RUN, "--gpus", "0"), "--gpus 0: 0 devices; give one or more"),
        ((*CARD, *RUN, "--pue", "0.5"), "--pue 0.5: a PUE of 0.5; it is 1 or more"),
        (
            ("--device", "v100", "--precision", "bf16"),
            "--precision bf16: NVIDIA V100 SXM2 32 GB has no bf16; it has fp32, fp16; "
            "use --precision fp16",
        ),
        ((*CARD, "--exact"), "--exact runs every op; leave --device out: it times this machine"),
        (("--device", "h1000"), "no such device in the catalogue"),
        (("--device", "nowhere.toml"), "it cannot be read"),
    ],
)  # fmt: skip
def test_bad_questions(say: Any, arguments: tuple[str, ...], wrong: str) -> None:
    assert wrong in say("time", SMALL, "B=64", *arguments).wrong


def test_a_sheet_of_ones_own(say: Any, tmp_path: Path) -> None:
    sheet = tmp_path / "mine.toml"
    sheet.write_text('title = "Mine"\nbandwidth.GBps = 500\ntflops.fp32 = 10\n')
    found = answer(say("time", SMALL, "B=64", "--device", str(sheet), "--infer", "--json"))
    assert found["setting"]["device"] == "Mine"
    sheet.write_text('title = "Mine"\ntflops.fp32 = 10\n')
    said = say("time", SMALL, "B=64", "--device", str(sheet), "--infer")
    assert "the bandwidth of Mine is not known; describe the device in a file" in said.wrong


def test_a_machine_nobody_measured_is_assumed_and_said(say: Any) -> None:
    found = answer(say("time", SMALL, "B=64", "--infer", "--json"))
    assert found["setting"]["basis"] == "assumed"
    assert any("botec calibrate measures this one" in note for note in found["notes"])


def test_nothing_kept_is_a_wrong_question(say: Any) -> None:
    assert say("calibrate", "--show").wrong == (
        "calibrate --show: this machine is not calibrated; run botec calibrate"
    )
    assert "0 threads; give one or more" in say("calibrate", "--threads", "0").wrong


@pytest.mark.slow
def test_a_calibration_is_kept_shown_and_used(say: Any, nowhere: Path) -> None:
    said = say("calibrate", "--plain")
    assert said.code == 0
    assert "What each kind of op reaches" in said.out
    assert len(list(nowhere.rglob("*.json"))) == 1
    assert say("calibrate", "--show", "--plain").out == said.out
    found = answer(say("time", SMALL, "B=64", "--infer", "--json"))
    assert found["setting"]["basis"] == "measured-here"
    exact = answer(say("time", SMALL, "B=64", "--exact", "--json"))
    assert any("timed on this machine" in note for note in exact["notes"])
