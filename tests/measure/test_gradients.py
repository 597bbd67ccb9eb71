"""Gradients held against the loss: planted mistakes are found and located, healthy ones pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from measure.planted import PLANTED, linear_backward, wrong
from torch import nn
from torch.nn import functional

from botec.measure.gradients import check_gradients
from botec.measure.kinks import kinks_between
from botec.measure.realise import Step, realise
from botec.read.doors import open_source

FEW = 64  # forward passes; each mistake is asked for again a little aside


def step_of(model: nn.Module, *shape: int) -> Step:
    torch.manual_seed(0)
    return Step(model, (torch.randn(shape),), {})


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found_and_located(name: str) -> None:
    torch.manual_seed(0)
    model, shape, where = PLANTED[name]()
    found = check_gradients(step_of(model, *shape))
    named = [name for one in found.wrong for name in one.names]
    assert where in named
    assert len(named) < len(list(model.parameters()))
    assert found.passes <= FEW


@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU, nn.GELU, nn.SiLU, nn.Hardswish])
def test_a_healthy_network_passes(activation: type[nn.Module]) -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(6, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 3)]
    found = check_gradients(step_of(nn.Sequential(*layers), 32, 6))
    assert not found.wrong
    assert found.passes <= FEW
    assert max(one.error for one in found.verdicts) < 0.02


class Edge(nn.Module):
    """A corner that lies three millionths of the weight away: no step of float32 misses it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))
        self.register_buffer("edge", torch.full((4,), 1 - 3e-6))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.weight - self.edge) * x


class Steep(nn.Module):
    """A bias that a norm takes away again; what its rounding leaves is made a thousandfold."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 32), nn.Linear(32, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x)
        return self.last(torch.sin(1e3 * (hidden - hidden.mean(0))))


class Nothing(nn.Module):
    """A branch that begins as nothing, added to zeros under a ReLU, as residual blocks are."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.branch = nn.Linear(6, 8), nn.Linear(8, 8)
        self.product = functional.linear
        nn.init.zeros_(self.branch.weight)
        nn.init.zeros_(self.branch.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.first(x))
        return torch.relu(hidden + self.product(hidden, self.branch.weight, self.branch.bias))


def test_a_mistake_on_a_corner_is_one() -> None:
    def backward(g: Any, x: Any, w: Any, b: Any) -> Any:
        inward, weight, bias = linear_backward(g, x, w, b)
        return inward, weight, 2 * bias

    torch.manual_seed(0)
    model = Nothing()
    model.product = wrong(functional.linear, backward)
    found = check_gradients(step_of(model, 5, 6))
    assert [name for one in found.wrong for name in one.names] == ["branch.bias"]


@pytest.mark.parametrize(("kind", "shape"), [(Nothing, (5, 6)), (Edge, (5, 4)), (Steep, (16, 6))])
def test_corners_and_rounding_are_no_mistakes(kind: type[nn.Module], shape: tuple[int]) -> None:
    torch.manual_seed(0)
    assert not check_gradients(step_of(kind(), *shape)).wrong


def test_norms_and_dropout_do_not_move_between_passes() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.Linear(16, 3))
    before = [one.clone() for one in model.buffers()]
    found = check_gradients(step_of(model, 16, 6))
    assert not found.wrong
    assert all(map(torch.equal, before, model.buffers()))


def test_the_weights_are_given_back() -> None:
    model = nn.Linear(3, 2)
    before = [one.clone() for one in model.parameters()]
    check_gradients(step_of(model, 4, 3))
    assert all(map(torch.equal, before, model.parameters()))


def test_a_weight_nothing_depends_on_is_named() -> None:
    model = nn.ModuleDict({"used": nn.Linear(3, 2), "idle": nn.Linear(3, 2)})
    model.forward = lambda x: model["used"](x)  # type: ignore[method-assign]
    found = check_gradients(step_of(model, 4, 3))
    assert found.silent == ("idle.weight", "idle.bias")
    assert not found.wrong


def test_kinks_are_counted() -> None:
    x = torch.tensor([-1.0, 0.5, 2.0])
    assert kinks_between(lambda: torch.relu(x), lambda: torch.relu(x - 1)) == 1
    assert kinks_between(lambda: torch.tanh(x), lambda: torch.tanh(x - 1)) == 0


HEALTHY = [
    *(f"torchvision:{name}" for name in (
        "resnet18", "resnet50", "vgg11", "vgg11_bn", "alexnet", "squeezenet1_1", "densenet121",
        "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "mnasnet0_5", "regnet_y_400mf",
        "efficientnet_b0", "convnext_tiny", "vit_b_32", "swin_t", "resnext50_32x4d",
    )),
    *(f"timm:{name}" for name in (
        "resnet10t", "efficientnet_lite0", "ghostnet_050", "lcnet_050", "tinynet_e",
        "hardcorenas_a", "mixer_s32_224", "gmlp_ti16_224", "resmlp_12_224",
        "deit_tiny_patch16_224", "cait_xxs24_224", "levit_128s", "poolformer_s12",
        "mobilenetv3_small_050", "mobilevit_xxs",
        "edgenext_xx_small", "repvgg_a0", "dla34", "hrnet_w18_small", "selecsls42", "rexnet_100",
        "nf_regnet_b0", "mobileone_s0", "fastvit_t8", "pit_ti_224", "tnt_s_patch16_224",
        "visformer_tiny", "xcit_nano_12_p8_224",
    )),
    *(f"mlp:{widths}" for widths in ("8-32-4", "64x5", "784-100-10", "16-16-16-1", "3-200-2")),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", HEALTHY)
def test_no_false_alarm(name: str) -> None:
    """Fifty networks as their authors made them, on pictures small enough to be quick."""
    source = open_source(name)
    found = check_gradients(realise(source, {"B": 2}, optimizer=None))
    assert not found.wrong


def test_there_are_fifty() -> None:
    assert len(set(HEALTHY)) >= 50
