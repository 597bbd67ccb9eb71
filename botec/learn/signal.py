"""Signal: the size of activations and gradients at initialisation, predicted layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from botec.errors import BadInput, UnknownName, nearest
from botec.learn import Part, Question

ORDER, NAME = 30, "signal"
SEEDS = 3
INITIALISATIONS = ("own", "he", "he-out", "xavier", "lecun", "orthogonal", "torch")
OPTIONS = (
    click.option(
        "--init", default="own", show_default=True, metavar="NAME",
        help=f"Initialisation to try: {', '.join(INITIALISATIONS)}.",
    ),
    click.option("--measure", is_flag=True, help="Run real passes beside the predicted signal."),
)  # fmt: skip


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """Second moments forward and backward, what is wrong with them, and what would keep them.

    Raises :class:`BadInput` for weights that are not finite, :class:`UnknownName` for an unknown
    initialisation.
    """
    from botec.analyses.signal.fold import predict
    from botec.analyses.signal.layers import layers
    from botec.analyses.signal.page import figures, notes, sections
    from botec.analyses.signal.verdict import findings
    from botec.read.executor import Executor, real
    from botec.read.given import hushed

    name = options.get("init") or "own"
    if name not in INITIALISATIONS:
        do = nearest(name, INITIALISATIONS) or f"use one of {', '.join(INITIALISATIONS)}"
        raise UnknownName(f"no initialisation {name!r}", do, f"--init {name}")
    train = bool(asked.options.get("train", True))
    graph = asked.graph(train=train)
    weights = real(asked.source, train=train).of(graph)
    if name != "own":
        weights = initialised(graph, weights, name)
    with hushed():
        run = predict(graph, Executor(), weights)
    rows = layers(run)
    seen = None
    if options.get("measure"):
        if name != "own":
            raise BadInput(
                "real passes use the model's own weights", "leave --init out", "--measure"
            )
        seen = seen_in(asked, train)
    found = findings(run, rows, weights)
    shown = figures(run, rows, seen)
    return Part(
        figures=shown,
        sections=sections(run, rows, found, shown, weights, seen),
        notes=notes(run, weights, train),
        refusals=tuple(one.text for one in found),
    )


def seen_in(asked: Question, train: bool) -> Any:
    """Real passes of networks drawn anew: geometric means over them."""
    from botec.analyses.signal.page import Seen
    from botec.measure.signal import measured

    passes = [measured(asked.source, asked.point, seed=s, train=train) for s in range(SEEDS)]
    signal, gradient, weights = (
        geometric([getattr(one, what) for one in passes])
        for what in ("signal", "gradient", "weights")
    )
    return Seen(signal, gradient, weights, SEEDS)


def geometric(tables: list[dict[Any, float]]) -> dict[Any, float]:
    """The geometric means of what every table has; 0 where one is."""
    found = {}
    for key in tables[0]:
        values = [one[key] for one in tables if key in one]
        if len(values) == len(tables):
            positive = min(values) > 0
            mean = sum(map(math.log, values)) / len(values) if positive else -math.inf
            found[key] = math.exp(mean)
    return found


def initialised(graph: Any, weights: Mapping[int, Any], name: str) -> dict[int, Any]:
    """Matrices and kernels drawn anew by a recipe, biases 0; tables and norms keep theirs."""
    import numpy

    random = numpy.random.default_rng(0)
    found = dict(weights)
    for parameter, number in graph.named("parameter").items():
        if number not in weights:
            continue
        array, scope = weights[number], graph.scopes.get(parameter.rpartition(".")[0], "")
        if array.ndim < 2 or "Embedding" in scope:
            if parameter.endswith("bias") and "Norm" not in scope:
                found[number] = numpy.zeros_like(array)
            continue
        drawn = random.standard_normal(array.shape, dtype="float32")
        found[number] = drawn * numpy.float32(deviation(name, array.shape, scope))
    return found


def deviation(name: str, shape: tuple[int, ...], scope: str = "") -> float:
    """The standard deviation of a recipe: weights are [outputs, inputs, taps…] in torch."""
    taps = math.prod(shape[2:])
    outputs, inputs = shape[0] * taps, shape[1] * taps
    if scope == "Conv1D":  # transformers' has its matrix the other way round
        outputs, inputs = inputs, outputs
    variance = {
        "he": 2 / inputs, "he-out": 2 / outputs, "xavier": 2 / (inputs + outputs),
        "lecun": 1 / inputs, "orthogonal": 1 / max(inputs, outputs), "torch": 1 / (3 * inputs),
    }[name]  # fmt: skip
    return math.sqrt(variance)
