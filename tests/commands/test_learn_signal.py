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


DRAWN = {
    "he": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "he-out": lambda w: nn.init.kaiming_normal_(w, mode="fan_out", nonlinearity="relu"),
    "kaiming_normal": lambda w: nn.init.kaiming_normal_(w, nonlinearity="relu"),
    "kaiming_uniform(a=2)": lambda w: nn.init.kaiming_uniform_(w, 2),
    "xavier": nn.init.xavier_normal_,
    "glorot": nn.init.xavier_normal_,
    "xavier_uniform(gain=2)": lambda w: nn.init.xavier_uniform_(w, 2),
    "lecun": lambda w: nn.init.normal_(w, 0, 1 / 8),
    "torch": lambda w: nn.init.uniform_(w, -1 / 8, 1 / 8),
    "orthogonal": nn.init.orthogonal_,
    "orthogonal(1.4)": lambda w: nn.init.orthogonal_(w, 1.4),
    "trunc_normal(std=0.05)": lambda w: nn.init.trunc_normal_(w, std=0.05),
    "normal(0, 0.05)": lambda w: nn.init.normal_(w, 0, 0.05),
    "uniform_(-1, 1)": lambda w: nn.init.uniform_(w, -1, 1),
    "sparse(0.1, std=0.5)": lambda w: nn.init.sparse_(w, 0.1, 0.5),
    "eye": nn.init.eye_,
}


@pytest.mark.parametrize("name", DRAWN)
def test_every_scheme_of_the_framework_can_be_tried(name):
    """The first layer's signal beside the framework's own drawing: 64 units, 4 standard errors."""
    report = learn("mlp:64-64-64-10", only="signal", B=64, init=name)
    parts = [part for section in report.sections for part in section.parts]
    table = next(part for part in parts if getattr(part, "title", "") == "Module by module")
    weight = torch.empty(64, 64)
    torch.manual_seed(0)
    DRAWN[name](weight)
    assert table.rows[0][1] == pytest.approx(float((weight**2).sum(1).mean()), rel=0.15)


def test_a_scheme_leaves_the_module_in_hand_as_it_is_and_can_be_measured():
    model = plain(4)
    before = model[0].weight.clone()
    report = page(model, init="orthogonal(gain=1.4142135)", measure=True)
    assert torch.equal(model[0].weight, before)
    figure = report.figures["learn.gradient.gain"]
    assert math.log(figure.counted.value / figure.measured.value) == pytest.approx(0, abs=0.5)


def test_a_scheme_keeps_embeddings_that_the_head_shares():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.head = nn.Embedding(100, 64), nn.Linear(64, 100, bias=False)
            self.head.weight = self.words.weight

        def forward(self, x):
            return self.head(self.words(x))

    from botec.read.initialise import drawn, scheme

    model = Tied()
    before = model.words.weight.clone()
    assert torch.equal(drawn(model, scheme("he"), "he").words.weight, before)


@pytest.mark.parametrize("width", [32, 512])
def test_a_function_that_is_not_defined_everywhere_is_an_answer(width):
    class Rms(nn.Module):
        def forward(self, x):
            return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6)

    model = nn.Sequential(nn.Linear(width, width), Rms(), nn.Linear(width, 8))
    report = learn(model, Input("B", width, name="input"), B=4, only="signal")
    assert report.figures["learn.gradient.gain"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hee", "--init hee: no initialisation 'hee'; did you mean he"),
        ("he(std=2)", "--init he(std=2): kaiming_normal has no argument 'std'"),
        (
            "normal(std=x)",
            "'normal(std=x)' is no scheme with plain values; write it as trunc_normal",
        ),
        ("dirac", "--init dirac: 0.weight: Only tensors with 3, 4, or 5 dimensions"),
    ],
)
def test_a_scheme_that_there_is_not(name, says):
    with pytest.raises((BadInput, UnknownName)) as told:
        learn("mlp:64-10", only="signal", B=4, init=name)
    assert says in str(told.value)
