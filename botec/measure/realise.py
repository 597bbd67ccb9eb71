"""A real network with real numbers in it, and one real training step of it.

Weights are the model's own random initialisation, inputs are normal (whole numbers: uniform below
their bound), everything is on the CPU. Nothing here looks at shapes only: it is the judge of the
rooms that do.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, is_dataclass
from typing import Any

from botec.errors import BotecError, ModelFailed, UnknownName, nearest
from botec.inputs import Input
from botec.read.source import Source

#: Where weights and inputs are stored in this type, and whether autocast computes in another one.
PRECISIONS = {
    "fp32": ("float32", ""),
    "bf16": ("bfloat16", ""),
    "fp16": ("float16", ""),
    "amp-bf16": ("float32", "bfloat16"),
    "amp-fp16": ("float32", "float16"),
}
#: Names of optimizers that are another one with a choice made.
VARIANTS = {"sgd-momentum": ("sgd", {"momentum": 0.9}), "momentum": ("sgd", {"momentum": 0.9})}
SEED = 0


@dataclass
class Step:
    """One step of a real model, whole (:meth:`run`) or phase by phase.

    A training step is ``zero_grad(set_to_none=True)``, forward with its loss, backward (both once
    for each of ``accumulate`` micro-batches), ``optimizer.step()``; an inference is the forward
    alone in ``torch.no_grad()``. The output is let go as soon as the loss is known (autograd keeps
    what it needs), the loss after the backward; an inference's output lives until the next step.

    ``zero_grad`` is when gradients go: ``after`` and ``before`` (between two steps both),
    ``between`` forward and backward, ``keep`` (set to zero after the step). Every step of a
    ``first_step`` is one: it finds no optimizer states. ``copies`` are pairs of a 16-bit weight and
    the fp32 one the optimizer steps on.
    """

    model: Any
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    optimizer: Any = None
    train: bool = True
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    accumulate: int = 1
    zero_grad: str = "after"
    first_step: bool = False
    scaler: Any = None
    copies: tuple[tuple[Any, Any], ...] = ()
    loss: Any = None
    output: Any = None

    @property
    def phases(self) -> dict[str, Callable[[], None]]:
        """The phases in order, by name; ``zero`` belongs to no phase of the Program.

        Those of later micro-batches are ``forward.2``, ``backward.2`` and so on.
        """
        if not self.train:
            return {"zero": self.zero, "forward": self.forward}
        phases = {"zero": self.zero, "forward": self.first_forward, "backward": self.backward}
        for batch in range(2, self.accumulate + 1):
            phases |= {f"forward.{batch}": self.forward, f"backward.{batch}": self.backward}
        return {**phases, "optimizer": self.update} if self.optimizer is not None else phases

    def run(self) -> None:
        """All phases, one after the other."""
        for phase in self.phases.values():
            phase()

    def zero(self) -> None:
        """Drop the gradients (training) or the last output (inference)."""
        self.output = None
        fresh = self.first_step or self.optimizer is None
        if self.train and (fresh or self.zero_grad in ("after", "before")):
            self.drop()
        if self.first_step and self.optimizer is not None:
            self.optimizer.state.clear()

    def drop(self) -> None:
        """No gradients, of weights or copies."""
        self.model.zero_grad(set_to_none=True)
        for _, copy in self.copies:
            copy.grad = None

    def first_forward(self) -> None:
        """The forward of the first micro-batch, after which gradients may go."""
        self.forward()
        if self.zero_grad == "between" and self.optimizer is not None:
            self.drop()

    def forward(self) -> None:
        """The model, and in training its loss."""
        import torch

        with nullcontext() if self.train else torch.no_grad(), self.autocast():
            output = self.called()
            if self.train:
                self.loss = loss_of(output)
                if self.accumulate > 1:
                    self.loss = self.loss / self.accumulate
            else:
                self.output = output
        if self.scaler is not None:
            self.loss = self.scaler.scale(self.loss)

    def called(self) -> Any:
        """The model's output. Raises :class:`ModelFailed` with the model's own words."""
        try:
            return self.model(*self.arguments, **self.keywords)
        except BotecError:
            raise
        except Exception as error:
            words = f"{type(error).__name__}: {error}"
            raise ModelFailed(words, "run the model on these inputs by hand") from error

    def backward(self) -> None:
        """Gradients of the loss, which is let go afterwards."""
        self.loss.backward()
        self.loss = None

    def update(self) -> None:
        """The optimizer's step, on the copies where there are any."""
        for weight, copy in self.copies:
            copy.grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        if self.scaler is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        for weight, copy in self.copies:
            weight.data.copy_(copy.data)
        if self.zero_grad == "keep":
            self.optimizer.zero_grad(set_to_none=False)

    def tensors(self) -> Iterator[Any]:
        """Every tensor the step holds between its phases: weights, inputs, gradients, states."""
        copies = [copy for _, copy in self.copies]
        yield from weights(self.model)
        yield from copies
        trained = (*self.model.parameters(), *copies)
        yield from (weight.grad for weight in trained if weight.grad is not None)
        yield from tensors_in((self.arguments, self.keywords, self.output, self.loss))
        if self.optimizer is not None:
            yield from tensors_in(tuple(self.optimizer.state.values()))


