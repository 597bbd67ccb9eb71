"""``botec learn --only capacity``: how much a network can hold, beside the data it is to learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from botec.learn import Part, Question

ORDER, NAME = 50, "capacity"
OPTIONS = (
    click.option("--examples", type=int, metavar="N", help="Examples there are to learn from."),
    click.option("--classes", type=int, metavar="K", help="Classes an example may have."),
    click.option("--tokens", type=int, metavar="D", help="Tokens a language model is to read."),
)


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """Bits, thresholds and widths; with tokens the loss that fits of many models expect."""
    from botec.analyses.capacity import Data, figures, sections

    data = Data(options.get("examples"), options.get("classes"), options.get("tokens"))
    network = network_of(asked)
    return Part(figures(network), sections(network, data))


def network_of(asked: Question) -> Any:
    """Trained weights, the size of one example, and the layers that hold matrices."""
    from math import prod

    from botec.analyses.capacity import Network
    from botec.errors import BadInput
    from botec.poly import at

    trained = [one.tensor for one in asked.program.parameters if one.trainable]
    weights = sum(at(tensor.elements, {}) for tensor in trained)
    if not weights:
        raise BadInput("the model has no trained parameter", "ask about one that learns")
    point = {**dict.fromkeys(asked.program.asked, 1), **asked.program.asked}
    shape = asked.source.inputs[0].shape(point) if asked.source.inputs else ()
    layers = sum(len(tensor.shape) > 1 for tensor in trained)
    return Network(weights, prod(shape[1:]) if len(shape) > 1 else None, layers)
