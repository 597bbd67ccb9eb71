"""What could make a step fit: changes of its setting, each to be traced again, alone.

A change is what a user would type. What it saves and costs is counted, not listed here: a model may
refuse one (no repeated blocks, an optimizer of matrices), and then it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from botec.program import Parameter, Program

#: The micro-batches a batch is divided into, the fewest first.
PARTS = (2, 4, 8, 16, 32, 64, 128, 256)
RANK = 16


@dataclass(frozen=True)
class Remedy:
    """A change: its name, and the options it sets."""

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)


def remedies(program: Program) -> Iterator[Remedy]:
    """The changes that could help ``program``'s step, those it has already left out."""
    for one in (*of_any_step(), *(of_training(program) if program.setting.train else ())):
        if any(getattr(program.setting, name) != value for name, value in one.options.items()):
            yield one


def of_any_step() -> Iterator[Remedy]:
    """Changes that help inference too."""
    yield Remedy("weights and what is computed in bf16", {"precision": "bf16"})
    yield Remedy("fused attention", {"attention": "sdpa"})


def of_training(program: Program) -> Iterator[Remedy]:
    """Activations, states, gradients: what a training step holds beside the weights."""
    yield Remedy("checkpointing the repeated blocks", {"checkpoint": True})
    yield Remedy("checkpointing every second block", {"checkpoint_how": "every=2"})
    yield Remedy("checkpointing, products kept", {"checkpoint_how": "save=matmuls"})
    yield Remedy("autocast to bf16", {"precision": "amp-bf16"})
    yield Remedy("bf16 with copies in fp32", {"precision": "bf16", "master": True})
    yield Remedy("Adafactor", {"optimizer": "adafactor"})
    yield Remedy("SGD with momentum", {"optimizer": "sgd-momentum"})
    yield Remedy("SGD without momentum", {"optimizer": "sgd"})
    head = last_module(program)
    if head:
        yield Remedy(f"training {head} alone", {"train_only": (head,)})
    yield Remedy(f"adapters of rank {RANK} (LoRA)", {"lora": f"r={RANK},targets=all-linear"})


def last_module(program: Program) -> str:
    """The path of the module that holds the last trained matrix: a head, as a rule."""
    places = {path: place for place, path in enumerate(program.scopes)}
    paths = [
        name.rpartition(".")[0]
        for one in program.parameters
        if one.trainable and is_matrix(one)
        for name in one.names
    ]
    return max(paths, key=lambda path: places.get(path, -1), default="")


def is_matrix(one: Parameter) -> bool:
    """Whether a weight has two axes or more."""
    return len(one.tensor.shape) > 1


def parts_of(batch: int) -> Iterator[int]:
    """In how many equal micro-batches a batch can be taken."""
    return (parts for parts in PARTS if batch % parts == 0)
