"""Recurrent: how many steps back a gradient reaches in a model's recurrent layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from botec.errors import BadInput
from botec.learn import Part, Question

ORDER, NAME = 40, "recurrent"
OPTIONS = (
    click.option("--memory", type=float, metavar="STEPS", help="Find the forget bias for it."),
    click.option("--exponents", type=int, default=4, show_default=True, metavar="N",
                 help="Lyapunov exponents to find; 0: all of them."),
    click.option("--backprop", is_flag=True, help="Run real back-propagation beside the exponent."),
)  # fmt: skip
KINDS = {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}


def applies(asked: Question) -> bool:
    """Whether the model has a recurrent layer."""
    from botec.read.build import build

    return any(type(part).__name__ in KINDS for part in build(asked.source).modules())


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """Horizons, exponents and the linear rule of every recurrent layer.

    Raises :class:`BadInput` where there is none, or for numbers without a meaning.
    """
    from botec.analyses.recurrence import stack
    from botec.analyses.recurrence_page import page
    from botec.measure.realise import materialised
    from botec.measure.recurrent import recurrent_layers

    wanted = options.get("memory")
    if wanted is not None and not wanted > 1:
        raise BadInput("a memory is longer than one step", "ask for more", f"--memory {wanted:g}")
    k = options.get("exponents")
    k = 4 if k is None else int(k)
    if k < 0:
        raise BadInput("there is no such number of exponents", "give 0 for all", f"--exponents {k}")
    model = materialised(asked.source.build())
    found = []
    for layers in recurrent_layers(model):
        cells = [[cell_of(weights) for weights in layer] for layer in layers]
        single = [one for layer in cells for one in layer]
        grown = stack(cells, k=k or max(one.states for one in single))
        found += list(zip(single, grown, strict=True))
    if not found:
        do = "ask a model with nn.RNN, nn.LSTM or nn.GRU"
        raise BadInput("it has no recurrent layer", do, asked.source.name)
    real = real_runs(model) if options.get("backprop") else {}
    return Part(*page(found, memory=wanted, real=real))


def cell_of(weights: Any) -> Any:
    """A layer's weights as the analysis takes them."""
    from botec.analyses.recurrence import Cell

    return Cell(weights.kind, weights.name, reverse=weights.reverse, **weights.arrays)


def real_runs(model: Any) -> dict[str, tuple[float, float]]:
    """The slope of real back-propagation and the gradient's norm, by the layer's name.

    Layers of one module share them: a gradient takes the slowest way.
    """
    from botec.measure.recurrent import backward

    found = {}
    for name, part in model.named_modules():
        if hasattr(part, "mode") and hasattr(part, "input_size"):
            one = backward(part)
            for layer in range(part.num_layers):
                for end in ("", "_reverse"):
                    place = f"{name}_l{layer}{end}".lstrip(".")
                    found[place] = (one.slope(40, 160), one.norm)
    return found


def of_matrix(matrix: Any, kind: str = "linear", **options: Any) -> Part:
    """The same of one recurrent matrix [n, n] without inputs' weights: h' = φ(W h + x).

    ``kind`` is "linear", "tanh" or "relu"; x is normal of variance 1. Raises :class:`BadInput`.
    """
    import numpy

    from botec.analyses.recurrence import Cell, growth, linear_rule
    from botec.analyses.recurrence_page import page

    if kind not in ("linear", "tanh", "relu"):
        raise BadInput(f"no recurrence {kind!r}", "use linear, tanh or relu", kind)
    array = numpy.asarray(matrix, dtype="float64")
    linear_rule(array, most=1)  # refuses what is not square and finite
    zeros = numpy.zeros(len(array))
    cell = Cell(kind, "matrix", numpy.eye(len(array)), array, zeros, zeros)
    return Part(*page([(cell, growth(cell, **options))]))


def is_matrix(model: Any) -> bool:
    """Whether a recurrent matrix stands where a model would: a file of numpy's, or an array."""
    return (isinstance(model, str) and model.endswith(".npy")) or type(model).__name__ == "ndarray"


def matrix_in(model: Any) -> Any:
    """The matrix itself. Raises :class:`BadInput` for a file that is none; nothing is unpickled."""
    import numpy

    if not isinstance(model, str):
        return model
    try:
        return numpy.load(model, allow_pickle=False)
    except OSError as error:
        raise BadInput(error.strerror or "it cannot be read", "name a file", model) from None
    except ValueError:
        raise BadInput("it is no array of numpy's", "write it by numpy.save", model) from None
