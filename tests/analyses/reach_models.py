"""Small networks, each with something that makes reach hard, and networks made at random."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Do(nn.Module):
    """A function as a module."""

    def __init__(self, function, **parts):
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(self, x)


def conv(i, o, k, **more):
    return nn.Conv2d(i, o, k, **more)


def gated(channels):
    """Squeeze-and-excite."""
    return Do(
        lambda m, x: x * torch.sigmoid(m.up(torch.relu(m.down(x.mean((2, 3), keepdim=True))))),
        down=conv(channels, 2, 1),
        up=conv(2, channels, 1),
    )


def block(channels, kernel, dilation):
    padding = dilation * (kernel - 1) // 2
    own = conv(channels, channels, kernel, padding=padding, dilation=dilation)
    return Do(lambda m, x: x + torch.relu(m.own(x)), own=own)


PICTURES = {
    "window": conv(3, 4, 3),
    "strided": conv(3, 4, 5, stride=2, padding=2),
    "uneven": conv(3, 4, (3, 5), stride=(2, 1), padding=(0, 3)),
    "dilated, with gaps": nn.Sequential(conv(3, 4, 3, dilation=3), conv(4, 4, 3, stride=2)),
    "gridding": nn.Sequential(conv(3, 4, 3, dilation=2), conv(4, 4, 3, dilation=2)),
    "grouped": nn.Sequential(
        Do(
            lambda m, x: torch.cat([m.a(x), m.b(x)], 1),
            a=conv(3, 2, 3, padding=1), b=conv(3, 2, 1),
        ),
        conv(4, 4, 3, groups=2),
    ),
    "depthwise": nn.Sequential(conv(3, 4, 1), conv(4, 8, 3, groups=4, padding=1)),
    "one by one, strided": nn.Sequential(conv(3, 4, 1, stride=2), conv(4, 4, 3)),
    "transposed": nn.Sequential(conv(3, 4, 3, stride=2), nn.ConvTranspose2d(4, 2, 3, stride=2)),
    "transposed, with holes": nn.ConvTranspose2d(3, 2, 2, stride=3, output_padding=1),
    "transposed, grouped, dilated": nn.ConvTranspose2d(
        4, 4, 3, stride=2, padding=1, groups=2, dilation=2
    ),
    "max pool, ceil": nn.MaxPool2d(3, 2, ceil_mode=True),
    "max pool, dilated": nn.MaxPool2d(3, 2, padding=1, dilation=2),
    "average pool": nn.AvgPool2d(3, 2, padding=1, ceil_mode=True),
    "adaptive pool": nn.AdaptiveAvgPool2d(5),
    "adaptive max pool": nn.AdaptiveMaxPool2d((3, 7)),
    "global pool": nn.Sequential(conv(3, 4, 3), nn.AdaptiveAvgPool2d(1)),
    "reflected": conv(3, 4, 5, padding=2, padding_mode="reflect"),
    "reflected, nothing else": nn.ReflectionPad2d((3, 1, 2, 4)),
    "replicated, nothing else": nn.ReplicationPad2d((3, 1, 2, 4)),
    "replicated": conv(3, 4, 5, padding=2, padding_mode="replicate"),
    "circular": conv(3, 4, 5, padding=2, padding_mode="circular"),
    "padded on one side": nn.Sequential(nn.ZeroPad2d((0, 1, 3, -1)), conv(3, 4, 2)),
    "nearest": nn.Sequential(nn.Upsample(scale_factor=2), conv(3, 4, 3)),
    "nearest to a size": nn.Upsample(size=(23, 20)),
    "bilinear": nn.Upsample(scale_factor=2, mode="bilinear"),
    "bilinear, corners": nn.Upsample(size=(29, 20), mode="bilinear", align_corners=True),
    "bilinear, smaller": nn.Upsample(scale_factor=0.5, mode="bilinear"),
    "bicubic": nn.Upsample(scale_factor=2, mode="bicubic"),
    "sliced": nn.Sequential(conv(3, 4, 3), Do(lambda m, x: x[:, :, 2:-1:2, 1:])),
    "a row taken out": Do(lambda m, x: x[:, :, 4]),
    "flipped and rolled": Do(lambda m, x: x.flip(2).roll((2, 1), (2, 3))),
    "skips": nn.Sequential(conv(3, 4, 3), block(4, 3, 1), block(4, 3, 2), nn.MaxPool2d(2)),
    "misaligned": Do(
        lambda m, x: m.a(x)[:, :, :-2, :-2] + m.b(x), a=conv(3, 4, 1), b=conv(3, 4, 3)
    ),
    "misaligned, strided": Do(
        lambda m, x: torch.cat([m.a(x), m.b(x)], 1),
        a=conv(3, 4, 1, stride=2), b=conv(3, 4, 4, stride=2, padding=1),
    ),
    "pixels shuffled": nn.Sequential(conv(3, 8, 3), nn.PixelShuffle(2), conv(2, 4, 3)),
    "pixels unshuffled": nn.PixelUnshuffle(2),
    "channels shuffled": nn.Sequential(
        Do(lambda m, x: torch.cat([x, m.a(x)], 1)[:, :4], a=conv(3, 3, 3, padding=1)),
        nn.ChannelShuffle(2), conv(4, 2, 1, groups=2),
    ),
    "windows turned into tokens": Do(
        lambda m, x: m.mix(x.unfold(2, 4, 4).unfold(3, 4, 4).flatten(4)), mix=nn.Linear(16, 3)
    ),
    "im2col": Do(lambda m, x: functional.unfold(x, 3, stride=2)),
    "gate": nn.Sequential(conv(3, 4, 3), gated(4), conv(4, 4, 3)),
    "group norm": nn.Sequential(conv(3, 4, 3), nn.GroupNorm(2, 4), conv(4, 2, 1, groups=2)),
    "instance norm": nn.Sequential(conv(3, 4, 3), nn.InstanceNorm2d(4)),
    "layer norm over places": nn.Sequential(conv(3, 4, 3), nn.LayerNorm((4, 18, 14))),
    "layer norm over channels": Do(
        lambda m, x: m.mix(m.norm(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2),
        norm=nn.LayerNorm(3), mix=nn.Linear(3, 5),
    ),
    "attention": Do(
        lambda m, x: m.mix(*[x.flatten(2).transpose(1, 2)] * 3)[0],
        mix=nn.MultiheadAttention(4, 2, batch_first=True),
    ),
    "attention of every row": Do(
        lambda m, x: (x[:, 0] @ x[:, 1].transpose(1, 2)).softmax(-1) @ x[:, 2]
    ),
    "written in place": Do(lambda m, x: written(m.a(x)), a=conv(3, 4, 3)),
    "gathered by rows": Do(lambda m, x: x[:, :, torch.tensor([3, 3, 0, 7])]),
    "running": Do(lambda m, x: x.cumsum(2)),
    "stacked": Do(lambda m, x: torch.stack([x, m.a(x)], 2), a=conv(3, 3, 3, padding=1)),
    "repeated": Do(lambda m, x: x.repeat(1, 2, 2, 1)),
    "the greatest": Do(lambda m, x: torch.maximum(x.amax(3), x.std(3))),
    "glu": nn.Sequential(conv(3, 4, 3, padding=1), nn.GLU(2)),
    "flattened": nn.Sequential(conv(3, 2, 3, stride=3), nn.Flatten(), nn.LazyLinear(4)),
    "softened": Do(lambda m, x: x * torch.where(x.mean(1, keepdim=True) > 9e9, x, 2 * x)),
    "einsum": Do(lambda m, x: torch.einsum("bchw,bchv->bhwv", x, x)),
}  # fmt: skip


def written(x):
    """Parts of a picture written over, through views."""
    x[:, :, 3] = x[:, :, 5]
    part = x[:, 1:3]
    part.mul_(2.0)
    part[:, 0, 2:5] += x[:, 3, 6:9]
    return x.relu_()


LINES = {
    "causal": nn.Sequential(
        nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(3, 4, 3, dilation=2), nn.ReLU(),
        nn.ConstantPad1d((8, 0), 0.0), nn.Conv1d(4, 4, 3, dilation=4),
    ),
    "pools and lines": nn.Sequential(
        nn.Conv1d(3, 4, 4, stride=3, padding=2), nn.MaxPool1d(2), nn.ConvTranspose1d(4, 2, 4, 2, 1)
    ),
    "linear interpolation": nn.Upsample(scale_factor=3, mode="linear"),
    "average": nn.AvgPool1d(3, 2, 1),
}  # fmt: skip
ROOMS = {
    "three axes": nn.Sequential(nn.Conv3d(2, 3, (3, 1, 2), stride=(1, 2, 1)), nn.MaxPool3d(2)),
    "transposed, three axes": nn.ConvTranspose3d(2, 3, 2, stride=(2, 1, 1)),
    "averaged, three axes": nn.AvgPool3d(2, 1),
    "adaptive, three axes": nn.AdaptiveAvgPool3d((3, 2, 2)),
    "nearest, three axes": nn.Upsample(scale_factor=2),
}


def layer(channels, draw):
    """A layer drawn at random that keeps the number of channels."""
    kind = draw(0, 7)
    kernel, stride, dilation = draw(1, 4), draw(1, 3), draw(1, 2)
    padding = draw(0, kernel // 2)
    if kind <= 2:
        groups = (1, channels, 2)[draw(0, 2)] if channels % 2 == 0 else 1
        return conv(
            channels, channels, kernel, stride=stride, padding=padding, dilation=dilation,
            groups=groups,
        )  # fmt: skip
    if kind == 3:
        return nn.MaxPool2d(kernel, stride, padding, dilation, ceil_mode=bool(draw(0, 1)))
    if kind == 4:
        return nn.AvgPool2d(kernel, stride, padding, ceil_mode=bool(draw(0, 1)))
    if kind == 5:
        more = draw(0, max(stride, dilation) - 1)
        return nn.ConvTranspose2d(
            channels, channels, kernel, stride, padding, more, dilation=dilation
        )
    if kind == 6:
        mode = ("nearest", "bilinear", "nearest-exact")[draw(0, 2)]
        return nn.Upsample(scale_factor=(2, 1.5, 0.5)[draw(0, 2)], mode=mode)
    start, step = draw(0, 2), draw(1, 2)
    return Do(lambda m, x: x[:, :, start::step, start:])


class Random(nn.Module):
    """Chains and branches drawn at random; branches are cut to the smaller one where they meet."""

    def __init__(self, draw, channels=4):
        super().__init__()
        self.stem = conv(3, channels, draw(1, 3))
        self.parts = nn.ModuleList(
            nn.ModuleList(
                nn.Sequential(*(layer(channels, draw) for _ in range(draw(1, 2))))
                for _ in range(draw(1, 2))
            )
            for _ in range(draw(1, 3))
        )

    def forward(self, x):
        x = self.stem(x)
        for branches in self.parts:
            found = [branch(x) for branch in branches]
            height = min(one.shape[2] for one in found)
            width = min(one.shape[3] for one in found)
            x = sum(one[:, :, :height, :width] for one in found)
        return x
