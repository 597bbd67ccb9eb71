"""``botec learn --only reach``: what is said, drawn and refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

NETS = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3, padding=1)
        self.b = nn.Conv2d(4, 4, 3, stride=2, padding=1)

    def forward(self, x):
        return self.b(self.a(x).relu())


class Idle(nn.Module):
    def forward(self, x):
        return torch.zeros(3)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Standing(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        self.a.stride = (0, 0)
        return self.a(x)


class Windowed(nn.Module):
    # Attention within windows of 4 that pads on its way, behind a layer of stride 2.

    class Inside(nn.Module):
        def forward(self, x):
            n, c, length = x.shape
            x = nn.functional.pad(x, (0, -length % 4))
            x = x.reshape(n, c, -1, 4).permute(0, 2, 3, 1)
            x = nn.functional.scaled_dot_product_attention(x, x, x)
            return x.permute(0, 3, 1, 2).reshape(n, c, -1)[..., :length]

    def __init__(self):
        super().__init__()
        self.a, self.norm, self.inside = nn.Conv1d(2, 4, 3, 2), nn.ReLU(), self.Inside()

    def forward(self, x):
        return self.inside(self.norm(self.a(x)))
"""


@pytest.fixture
def net(tmp_path: Any) -> Any:
    """``net("Net")``: a network of a small file, and how it is called."""
    file = tmp_path / "net.py"
    file.write_text(NETS)
    return lambda name, sizes="B,3,H,W": (f"{file}:{name}", "--input", f"x={sizes}")


def answer(said: Any) -> Any:
    assert said.code == 0, said.err
    return json.loads(said.out)


def test_the_figures_are_named_by_the_letters_of_the_input(say: Any, net: Any) -> None:
    page = answer(say("learn", *net("Net"), "H=24", "W=12", "--only", "reach", "--json"))
    counted = {key: figure["counted"]["value"] for key, figure in page["figures"].items()}
    assert {figure["counted"]["status"] for figure in page["figures"].values()} == {"exact"}
    for axis in "HW":
        assert counted[f"learn.receptive_field.{axis}"] == 5
        assert counted[f"learn.stride.{axis}"] == 2
        assert counted[f"learn.padding.{axis}"] == 2
        assert counted[f"learn.centre.{axis}"] == 0
        assert counted[f"learn.least_input.{axis}"] == 1
    assert counted["learn.border.H"] == pytest.approx(100 * 2 / 12)
    (table,) = [
        part
        for part in page["sections"][0]["parts"]
        if part["part"] == "table" and part["title"] == "Layers, along H"
    ]
    assert [row[:3] for row in table["rows"]] == [["a", "convolution", 3], ["b", "convolution", 5]]


def test_axes_without_a_letter_are_called_by_their_place(say: Any, net: Any) -> None:
    page = answer(say("learn", *net("Net", "1,3,8,8"), "--only", "reach", "--axis", "W", "--json"))
    assert "learn.receptive_field.W" in page["figures"]
    assert "learn.receptive_field.H" not in page["figures"]


def test_a_model_without_windows_has_an_answer(say: Any, net: Any) -> None:
    said = say("learn", "mlp:7-5", "--only", "reach")
    assert said.code == 0
    assert "no op slides a window" in said.out
    assert "sees all 7 places" in said.out
    assert say("learn", *net("Idle"), "--infer", "--only", "reach").code == 0
    assert (
        "has an axis of places" in say("learn", "mlp:7-5", "--only", "reach", "--input", "x=7").out
    )


def test_without_labels_a_decoder_has_an_input_of_its_own(say: Any) -> None:
    pytest.importorskip("transformers")
    said = say("learn", "transformers:t5", "S=16", "T=8", "--only", "reach", "--json")
    assert answer(said)["figures"]["learn.receptive_field.S"]["counted"]["value"] == 16


def test_what_stands_for_the_network_is_no_value_inside_a_module(say: Any, net: Any) -> None:
    out = say("learn", *net("Windowed", "B,2,20"), "--only", "reach", "--plain").out
    assert "a place of norm sees 3 places" in " ".join(out.split())
    assert "9 of 20" in out
    from botec.analyses.reach.page import short

    assert short("aten._scaled_dot_product_flash_attention_for_cpu") == "attention"


def test_the_effective_reach_lies_inside_the_theoretical(say: Any, net: Any) -> None:
    asked = ("learn", *net("Net"), "H=24", "W=12", "--only", "reach", "--effective", "--json")
    page = answer(say(*asked))
    measured = page["figures"]["learn.effective_reach.H"]["measured"]
    assert 1 < measured["value"] < 2 * 5
    (first, _) = [part for part in page["sections"][1]["parts"] if part["part"] == "picture"]
    could, real = (dict(map(tuple, curve["points"])) for curve in first["curves"])
    assert sum(could.values()) == pytest.approx(1)
    assert sum(real.values()) == pytest.approx(1)
    assert {place for place, share in real.items() if share} == {
        place for place, share in could.items() if share
    }


@pytest.mark.parametrize(("suffix", "start"), [(".svg", b"<?xml"), (".png", b"\x89PNG")])
def test_the_reach_is_drawn(say: Any, net: Any, tmp_path: Any, suffix: str, start: bytes) -> None:
    file = tmp_path / f"reach{suffix}"
    said = say("learn", *net("Net"), "H=8", "W=8", "--only", "reach", "-o", str(file))
    assert (said.code, said.out) == (0, "")
    assert file.read_bytes().startswith(start)


def test_an_answer_without_a_picture_is_no_drawing(say: Any, tmp_path: Any) -> None:
    wrong = say("learn", "mlp:7-5", "--only", "reach", "-o", str(tmp_path / "a.svg")).wrong
    assert "this answer has no picture; " in wrong
    assert list(tmp_path.iterdir()) == []


def test_the_sizes_it_takes(say: Any) -> None:
    asked = ("learn", "torchvision:squeezenet1_1", "--only", "reach", "--sizes", "20")
    assert "it takes 17 and every larger one (tried up to 20). Its windows take 17." in " ".join(
        say(*asked).out.split()
    )


@pytest.mark.parametrize(
    ("words", "fact"),
    [
        (("torchvision:alexnet", "--input", "x=B,3,32,32"), "Output size is too small"),
        (("mlp:7-5", "--axis", "H"), "no axis 'H'; use one of B, x1"),
        (("mlp:7-5", "--only", "reech"), "no subject 'reech'; did you mean reach?"),
        (("mlp:7-5", "--sizes", "0"), "0 is not in the range"),
    ],
)
def test_wrong_questions(say: Any, words: tuple[str, ...], fact: str) -> None:
    only = () if "--only" in words else ("--only", "reach")
    assert fact in say("learn", *words, *only).wrong


def test_models_that_cannot_be_read(say: Any, net: Any) -> None:
    sizes = ("H=8", "W=8", "--only", "reach")
    branching = say("learn", *net("Branching"), "--infer", *sizes).wrong
    assert "needs a value that only real data gives (net.py line 23)" in branching
    assert "ZeroDivisionError" in say("learn", *net("Standing"), *sizes).wrong
