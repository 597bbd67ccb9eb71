"""Ops without a rule that give a tensor of the shape they take: run on a sample, and said so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botec.analyses.signal.book import Outcome


def sampled(run: Any, node: Any, given: Mapping[str, Any]) -> Outcome | None:
    """The op run on particles as if it were pointwise, where its result keeps their shape.

    An activation of the user's own may be made of one op that nobody has told about; one that
    mixes entries changes the shape, or gives other numbers for entries in another order, and is
    refused.
    """
    import numpy

    from botec.analyses.signal.pointwise import pointwise
    from botec.analyses.signal.value import Value

    randoms = [one for one in given.values() if isinstance(one, Value)]
    shape = run.shape(node.outputs[0]) if node.outputs[0] is not None else None
    if len(node.outputs) != 1 or len(randoms) != 1 or randoms[0].shape != shape or randoms[0].index:
        return None
    z = randoms[0].one.z
    turned = numpy.random.default_rng(0).permutation(z.shape[1])
    try:
        rest = {n: one.array for n, one in given.items() if not isinstance(one, Value)}
        name = next(n for n, one in given.items() if isinstance(one, Value))
        straight = run.executor.run(node.call, {**rest, name: z})[0]
        mixed = run.executor.run(node.call, {**rest, name: z[:, turned]})[0]
        own = run.executor.run(node.call, {**rest, name: z[:1, :7].copy()})[0]
    except (RuntimeError, IndexError, AttributeError, TypeError, ValueError):
        return None
    if straight is None or straight.shape != z.shape:
        return None
    same = numpy.allclose(straight[:, turned], mixed) and numpy.allclose(straight[:1, :7], own)
    if not same:
        return None
    name = node.call.op
    run.sampled[name] = run.sampled.get(name, 0) + 1
    return pointwise(run, node, given)
