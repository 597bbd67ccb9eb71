"""The framework's counter as a judge: right where it is, its faults named where they are met."""

import pytest
import torch
from torch import nn

from botec.inputs import Input
from botec.measure.operations import BLIND, GROUPED, SCORES, STATES, explained, judged
from botec.measure.realise import realise
from botec.read.source import Source


def judge(module, *inputs, train=True, **point):
    return judged(Source("case", module, inputs), point, train=train)


def test_a_chain_of_layers():
    found = judge(lambda: nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 3)), Input("B", 6), B=4)
    assert found.forward == 4 * (6 * 5 + 5 * 3)
    assert found.backward == 2 * found.forward - 4 * 6 * 5  # no gradient of the first input
    assert found.step == found.forward + found.backward
    assert found.faults == {}
    assert "FlopCounterMode on meta tensors" in found.how


def test_inference_has_no_backward():
    found = judge(lambda: nn.Linear(6, 5), Input("B", 6), train=False, B=4)
    assert (found.forward, found.backward, found.step) == (120, None, 120)


@pytest.mark.parametrize("train", [True, False])
def test_recurrent_layers_are_seen(train):
    """On CPU kernels this would be 0."""
    found = judge(
        lambda: nn.LSTM(8, 16, batch_first=True), Input("B", "S", 8), train=train, B=2, S=7
    )
    assert found.forward == 2 * 7 * 4 * 16 * (8 + 16)


def test_attention_in_eval_is_seen():
    """On CPU kernels this would be 0."""

    def layer():
        return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    found = judge(layer, Input("B", "S", 16), train=False, B=2, S=7)
    assert found.forward == 2 * 7 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 2 * 7 * 7 * 16
    assert found.faults == {}


def test_grouped_convolutions_backward_is_named():
    def net(groups):
        return lambda: nn.Sequential(nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3, groups=groups))

    found = judge(net(8), Input("B", 8, 9, 9), B=1)
    assert found.faults == {GROUPED: 1}
    counted = found.backward - 1
    assert explained(found.faults, "backward", counted, found.backward) == f"{GROUPED} (1×)"
    right = 7 * 7 * 8 * 8 * 9 + 2 * (5 * 5 * 8 * 9)
    assert found.backward == right + 5 * 5 * 8 * 9 * (8 - 1)
    assert judge(net(1), Input("B", 8, 9, 9), B=1).faults == {}


class Transformed(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(8))

    def forward(self, x):
        return torch.mv(x, self.weight), torch.fft.rfft(x * self.weight)


def test_ops_it_counts_as_nothing_are_named():
    found = judge(Transformed, Input("B", 8), B=4)
    assert found.forward == 0
    assert set(found.faults) == {BLIND["aten.mv"], BLIND["aten._fft_r2c"]}


class Attending(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 4)

    def forward(self, x):
        y = self.project(x)
        return nn.functional.scaled_dot_product_attention(y, y, y)


def test_attentions_backward_is_named_in_training_only():
    assert judge(Attending, Input("B", "S", 4), B=2, S=3).faults == {SCORES: 1}
    assert judge(Attending, Input("B", "S", 4), train=False, B=2, S=3).faults == {}


def test_attention_inside_the_frameworks_own_layers_is_named():
    def layer():
        return nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)

    assert judge(layer, Input("B", "S", 16), B=2, S=7).faults == {SCORES: 1}


class Reading(nn.Module):
    """Looks at its data, so it cannot run without."""

    def __init__(self):
        super().__init__()
        self.layer = nn.LSTM(4, 4)

    def forward(self, x):
        return self.layer(x)[0] if bool(x.abs().sum() > 0) else x


def test_an_lstms_fused_kernel_is_named_in_training_only():
    def layer():
        return nn.LSTM(8, 16)

    assert judge(layer, Input("S", "B", 8), B=2, S=7).faults == {STATES: 1}
    assert judge(layer, Input("S", "B", 8), train=False, B=2, S=7).faults == {}


def test_a_model_that_reads_values_is_judged_on_real_data():
    source = Source("reading", Reading, (Input("S", "B", 4),))
    point = {"S": 3, "B": 2}
    blind = judged(source, point)
    assert (blind.forward, blind.backward, blind.step) == (None, None, None)
    assert "meta" in blind.why
    seen = judged(source, point, real=realise(source, point))
    assert seen.forward == 3 * 2 * 4 * 4 * (4 + 4)
    assert "on real data" in seen.how


@pytest.mark.parametrize(
    ("fault", "phase", "counted", "judge", "can"),
    [
        (GROUPED, "backward", 10, 20, True),
        (GROUPED, "backward", 20, 10, False),  # it counts too much, never too little
        (GROUPED, "forward", 10, 20, False),
        (SCORES, "step", 20, 10, True),
        (SCORES, "step", 10, 20, False),
        (STATES, "forward", 20, 10, False),
        (BLIND["aten.mv"], "forward", 20, 10, True),
        (BLIND["aten.mv"], "backward", 10, 10, False),
    ],
)
def test_a_fault_explains_only_what_it_can(fault, phase, counted, judge, can):
    assert bool(explained({fault: 1}, phase, counted, judge)) == can


def test_kernels_are_given_back():
    judge(lambda: nn.Linear(2, 2), Input("B", 2), B=1)
    assert torch.backends.mha.get_fastpath_enabled()
    assert torch._C._get_mkldnn_enabled()


def test_the_users_own_module_keeps_its_numbers():
    mine = nn.Linear(2, 2)
    judged(Source("mine", lambda: mine, (Input("B", 2),)), {"B": 1})
    assert not mine.weight.is_meta
