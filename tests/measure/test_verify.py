"""The measured column: what it holds, when count and measurement disagree, what is refused."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from botec.errors import BotecError
from botec.inputs import Input
from botec.measure.allocator import RealPeak, real_peak
from botec.measure.choices import checkpointed
from botec.measure.clock import Spread, Timing, time_step
from botec.measure.operations import GROUPED, Judged
from botec.measure.realise import realise
from botec.measure.verify import (
    disagreements,
    free_bytes,
    free_of_container,
    free_of_machine,
    measured_report,
    refuse_what_does_not_fit,
)
from botec.read.source import Source
from botec.report import Counted, Figure, Figures, Report, Section


def network():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))


SOURCE = Source("mlp", network, (Input("B", 6),), {"B": 4})
SIZE = 6 * 5 + 5 + 5 * 3 + 3
TIMES = Timing({"forward": Spread(2.0, 1.0, 3.0), "step": Spread(5.0, 4.0, 6.0)}, 9, "the clock")


def peak(whole, between=None):
    return RealPeak(whole, between or whole, {}, {}, (), whole, ("aten::convolution", 10))


def report_of(**counted):
    units = {"memory.peak": "B", "parameters": "1"}
    figures = {
        key: Figure(key, key, units.get(key, "multiplication"), Counted(value))
        for key, value in counted.items()
    }
    return Report({}, {}, figures, (Section("Work", (Figures(tuple(figures)),)),))


def filled(report, operations=None, real=None):
    judged = operations or Judged(180, 240, "the judge")
    return measured_report(report, realise(SOURCE, {}), judged, real or peak(1000), TIMES)


def test_every_figure_gets_its_measurement():
    report = filled(
        report_of(
            parameters=SIZE,
            **{"memory.peak": 1000, "multiplications.forward": 180, "multiplications.step": 420},
        )
    )
    measured = {key: figure.measured.value for key, figure in report.figures.items()}
    assert measured == {
        "parameters": SIZE,
        "memory.peak": 1000,
        "multiplications.forward": 180,
        "multiplications.step": 420,
        "time.forward": 2.0,
        "time.step": 5.0,
    }
    assert all(figure.measured.how for figure in report.figures.values())
    assert disagreements(report) == ()
    assert report.notes == ()


def test_times_are_seconds_without_a_count_and_have_a_place_on_the_page():
    report = filled(report_of(parameters=SIZE))
    step = report.figures["time.step"]
    assert (step.unit, step.counted, step.low, step.high) == ("s", None, 4.0, 6.0)
    assert report.sections[-1] == Section(
        "Measured time", (Figures(("time.forward", "time.step")),)
    )


def test_a_wrong_count_is_a_disagreement():
    report = filled(report_of(**{"multiplications.forward": 181, "parameters": SIZE - 1}))
    said = "multiplications.forward: counted 181, measured 180 (+0.6 %)"
    assert disagreements(report) == (said, "parameters: counted 52, measured 53 (-1.9 %)")
    assert report.notes[0] == f"{said}; no cause known"


def test_a_known_fault_of_the_judge_explains_a_difference():
    judged = Judged(180, 999, "the judge", {GROUPED: 2})
    report = filled(report_of(**{"multiplications.backward": 240}), judged)
    assert disagreements(report) == ()
    assert report.notes == (
        f"multiplications.backward: counted 240, measured 999 (-76.0 %); {GROUPED} (2×)",
    )


def test_an_unknown_count_is_no_disagreement():
    report = filled(
        report_of(**{"multiplications.forward": None}), Judged(None, None, "it", why="x")
    )
    assert report.figures["multiplications.forward"].measured is None
    assert disagreements(report) == ()


@pytest.mark.parametrize(
    ("counted", "explained", "failed"), [(995, True, False), (1200, True, True), (900, True, True)]
)
def test_scratch_inside_kernels_explains_a_higher_peak(counted, explained, failed):
    """The count stands for what lives between ops; a count that fits neither is a disagreement."""
    report = filled(report_of(**{"memory.peak": counted}), real=peak(1100, 1000))
    assert bool(disagreements(report)) == failed
    assert bool(report.figures["memory.peak"].measured.why) == (not failed)
    assert len(report.notes) == 1
    if not failed:
        assert "between ops the peak is 1,000 B" in report.notes[0]
        assert "aten::convolution" in report.notes[0]


def test_what_does_not_fit_is_refused_with_both_numbers():
    gib = 2**30
    report = report_of(**{"memory.peak": 8 * gib})
    with pytest.raises(BotecError, match=r"takes 10 GiB .* 9 GiB are free; ask with a smaller"):
        refuse_what_does_not_fit(report, 9 * gib)
    refuse_what_does_not_fit(report, 11 * gib)
    refuse_what_does_not_fit(report, None)
    refuse_what_does_not_fit(report_of(**{"memory.peak": None}), 1)


def test_free_memory(tmp_path):
    table = tmp_path / "meminfo"
    table.write_text("MemTotal: 9 kB\nMemAvailable:    3 kB\n")
    assert free_of_machine(table) == 3072
    assert free_of_container(tmp_path) is None
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_of_container(tmp_path) is None
    (tmp_path / "memory.max").write_text("300\n")
    assert free_of_container(tmp_path) == 200
    assert free_bytes() > 0


class Blocks(nn.Module):
    def __init__(self):
        super().__init__()
        blocks = [nn.Sequential(nn.Linear(64, 64), nn.Tanh(), nn.Tanh()) for _ in range(6)]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x):
        return self.blocks(x)


def test_checkpointed_blocks_keep_less():
    source = Source("blocks", Blocks, (Input("B", 64),))
    plain, lean = (realise(source, {"B": 512}, optimizer="sgd") for _ in range(2))
    checkpointed(lean.model)
    assert real_peak(lean).peak < 0.8 * real_peak(plain).peak


def test_verify_runs_the_estimates_own_question(monkeypatch):
    asked = {}

    def estimate(model, *inputs, **options):
        asked.update(options, model=model, inputs=inputs)
        return report_of(parameters=SIZE, **{"multiplications.step": 420})

    room = ModuleType("botec.estimate")
    room.estimate = estimate
    monkeypatch.setitem(sys.modules, "botec.estimate", room)
    from botec.measure.verify import verify

    model = network()
    before = [weight.detach().clone() for weight in model.parameters()]
    report = verify(model, Input("B", 6), optimizer="sgd", B=4)
    assert asked["B"] == 4
    assert asked["optimizer"] == "sgd"
    assert disagreements(report) == ()
    assert report.figures["multiplications.step"].measured.value == 420
    assert report.figures["time.step"].measured.value > 0
    assert all((a == b).all() for a, b in zip(before, model.parameters(), strict=True))
    assert model[0].weight.grad is None


def test_verify_runs_on_the_cpu_only():
    from botec.measure.verify import verify

    with pytest.raises(BotecError, match=r"verify on device a100: .* leave the device out"):
        verify(network(), Input("B", 6), device="a100")


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(64), nn.Linear(64, 128), nn.Linear(128, 64)

    def forward(self, x):
        hidden = nn.functional.dropout(torch.relu(self.up(self.norm(x))), 0.1, self.training)
        return x + self.down(hidden)


class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks, self.head = nn.ModuleList(Block() for _ in range(4)), nn.Linear(64, 90)

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return self.head(x)


CHOSEN = {
    "four micro-batches": {"accumulate": 4},
    "gradients dropped between": {"zero_grad": "between", "accumulate": 2},
    "gradients kept": {"zero_grad": "keep"},
    "first step": {"first_step": True},
    "blocks again": {"checkpoint": True},
    "every second, reentrant": {"checkpoint_how": "every=2,reentrant"},
    "products kept": {"checkpoint_how": "save=matmuls", "accumulate": 2},
    "frozen": {"freeze": ("blocks.0", "blocks.1")},
    "the head alone": {"train_only": "head"},
    "adapters": {"lora": "r=4,targets=up,down"},
    "adapters in inference": {"lora": "r=4,targets=up", "train": False},
    "momentum": {"optimizer": "sgd(momentum=0.9)"},
    "fused": {"optimizer": "adamw(fused=True)"},
    "products in the update": {"optimizer": "adafactor"},
    "a class": {"optimizer": torch.optim.Adagrad},
    "no optimizer": {"optimizer": None},
    "scaler": {"precision": "amp-fp16", "scaler": True},
    "copies": {"precision": "fp16", "master": True, "scaler": True},
}


@pytest.fixture
def quick(monkeypatch):
    from botec.measure import verify

    monkeypatch.setattr(verify, "time_step", lambda step: time_step(step, 0.01))


ALWAYS = ("four micro-batches", "first step", "blocks again", "frozen", "momentum", "copies")


@pytest.mark.parametrize(
    "name",
    [one if one in ALWAYS else pytest.param(one, marks=pytest.mark.slow) for one in CHOSEN],
)
def test_the_real_step_follows_every_choice(quick, name):
    """Counts are equal; peaks too, within 64 B of single numbers, or kernels' scratch is told."""
    from botec.measure.verify import verify

    report = verify(Stack(), Input("B", 64), B=200, **CHOSEN[name])
    assert disagreements(report) == ()
    peak = report.figures["memory.peak"]
    assert abs(peak.counted.value - peak.measured.value) <= 64 or "scratch" in peak.measured.why
    for key in ("parameters", "multiplications.forward"):
        assert report.figures[key].counted.value == report.figures[key].measured.value


