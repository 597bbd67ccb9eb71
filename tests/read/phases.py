"""Peaks phase by phase: of a traced step, and of the same step with real numbers in it.

Both sides are a step of a run that goes on (gradients' memory known, optimizer states there), at
the boundaries of ops.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch.utils.checkpoint import checkpoint

from botec.measure.allocator import real_peak
from botec.measure.realise import Step, realise
from botec.program import BIRTH, DEATH, PHASE, PHASES
from botec.read import settle
from botec.read.build import build, on_meta
from botec.read.recorder import Recorder
from botec.read.source import Source
from botec.read.step import Subject, blocks

# One-number tensors: seeds of gradients and wrapped scalars come and go inside C++, 2 to 8 bytes
# each, and where exactly is not followed.
SCALARS = 96


def recorded(source: Source, point: Mapping[str, int], **choices: Any) -> Recorder:
    """One trace at one point in the setting of ``choices`` (those of ``botec.read``)."""
    setting = {
        "train": True,
        "optimizer": "adam",
        "precision": "fp32",
        "device": "cpu",
        "checkpoint": False,
        **choices,
    }
    module = build(source)
    with on_meta(module, setting["precision"]):
        return Subject(module, source, settle(**setting)).run(point)


def traced_peaks(source: Source, point: Mapping[str, int], **choices: Any) -> dict[str, int]:
    """The most live bytes in every phase of a trace."""
    trace = recorded(source, point, **choices)
    live, phase, most = 0, "", dict[str, int]()
    for kind, index in zip(trace.kinds, trace.index, strict=True):
        if kind == PHASE:
            phase = PHASES[index] if index < len(PHASES) else ""
        elif kind in (BIRTH, DEATH):
            live += trace.sizes[index] if kind == BIRTH else -trace.sizes[index]
        if phase:
            most[phase] = max(live, most.get(phase, 0))
    return most


def real_peaks(source: Source, point: Mapping[str, int], **choices: Any) -> dict[str, int]:
    """The same of a real step: what the CPU's allocator really did."""
    again = choices.pop("checkpoint", False)
    step = realise(source, point, **{"optimizer": "adam", **choices})
    if again:
        recomputed(step)
    phases = real_peak(step).by_phase_at_boundaries
    return {name: phases[name] for name in PHASES if name in phases}


def recomputed(step: Step) -> None:
    """Put every repeated block under the framework's checkpointing, as a user would by hand.

    Keys and values of a cache would be added twice: there is none, as transformers has it too.
    """
    for part in step.model.modules():
        if getattr(getattr(part, "config", None), "use_cache", False):
            part.config.use_cache = False
    for block in blocks(step.model):
        inner = block.forward

        def forward(*args: Any, inner: Any = inner, **kwargs: Any) -> Any:
            return checkpoint(inner, *args, use_reentrant=False, **kwargs)

        block.forward = forward


def differences(source: Source, point: Mapping[str, int], **choices: Any) -> dict[str, int]:
    """Traced less real, for the phases that differ by more than single numbers."""
    traced, real = (peaks(source, point, **choices) for peaks in (traced_peaks, real_peaks))
    assert list(traced) == list(real)
    apart = {phase: traced[phase] - real[phase] for phase in real}
    return {phase: size for phase, size in apart.items() if abs(size) > SCALARS}
