"""The cache of keys and values that a language model fills while it infers.

Not modelled by family: the front door marks the storages that the model's own cache holds when its
forward pass is over, so shared heads, latent vectors, windows and recurrent states count as they
are kept. They are part of the peak.
"""

from __future__ import annotations

from botec.analyses.figures import Answers
from botec.poly import Poly, as_poly, at, plain
from botec.program import Stream
from botec.report import Counted, Figure

CACHE = "cache"


def cache_bytes(stream: Stream) -> Poly | int:
    """Bytes of the model's cache after a forward pass, as a formula of the stream."""
    kept = (as_poly(one.bytes) for one in stream.storages if one.name == CACHE)
    return plain(sum(kept, as_poly(0)))


def cache_figures(answers: Answers) -> list[Figure]:
    """``memory.kv_cache`` of an inference that keeps one; nothing where none is kept."""
    here = cache_bytes(answers.stream)
    value = at(here, answers.program.asked)
    if answers.program.setting.train or not value:
        return []
    widest = cache_bytes(answers.program.streams[0])
    formula = widest if at(widest, answers.program.asked) == value else here
    free = isinstance(formula, Poly) or not answers.program.asked
    why = None if free else answers.program.why or f"traced at {answers.stream.regime}"
    status = "exact" if answers.proved else "complete"
    counted = Counted(value, str(formula) if free else None, status, {}, why)
    return [Figure("memory.kv_cache", "of it the model's cache", "B", counted)]
