"""One step of a network, run for real on tensors without data, while a recorder listens.

A training step is: forward, loss, backward, ``optimizer.step()``, ``zero_grad(set_to_none=True)``;
the outputs are let go once the loss is taken from them. It is the step of a run that goes on: the
optimizer's states are there from the start. Inference is one forward in ``eval`` mode without
gradients, its outputs still held at the end.
"""

from __future__ import annotations

import gc
import inspect
import random
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from botec.errors import BadInput, BotecError, UnknownName, nearest
from botec.program import Setting
from botec.read.autocast import autocast, autocast_as_on_cpu
from botec.read.decisions import decisions
from botec.read.recorder import META, Recorder
from botec.read.refusals import explained
from botec.read.source import Source
from botec.read.statistics import statistics_as_on_cpu
from botec.read.target import capability_of

DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


DEEPEST = 20_000
REFUSED = {
    "LBFGS": "calls the model again inside its step",
    "SparseAdam": "takes sparse gradients, which are not followed",
}


class Subject:
    """A module ready to be traced at any point: its parameters, scopes and optimizer."""

    def __init__(self, module: nn.Module, source: Source, setting: Setting) -> None:
        self.module, self.source, self.setting = module, source, setting
        self.scopes = {id(part): place for place, part in enumerate(named(module).values())}
        self.parameters = list(dict.fromkeys(module.parameters()))
        self.trained = [p for p in self.parameters if p.requires_grad]
        self.cache: dict[Any, Any] = {}
        self.optimizer: Any = None
        self.loss = ""
        self.capability = capability_of(setting.device)
        if setting.train and not self.trained:
            raise BadInput(
                "the model has no parameter that requires a gradient", "use --infer", source.name
            )

    def run(self, point: Mapping[str, int]) -> Recorder:
        """The step at ``point``. Raises :class:`ModelFailed` where the model does."""
        if self.setting.train and self.setting.optimizer and self.optimizer is None:
            self.prime(point)
        return self.record(Recorder(self.cache, self.capability is None), point)

    def prime(self, point: Mapping[str, int]) -> None:
        """Make the optimizer and let one unrecorded step give it its states."""
        self.optimizer = optimizer_named(
            self.setting.optimizer or "", self.trained, whole_lists=self.capability is not None
        )
        recorder = Recorder(self.cache)
        recorder.recording = False
        try:
            self.record(recorder, point)
        except BotecError:
            self.optimizer = None
            raise

    def record(self, recorder: Recorder, point: Mapping[str, int]) -> Recorder:
        self.module.train(self.setting.train)
        try:
            positional, named_inputs = inputs_at(self.source, self.setting, point)
            given = [*positional, *named_inputs.values()]
            self.adopt(recorder, [one for one in given if isinstance(one, torch.Tensor)])
            with (
                same_draws(),
                torch.enable_grad(),
                listening(recorder, self.capability),
                scoped(self.scopes, recorder, self.checkpointed()),
            ):
                self.train(recorder, positional, named_inputs)
        except Exception as error:
            failure = error if recorder.failure is None else recorder.failure
            failure = failure if within(error, failure) else error
            raise explained(failure, self.source.name, point, self.module) from error
        finally:
            for parameter in self.parameters:
                parameter.grad = None
        return recorder

    def adopt(self, recorder: Recorder, inputs: list[Any]) -> None:
        """What is there before the step starts, with its role."""
        for name, parameter in self.module.named_parameters():
            recorder.adopt(parameter, "parameter", name)
        for name, buffer in self.module.named_buffers():
            recorder.adopt(buffer, "buffer", name)
        for tensor in inputs:
            recorder.adopt(tensor, "input")
        names = {id(parameter): name for name, parameter in self.module.named_parameters()}
        for parameter, state in self.optimizer.state.items() if self.optimizer else ():
            for kept, value in state.items():
                if isinstance(value, torch.Tensor):
                    recorder.adopt(value, "optimizer", f"{names.get(id(parameter), '')}:{kept}")

    def train(self, recorder: Recorder, positional: list[Any], named_inputs: Any) -> None:
        """The step itself, phase by phase."""
        recorder.phase("forward")
        if not self.setting.train:
            with torch.no_grad(), autocast(self.setting.precision):
                held = self.module(*positional, **named_inputs)
            recorder.phase("end")
            del held
            return
        with autocast(self.setting.precision):
            loss = self.loss_of(self.module(*positional, **named_inputs))
        recorder.phase("backward")
        with torch.autograd.set_multithreading_enabled(False):
            loss.backward()
        for parameter in self.parameters:
            if parameter.grad is not None:
                recorder.roles[recorder.place(parameter.grad)] = ("gradient", "")
        if self.optimizer is not None:
            recorder.phase("optimizer")
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        recorder.phase("end")

    def loss_of(self, output: Any) -> Any:
        """The model's own loss, or the mean of its first floating output."""
        own = output.get("loss") if isinstance(output, Mapping) else getattr(output, "loss", None)
        if isinstance(own, torch.Tensor):
            self.loss = "the model's own"
            return own if own.dim() == 0 else own.mean()
        first = next((t for t in walk(output) if t.is_floating_point() and t.requires_grad), None)
        if first is None:
            seen = ", ".join(dict.fromkeys(str(t.dtype)[6:] for t in walk(output)))
            raise BadInput(
                "no floating output depends on a trained parameter; "
                f"it returned {seen or type(output).__name__}",
                "return a floating tensor, or use --infer",
            )
        if first.dim() == 0:
            self.loss = "the model's output"
            return first
        self.loss = "mean of the first floating output"
        return first.mean()

    def checkpointed(self) -> frozenset[int]:
        """The repeated blocks whose activations are recomputed, where that was asked for."""
        if not self.setting.checkpoint:
            return frozenset()
        return frozenset(id(block) for block in blocks(self.module))


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Every module once, under the first path its author gave it."""
    return dict(module.named_modules())


def blocks(module: nn.Module) -> Iterator[nn.Module]:
    """Children of a list or sequence of two or more modules of one class, none of them a leaf."""
    for part in module.modules():
        if isinstance(part, (nn.ModuleList, nn.Sequential)):
            children = list(part.children())
            same = len({type(child) for child in children}) == 1
            if len(children) > 1 and same and next(children[0].children(), None) is not None:
                yield from children


def walk(output: Any) -> Iterator[torch.Tensor]:
    """Every tensor of a model's output, containers in their own order."""
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, Mapping):
        for part in output.values():
            yield from walk(part)
    elif isinstance(output, (list, tuple)):
        for part in output:
            yield from walk(part)