def realise(
    source: Source,
    point: Mapping[str, int],
    *,
    train: bool = True,
    optimizer: Any = "adamw",
    precision: str = "fp32",
    prepare: Callable[[Any], None] | None = None,
    scaler: bool = False,
    master: bool = False,
    **kept: Any,
) -> Step:
    """The model of ``source`` with weights, inputs at ``point`` and, in training, an optimizer.

    ``precision`` is ``fp32``, ``bf16`` or ``fp16`` (weights, gradients and inputs in that type),
    or ``amp-bf16``, ``amp-fp16`` (weights in float32 under ``torch.autocast``). ``optimizer`` is
    what :func:`make_optimizer` takes. ``prepare`` is given the model in its type; ``scaler`` (of
    loss 1) and ``master`` copies in fp32 belong to 16-bit types; ``kept`` are fields of the step.

    Raises :class:`UnknownName` for an optimizer or precision that is not there.
    """
    import torch

    stored, computed = stored_and_computed(precision)
    torch.manual_seed(SEED)
    model = materialised(source.build()).train(train)
    if stored != "float32":
        model = model.to(getattr(torch, stored))
    if prepare is not None:
        prepare(model)
    arguments, keywords = inputs_of(source, point, train, stored)
    copies = tuple(copies_of(model)) if master else ()
    updater = make_optimizer(optimizer, model, copies) if train and optimizer else None
    scale = torch.amp.GradScaler("cpu", init_scale=1.0) if scaler else None
    return Step(
        model, arguments, keywords, updater, train, autocast(computed),
        scaler=scale, copies=copies, **kept,
    )  # fmt: skip


def copies_of(model: Any) -> Iterator[tuple[Any, Any]]:
    """Each trained weight of 16 bits with a copy of it in fp32."""
    for weight in model.parameters():
        if weight.requires_grad and weight.element_size() == 2:
            yield weight, weight.detach().float().requires_grad_()


def stored_and_computed(precision: str) -> tuple[str, str]:
    """The type of weights and inputs, and autocast's ("" without it): :data:`PRECISIONS`."""
    if precision in PRECISIONS:
        return PRECISIONS[precision]
    do = nearest(precision, PRECISIONS) or "use one of " + ", ".join(PRECISIONS)
    raise UnknownName(f"unknown precision {precision!r}", do)


def autocast(dtype: str) -> Callable[[], AbstractContextManager[Any]]:
    if not dtype:
        return nullcontext

    def context() -> AbstractContextManager[Any]:
        import torch

        return torch.autocast("cpu", dtype=getattr(torch, dtype))

    return context


def materialised(model: Any) -> Any:
    """``model`` with numbers in it: weights without data are drawn from a small normal."""
    import torch

    bare = [tensor for tensor in weights(model) if tensor.is_meta]
    if not bare:
        return model
    model = model.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in weights(model):
            if tensor.is_floating_point():
                tensor.normal_(0.0, 0.02)
            else:
                tensor.zero_()
    return model


def weights(model: Any) -> Iterator[Any]:
    """Parameters and buffers, tied ones once."""
    yield from model.parameters()
    yield from model.buffers()


