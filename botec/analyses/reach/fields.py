"""Receptive fields as a picture: what one place of each layer sees, to be drawn on the input."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from botec.analyses.reach import Along, Reach
from botec.analyses.reach.least import least_input
from botec.report import Field, Fields

AXES = 2  # of a picture; of a video the last two
SIZE = "size"  # the input's, in formulas


def fields(found: Reach) -> tuple[Fields, ...]:
    """The picture of every layer that slides a window; none where no layer does."""
    axes = found.axes[-AXES:]
    layers = tuple(layers_of(found, axes))
    if not layers:
        return ()
    names, sizes = tuple(one.name for one in axes), tuple(one.size for one in axes)
    return (Fields("What one place of a layer sees", names, sizes, layers),)


def layers_of(found: Reach, axes: list[Along] | tuple[Along, ...]) -> Iterator[Field]:
    """The layers in the order they run, those with numbers along an axis."""
    for place in sorted({place for along in axes for place in along.windows}):
        node = found.graph.nodes[place]
        own = tuple(along_axis(along, node.results[0]) for along in axes)
        if any(own):
            op = node.call.op.partition(".")[2].removesuffix("_with_indices").lstrip("_")
            yield Field(node.scope or "the model", op, own)


def along_axis(along: Along, number: int) -> tuple[int, float | int, int, int, str] | None:
    """Reach, stride, padding, places and their formula; ``None`` where fields differ by place."""
    one = along.apart(number)
    if one is None or one.stride is None or one.padding is None or not one.made:
        return None
    if len(one.sizes) > 1:
        return None
    formula = places(along, number, one.stride, one.made)
    return one.size, plain(one.stride), one.padding, one.made, formula


def places(along: Along, number: int, stride: Fraction, made: int) -> str:
    """How many places a layer has at another size of the input, empty where that is not a line.

    Windows one after the other take ``(size + padding - reach) // stride + 1`` places, since floors
    of floors are one floor; the least size for one place and for two say whether these do.
    """
    if stride.denominator != 1:
        return ""
    least, next_ = (least_input(along.without, number, wanted) for wanted in (1, 2))
    if next_ - least != stride or (along.size - least) // stride + 1 != made:
        return ""
    return f"({SIZE} - {least}) // {int(stride)} + 1"


def plain(number: Fraction) -> float | int:
    """A whole number where it is one."""
    return int(number) if number.denominator == 1 else float(number)
