"""``botec learn --only differentiation`` on the command line."""

from __future__ import annotations

import json

WRONG = """
import torch
from torch import nn

class Forgets(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return 3 * x
    @staticmethod
    def backward(ctx, gradient):
        return gradient

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 5), nn.Linear(5, 2)
    def forward(self, x):
        return self.last(Forgets.apply(self.first(x)))
"""


def test_what_a_gradient_costs(say):
    said = say("learn", "mlp:8-16-4", "B=2", "--only", "differentiation", "--json")
    assert said.code == 0
    figures = json.loads(said.out)["figures"]
    assert figures["gradient.passes.reverse"]["counted"]["value"] == 1
    assert figures["gradient.passes.forward_mode"]["counted"]["value"] == 212
    assert figures["gradient.passes.finite_difference"]["counted"]["value"] == 213
    assert figures["gradient.passes.finite_difference"]["rule"]["name"] == "passes of differences"


def test_three_ways_for_real(say):
    said = say("learn", "mlp:4-3", "--only", "differentiation", "--verify", "--json")
    figures = json.loads(said.out)["figures"]
    assert figures["gradient.passes.finite_difference"]["measured"]["value"] == 16
    assert "The same gradient in three ways" in said.out


def test_healthy_gradients(say):
    asked = ("learn", "mlp:8-16-4", "B=8", "--only", "differentiation", "--check-gradients")
    assert "Every gradient agrees with the loss" in say(*asked).out
    said = say(*asked, "--json")
    assert said.code == 0
    found = {
        key: figure["measured"]["value"] for key, figure in json.loads(said.out)["figures"].items()
    }
    assert found["gradient.check.wrong"] == 0
    assert found["gradient.check.error"] < 1e-3
    assert 2 < found["gradient.check.passes"] < 64


def test_what_is_said_of_a_gradient_is_whole_in_eighty_columns(say, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = say("learn", "mlp:8-16-4", "--only", "differentiation", "--plain").out
    assert "Griewank & Walther 2008, section 4" in out
    assert "..." not in out


def test_a_wrong_gradient_is_a_no(say, tmp_path):
    path = tmp_path / "net.py"
    path.write_text(WRONG)
    said = say(
        "learn", f"{path}:Net", "--input", "x=B,4", "B=3",
        "--only", "differentiation", "--check-gradients", "--json",
    )  # fmt: skip
    assert said.code == 1
    assert json.loads(said.out)["figures"]["gradient.check.wrong"]["measured"]["value"] >= 1
    assert "wrong gradients: first." in said.err
    assert "last" not in said.err


def test_too_large_for_three_ways(say):
    said = say("learn", "mlp:300-300", "--only", "differentiation", "--verify")
    assert said.code == 2
    assert "verify one of at most 20,000, such as mlp:8-16-4" in said.err
