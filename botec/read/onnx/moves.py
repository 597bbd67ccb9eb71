"""Operators that move entries: shapes, slices, look-ups, pads, sizes of pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from botec.errors import BadInput
from botec.read.onnx.registry import numbers_of, onnx

EVERYWHERE = 2**62  # a slice's end beyond every size


@onnx("Reshape", known=("shape",))
def reshape(x: Any, shape: Any, *, allowzero: int = 0) -> Any:
    """A size of 0 keeps the input's."""
    sizes = [int(size) for size in shape.ravel()]
    if not allowzero:
        sizes = [size or int(x.shape[place]) for place, size in enumerate(sizes)]
    return x.reshape(sizes)


@onnx("Flatten")
def flatten(x: Any, *, axis: int = 1) -> Any:
    """Always to two axes: what stands before ``axis``, and the rest."""
    if axis == 1:
        return x.flatten(1)
    return x.reshape(x.shape[:axis].numel(), x.shape[axis:].numel())


@onnx("Transpose")
def transpose(x: Any, *, perm: Any = None) -> Any:
    return x.permute(tuple(perm or reversed(range(x.dim()))))


@onnx("Squeeze", known=("along",))
def squeeze(x: Any, along: Any = None, *, axes: Any = None) -> Any:
    chosen = numbers_of(along, axes)
    return x.squeeze(tuple(chosen)) if chosen else x.squeeze()


@onnx("Unsqueeze", known=("along",))
def unsqueeze(x: Any, along: Any = None, *, axes: Any = None) -> Any:
    chosen = numbers_of(along, axes)
    rank = x.dim() + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


@onnx("Concat")
def concatenate(*values: Any, axis: int) -> Any:
    return torch.cat(values, dim=axis)


