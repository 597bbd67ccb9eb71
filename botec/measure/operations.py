"""An independent judge for multiplications: the framework's own counter, and its known faults.

``torch.utils.flop_counter.FlopCounterMode`` is run on meta tensors, not on CPU kernels: there it
finds nothing in the fused attention, the fused recurrent kernels and the fused encoder layer (0 for
an LSTM, 0 for multi-head attention in eval). It counts two flops for a multiply-add, so its figure
is halved. Where it is known to be wrong or blind, the ops that make it so are named, with how often
they occurred, so that a disagreement can be explained when its cause is there, and only then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

from botec.errors import BotecError
from botec.measure.realise import Step, inputs_of, stored_and_computed, weights
from botec.read.source import Source

HOW = "{version} FlopCounterMode on meta tensors, its flops / 2"
HOW_REAL = "{version} FlopCounterMode on real data, fused kernels off, its flops / 2"

#: Ops the framework's counter counts as nothing although they multiply, and their cause in words.
BLIND = {
    "aten._grouped_mm": "grouped matrix products count 0",
    "aten._scaled_grouped_mm": "grouped matrix products count 0",
    "aten._fft_c2c": "Fourier transforms count 0",
    "aten._fft_r2c": "Fourier transforms count 0",
    "aten._fft_c2r": "Fourier transforms count 0",
    "aten.mv": "products of a matrix and a vector count 0",
    "aten.addmv": "products of a matrix and a vector count 0",
    "aten.dot": "products of two vectors count 0",
    "aten.vdot": "products of two vectors count 0",
    "aten.addbmm": "addbmm counts 0",
    "aten._int_mm": "whole-number products count 0",
    "aten._trilinear": "trilinear products count 0",
    "aten._cdist_forward": "distances of all pairs count 0",
}
GROUPED = "the weight gradient of a grouped convolution is counted as if it had one group"
SCORES = (
    "attention's backward is counted as 2 products per forward one; a fused kernel takes 5 for 2"
)
STATES = "an LSTM's fused kernel also makes the gradients of its input and first states"
ATTENTION = "aten._safe_softmax"  # what the fused function comes apart into, and nothing else
GROUPS_ARGUMENT = 9  # of aten.convolution_backward(grad, input, weight, …, groups, output_mask)


@dataclass(frozen=True)
class Judged:
    """Multiplications the judge found in each phase (``None``: it could not run).

    ``faults`` are its known faults that this model meets, each with how often; ``how`` says how it
    was run, ``why`` why a phase is missing.
    """

    forward: int | None
    backward: int | None
    how: str
    faults: Mapping[str, int] = field(default_factory=dict)
    why: str | None = None
    update: int = 0

    @property
    def step(self) -> int | None:
        """All phases; some optimizers (Muon, Adafactor) multiply matrices too, in ``update``."""
        if self.forward is None:
            return None
        return self.forward + (self.backward or 0) + self.update

    def times(self, batches: int) -> Judged:
        """What as many micro-batches multiply."""
        forward, backward = (
            None if one is None else batches * one for one in (self.forward, self.backward)
        )
        return replace(self, forward=forward, backward=backward)


def judged(
    source: Source,
    point: Mapping[str, int],
    *,
    train: bool = True,
    precision: str = "fp32",
    real: Step | None = None,
    prepare: Callable[[Any], None] | None = None,
) -> Judged:
    """What the framework's counter says of ``source`` at ``point``; ``prepare`` gets the model.

    A model that reads values cannot run on tensors without data. Then ``real``, a step with data,
    is run with the CPU's fused kernels switched off; without one the figures are unknown and
    ``why`` has the model's own words.
    """
    import torch

    version = f"torch {torch.__version__}"
    try:
        forward, backward, faults = count(meta_step(source, point, train, precision, prepare))
        found = HOW.format(version=version)
    except Exception as error:  # a constructor that reads values cannot run on meta either
        if real is None:
            seen = error.seen if isinstance(error, BotecError) else str(error)
            return Judged(None, None, HOW.format(version=version), why=seen)
        forward, backward, faults = count(real)
        found = HOW_REAL.format(version=version)
    return Judged(forward, backward if train else None, found, faults)


def meta_step(
    source: Source, point: Mapping[str, int], train: bool, precision: str,
    prepare: Callable[[Any], None] | None = None,
) -> Step:  # fmt: skip
    """A step on the meta device: shapes and types, no numbers. Autocast multiplies no more."""
    import torch

    stored, _ = stored_and_computed(precision)
    with torch.device("meta"):
        model = source.build()
    if any(not tensor.is_meta for tensor in weights(model)):
        model = deepcopy(model).to("meta")  # it may be the user's own
    model = model.train(train)
    if stored != "float32":
        model = model.to(getattr(torch, stored))
    if prepare is not None:
        prepare(model)
    with torch.device("meta"):
        arguments, keywords = inputs_of(source, point, train, stored)
    return Step(model, arguments, keywords, train=train)


def count(step: Step) -> tuple[int, int, dict[str, int]]:
    """Multiplications forward and backward, and the judge's faults met.

    Raises :class:`BotecError` where the model cannot run without data.
    """
    faults: dict[str, int] = {}
    with plain_kernels():
        step.zero()
        forward = counted(step.forward, faults)
        backward = counted(step.backward, faults) if step.train else 0
    return forward, backward, faults


def counted_update(step: Step) -> int:
    """Multiplications of the optimizer of a real step, which is run once for it."""
    if step.optimizer is None:
        return 0
    *before, (_, update) = step.phases.items()
    for _, phase in before:
        phase()
    return counted(update, {})


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Switch off what the counter cannot see into: fused attention, fused layers."""
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    layers, library = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(layers)
        torch._C._set_mkldnn_enabled(library)