def inputs_at(source: Source, setting: Setting, point: Mapping[str, int]) -> Any:
    """The tensors of the call: those without a name first, then by keyword."""
    positional, keywords = [], dict(source.arguments)
    dtype = DTYPES.get(setting.precision)
    for one in source.inputs:
        if one.only == "train" and not setting.train:
            continue
        kind = getattr(torch, one.dtype)
        if dtype is not None and kind.is_floating_point:
            kind = dtype
        tensor = torch.empty(one.shape(point), dtype=kind, device=META)
        if one.name:
            keywords[one.name] = tensor
        else:
            positional.append(tensor)
    return positional, keywords


def optimizer_named(name: str, parameters: list[Any], whole_lists: bool = False) -> Any:
    """The real optimizer, by its name in ``torch.optim`` whatever the case, with its defaults.

    On a CUDA device these work on ``whole_lists`` of tensors where they can.
    """
    known = {
        key.lower(): cls
        for key, cls in vars(torch.optim).items()
        if isinstance(cls, type) and issubclass(cls, torch.optim.Optimizer)
        and cls is not torch.optim.Optimizer
    }  # fmt: skip
    momentum = name.lower() in ("sgd-momentum", "momentum")
    cls = known.get("sgd" if momentum else name.lower())
    if cls is None:
        do = nearest(name.lower(), known) or f"use one of {', '.join(sorted(known))}"
        raise UnknownName(f"no optimizer {name!r} in torch.optim", do, "--optimizer")
    if cls.__name__ in REFUSED:
        raise BadInput(f"{cls.__name__} {REFUSED[cls.__name__]}", "choose another", "--optimizer")
    settings: dict[str, Any] = {"lr": 1e-3, **({"momentum": 0.9} if momentum else {})}
    if whole_lists and "foreach" in inspect.signature(cls).parameters:
        settings["foreach"] = True
    try:
        return cls(parameters, **settings)
    except Exception as error:
        raise BadInput(
            f"{cls.__name__} refuses: {error}", "choose another", "--optimizer"
        ) from None


