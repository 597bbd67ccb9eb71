"""The judge of reach: a NaN in one place of a real picture, and which real numbers become NaN.

It shares no code with what it judges: real kernels, real weights, real numbers. Kernels that mix
more than an op reads are switched off (oneDNN's Winograd, NNPACK's transforms).
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy
import torch


@contextmanager
def plain_kernels():
    with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
        yield


def poisoned(model, x, axis, watched=(), chunk=32):
    """For every place of ``axis``: which numbers of the output (of ``watched`` modules) are NaN.

    Returns ``{name: truth values (places, *shape)}``, the model's own output under ``""``. Examples
    of a batch are independent in ``eval`` mode, so each gets a NaN of its own.
    """
    found = {}
    modules = dict(model.named_modules())

    def watch(name):
        def hook(module, given, output):
            out = output[0] if isinstance(output, tuple) else output
            if isinstance(out, torch.Tensor):
                found.setdefault(name, []).append(torch.isnan(out).numpy().copy())

        return hook

    handles = [modules[name].register_forward_hook(watch(name)) for name in watched]
    size = x.shape[axis]
    try:
        with plain_kernels(), torch.no_grad():
            for start in range(0, size, chunk):
                places = range(start, min(size, start + chunk))
                batch = x.repeat(len(places), *[1] * (x.dim() - 1))
                for example, place in enumerate(places):
                    batch[example].select(axis - 1, place).fill_(float("nan"))
                out = model(batch)
                while not isinstance(out, torch.Tensor):
                    out = next(iter(out.values())) if isinstance(out, dict) else out[0]
                found.setdefault("", []).append(torch.isnan(out).numpy().copy())
    finally:
        for handle in handles:
            handle.remove()
    return {name: numpy.concatenate(parts) for name, parts in found.items()}


def predicted(walk, number):
    """What the fields say, in the judge's form."""
    shape = walk.graph.values[number].shape
    field = walk.fields.get(number)
    if field is None:
        return numpy.zeros((walk.sets.size, *shape[1:]), dtype=bool)
    used, back = numpy.unique(field, return_inverse=True)
    table = numpy.array([walk.sets.places(int(one)) for one in used])
    seen = numpy.moveaxis(table[back.reshape(field.shape)], -1, 0)
    return numpy.broadcast_to(seen, (walk.sets.size, *shape))[:, 0]


def compared(said, happened):
    """How many dependences were missed, and how many were said that are none."""
    return int((happened & ~said).sum()), int((said & ~happened).sum())
