"""``botec conv SIZE``: sizes and reach of one convolution or a chain of them."""

from __future__ import annotations

from typing import Any

import click

from botec.commands.answering import Answer
from botec.commands.asking import command

ORDER = 65


@command(
    click.argument("size", type=int),
    click.argument("layers", nargs=-1, metavar="[K/S/P/D]..."),
    click.option("-k", "--kernel", type=int, metavar="K", help="Kernel size."),
    click.option("-s", "--stride", type=int, metavar="S", help="Stride, 1 unless given."),
    click.option("-p", "--padding", type=int, metavar="P", help="Padding on either side."),
    click.option("-d", "--dilation", type=int, metavar="D", help="Dilation, 1 unless given."),
    click.option("--transposed", is_flag=True, default=None, help="A transposed convolution."),
    click.option("--output-padding", type=int, metavar="N", help="More at the transposed end."),
)
def conv(size: int, layers: tuple[str, ...], **given: Any) -> Answer:
    """Output size and receptive field of convolutions, on one axis.

    \b
    botec conv 224 -k 7 -s 2 -p 3
    botec conv 224 7/2/3 3/2/1 3/1/1

    K/S/P/D are kernel, stride, padding and dilation; a t behind them is a transposed layer.
    """
    from botec.analyses.windows import chain_from, report

    chosen = {name: value for name, value in given.items() if value is not None}
    return Answer(report(size, chain_from(layers, chosen)))