def inputs_of(
    source: Source, point: Mapping[str, int], train: bool, stored: str = "float32"
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments of the call; labels (``only="train"``) in training only.

    A dimension that ``point`` leaves out has the source's default, else 1.
    """
    point = {**{name: 1 for one in source.inputs for name in one.names}, **source.defaults, **point}
    arguments: list[Any] = []
    keywords: dict[str, Any] = dict(source.arguments)
    for wanted in source.inputs:
        if wanted.only and wanted.only != ("train" if train else "infer"):
            continue
        tensor = random_tensor(wanted, point, stored)
        if wanted.name:
            keywords[wanted.name] = tensor
        else:
            arguments.append(tensor)
    return tuple(arguments), keywords


def random_tensor(wanted: Input, point: Mapping[str, int], stored: str = "float32") -> Any:
    """Normal for floating and complex types, uniform whole numbers below ``below`` for the rest."""
    import torch

    shape = wanted.shape(point)
    dtype = getattr(torch, stored if wanted.dtype == "float32" else wanted.dtype)
    if dtype == torch.bool:
        return torch.randint(0, 2, shape, dtype=torch.bool)
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(shape, dtype=torch.promote_types(dtype, torch.float32)).to(dtype)
    return torch.randint(0, max(1, wanted.below), shape, dtype=torch.int64).to(dtype)


def make_optimizer(name: Any, model: Any, copies: tuple[tuple[Any, Any], ...] = ()) -> Any:
    """An optimizer over the trainable weights of ``model``, or over the copies there are of them.

    A name of ``torch.optim``, in any case, with its default settings, or ``"sgd-momentum"`` (0.9);
    with arguments, from a file, or made by a function, it is what ``read`` makes of it.

    Raises :class:`UnknownName` where there is none, :class:`BotecError` where it does not work on
    this model (nothing to train, a closure needed).
    """
    instead = {id(weight): copy for weight, copy in copies}
    trained = [instead.get(id(one), one) for one in model.parameters() if one.requires_grad]
    if not trained:
        raise BotecError("the model has no trainable parameter", "ask for inference", str(name))
    if not isinstance(name, str) or not name.replace("-", "").isalnum():
        from botec.read.optimizers import optimizer_named

        return optimizer_named(str(name), trained, None if isinstance(name, str) else name)
    base, choices = VARIANTS.get(name.lower(), (name.lower(), {}))
    kinds = optimizers()
    if base not in kinds:
        known = sorted([*kinds, *VARIANTS])
        do = nearest(name.lower(), known) or "use one of " + ", ".join(known)
        raise UnknownName(f"unknown optimizer {name!r}", do)
    try:
        return kinds[base](trained, **choices)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BotecError(f"{error}", "choose another optimizer", f"optimizer {name}") from error


def optimizers() -> dict[str, Any]:
    """The optimizers of ``torch.optim`` whose step needs no closure, by lower-case name."""
    from torch import optim

    kinds: dict[str, Any] = {
        name: kind for name, kind in vars(optim).items() if inspect.isclass(kind)
    }
    found = {}
    for name, kind in kinds.items():
        if optim.Optimizer in kind.__mro__[1:]:
            closure = inspect.signature(kind.step).parameters.get("closure")
            if closure is None or closure.default is not inspect.Parameter.empty:
                found[name.lower()] = kind
    return found


def loss_of(output: Any) -> Any:
    """The model's own loss where it returns one, else the mean of its first floating output.

    "First" among those that depend on a trained parameter, containers walked in their own order.

    Raises :class:`BotecError` where there is neither, or where it depends on no weight.
    """
    own = own_loss(output)
    loss = own if own is not None else first_trained(output)
    if loss is None or not loss.requires_grad:
        raise BotecError("no output depends on a trained parameter", "ask for inference")
    return loss.mean() if loss.dim() else loss


def own_loss(output: Any) -> Any | None:
    """The loss a model returns beside its output, as those of ``transformers`` do."""
    return output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)


def first_trained(output: Any) -> Any | None:
    """The first floating tensor of ``output`` with a gradient, containers in their own order."""
    found = (one for one in tensors_in(output) if one.is_floating_point() and one.requires_grad)
    return next(found, None)


def tensors_in(value: Any) -> Iterator[Any]:
    """Every tensor in lists, tuples, mappings and dataclasses, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from tensors_in(tuple(value.values()))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from tensors_in(one)
    elif is_dataclass(value) and not isinstance(value, type):
        yield from tensors_in(tuple(vars(value).values()))
