"""Reach of what slides over a picture: convolutions, pooling, interpolation, padding."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from botec.calls import Call, Tensor
from botec.ops.reach import Axes, Read, first, per_axis, same, told
from botec.ops.reach.steps import SAME, Edged, Resampled, Shares, Spread, Step, Window


def sizes(tensor: Tensor) -> tuple[int, ...]:
    """Its shape as whole numbers: a graph stands at one point."""
    shape: tuple[Any, ...] = tensor.shape
    return tuple(map(int, shape))


@told("convolution _convolution convolution_overrideable mkldnn_convolution")
def convolution(call: Call) -> list[Read]:
    """Windows over the places, all channels of a group; a transposed one spreads its inputs."""
    given = call.arguments
    name, tensor = first(call)
    weight, groups = sizes(given["weight"]), int(given.get("groups", 1))
    axes = len(weight) - 2
    kernels = weight[2:]
    stride = per_axis(given["stride"], axes, 1)
    padding = per_axis(given["padding"], axes, 0)
    dilation = per_axis(given["dilation"], axes, 1)
    more = per_axis(given.get("output_padding"), axes, 0)
    channel = len(tensor.shape) - axes - 1
    walked: dict[int, tuple[int, Step]] = {0: (0, SAME)} if channel else {}
    for place in range(axes):
        four = (kernels[place], stride[place], padding[place], dilation[place])
        step: Step = Window(*four, after=padding[place])
        if given.get("transposed"):
            step = Spread(*four, more=more[place])
        walked[channel + 1 + place] = (channel + 1 + place, step)
    if groups > 1:
        made = sizes(call.results[0])[channel]
        walked[channel] = (channel, Shares(sizes(tensor)[channel] // groups, made // groups))
        return [Read(name, Axes(len(tensor.shape), walked))]
    return [Read(name, Axes(len(tensor.shape), walked, (channel,)))]


@told("max_pool2d_with_indices max_pool3d_with_indices max_pool1d max_pool2d max_pool3d")
def greatest(call: Call) -> list[Read]:
    """Windows of each channel by itself."""
    axes = int(call.op.rpartition("pool")[2][0])
    return pooled(call, axes, per_axis(call.arguments.get("dilation"), axes, 1))


@told("avg_pool1d avg_pool2d avg_pool3d")
def average(call: Call) -> list[Read]:
    """Windows of each channel by itself."""
    axes = int(call.op.rpartition("pool")[2][0])
    return pooled(call, axes, [1] * axes)


def pooled(call: Call, axes: int, dilation: list[int]) -> list[Read]:
    given = call.arguments
    name, tensor = first(call)
    kernel = per_axis(given["kernel_size"], axes, 1)
    stride = [
        own or kernel[place] for place, own in enumerate(per_axis(given.get("stride"), axes, 0))
    ]
    padding = per_axis(given.get("padding"), axes, 0)
    rank = len(tensor.shape)
    walked: dict[int, tuple[int, Step]] = {axis: (axis, SAME) for axis in range(rank - axes)}
    for place in range(axes):
        slack = stride[place] - 1 if given.get("ceil_mode") else 0
        step = Window(
            kernel[place], stride[place], padding[place], dilation[place], padding[place], slack
        )
        walked[rank - axes + place] = (rank - axes + place, step)
    return [Read(name, Axes(rank, walked), out) for out in range(len(call.results))]


@told("_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_avg_pool1d adaptive_max_pool1d")
@told("adaptive_max_pool2d adaptive_max_pool3d adaptive_avg_pool2d adaptive_avg_pool3d")
def adaptive(call: Call) -> list[Read]:
    """Output ``o`` of ``O`` reads from ``⌊o I / O⌋`` to before ``⌈(o + 1) I / O⌉``."""
    name, tensor = first(call)
    shape, made = sizes(tensor), sizes(call.results[0])
    axes = len(per_axis(call.arguments["output_size"], 1, 1)) and len(call.arguments["output_size"])
    walked: dict[int, tuple[int, Step]] = {}
    for axis, (given, out) in enumerate(zip(shape, made, strict=True)):
        pools = axis >= len(shape) - axes
        walked[axis] = (axis, shared(given, out) if pools and given != out else SAME)
    read = tuple(axis for axis in range(len(shape) - axes, len(shape)) if made[axis] == 1)
    for axis in read:
        del walked[axis]
    return [Read(name, Axes(len(shape), walked, read), out) for out in range(len(call.results))]


def shared(given: int, made: int) -> Resampled:
    """The windows of adaptive pooling."""

    def weigh(place: int) -> list[int]:
        return list(range(place * given // made, -(-(place + 1) * given // made)))

    return Resampled(given, made, weigh)


# -- interpolation --------------------------------------------------------------------------


def factor(given: int, made: int, scale: float | None, corners: bool) -> float:
    """Input places to one output place (``area_pixel_compute_scale``)."""
    if corners:
        return (given - 1) / (made - 1) if made > 1 else 0.0
    return 1.0 / scale if scale else given / made


def nearest(scale: float) -> Callable[[int], list[int]]:
    """``⌊o · scale⌋``."""
    return lambda place: [math.floor(place * scale)]


def nearest_exact(scale: float) -> Callable[[int], list[int]]:
    """``⌊(o + ½) scale⌋``."""
    return lambda place: [math.floor((place + 0.5) * scale)]


def linear(scale: float, corners: bool, ends: bool = False) -> Callable[[int], list[int]]:
    """The two neighbours of ``(o + ½) scale - ½`` (of ``o · scale`` with corners aligned).

    At the ends the kernel does not go below 0, and reads a neighbour of weight 0 there.
    """

    def weigh(place: int) -> list[int]:
        centre = place * scale if corners else (place + 0.5) * scale - 0.5
        low = math.floor(max(centre, 0.0) if ends else centre)
        return [low, low + 1]

    return weigh


def cubic(scale: float, corners: bool) -> Callable[[int], list[int]]:
    """Four neighbours."""

    def weigh(place: int) -> list[int]:
        centre = place * scale if corners else (place + 0.5) * scale - 0.5
        low = math.floor(centre)
        return [low - 1, low, low + 1, low + 2]

    return weigh


def smooth(taps: int, scale: float) -> Callable[[int], list[int]]:
    """With antialiasing: all places within ``taps / 2`` steps (of the output) of the centre."""
    support = taps / 2 * max(scale, 1.0)

    def weigh(place: int) -> list[int]:
        centre = (place + 0.5) * scale
        first = math.floor(centre - support + 0.5)
        return list(range(first, math.floor(centre + support + 0.5)))

    return weigh


@told("upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d")
@told("_upsample_nearest_exact2d _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d")
@told("upsample_trilinear3d upsample_bicubic2d _upsample_bilinear2d_aa _upsample_bicubic2d_aa")
def resampled(call: Call) -> list[Read]:
    """Every spatial axis resampled by itself (``aten/src/ATen/native/UpSample.h``)."""
    name, tensor = first(call)
    shape, made = sizes(tensor), sizes(call.results[0])
    rank = len(shape)
    axes = rank - 2
    corners = bool(call.arguments.get("align_corners"))
    scales = scales_of(call, axes)
    walked: dict[int, tuple[int, Step]] = {0: (0, SAME), 1: (1, SAME)}
    for place in range(axes):
        given, out = shape[2 + place], made[2 + place]
        scale = factor(given, out, scales[place], corners)
        walked[2 + place] = (2 + place, one_axis(call.op, given, out, scale, corners))
    return [Read(name, Axes(rank, walked))]


def scales_of(call: Call, axes: int) -> list[Any]:
    """The scales the author gave, axis by axis, where the kernel uses them."""
    given = call.arguments
    if isinstance(given.get("scale_factors"), tuple):
        return list(given["scale_factors"])
    names = {1: ("scales",), 2: ("scales_h", "scales_w"), 3: ("scales_d", "scales_h", "scales_w")}
    return [given.get(name) for name in names[axes]]


def one_axis(op: str, given: int, made: int, scale: float, corners: bool) -> Step:
    """The step of one axis, by the op's own rule."""
    if given == made and not corners and abs(scale - 1) < 1e-9:
        return SAME
    regular = not corners and abs(scale - given / made) < 1e-9
    if "nearest_exact" in op:
        return Resampled(given, made, nearest_exact(scale), regular)
    if "nearest" in op:
        return Resampled(given, made, nearest(scale), regular)
    if op.endswith("_aa"):
        return Resampled(given, made, smooth(4 if "bicubic" in op else 2, scale), regular)
    if "bicubic" in op:
        return Resampled(given, made, cubic(scale, corners), regular)
    return Resampled(given, made, linear(scale, corners), regular, linear(scale, corners, True))


# -- padding --------------------------------------------------------------------------------


def padded(call: Call, make: Callable[[int, int], Step]) -> list[Read]:
    """``pad`` lists (before, after) from the last axis backwards."""
    name, tensor = first(call)
    rank = len(tensor.shape)
    key = "pad" if "pad" in call.arguments else "padding"
    pad = [int(one) for one in call.arguments[key]]
    walked = dict(same(rank).walked)
    for place in range(len(pad) // 2):
        axis = rank - 1 - place
        walked[axis] = (axis, make(pad[2 * place], pad[2 * place + 1]))
    return [Read(name, Axes(rank, walked))]


@told("constant_pad_nd")
def constant_pad(call: Call) -> list[Read]:
    """Shifted; what is added reads nothing. (Less than nothing is added where it crops.)"""
    return padded(call, lambda before, after: Window(padding=before, after=after))


@told("reflection_pad1d reflection_pad2d reflection_pad3d")
def reflected(call: Call) -> list[Read]:
    """The picture mirrored at its ends."""
    return padded(call, lambda before, after: Edged(before, True))


@told("replication_pad1d replication_pad2d replication_pad3d")
def replicated(call: Call) -> list[Read]:
    """The end again and again."""
    return padded(call, lambda before, after: Edged(before, False))
