"""One step of a network, run for real on tensors without data, while a recorder listens.

A training step is: forward, loss, backward, for each micro-batch; then ``optimizer.step()`` and
``zero_grad(set_to_none=True)``; the outputs are let go once the loss is taken from them. It is the
step of a run that goes on: the optimizer's states are there from the start, unless the first step
is asked for. Inference is one forward in ``eval`` mode without gradients, its outputs still held at
the end.

Of many micro-batches two are traced: the first, which makes the gradients, and a later one, which
adds to them. That a third is like the second is checked, not assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn

from botec.errors import BadInput, BotecError
from botec.program import Setting
from botec.read.autocast import autocast
from botec.read.checkpointing import blocks, chosen, configured, scoped
from botec.read.listening import listening, same_draws, within
from botec.read.optimizers import optimizer_named, optimizers_as_on
from botec.read.recorder import META, Recorder
from botec.read.refusals import explained
from botec.read.settings import parse_checkpointing
from botec.read.source import Source
from botec.read.supposed import suppose
from botec.read.target import capability_of
from botec.read.trained import choose_trained
from botec.read.updating import Copies, Scaler, later_ones_are_alike

__all__ = ["Subject", "blocks", "inputs_at", "listening", "named", "optimizer_named", "walk"]
DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
TRACED = 2  # micro-batches


class Subject:
    """A module ready to be traced at any point: its parameters, scopes and optimizer.

    ``maker`` makes the optimizer where the setting's words cannot: a class or function of the
    user's.
    """

    def __init__(
        self, module: nn.Module, source: Source, setting: Setting, maker: Any = None
    ) -> None:
        choose_trained(module, setting)
        self.module, self.source, self.setting, self.maker = module, source, setting, maker
        self.paths = named(module)
        self.scopes = {id(part): place for place, part in enumerate(self.paths.values())}
        self.weights = list(module.named_parameters())
        self.parameters = [parameter for _, parameter in self.weights]
        self.trained = [p for p in self.parameters if p.requires_grad]
        self.cache: dict[Any, Any] = {}
        self.optimizer: Any = None
        self.scaler: Scaler | None = None
        self.copies = Copies(())
        self.turns, self.turns_proved = min(setting.accumulate, TRACED), False
        self.fields: dict[str, Any] = {"use_cache": False} if setting.checkpoint else {}
        self.choose_attention()
        self.loss = ""
        self.held: Any = None
        self.checkpointing = parse_checkpointing(setting.checkpoint_how)
        self.capability = capability_of(setting.device)
        if setting.train and not self.trained:
            raise BadInput(
                "the model has no parameter that requires a gradient", "use --infer", source.name
            )

    def choose_attention(self) -> None:
        """The attention of a ``transformers`` model. Raises :class:`BadInput` for another model."""
        if not self.setting.attention:
            return
        field = "_attn_implementation"
        if not any(hasattr(vars(part).get("config"), field) for part in self.module.modules()):
            seen = "only a model of transformers lets its attention be chosen"
            raise BadInput(seen, "leave --attention out", self.source.name)
        self.fields[field] = self.setting.attention

    def run(self, point: Mapping[str, int]) -> Recorder:
        """The step at ``point``. Raises :class:`ModelFailed` where the model does."""
        setting = self.setting
        if setting.train and setting.accumulate > TRACED and not self.turns_proved:
            self.prove_turns(point)
        if setting.train and setting.optimizer and (self.optimizer is None or setting.first_step):
            self.prime(point)
        return self.record(Recorder(self.cache, self.capability is None), point)

    def prime(self, point: Mapping[str, int]) -> None:
        """Make the optimizer and let one unrecorded step give it its states."""
        self.make_optimizer()
        if self.setting.first_step:
            return
        recorder = Recorder(self.cache)
        recorder.recording = False
        try:
            self.record(recorder, point)
        except BotecError:
            self.optimizer = None
            raise

    def make_optimizer(self) -> None:
        """The optimizer over the trained weights, or over their copies in fp32."""
        self.copies = Copies(self.trained if self.setting.master else ())
        with optimizers_as_on(self.capability):
            self.optimizer = optimizer_named(
                self.setting.optimizer or "", self.copies.instead_of(self.trained), self.maker
            )
        self.scaler = Scaler() if self.setting.scaler else None

    def prove_turns(self, point: Mapping[str, int]) -> None:
        """Trace three micro-batches once. Raises :class:`BadInput` where the third differs."""
        recorder = Recorder(self.cache, self.capability is None)
        kept, self.turns = self.turns, TRACED + 1
        try:
            self.record(recorder, point)
        finally:
            self.turns = kept
        self.turns_proved = True
        if not later_ones_are_alike(recorder):
            raise BadInput(
                "a later micro-batch does other work than the second",
                f"ask for --accumulate {TRACED}", self.source.name,
            )  # fmt: skip

    def record(self, recorder: Recorder, point: Mapping[str, int]) -> Recorder:
        """One step at ``point``, heard by ``recorder``."""
        self.module.train(self.setting.train)
        done = False
        try:
            positional, named_inputs = inputs_at(self.source, self.setting, point)
            given = [*positional, *named_inputs.values()]
            self.adopt(recorder, [one for one in given if isinstance(one, torch.Tensor)])
            suppose(recorder, self.source.inputs, positional, named_inputs)
            with (
                same_draws(),
                torch.enable_grad(),
                listening(recorder, self.capability),
                scoped(self.scopes, recorder, self.checkpointed(), self.checkpointing),
                configured(self.module, **self.fields),
            ):
                self.train(recorder, positional, named_inputs)
            done = True
        except Exception as error:
            failure = error if recorder.failure is None else recorder.failure
            failure = failure if within(error, failure) else error
            raise explained(failure, self.source.name, point, self.module) from error
        finally:
            self.held = None
            recorder.shadow.entries.clear()  # nobody asks any more, and the values may be large
            if not done or self.optimizer is None or self.setting.first_step:
                for parameter in self.parameters:
                    parameter.grad = None
        return recorder

    def adopt(self, recorder: Recorder, inputs: list[Any]) -> None:
        """What is there before the step starts, with its role."""
        for name, parameter in self.weights:
            recorder.adopt(parameter, "parameter", name)
        for name, buffer in self.module.named_buffers():
            recorder.adopt(buffer, "buffer", name)
        for tensor in inputs:
            recorder.adopt(tensor, "input")
        for name, state in self.states():
            recorder.adopt(state, "optimizer", name)
        for gradient in self.gradients():
            recorder.adopt(gradient, "gradient")

    def states(self) -> Iterator[tuple[str, Any]]:
        """What the update keeps between steps: copies, the optimizer's states, the scale."""
        names = {id(parameter): name for name, parameter in self.weights}
        names.update(self.copies.names(names))
        yield from self.copies.states(names)
        for parameter, state in self.optimizer.state.items() if self.optimizer else ():
            for kept, value in state.items():
                if isinstance(value, torch.Tensor):
                    yield f"{names.get(id(parameter), '')}:{kept}", value
        if self.scaler is not None:
            yield from self.scaler.states()

    def gradients(self) -> Iterator[Any]:
        """The gradients that are there now."""
        for parameter in (*self.parameters, *self.copies):
            if parameter.grad is not None:
                yield parameter.grad

    def train(self, recorder: Recorder, positional: list[Any], named_inputs: Any) -> None:
        """The step itself, phase by phase."""
        if not self.setting.train:
            recorder.phase("forward")
            with torch.no_grad(), autocast(self.setting.precision):
                held = self.module(*positional, **named_inputs)
            recorder.phase("end")
            del held
            return
        for turn in range(self.turns):
            self.one_turn(recorder, turn, positional, named_inputs)
        if self.optimizer is not None:
            self.update(recorder)
        recorder.phase("end")
        self.held = None

    def one_turn(
        self, recorder: Recorder, turn: int, positional: list[Any], named_inputs: Any
    ) -> None:
        """Forward and backward of one micro-batch; a loop holds its loss until the next one's."""
        recorder.phase("forward")
        begun = len(recorder.sizes)
        if turn == 0:
            self.drop_gradients("before")
        with autocast(self.setting.precision):
            self.held = self.loss_of(self.module(*positional, **named_inputs))
            if self.setting.accumulate > 1:
                self.held = self.held / self.setting.accumulate
        if self.scaler is not None:
            self.held = self.scaler.scale(self.held)
        if turn == 0:
            self.drop_gradients("between")
        if self.turns > 1:
            self.tell_kept(recorder, begun, turn)
        recorder.phase("backward")
        with torch.autograd.set_multithreading_enabled(False):
            self.held.backward()
        for gradient in self.gradients():
            recorder.roles[recorder.place(gradient)] = ("gradient", "")

    def tell_kept(self, recorder: Recorder, begun: int, turn: int) -> None:
        """What this forward keeps for its backward: activations of the last micro-batch alone, so
        that all activations together are those of one."""
        role = "activation" if turn == self.turns - 1 else "temporary"
        for life in recorder.live.values():
            if life.number >= begun:
                recorder.roles.setdefault(life.number, (role, ""))

    def update(self, recorder: Recorder) -> None:
        """The optimizer's phase of a step, from gradients that are there."""
        recorder.phase("optimizer")
        self.copies.take_gradients()
        if self.scaler is not None:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        else:
            self.optimizer.step()
        self.copies.give_back()
        for gradient in self.gradients():
            recorder.roles.setdefault(recorder.place(gradient), ("gradient", ""))
        for name, state in self.states():
            recorder.roles.setdefault(recorder.place(state), ("optimizer", name))
        self.drop_gradients("after")

    def drop_gradients(self, moment: str) -> None:
        """``zero_grad`` at the moment the setting names; after the step, or never, at its end."""
        keep = self.setting.zero_grad == "keep"
        if self.optimizer is not None and moment == ("after" if keep else self.setting.zero_grad):
            self.optimizer.zero_grad(set_to_none=not keep)
            if not keep:
                self.copies.drop()

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
        return chosen(self.module, self.checkpointing)


def named(module: nn.Module) -> dict[str, nn.Module]:
    """Every module once, under the first path its author gave it."""
    return dict(module.named_modules())


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
