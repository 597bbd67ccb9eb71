"""Reach of whole networks, judged by NaN in every row: a handful always, many where time allows."""

from __future__ import annotations

import pytest
import torch

from botec.analyses.reach.walk import Walk
from botec.inputs import Input
from botec.read.doors import open_source
from botec.read.executor import Executor
from botec.read.tape import tape_source
from tests.analyses.reach_judge import compared, poisoned, predicted

FEW = ("torchvision:squeezenet1_1@40", "torchvision:mobilenet_v3_small@32", "torchvision:swin_t@32")
TORCHVISION = (
    "alexnet@80", "vgg11@64", "vgg16_bn@64", "resnet18@64", "resnet50@48", "resnext50_32x4d",
    "wide_resnet50_2", "googlenet", "inception_v3@96", "densenet121@48", "densenet161",
    "squeezenet1_0@64", "mnasnet0_5@64", "mobilenet_v2@32", "mobilenet_v3_large",
    "shufflenet_v2_x0_5", "convnext_tiny@32", "efficientnet_b0", "efficientnet_v2_s",
    "regnet_x_400mf", "regnet_y_400mf", "swin_v2_t", "fcn_resnet50", "deeplabv3_resnet50",
    "lraspp_mobilenet_v3_large",
)  # fmt: skip
TIMM = (
    "resnet26d", "resnetv2_50", "ghostnet_100", "tf_mobilenetv3_small_100", "efficientnet_lite0",
    "mixnet_s", "resnest14d", "skresnet18", "seresnet50", "dla34@64", "hrnet_w18_small@64",
    "ecaresnet26t", "gcresnet33ts", "cspresnet50", "darknet53", "vovnet39a", "repvgg_a0",
    "rexnet_100", "nfnet_l0", "nf_resnet26", "selecsls42b", "convnextv2_atto", "fasternet_t0",
    "lcnet_050", "mobileone_s0", "mobilenetv4_conv_small", "resnetblur50", "tinynet_e",
    "starnet_s1", "gernet_s",
)  # fmt: skip
MANY = [*(f"torchvision:{name}" for name in TORCHVISION), *(f"timm:{name}" for name in TIMM)]


def judged(name, size, axis):
    """Missed, false, and the walk: of the output and of modules spread over the network."""
    torch.manual_seed(0)
    width = size + (8 if size % 32 else 32)  # some take multiples of 32 only
    source = open_source(name, False, (Input("B", 3, size, width),))
    model = source.build().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.normal_(0.0, 0.05)  # none of them may be zero
    graph = tape_source(source, {})
    walk = Walk(graph, graph.inputs[0], axis, Executor())
    calls: dict[str, dict[int, int]] = {"": {0: graph.outputs[0]}}
    for node in graph.nodes:
        calls.setdefault(node.scope, {})[node.turn] = node.results[0]
    leaves = [name for name, part in model.named_modules() if name and not list(part.children())]
    watched = [name for name in leaves if len(calls.get(name, ())) == 1]
    watched = watched[:: max(1, len(watched) // 12)]
    places = graph.values[graph.inputs[0]].shape[axis]
    happened = poisoned(model, torch.randn(1, 3, size, width), axis, watched)
    missed = false = numbers = 0
    for name in ("", *watched):
        number = max(calls[name].items())[1] if name else graph.outputs[0]
        found = happened.get(name)
        shape = (places, *graph.values[number].shape[1:])
        if found is not None and found.shape == shape:
            both = compared(predicted(walk, number), found)
            missed, false, numbers = missed + both[0], false + both[1], numbers + found.size
    assert numbers > places
    return missed, false, walk


def check(text, axis):
    name, _, size = text.partition("@")
    missed, false, walk = judged(name, int(size or 40), axis)
    assert (missed, false) == (0, 0)
    assert not walk.unknown
    assert not walk.bounds


@pytest.mark.parametrize("text", FEW)
@pytest.mark.parametrize("axis", [2, 3])
def test_a_handful_of_networks(text, axis):
    check(text, axis)


@pytest.mark.slow
@pytest.mark.parametrize("text", MANY)
def test_many_networks(text):
    check(text, 2)
