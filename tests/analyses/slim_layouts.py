"""Networks laid out as TF-Slim has them: strides and paddings only, one channel everywhere.

``SAME`` padding of an even picture under a stride of 2 puts nothing before it and one place behind.
"""

from __future__ import annotations

from torch import nn
from torch.nn import functional

from botec.read.from_torchvision import make_importable


def conv(kernel, stride=1, padding=None):
    padding = kernel // 2 if padding is None else padding
    return nn.Conv2d(1, 1, kernel, stride, padding)


class Late(nn.Module):
    """A window with padding behind the picture only."""

    def __init__(self, window, more):
        super().__init__()
        self.window, self.more = window, more

    def forward(self, x):
        return self.window(functional.pad(x, (0, self.more, 0, self.more)))


class Unit(nn.Module):
    """A bottleneck of ``resnet_v1``: the stride is that of the 3 x 3, the skip is thinned out."""

    def __init__(self, stride):
        super().__init__()
        self.path = nn.Sequential(conv(1), conv(3, stride), conv(1))
        self.skip = nn.MaxPool2d(1, stride)
        self.end = nn.ReLU()

    def forward(self, x):
        return self.end(self.path(x) + self.skip(x))


def resnet(*units):
    """The stride stands in the last unit of every block but the last."""
    layers = {"stem": nn.Conv2d(3, 1, 7, 2, 3), "pool": Late(nn.MaxPool2d(3, 2), 1)}
    ends = {}
    for block, count in enumerate(units, 1):
        last = 2 if block < len(units) else 1
        strides = [1] * (count - 1) + [last]
        layers[f"block{block}"] = nn.Sequential(*map(Unit, strides))
        ends[f"block{block}"] = f"block{block}.{count - 1}.end"
    return named(layers), 256, {**ends, "": ends[f"block{len(units)}"]}


def mobilenet():
    strides = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    layers = {"stem": Late(nn.Conv2d(3, 1, 3, 2), 1)}
    for place, stride in enumerate(strides):
        window = conv(3) if stride == 1 else Late(conv(3, 2, 0), 1)
        layers[f"part{place}"] = window
    return named(layers), 256, {"": f"part{len(strides) - 1}"}


def alexnet():
    layers = {
        "conv1": nn.Conv2d(3, 1, 11, 4), "pool1": nn.MaxPool2d(3, 2), "conv2": conv(5),
        "pool2": nn.MaxPool2d(3, 2), "conv3": conv(3), "conv4": conv(3), "conv5": conv(3),
        "pool5": nn.MaxPool2d(3, 2),
    }  # fmt: skip
    return named(layers), 227, {**{name: name for name in layers}, "": "pool5"}


def vgg(*counts):
    layers, ends = {}, {}
    for block, count in enumerate(counts, 1):
        for place in range(1, count + 1):
            name = f"conv{block}_{place}"
            layers[name] = nn.Conv2d(3, 1, 3, 1, 1) if block == place == 1 else conv(3)
            ends[f"conv{block}/{name}"] = name
        layers[f"pool{block}"] = nn.MaxPool2d(2)
        ends[f"pool{block}"] = f"pool{block}"
    return named(layers), 224, {**ends, "": f"pool{len(counts)}"}


def inception():
    """torchvision's has the same strides and paddings as TF-Slim's."""
    make_importable()
    import torchvision

    names = {
        "Conv2d_1a_3x3": "Conv2d_1a_3x3", "Conv2d_2a_3x3": "Conv2d_2a_3x3",
        "Conv2d_2b_3x3": "Conv2d_2b_3x3", "MaxPool_3a_3x3": "maxpool1",
        "Conv2d_3b_1x1": "Conv2d_3b_1x1", "Conv2d_4a_3x3": "Conv2d_4a_3x3",
        "MaxPool_5a_3x3": "maxpool2", "": "Mixed_7c",
    }  # fmt: skip
    mixed = [f"Mixed_{part}" for part in ("5b", "5c", "5d", "6a", "6b", "6c", "6d", "6e")]
    mixed += ["Mixed_7a", "Mixed_7b", "Mixed_7c"]
    model = torchvision.models.inception_v3(init_weights=False).eval()
    return model, 299, {**names, **{name: name for name in mixed}}


def named(layers):
    model = nn.Sequential()
    for name, part in layers.items():
        model.add_module(name, part)
    return model


def slim(name):
    """The network, the size it stands at, and the module of every end point."""
    return {
        "alexnet_v2": alexnet,
        "vgg_a": lambda: vgg(1, 1, 2, 2, 2),
        "vgg_16": lambda: vgg(2, 2, 3, 3, 3),
        "inception_v3": inception,
        "mobilenet_v1": mobilenet,
        "resnet_v1_50": lambda: resnet(3, 4, 6, 3),
        "resnet_v1_101": lambda: resnet(3, 4, 23, 3),
        "resnet_v1_152": lambda: resnet(3, 8, 36, 3),
        "resnet_v1_200": lambda: resnet(3, 24, 36, 3),
    }[name]()
