"""``botec optimizer`` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def test_the_question_of_the_handbook(say):
    said = say("optimizer", "adam", "--lr", "1e-3", "--gradient", "3", "--steps", "1000", "--json")
    assert said.code == 0
    page = json.loads(said.out)
    figures = page["figures"]
    assert figures["optimizer.state"]["counted"]["value"] == 2
    assert figures["optimizer.w"]["counted"]["value"] == pytest.approx(-1, rel=1e-8)
    assert figures["optimizer.m_hat"]["counted"]["value"] == pytest.approx(3)
    assert figures["optimizer.v_hat"]["counted"]["value"] == pytest.approx(9)
    assert figures["optimizer.halflife.beta1"]["counted"]["value"] == pytest.approx(6.579, abs=1e-3)
    assert figures["optimizer.stability"]["counted"]["value"] == pytest.approx(38_000)
    assert figures["optimizer.w"]["measured"] is None


def test_the_real_optimizer_stands_beside_it(say):
    pytest.importorskip("torch")
    said = say("optimizer", "sgd", "--momentum", "0.9", "--nesterov", "--verify", "--json")
    assert said.code == 0
    figures = json.loads(said.out)["figures"]
    assert figures["optimizer.state"]["measured"]["value"] == 1
    assert figures["optimizer.error"]["measured"]["value"] < 1e-12


def test_a_real_one_that_parts_is_answered_no(say, monkeypatch):
    pytest.importorskip("torch")
    import botec.measure.optimizers as real

    trajectory = real.trajectory
    monkeypatch.setattr(
        real, "trajectory", lambda name, o, g, s: trajectory(name, {**o, "lr": o["lr"] * 1.1}, g, s)
    )
    said = say("optimizer", "adam", "--verify", "--steps", "20")
    assert said.code == 1
    assert "differs" in said.err


def test_how_what_is_kept_grows_stands_beside_the_real_object(say):
    pytest.importorskip("torch")
    said = say("optimizer", "lbfgs", "--steps", "20", "--verify", "--json")
    assert said.code == 0
    figures = json.loads(said.out)["figures"]
    for key, kept in (("after.1", 40), ("after.5", 200), ("after.6", 202)):
        assert figures[f"optimizer.state.{key}"]["counted"]["value"] == kept
        assert figures[f"optimizer.state.{key}"]["measured"]["value"] == kept
    assert figures["optimizer.state"]["measured"]["value"] == 202


def test_a_long_way_is_allowed_its_roundings(say):
    """20,000 roundings to one side are more than 1e-12, and no fault."""
    pytest.importorskip("torch")
    given = ("--lr", "1e-7", "--start", "1", "--steps", "20000", "--verify", "--json")
    said = say("optimizer", "sgd", *given)
    assert said.code == 0
    assert json.loads(said.out)["figures"]["optimizer.error"]["measured"]["value"] > 1e-12


def test_the_page_says_what_its_signs_are(say):
    out = say("optimizer", "adamw", "--plain").out
    for words in ("β₁ how much of the gradients' average", "the edge of stability", "Source: "):
        assert words in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["adma"], "did you mean adam"),
        (["lbfgs", "--max-iter", "0"], "below 1"),
        (["adam", "--history-size", "3"], "no such option"),
        (["adam", "--beta1", "1"], "below 1"),
        (["adam", "--lr", "-1"], "below 0"),
        (["adam", "--momentum", "0.9"], "no such option"),
        (["adam", "--gradient", "0"], "moves nothing"),
        (["adam", "--steps", "0"], "number of steps"),
        (["adam", "--steps", "many"], "not a valid integer"),
        (["adam", "--eps", "0", "--gradient", "1e-200"], "eps"),
        (["adam", "-o", "way.bmp"], "suffix"),
    ],
)
def test_a_wrong_question_is_one_line(say, arguments, words):
    assert words in say("optimizer", *arguments).wrong


def test_without_torch_the_forms_still_answer():
    block = "import sys; sys.modules['torch'] = None; from botec.cli import run; "
    code = block + "sys.exit(run(['optimizer', 'adam', '--json']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["figures"]["optimizer.state"]["counted"]["value"] == 2
    code = block + "sys.exit(run(['optimizer', 'adam', '--verify']))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2
    assert "torch is not installed" in done.stderr