def test_a_real_step_that_ignores_a_choice_disagrees(quick, monkeypatch):
    """What the check is for: each choice moves a figure beyond its tolerance."""
    from botec.measure import verify

    plain = realise(Source("stack", Stack, (Input("B", 64),)), {"B": 200})
    monkeypatch.setattr(verify, "real_step", lambda *args: plain)
    for name in ("blocks again", "frozen"):
        report = verify.verify(Stack(), Input("B", 64), B=200, **CHOSEN[name])
        assert any("memory.peak" in one for one in disagreements(report)), name


@pytest.mark.slow
def test_chosen_attention_and_no_cache_where_blocks_run_again(quick):
    from botec.measure.verify import verify

    small = "hidden_size=64,num_attention_heads=4,num_hidden_layers=2,intermediate_size=128"
    name = f"transformers:llama?{small},num_key_value_heads=2,vocab_size=300"
    for choice in ({"attention": "eager"}, {"checkpoint": True}):
        report = verify(name, B=2, S=64, optimizer="sgd", **choice)
        peak = report.figures["memory.peak"]
        assert abs(peak.counted.value - peak.measured.value) <= 0.01 * peak.measured.value
        assert disagreements(report) == ()


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"accumulate": 0}, "accumulate is 0"),
        ({"freeze": "nothing"}, "no weight is called 'nothing'"),
        ({"checkpoint_how": "every=x"}, "no whole number from 1"),
        ({"optimizer": "sgd(speed=1)"}, "no argument 'speed'"),
    ],
)
def test_a_wrong_choice_is_one_line(choices, said):
    from botec.measure.verify import verify

    with pytest.raises(BotecError, match=said) as caught:
        verify(Stack(), Input("B", 64), B=2, **choices)
    assert "\n" not in str(caught.value)
