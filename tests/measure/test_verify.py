"""The measured column: what it holds, when count and measurement disagree, what is refused."""

import sys
from types import ModuleType

import pytest
from torch import nn

from botec.errors import BotecError
from botec.inputs import Input
from botec.measure.allocator import RealPeak, real_peak
from botec.measure.clock import Spread, Timing
from botec.measure.operations import GROUPED, Judged
from botec.measure.realise import realise
from botec.measure.verify import (
    checkpointed,
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
