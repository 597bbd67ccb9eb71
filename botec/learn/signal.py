"""Signal: the size of activations and gradients at initialisation, predicted layer by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from botec.learn import Part, Question

if TYPE_CHECKING:
    from botec.read.source import Source

ORDER, NAME = 30, "signal"
SEEDS = 3
OPTIONS = (
    click.option(
        "--init", default="own", show_default=True, metavar="NAME",
        help="Initialisation to try: he, he-out, xavier, lecun, orthogonal, torch, or any of "
        "torch.nn.init with its numbers, trunc_normal(std=0.02).",
    ),
    click.option("--measure", is_flag=True, help="Run real passes beside the predicted signal."),
)  # fmt: skip


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """Second moments forward and backward, what is wrong with them, and what would keep them.

    Raises :class:`~botec.errors.BadInput` for weights that are not finite and for a scheme that
    cannot draw them, :class:`~botec.errors.UnknownName` for an unknown initialisation.
    """
    from botec.analyses.signal.fold import predict
    from botec.analyses.signal.layers import layers
    from botec.analyses.signal.page import figures, notes, sections
    from botec.analyses.signal.verdict import findings
    from botec.read.executor import Executor, real
    from botec.read.given import hushed

    name = options.get("init") or "own"
    train, source = bool(asked.options.get("train", True)), asked.source
    if name != "own":
        from botec.read.initialise import initialised

        source = initialised(source, name, not isinstance(asked.model, str))
    graph = asked.graph(train=train)
    weights = real(source, train=train, once=True).of(graph)
    with hushed():
        run = predict(graph, Executor(), weights)
    rows = layers(run)
    seen = seen_in(source, asked.point, train) if options.get("measure") else None
    found = findings(run, rows, weights)
    shown = figures(run, rows, seen)
    return Part(
        figures=shown,
        sections=sections(run, rows, found, shown, weights, seen),
        notes=notes(run, weights, train),
        refusals=tuple(one.text for one in found),
    )


def seen_in(source: Source, point: Mapping[str, int], train: bool) -> Any:
    """Real passes of networks drawn anew: geometric means over them."""
    from botec.analyses.signal.page import Seen
    from botec.measure.signal import measured

    passes = [measured(source, point, seed=s, train=train) for s in range(SEEDS)]
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
