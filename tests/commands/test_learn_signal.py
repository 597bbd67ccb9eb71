"""``botec learn --only signal``: figures, verdicts, real passes, and questions it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from botec.errors import BadInput, UnknownName
from botec.inputs import Input
from botec.learn import learn


def plain(depth: int = 12, gain: float = math.sqrt(2)) -> nn.Module:
    torch.manual_seed(0)
    rows: list[nn.Module] = []
    for _ in range(depth):
        rows += [nn.Linear(64, 64), nn.ReLU()]
        nn.init.normal_(rows[-2].weight, 0, gain / 8)
        nn.init.zeros_(rows[-2].bias)
    return nn.Sequential(*rows, nn.Linear(64, 10))


def page(model, **options):
    return learn(model, Input("B", 64), only="signal", B=32, **options)


def test_the_page_of_a_sound_network():
    report = page(plain())
    gain = report.figures["learn.signal.gain"]
    assert gain.low < gain.counted.value < gain.high
    assert gain.counted.status == "estimate"
    text = str(report)
    assert "keep their size" in text
    assert "σ = √(2/d)" in text
    assert "1.4142135624" in text  # ReLU's gain
    loss = report.figures["learn.loss.first"]
    assert loss.rule.value == pytest.approx(math.log(10))
    assert loss.counted.value >= loss.rule.value


def test_the_first_loss_is_that_of_real_logits():
    """ln K + σ²/2: logits of a wide last layer, 2,000 examples."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(256, 500))
    nn.init.normal_(model[0].weight, 0, 1 / 16)
    report = learn(model, Input("B", 256), only="signal", B=32)
    x = torch.randn(2000, 256)
    real = nn.functional.cross_entropy(model(x), torch.randint(0, 500, (2000,)))
    assert report.figures["learn.loss.first"].counted.value == pytest.approx(real.item(), abs=0.08)


def test_real_passes_stand_beside():
    report = learn("mlp:64-64-64-10", only="signal", B=64, measure=True)
    for key in ("learn.signal.gain", "learn.gradient.gain"):
        figure = report.figures[key]
        # an initialisation of 64 units: 5/64 and 2/10 of variance on either side
        assert math.log(figure.counted.value / figure.measured.value) == pytest.approx(0, abs=0.6)
    assert "measured" in str(report)


def test_another_initialisation():
    own = learn("mlp:64-64-64-64-64-10", only="signal", B=64)
    he = learn("mlp:64-64-64-64-64-10", only="signal", B=64, init="he")
    gains = [one.figures["learn.gradient.gain"].counted.value for one in (own, he)]
    assert gains[0] < 0.05
    assert gains[1] == pytest.approx(1, rel=1.0)
    with pytest.raises(UnknownName, match="--init hee: no initialisation 'hee'; did you mean he"):
        learn("mlp:64-10", only="signal", B=4, init="hee")
    with pytest.raises(BadInput, match="real passes use the model's own weights"):
        learn("mlp:64-10", only="signal", B=4, init="he", measure=True)


def test_a_fault_is_a_no():
    from botec.learn import Question, answered

    asked = Question(plain(40, 1.0), (Input("B", 64),), {"B": 32})
    report, refusals = answered(asked, "signal", {})
    assert any("vanishes" in one for one in refusals)
    assert "vanishes" in str(report)


def test_broken_weights_are_one_line():
    model = plain()
    model[0].weight.data[0, 0] = math.inf
    with pytest.raises(BadInput, match=r"1 of 4096 entries of 0\.weight are not finite"):
        page(model)