@onnx("Split", known=("sizes",))
def split(
    x: Any, sizes: Any = None, *,
    outputs: int, axis: int = 0, split: Any = None, num_outputs: Any = None,
) -> Any:  # fmt: skip
    """Without sizes all parts are alike."""
    chosen = numbers_of(sizes, split)
    if not chosen:
        count = num_outputs or outputs
        return x.split(-(-x.shape[axis] // count), dim=axis)
    return x.split(chosen, dim=axis)


@onnx("Slice", known=("begin", "end", "along", "steps"))
def slices(
    x: Any, begin: Any = None, end: Any = None, along: Any = None, steps: Any = None, *,
    starts: Any = None, ends: Any = None, axes: Any = None,
) -> Any:  # fmt: skip
    """Torch has no negative steps."""
    first, last = numbers_of(begin, starts), numbers_of(end, ends)
    chosen = numbers_of(along, axes) or range(len(first))
    every = numbers_of(steps, None) or [1] * len(first)
    for axis, low, high, step in zip(chosen, first, last, every, strict=True):
        size = x.shape[axis]
        if step < 0:
            places = range(size)[slice(low, None if high < -size else high, step)]
            x = x.index_select(axis, torch.tensor(list(places), device=x.device))
        elif range(size)[low : min(high, EVERYWHERE) : step] != range(size):
            index = [slice(None)] * (axis % x.dim()) + [slice(low, min(high, EVERYWHERE), step)]
            x = x[tuple(index)]
    return x


@onnx("Gather", numbers=True)
def gather(x: Any, places: Any, *, axis: int = 0) -> Any:
    """Rows of a table are an embedding; one place along an axis is a selection."""
    if isinstance(places, int):
        return x.select(axis, places)
    if axis == 0 and x.dim() == 2 and x.is_floating_point() and places.dim():
        return functional.embedding(places, x)
    if places.dim() == 0:
        return x.index_select(axis, places.reshape(1)).squeeze(axis)
    return x[(slice(None),) * (axis % x.dim()) + (places,)]


@onnx("GatherElements")
def gather_elements(x: Any, places: Any, *, axis: int = 0) -> Any:
    return x.gather(axis, places)


@onnx("GatherND")
def gather_nested(x: Any, places: Any, *, batch_dims: int = 0) -> Any:
    if batch_dims:
        raise BadInput("GatherND with batch_dims", "export it without")
    return x[tuple(places.unbind(-1))]


@onnx("ScatterND")
def scatter_nested(x: Any, places: Any, updates: Any, *, reduction: str = "none") -> Any:
    return x.index_put(tuple(places.unbind(-1)), updates, accumulate=reduction == "add")


@onnx("ScatterElements", "Scatter")
def scatter_elements(
    x: Any, places: Any, updates: Any, *, axis: int = 0, reduction: str = "none"
) -> Any:
    return (x.scatter_add if reduction == "add" else x.scatter)(axis, places, updates)


@onnx("Expand", known=("shape",))
def expand(x: Any, shape: Any) -> Any:
    """To the common shape of both."""
    return x.expand(torch.broadcast_shapes(x.shape, tuple(int(size) for size in shape.ravel())))


@onnx("Tile", known=("repeats",))
def tile(x: Any, repeats: Any) -> Any:
    return x.repeat(tuple(int(count) for count in repeats.ravel()))


@onnx("Pad", known=("sides", "value", "axes"))
def pad(
    x: Any, sides: Any = None, value: Any = None, axes: Any = None, *,
    mode: str = "constant", pads: Any = None, constant: float = 0.0,
) -> Any:  # fmt: skip
    """Torch counts axes from the last."""
    given = numbers_of(sides, pads)
    count = len(given) // 2
    chosen = range(count) if axes is None else [int(axis) % x.dim() for axis in axes.ravel()]
    both = {axis: (given[i], given[i + count]) for i, axis in enumerate(chosen)}
    wanted = [side for axis in reversed(range(x.dim())) for side in both.get(axis, (0, 0))]
    while len(wanted) > 2 and wanted[-2:] == [0, 0]:
        del wanted[-2:]
    if mode == "constant":
        return functional.pad(x, wanted, value=constant if value is None else float(value.item()))
    return functional.pad(x, wanted, mode={"edge": "replicate", "wrap": "circular"}.get(mode, mode))


@onnx("DepthToSpace")
def depth_to_space(x: Any, *, blocksize: int, mode: str = "DCR") -> Any:
    if mode == "CRD":
        return functional.pixel_shuffle(x, blocksize)
    n, c, h, w = x.shape
    parts = x.reshape(n, blocksize, blocksize, c // blocksize**2, h, w)
    return parts.permute(0, 3, 4, 1, 5, 2).reshape(n, -1, h * blocksize, w * blocksize)


@onnx("SpaceToDepth")
def space_to_depth(x: Any, *, blocksize: int) -> Any:
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
    return parts.permute(0, 3, 5, 1, 2, 4).reshape(n, -1, h // blocksize, w // blocksize)


@onnx("Trilu", known=("diagonal",))
def triangle(x: Any, diagonal: Any = None, *, upper: int = 1) -> Any:
    return (torch.triu if upper else torch.tril)(x, 0 if diagonal is None else int(diagonal.item()))


@onnx("ConstantOfShape", known=("shape",))
def filled(shape: Any, *, device: Any, value: Any = None) -> Any:
    """Zeros of float32 where no value is given."""
    sizes = tuple(int(size) for size in shape.ravel())
    if value is None:
        return torch.zeros(sizes, device=device)
    dtype = torch.from_numpy(value).dtype
    return torch.full(sizes, value.item(), dtype=dtype, device=device)


@onnx("Range", known=("start", "limit", "delta"))
def numbers(start: Any, limit: Any, delta: Any, *, device: Any) -> Any:
    return torch.arange(start.item(), limit.item(), delta.item(), device=device)


@onnx("OneHot", known=("depth", "values"))
def one_hot(places: Any, depth: Any, values: Any, *, axis: int = -1) -> Any:
    off, on = values.tolist()
    encoded = functional.one_hot(places.long(), int(depth.item())).movedim(-1, axis)
    return encoded.to(torch.float32) * (on - off) + off


@onnx("NonZero")
def places_of_nonzero(x: Any) -> Any:
    return torch.nonzero(x).t()


@onnx("Resize", known=("roi", "scales", "sizes"))
def resize(
    x: Any, roi: Any = None, scales: Any = None, sizes: Any = None, *,
    antialias: int = 0, axes: Any = None, coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75, exclude_outside: int = 0, extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch", mode: str = "nearest", nearest_mode: str = "",
) -> Any:  # fmt: skip
    """Axes after the channels, to a size or by a factor. Opset 10 had no region of interest."""
    if scales is None and sizes is None:
        scales = roi
    if sizes is not None and sizes.size:
        wanted = [int(size) for size in sizes.ravel()][-(x.dim() - 2) :]
    else:
        factors = scales.ravel().tolist()[-(x.dim() - 2) :]
        wanted = [int(size * by) for size, by in zip(x.shape[2:], factors, strict=True)]
    kind = {"linear": ("linear", "bilinear", "trilinear")[x.dim() - 3], "cubic": "bicubic"}
    corners = {"align_corners": coordinate_transformation_mode == "align_corners"}
    options: dict[str, Any] = corners if mode in kind else {}
    return functional.interpolate(x, tuple(wanted), mode=kind.get(mode, mode), **options)


@onnx("Upsample", known=("factors",))
def upsample(x: Any, factors: Any = None, *, mode: str = "nearest", scales: Any = None) -> Any:
    import numpy as np

    return resize(x, None, np.array(scales) if factors is None else factors, mode=mode)


@onnx("GridSample")
def grid_sample(
    x: Any,
    grid: Any,
    *,
    align_corners: int = 0,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
) -> Any:
    kinds = {"linear": "bilinear", "cubic": "bicubic"}
    return functional.grid_sample(x, grid, kinds.get(mode, mode), padding_mode, bool(align_corners))
