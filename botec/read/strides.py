"""Sizes behind strided windows, exactly: floors taken from the ops' own arguments.

A window of stride ``s`` sees ``⌊(size + e) / s⌋ + 1`` places. Chains collapse,
``⌊(⌊(x + b)/c⌋ + e)/s⌋ = ⌊(x + b + c·e)/(c·s)⌋``, so every size behind any chain of convolutions
and pools is an affine function of one atom ``⌊(x + b)/c⌋`` (Graham, Knuth & Patashnik, *Concrete
Mathematics*, equation 3.11). Nothing is searched: what these rules do not give is left to the fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botec.poly import Floor, Poly, as_poly, plain, symbol

Arguments = Mapping[str, Any]
END = 2**62  # a slice "to the end" is asked for with the largest whole number


def floor_divide(size: Any, shift: int, divisor: int) -> Any | None:
    """``⌊(size + shift)/divisor⌋`` of a number or of ``k·symbol + d``, else ``None``."""
    size = plain(size)
    if not isinstance(size, Poly):
        return (size + shift) // divisor
    terms = dict(size.terms)
    constant = terms.pop((), 0) + shift
    if len(terms) != 1:
        return None
    ((monomial, factor),) = terms.items()
    if len(monomial) != 1 or monomial[0][1] != 1 or factor < 1:
        return None
    name = monomial[0][0]
    if factor % divisor == 0:
        return symbol(name) * (factor // divisor) + constant // divisor
    if divisor % factor:
        return None
    return collapsed(name, constant // factor, divisor // factor)


def collapsed(name: Any, shift: int, divisor: int) -> Any | None:
    """``⌊(name + shift) / divisor⌋`` as one atom over the dimension itself, in normal form."""
    if isinstance(name, Floor):
        if not isinstance(name.base, str):
            return None
        base, shift, divisor = name.base, name.shift + name.divisor * shift, name.divisor * divisor
    elif isinstance(name, str):
        base = name
    else:
        return None
    whole, rest = divmod(shift, divisor)
    return symbol(Floor(base, rest, divisor)) + whole


def convolution(arguments: Arguments) -> list[Any | None]:
    """The spatial sizes of a convolution's output."""
    if arguments["transposed"]:
        return []
    image, weight = arguments["input"], arguments["weight"]
    count = len(image.shape) - 2
    stride, padding, dilation = (
        spread(arguments[name], count) for name in ("stride", "padding", "dilation")
    )
    return [
        window(image.shape[2 + i], weight.shape[2 + i], stride[i], padding[i], dilation[i], False)
        for i in range(count)
    ]


def pool(arguments: Arguments) -> list[Any | None]:
    """The spatial sizes of a pool's output."""
    kernel = arguments["kernel_size"]
    shape = arguments["self"].shape
    count = len(kernel) if len(kernel) > 1 else len(shape) - 2
    kernel = spread(kernel, count)
    stride = spread(arguments["stride"] or kernel, count)
    padding = spread(arguments["padding"], count)
    dilation = spread(arguments.get("dilation", 1), count)
    return [
        window(shape[i - count], kernel[i], stride[i], padding[i], dilation[i],
               bool(arguments.get("ceil_mode")))
        for i in range(count)
    ]  # fmt: skip


def window(size: Any, kernel: int, stride: int, padding: int, dilation: int, ceil: bool) -> Any:
    """Places of a window: ``⌊(size + 2·padding − dilation·(kernel − 1) − 1)/stride⌋ + 1``."""
    extra = 2 * padding - dilation * (kernel - 1) - 1 + (stride - 1 if ceil else 0)
    places = floor_divide(size, extra, stride)
    return None if places is None else places + 1


def spread(value: Any, count: int) -> list[Any]:
    """One number for every axis, as the framework broadcasts its settings."""
    values = list(value) if isinstance(value, (tuple, list)) else [value]
    return values * count if len(values) == 1 else values


def sliced(arguments: Arguments) -> list[Any | None]:
    """All sizes of a slice with a step from a fixed start to the end."""
    shape = list(arguments["self"].shape)
    start, end, step = arguments["start"] or 0, arguments["end"], arguments["step"]
    if step == 1 or not isinstance(start, int) or start < 0 or not (end is None or end_is(end)):
        return []
    axis = arguments["dim"]
    shape[axis] = floor_divide(shape[axis], step - 1 - start, step)
    return shape


def end_is(end: Any) -> bool:
    return isinstance(end, int) and end > END


# op -> the last sizes of its first output, as far as they are known
RULES: dict[str, Callable[[Arguments], list[Any | None]]] = {
    "aten.convolution": convolution,
    "aten.max_pool1d_with_indices": pool,
    "aten.max_pool2d_with_indices": pool,
    "aten.max_pool3d_with_indices": pool,
    "aten.avg_pool1d": pool,
    "aten.avg_pool2d": pool,
    "aten.avg_pool3d": pool,
    "aten.slice": sliced,
}


def atoms_of(size: Any) -> list[Floor]:
    """The floor atoms of a size."""
    names = (name for monomial in as_poly(size).terms for name, _ in monomial)
    return [name for name in names if isinstance(name, Floor)]
