"""Networks a person can count by hand: layers of one width, and ResNet-50's published numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest
from corridor.asking import figures, formula, say, value
from hypothesis import example, given, settings
from hypothesis import strategies as st

import botec

WORK = [
    f"{measure}.{span}"
    for measure in ("multiplications", "flops", "bytes")
    for span in ("forward", "backward", "step")
]


def check_by_hand(found: dict, n: int, k: int, layers: int) -> None:
    """Every number a person can write down for ``layers`` of width ``k`` and a batch of ``n``."""
    forward = n * k * k * layers
    assert value(found, "multiplications.forward") == forward
    assert value(found, "multiplications.step") == 3 * forward - n * k * k
    assert value(found, "multiplications.backward") == 2 * forward - n * k * k
    rule = found["multiplications.step"]["rule"]
    assert (rule["value"], rule["name"]) == (3 * forward, "three forwards")
    assert value(found, "parameters") == layers * (k * k + k)
    assert found["multiplications.forward"]["counted"]["formula"] == (
        f"{k * k * layers}*B" if k * k * layers > 1 else "B"
    )


@settings(max_examples=12)
@given(n=st.integers(1, 500), k=st.integers(1, 200), layers=st.integers(1, 8))
@example(n=7, k=30, layers=3)
@example(n=1, k=1, layers=1)
@example(n=1, k=30, layers=1)
@example(n=10**15, k=97, layers=2)
def test_layers_of_one_width(n: int, k: int, layers: int) -> None:
    """Forward n·K²·L; the step 3nK²L − nK², since the first layer's input needs no gradient."""
    found = figures(f"mlp:{k}x{layers}", f"B={n}")
    check_by_hand(found, n, k, layers)
    for key in WORK:
        assert formula(found, key, B=n) == value(found, key), key


@settings(max_examples=6)
@given(
    widths=st.lists(st.integers(1, 60), min_size=2, max_size=5),
    read=st.integers(1, 9),
    asked=st.integers(2, 999),
)
def test_formulas_hold_elsewhere(widths: list[int], read: int, asked: int) -> None:
    """The text printed for one batch gives the counts of another, and the peak's too."""
    model = "mlp:" + "-".join(map(str, widths))
    here, there = figures(model, f"B={read}"), figures(model, f"B={asked}")
    pairs = list(pairwise(widths))
    assert value(there, "multiplications.forward") == asked * sum(a * b for a, b in pairs)
    assert value(there, "parameters") == sum(a * b + b for a, b in pairs)
    for key in [*WORK, "memory.saved"]:
        if here[key]["counted"]["formula"] is not None and read > 1:
            assert formula(here, key, B=asked) == value(there, key), key
    assert formula(there, "memory.peak", B=asked) == value(there, "memory.peak")


def test_three_layers_of_thirty_neurons() -> None:
    """Between three layers lie two weight matrices; ``30x3`` is three matrices."""
    assert value(figures("mlp:30-30-30", "B=1"), "multiplications.forward") == 1_800
    assert value(figures("mlp:30x3", "B=1"), "multiplications.forward") == 2_700
    assert value(figures("mlp:30-30-30", "--infer"), "multiplications.forward") == 1_800


def test_python_gives_the_same_numbers() -> None:
    report = botec.estimate("mlp:30x3", B=7)
    found = figures("mlp:30x3", "B=7")
    assert {k: f.counted.value for k, f in report.figures.items()} == {
        key: value(found, key) for key in found
    }
    program = botec.read("mlp:30x3", B=7)
    assert botec.count(program).multiplications("forward", B=11) == 11 * 2_700


RESNET = ("torchvision:resnet50", "B=1")
STEM = 64 * 3 * 7 * 7 * 112 * 112


@pytest.mark.parametrize("train", [True, False])
def test_resnet50(train: bool) -> None:
    """25,557,032 parameters and 4,089,184,256 multiplications; the stem's input needs none back."""
    found = figures(*RESNET, *(() if train else ("--infer",)))
    assert value(found, "parameters") == 25_557_032
    assert value(found, "multiplications.forward") == 4_089_184_256
    assert found["multiplications.forward"]["counted"]["formula"] == "4089184256*B"
    assert ("multiplications.backward" in found) == train
    if train:
        assert value(found, "multiplications.backward") == 2 * 4_089_184_256 - STEM
        assert value(found, "multiplications.step") == 3 * 4_089_184_256 - STEM
        assert found["multiplications.step"]["rule"]["value"] == 3 * 4_089_184_256


def test_a_real_process_says_what_this_one_does() -> None:
    """The installed program, its own interpreter, its own stdout."""
    command = [sys.executable, "-c", "from botec.cli import main; main()"]
    words = ["estimate", "mlp:30x3", "B=7", "--json"]
    ended = subprocess.run([*command, *words], capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert json.loads(ended.stdout)["figures"] == json.loads(say(*words).out)["figures"]
    check_by_hand(json.loads(ended.stdout)["figures"], 7, 30, 3)