def counted(run: Callable[[], None], faults: dict[str, int]) -> int:
    """Half the counter's flops while ``run`` runs; the ops it is wrong on go into ``faults``."""
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    ops, functions = watches(faults)
    try:
        with functions, counter, ops:
            run()
    except BotecError:
        raise
    except Exception as error:
        raise BotecError(f"{type(error).__name__}: {error}", "trust the count alone") from error
    return counter.get_total_flops() // 2


def watches(faults: dict[str, int]) -> tuple[Any, Any]:
    """Two modes that note what the counter is wrong on: ops below autograd, functions above."""
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    def note(cause: str | None) -> None:
        if cause:
            faults[cause] = faults.get(cause, 0) + 1

    class Ops(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            note(fault_of(str(func.overloadpacket), args))
            return func(*args, **(kwargs or {}))

    class Functions(TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = func(*args, **(kwargs or {}))
            if torch.is_grad_enabled():
                note(STATES if getattr(func, "__name__", "") == "lstm" else None)
            return result

    return Ops(), Functions()


def fault_of(name: str, arguments: tuple[Any, ...]) -> str | None:
    """Why the counter is wrong on this op, ``None`` where it is not known to be."""
    import torch

    if name == ATTENTION and torch.is_grad_enabled():
        return SCORES
    if name == "aten.convolution_backward":
        return GROUPED if arguments[GROUPS_ARGUMENT] > 1 else None
    return BLIND.get(name)


def explained(
    faults: Mapping[str, int], phase: str, counted: float | None, judge: float
) -> str | None:
    """The faults that can be why ``counted`` is not what the judge says, in one phrase.

    ``None`` where both agree or no fault can be the reason: the judge's count of a grouped weight
    gradient is too high, all its other faults make it too low, and only what it is blind to
    touches the forward.
    """
    if counted is None or counted == judge:
        return None
    found = [
        f"{cause} ({times}×)"
        for cause, times in faults.items()
        if (cause == GROUPED) == (judge > counted)
        and (cause in BLIND.values() or phase != "forward")
    ]
    return "; ".join(found) or None
