"""The doors of torchvision and timm."""

from __future__ import annotations

import functools
import inspect

import pytest
import torch

from botec.errors import BadInput, BotecError
from botec.inputs import Input
from botec.read.doors import open_source
from botec.read.from_timm import library
from botec.read.from_torchvision import torchvision_models


def quickly(text, train=False):
    """The source and its module, built without data and without initialisation."""
    source = open_source(text, train)
    kept = {name: getattr(torch.nn.init, name) for name in ("trunc_normal_", "kaiming_normal_")}
    for name in kept:
        setattr(torch.nn.init, name, lambda tensor, *given, **named: tensor)
    try:
        with torch.device("meta"):
            return source, source.build().train(train)
    finally:
        for name, function in kept.items():
            setattr(torch.nn.init, name, function)


def call(source, module, batch=1):
    """What the module gives for its own inputs, on shapes alone."""
    point = {**source.defaults, "B": batch}
    tensors = {
        one.name: torch.empty(one.shape(point), dtype=getattr(torch, one.dtype), device="meta")
        for one in source.inputs
    }
    with torch.device("meta"), torch.no_grad():
        return module(**tensors)


SHAPES = {
    "alexnet": (3, 224, 224),
    "efficientnet_b1": (3, 240, 240),
    "inception_v3": (3, 299, 299),
    "swin_v2_t": (3, 256, 256),
    "vit_h_14": (3, 518, 518),
    "fcn_resnet50": (3, 520, 520),
    "r3d_18": (3, 16, 112, 112),
    "s3d": (3, 16, 224, 224),
    "quantized_resnet18": (3, 224, 224),
}


@pytest.mark.parametrize("name", SHAPES)
def test_torchvision_inputs_are_the_documented_ones(name):
    source = open_source(f"torchvision:{name}")
    assert source.inputs == (Input("B", *SHAPES[name], name="x"),)
    assert source.defaults == {"B": 1}


# torchvision's own count of multiply-adds and parameters of its DEFAULT weights, printed to 1e-3 of
# 1e9, beside the framework's counter (half its FLOPs): the shape is wrong if they differ.
COUNTED = [
    "resnet18",
    "efficientnet_b1",
    "shufflenet_v2_x0_5",
    "lraspp_mobilenet_v3_large",
    "r3d_18",
]


@pytest.mark.parametrize("name", COUNTED)
def test_the_documented_input_gives_the_published_count(name):
    from torch.utils.flop_counter import FlopCounterMode

    published = torchvision_models().get_model_weights(name).DEFAULT.meta
    source, module = quickly(f"torchvision:{name}")
    with FlopCounterMode(display=False) as counter:
        call(source, module)
    assert counter.get_total_flops() / 2e9 == pytest.approx(published["_ops"], abs=6e-4)
    assert sum(one.numel() for one in module.parameters()) == published["num_params"]


@pytest.mark.parametrize("name", ["vit_b_16", "inception_v3", "mvit_v2_s", "deeplabv3_resnet50"])
def test_torchvision_models_accept_their_inputs_in_training(name):
    source, module = quickly(f"torchvision:{name}", train=True)
    assert call(source, module, batch=2) is not None
    assert all(one.is_meta for one in module.parameters())


def test_optical_flow_takes_two_pictures():
    source, module = quickly("torchvision:raft_small")
    assert [str(one) for one in source.inputs] == [
        "image1=B,3,512,512:float32",
        "image2=B,3,512,512:float32",
    ]
    assert list(inspect.signature(module.forward).parameters)[:2] == ["image1", "image2"]


def test_every_torchvision_name_has_a_source_or_says_why_not():
    refused = []
    for name in torchvision_models().list_models():
        try:
            assert open_source(f"torchvision:{name}").inputs[0].names == ("B",)
        except BadInput:
            refused.append(name)
    kinds = torchvision_models().detection
    assert refused
    assert all(hasattr(kinds, name) for name in refused)


def test_no_weights_are_fetched(monkeypatch):
    def fetch(*given, **named):
        raise AssertionError("weights were fetched")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", fetch)
    for name in ("fcn_resnet50", "googlenet"):
        open_source(f"torchvision:{name}")
        quickly(f"torchvision:{name}")


TIMM = {
    "resnet50": (3, 224, 224),
    "resnet50.a1_in1k": (3, 224, 224),
    "tf_efficientnet_b4": (3, 380, 380),
    "deit3_small_patch16_384": (3, 384, 384),
    "mixer_s32_224": (3, 224, 224),
}


@pytest.mark.parametrize("name", TIMM)
def test_timm_inputs_are_of_the_pretrained_configuration(name):
    source, module = quickly(f"timm:{name}")
    assert source.inputs == (Input("B", *TIMM[name], name="x"),)
    assert call(source, module, batch=2).shape == (2, 1000)


def test_every_timm_name_has_a_source():
    for name in library("").list_models():
        assert open_source(f"timm:{name}").inputs[0].names == ("B",)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (
            "torchvision:resnet5",
            "torchvision:resnet5: torchvision has no such model; "
            "did you mean resnet50, resnet152, resnet34?",
        ),
        (
            "torchvision:",
            "torchvision:: torchvision has no such model; "
            "use a name of torchvision.models.list_models()",
        ),
        (
            "torchvision:ssd300_vgg16",
            "torchvision:ssd300_vgg16: a detection model takes a list of pictures, and its boxes "
            "depend on what they show; ask for its backbone instead, such as torchvision:resnet50",
        ),
        (
            "timm:resnt50",
            "timm:resnt50: timm has no such model; did you mean resnet50, resnet50t, resnet50s?",
        ),
        (
            "timm:resnet50.a1_in2k",
            "timm:resnet50.a1_in2k: resnet50 has no weights tagged 'a1_in2k'; "
            "did you mean a1_in1k, a1h_in1k, ra_in1k?",
        ),
        (
            "timm:mixer_s32_224.zzzz",
            "timm:mixer_s32_224.zzzz: mixer_s32_224 has no weights tagged 'zzzz'; "
            "leave the tag out: timm:mixer_s32_224",
        ),
    ],
)
def test_names_that_are_not_there(text, error):
    with pytest.raises(BotecError) as caught:
        open_source(text)
    assert str(caught.value) == error


@pytest.mark.parametrize("name", ["torchvision", "timm", "transformers"])
def test_a_package_that_is_not_installed(name, monkeypatch):
    import sys
    from importlib import import_module

    door = import_module(f"botec.read.from_{name}")
    loader = getattr(door, "torchvision_models", None) if name == "torchvision" else door.library
    monkeypatch.setattr(door, loader.__name__, functools.cache(loader.__wrapped__))
    monkeypatch.setitem(sys.modules, name, None)
    for part in [key for key in sys.modules if key.startswith(f"{name}.")]:
        monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(BotecError) as caught:
        open_source(f"{name}:any")
    expected = f'{name}:any: {name} is not installed; install it with pip install "botec[zoo]"'
    assert str(caught.value) == expected