@contextmanager
def listening(recorder: Recorder, capability: int | None = None) -> Iterator[None]:
    """The recorder's mode, the device's decisions, and no garbage collector to move a death."""
    import torch._dynamo  # noqa: F401  (meta kernels would import it while tensors live)

    was_enabled, own_freeze = gc.isenabled(), gc.get_freeze_count() == 0
    gc.collect(0)
    if own_freeze:
        gc.freeze()
    gc.disable()
    try:
        with warnings.catch_warnings(), decisions(capability), autocast_as_on_cpu():
            warnings.simplefilter("ignore")
            norms = nullcontext() if capability else statistics_as_on_cpu()
            with norms, constants(recorder), random_states(recorder), recorder:
                yield
    finally:
        if own_freeze:
            gc.unfreeze()
        if was_enabled:
            gc.enable()


@contextmanager
def constants(recorder: Recorder) -> Iterator[None]:
    """Tensors made from Python values keep them: on the meta device they would be lost."""
    kept = {name: getattr(torch, name) for name in ("tensor", "as_tensor")}

    def known(name: str) -> Any:
        def make(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Any:
            if isinstance(data, torch.Tensor) or torch.device(device or "cpu").type == "cpu":
                return kept[name](data, *args, device=device, **kwargs)
            return recorder.from_values(kept[name](data, *args, **kwargs))

        return make

    tolist = torch.Tensor.tolist

    def as_list(tensor: Any) -> Any:
        return recorder.real(tensor).tolist() if tensor.is_meta else tolist(tensor)

    try:
        for name in kept:
            setattr(torch, name, known(name))
        torch.Tensor.tolist = as_list
        yield
    finally:
        for name, function in kept.items():
            setattr(torch, name, function)
        torch.Tensor.tolist = tolist


@contextmanager
def random_states(recorder: Recorder) -> Iterator[None]:
    """What checkpointing keeps to draw the same numbers again is real memory of the step."""
    state, fork = torch.get_rng_state, torch.random.fork_rng

    def known() -> Any:
        kept = state()
        recorder.track(kept)
        return kept

    def forked(*args: Any, device_type: str = "cuda", **kwargs: Any) -> Any:
        name = "cpu" if device_type == "meta" else device_type  # on meta it would do nothing
        return fork(*args, device_type=name, **kwargs)

    try:
        torch.get_rng_state, torch.random.fork_rng = known, forked
        yield
    finally:
        torch.get_rng_state, torch.random.fork_rng = state, fork


@contextmanager
def scoped(scopes: Mapping[int, int], recorder: Recorder, again: frozenset[int]) -> Iterator[None]:
    """Tell the recorder which module runs; run the blocks of ``again`` under checkpointing."""
    from torch.utils.checkpoint import checkpoint

    call = nn.Module.__call__

    def heard(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
        scope = scopes.get(id(module))
        if scope is None:
            return call(module, *args, **kwargs)
        recorder.enter(scope)
        try:
            if id(module) in again and torch.is_grad_enabled() and not recorder.backward:
                return checkpoint(call, module, *args, use_reentrant=False, **kwargs)
            return call(module, *args, **kwargs)
        finally:
            recorder.leave()

    nn.Module.__call__ = heard
    try:
        yield
    finally:
        nn.Module.__call__ = call


def within(error: BaseException | None, cause: BaseException | None) -> bool:
    """Whether ``cause`` led to ``error``; the engine may have replaced it by a poorer one."""
    if cause is None:
        return False
    if isinstance(error, (RuntimeError, SystemError)):
        return True
    while error is not None and error is not cause:
        error = error.__cause__ or error.__context__
    return error is cause


@contextmanager
def same_draws() -> Iterator[None]:
    """Python's own random numbers are the same in every trace; deep models may recurse deeply."""
    state, depth = random.getstate(), sys.getrecursionlimit()
    random.seed(0)
    sys.setrecursionlimit(max(depth, DEEPEST))
    try:
        yield
    finally:
        random.setstate(state)
        sys.setrecursionlimit(depth)
