"""Resampling on a grid.

Nearest neighbours are copies. Along one axis a linear interpolation is three operations (two
products, a sum); along d axes it is 2^d - 1 of them: 3, 9, 21 per result. A cubic one weighs four
lines of four: five times 4 products and 3 sums, 35. Weights belong to a position and are shared by
all channels and examples; they are not counted. Going back, every product's gradient is one product
and one sum: 2^d (or 16) neighbours, twice.

Antialiased windows grow with the scale: the widest window is taken, along one axis after the other.
Unknown where sizes are not plain numbers.
"""

from __future__ import annotations

import math
from typing import Any

from botec.calls import Tensor
from botec.ops.facts import nothing, op
from botec.poly import product

LINEAR = {
    1: "aten.upsample_linear1d",
    2: "aten.upsample_bilinear2d",
    3: "aten.upsample_trilinear3d",
}
CUBIC = {2: "aten.upsample_bicubic2d"}
TAPS = {"bilinear": 2, "bicubic": 4, "lanczos": 6}

nothing("the nearest number is copied", *(
    f"aten.{name}{axes}d" for name in ("upsample_nearest", "_upsample_nearest_exact")
    for axes in (1, 2, 3)), kind="interpolate")  # fmt: skip
copied_back = op("nearest neighbour backward", *(
    f"aten.{name}{axes}d_backward" for name in ("upsample_nearest", "_upsample_nearest_exact")
    for axes in (1, 2, 3)), kind="interpolate")  # fmt: skip
sampled = {2: op("grid sample, 2 axes", "aten.grid_sampler_2d", "aten.cudnn_grid_sampler",
                 "aten._grid_sampler_2d_cpu_fallback"),
           3: op("grid sample, 3 axes", "aten.grid_sampler_3d")}  # fmt: skip
sampled_backward = {2: op("grid sample backward, 2 axes", "aten.grid_sampler_2d_backward",
                          "aten.cudnn_grid_sampler_backward",
                          "aten._grid_sampler_2d_cpu_fallback_backward"),
                    3: op("grid sample backward, 3 axes",
                          "aten.grid_sampler_3d_backward")}  # fmt: skip
BILINEAR, NEAREST, BICUBIC = range(3)


@copied_back.flops
def _(grad_output: Tensor):
    """Each gradient is added to the number it was copied from."""
    return grad_output.elements


def tell(name: str, forward: int, neighbours: int) -> None:
    """One kind of resampling: ``forward`` per result, each of ``neighbours`` twice going back."""

    @op(name, name, kind="interpolate").flops
    def _(outputs):
        return forward * outputs[0].elements

    @op(f"{name} backward", f"{name}_backward", kind="interpolate").flops
    def _(grad_output: Tensor):
        return 2 * neighbours * grad_output.elements


for linear_axes, linear_name in LINEAR.items():
    tell(linear_name, 3 * (2**linear_axes - 1), 2**linear_axes)
for cubic_name in CUBIC.values():
    tell(cubic_name, 35, 16)


def plain(*sizes: Any) -> bool:
    return all(isinstance(size, int) for size in sizes)


def widest(taps: int, size: Any, result: Any) -> int:
    """Numbers in the widest window: wider than ``taps`` where the picture shrinks."""
    return math.ceil(taps * max(size / result, 1))


def antialiased(small: Tensor, large: tuple[Any, ...], taps: int) -> Any | None:
    """Rows first, then columns; ``small`` is the result's shape, ``large`` the picture's."""
    *channels, height, width = large
    new_height, new_width = small.shape[-2:]
    if not plain(height, width, new_height, new_width):
        return None
    along = height * new_width * (2 * widest(taps, width, new_width) - 1)
    down = new_height * new_width * (2 * widest(taps, height, new_height) - 1)
    return product(channels) * (along + down)


def tell_antialiased(kind: str, taps: int) -> None:
    name = f"aten._upsample_{kind}2d_aa"
    forward, backward = op(name, name), op(f"{name} backward", f"{name}_backward")
    for declared in (forward, backward):
        declared.multiplications(lambda: 0)

    @forward.flops
    def _(inputs, outputs):
        """A weighted sum of the window along each axis."""
        return antialiased(outputs[0], inputs[0].shape, taps)

    @backward.flops
    def _(grad_output: Tensor, outputs):
        """As many products and sums as forward."""
        return antialiased(grad_output, outputs[0].shape, taps)


for aa_kind, aa_taps in TAPS.items():
    tell_antialiased(aa_kind, aa_taps)


def places(grid: Tensor) -> Any:
    """Positions sampled: the grid without its last axis, the coordinates."""
    return product(grid.shape[:-1])


def tell_sampled(axes: int) -> None:
    corners = 2**axes
    per_place = 4 * axes + corners * (2 * axes - 1)

    @sampled[axes].flops
    def _(grid: Tensor, outputs, call):
        """Per place: each coordinate ((x + 1) size - 1) / 2, each corner's weight (axes
        differences, axes - 1 products); per result as many products as corners and their sum.

        Nearest: the coordinates only. Cubic (two axes): 35 per result, weights not counted.
        """
        coordinates = 4 * axes * places(grid)
        mode = call.arguments.get("interpolation_mode", BILINEAR)
        if mode == NEAREST:
            return coordinates
        if mode == BICUBIC:
            return coordinates + 35 * outputs[0].elements
        return places(grid) * per_place + outputs[0].elements * (2 * corners - 1)

    @sampled_backward[axes].flops
    def _(grad_output: Tensor, grid: Tensor, call):
        """Per gradient, bilinear: a product and a sum to each corner; to the grid, for each
        corner and coordinate ``axes`` products and a sum. Nearest: one sum.
        """
        mode = call.arguments.get("interpolation_mode", BILINEAR)
        if mode == NEAREST:
            return grad_output.elements
        corner_count = 16 if mode == BICUBIC else corners
        wanted = call.arguments.get("output_mask", (True, True))
        per_gradient = corner_count * (2 * wanted[0] + axes * (axes + 1) * wanted[1])
        return places(grid) * per_place + grad_output.elements * per_gradient


for grid_axes in sampled:
    tell_sampled(grid_axes)

affine = op("affine grid", "aten.affine_grid_generator", "aten.cudnn_affine_grid_generator")


@affine.multiplications
def _(theta: Tensor, outputs):
    """Every coordinate is a row of theta met by a homogeneous position."""
    return outputs[0].elements * theta.shape[-1]


affine_backward = op("affine grid backward", "aten.affine_grid_generator_backward")


@affine_backward.multiplications
def _(grad: Tensor):
    """Every gradient of a coordinate meets its homogeneous position, one longer than itself."""
    return grad.elements * (grad.shape[-1] + 1)
