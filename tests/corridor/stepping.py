"""Training loops written out by hand on real tensors, beside the timeline botec reads.

Each :class:`Loop` is what a user writes: micro-batches, autocast, a scaler, copies in fp32, the
moment of ``zero_grad``. The CPU allocator's own events say what was alive when each op had
returned. Nothing here is shared with what is judged; networks and inputs come by the same doors.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

import botec
from botec.measure.allocator import live_bytes, peak_of, record
from botec.measure.realise import inputs_of, loss_of, materialised
from botec.program import BIRTH, DEATH, OP, PHASE, PHASES, Program
from botec.read import settle
from botec.read.from_torch import read_source
from botec.read.source import Source

Live = list[tuple[str, int]]
# One-number tensors: seeds of gradients and wrapped numbers come and go inside C++, 2 to 8 bytes
# each, and where exactly is not followed.
SCALARS = 96
PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::convolution")
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass
class Loop:
    """A training step of ``model`` (or one inference), as a user would write it."""

    model: Any
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    optimizer: Callable[[list[Any]], Any] | None = None
    train: bool = True
    autocast: Any = None
    accumulate: int = 1
    zero_grad: str = "after"
    scaler: Any = None
    master: bool = False
    copies: list[Any] = field(default_factory=list)
    loss: Any = None
    output: Any = None

    def __post_init__(self) -> None:
        self.weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        if self.master:
            self.copies = [weight.detach().clone().float() for weight in self.weights]
            for copy in self.copies:
                copy.requires_grad = True
        self.update: Any = self.optimizer(self.copies or self.weights) if self.optimizer else None

    def phases(self, turn: int) -> Iterator[tuple[str, Callable[[], None]]]:
        """``("1.forward.0", …)`` and so on, in order."""
        if not self.train:
            yield f"{turn}.forward.0", self.infer
            yield f"{turn}.leave", self.leave
            return
        for batch in range(self.accumulate):
            yield f"{turn}.forward.{batch}", lambda batch=batch: self.forward(batch)
            yield f"{turn}.backward.{batch}", self.backward
        if self.update is not None:
            yield f"{turn}.optimizer", self.step
        else:
            yield f"{turn}.leave", self.leave

    def context(self) -> Any:
        return torch.autocast("cpu", dtype=self.autocast) if self.autocast else nullcontext()

    def infer(self) -> None:
        with torch.no_grad(), self.context():
            self.output = self.model(*self.arguments, **self.keywords)

    def leave(self) -> None:
        self.output = self.loss = None
        for weight in self.weights:
            weight.grad = None

    def forward(self, batch: int) -> None:
        if batch == 0 and self.zero_grad == "before":
            self.update.zero_grad(set_to_none=True)
        with self.context():
            self.loss = loss_of(self.model(*self.arguments, **self.keywords))
            if self.accumulate > 1:
                self.loss = self.loss / self.accumulate
        if self.scaler is not None:
            self.loss = self.scaler.scale(self.loss)
        if batch == 0 and self.zero_grad == "between":
            self.update.zero_grad(set_to_none=True)

    def backward(self) -> None:
        self.loss.backward()

    def step(self) -> None:
        for weight, copy in zip(self.weights, self.copies, strict=False):
            copy.grad, weight.grad = weight.grad.float(), None
        if self.scaler is not None:
            self.scaler.step(self.update)
            self.scaler.update()
        else:
            self.update.step()
        for weight, copy in zip(self.weights, self.copies, strict=False):
            weight.data.copy_(copy)
        if self.zero_grad in ("after", "keep"):
            self.update.zero_grad(set_to_none=self.zero_grad == "after")
        self.loss = None

    def held(self) -> list[Any]:
        """Every tensor that is there before the first phase."""
        given = [*self.arguments, *self.keywords.values()]
        tensors = [one for one in given if isinstance(one, torch.Tensor)]
        states = self.update.state.values() if self.update is not None else ()
        made = [one for state in states for one in state.values() if torch.is_tensor(one)]
        return [*self.model.parameters(), *self.model.buffers(), *tensors, *self.copies, *made]


def real_live(loop: Loop, turn: int = 2) -> tuple[Live, Any]:
    """Live bytes when each op of the last step ``turn`` has returned, and the allocator's peaks.

    Garbage in cycles goes between steps: when Python would collect it is chance.
    """
    base = live_bytes(loop.held())
    phases: dict[str, Callable[[], Any]] = {}
    for one in range(1, turn + 1):
        phases[f"collect.{one}"] = gc.collect
        phases.update(loop.phases(one))
    recording = record(phases)
    recording.base = base
    peak = peak_of(recording, f"{turn}.")
    stopped = stopped_at_once(recording, f"{turn}.")
    live = [one for place, one in enumerate(peak.boundaries) if place not in stopped]
    return live, peak


def stopped_at_once(recording: Any, turn: str) -> set[int]:
    """Products that made nothing: checkpointing stops as soon as it has what it needs, at a product
    whose inputs it has just kept."""
    worked = {change.op for change in recording.changes}
    ops = [
        (number, name)
        for number, (name, phase) in enumerate(zip(recording.ops, recording.phases, strict=True))
        if phase.startswith(turn)
    ]
    return {
        place
        for place, (number, name) in enumerate(ops)
        if name in PRODUCTS and number not in worked
    }


def traced_live(program: Program) -> Live:
    """Live bytes when each op has returned, as the timeline has it.

    An op is followed by the births of its outputs. Any other birth (a generator's state that
    checkpointing keeps, say) belongs to the time before the next op.
    """
    memory = botec.memory(program)
    live, found, left = 0, list[tuple[str, int]](), 0
    for kind, index, _ in memory.stream.events():
        if kind == PHASE and index == len(PHASES):
            break
        if kind == OP:
            call = memory.stream.calls[index]
            found.append((call.op.replace(".", "::"), live))
            left = len(call.outputs)
        elif kind == DEATH:
            live, left = live - memory.sizes[index], 0
        elif kind == BIRTH:
            live, left = live + memory.sizes[index], left - 1
            if left >= 0:
                found[-1] = found[-1][0], live
    return found


# Ops that make no tensor, or a single number: views, and what a constant is written with.
QUIET = {
    "detach", "view", "_unsafe_view", "_reshape_alias", "alias", "as_strided", "lift_fresh",
    "expand", "t", "transpose", "permute", "unsqueeze", "squeeze", "slice", "select", "unbind",
    "split", "chunk", "set_data", "_local_scalar_dense", "item", "is_nonzero", "result_type",
    "scalar_tensor", "fill", "copy", "zero", "empty",
}  # fmt: skip
# One op under the name each side sees: below autograd, or above it.
SAME = {
    "empty_strided": "empty", "new_empty": "empty", "_index_put_impl": "index_put",
    "min": "minimum", "zeros": "new_zeros",
}  # fmt: skip
AHEAD, SURE = 14, 3


@dataclass
class Beside:
    """Two timelines laid side by side: the pairs, and ops that stand on one side only."""

    pairs: list[tuple[str, int, int]] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    theirs: list[str] = field(default_factory=list)

    def apart(self, numbers: int = SCALARS) -> list[tuple[str, int, int]]:
        """Pairs that differ by more than single numbers."""
        return [one for one in self.pairs if abs(one[1] - one[2]) > numbers]

    @property
    def share(self) -> float:
        """Real ops that have a counterpart."""
        return len(self.pairs) / max(1, len(self.pairs) + len(self.theirs))


def plain(name: str) -> str:
    """``add`` for ``aten::add_``: whether a sum is made in place is for the bytes to say."""
    short = name.removeprefix("aten::").rstrip("_")
    return SAME.get(short, short)


def spoken(side: Live) -> Live:
    return [(plain(name), size) for name, size in side if plain(name) not in QUIET]


def beside(ours: Live, theirs: Live) -> Beside:
    """Walk both lists; where they part, the shortest way back to three equal ops."""
    left, right = spoken(ours), spoken(theirs)
    found, i, j = Beside(), 0, 0
    while i < len(left) and j < len(right):
        if left[i][0] == right[j][0]:
            found.pairs.append((left[i][0], left[i][1], right[j][1]))
            i, j = i + 1, j + 1
            continue
        skip = way_back([name for name, _ in left[i : i + AHEAD + SURE]],
                        [name for name, _ in right[j : j + AHEAD + SURE]])  # fmt: skip
        if skip is None:
            break
        found.ours += [name for name, _ in left[i : i + skip[0]]]
        found.theirs += [name for name, _ in right[j : j + skip[1]]]
        i, j = i + skip[0], j + skip[1]
    found.ours += [name for name, _ in left[i:]]
    found.theirs += [name for name, _ in right[j:]]
    return found


def way_back(left: list[str], right: list[str]) -> tuple[int, int] | None:
    for total in range(1, 2 * AHEAD):
        for a in range(max(0, total - AHEAD), min(total, AHEAD) + 1):
            b = total - a
            one, other = left[a : a + SURE], right[b : b + SURE]
            if one and one == other:
                return a, b
    return None


def both(
    source: Source,
    point: Mapping[str, int],
    prepare: Callable[[Any], Any] | None = None,
    maker: Any = None,
    **choices: Any,
) -> tuple[Beside, Program, Any]:
    """A step as botec reads it, beside the same step done by hand.

    ``choices`` are those of ``botec.read``; ``prepare`` does to the real model what they ask for.
    """
    asked = {"train": True, "optimizer": "adamw", "precision": "fp32", **choices}
    setting = settle(
        asked.pop("train"), asked.pop("optimizer"), asked.pop("precision"), "cpu",
        asked.pop("checkpoint", False), **asked,
    )  # fmt: skip
    program = read_source(source, setting, point, maker)
    loop = loop_of(source, point, prepare, maker, setting)
    theirs, peak = real_live(loop, 1 if setting.first_step else 2)
    return beside(traced_live(program), theirs), program, peak


def loop_of(source: Any, point: Any, prepare: Any, maker: Any, setting: Any) -> Loop:
    """The loop by hand for a setting."""
    torch.manual_seed(0)
    model = materialised(source.build())
    stored = TYPES.get(setting.precision)
    model = model.to(stored) if stored else model
    model = prepare(model) or model if prepare else model
    model.train(setting.train)
    arguments, keywords = inputs_of(
        source, point, setting.train, str(stored).removeprefix("torch.") if stored else "float32"
    )
    return Loop(
        model, arguments, keywords,
        (maker or by_hand(setting.optimizer)) if setting.optimizer else None,
        setting.train,
        TYPES.get(setting.precision.removeprefix("amp-")) if "amp" in setting.precision else None,
        setting.accumulate, setting.zero_grad,
        torch.amp.GradScaler("cpu", init_scale=1.0) if setting.scaler else None, setting.master,
    )  # fmt: skip


def by_hand(name: str) -> Callable[[list[Any]], Any]:
    """The optimizers the tests use, each written as a user writes it."""
    optim = torch.optim
    return {
        "sgd": lambda weights: optim.SGD(weights, lr=1e-3),
        "sgd(momentum=0.9,nesterov=True)": lambda weights: optim.SGD(
            weights, lr=1e-3, momentum=0.9, nesterov=True
        ),
        "adamw": lambda weights: optim.AdamW(weights, lr=1e-3),
        "adamw(foreach=True)": lambda weights: optim.AdamW(weights, lr=1e-3, foreach=True),
        "adamw(fused=True)": lambda weights: optim.AdamW(weights, lr=1e-3, fused=True),
        "adam(fused=True,amsgrad=True)": lambda weights: optim.Adam(
            weights, lr=1e-3, fused=True, amsgrad=True
        ),
        "sgd(fused=True,momentum=0.9)": lambda weights: optim.SGD(
            weights, lr=1e-3, fused=True, momentum=0.9
        ),
        "adagrad(fused=True)": lambda weights: optim.Adagrad(weights, lr=1e-3, fused=True),
        "nadam(foreach=True)": lambda weights: optim.NAdam(weights, lr=1e-3, foreach=True),
        "rmsprop(momentum=0.5,centered=True)": lambda weights: optim.RMSprop(
            weights, lr=1e-3, momentum=0.5, centered=True
        ),
        "adagrad": lambda weights: optim.Adagrad(weights, lr=1e-3),
        "adafactor": lambda weights: optim.Adafactor(weights, lr=1e-3),
        "adafactor(foreach=True)": lambda weights: optim.Adafactor(weights, lr=1e-3, foreach=True),
    }[name]
