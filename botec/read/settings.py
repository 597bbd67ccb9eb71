"""Every choice of how a step is run, each word of it checked before a network is opened.

Nothing here needs a framework: what only the framework can know (whether an optimizer exists, which
weights a pattern meets) is found out when the step is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from operator import index
from typing import Any

from botec.errors import BadInput, UnknownName, nearest
from botec.program import Setting

PRECISIONS = ("fp32", "bf16", "fp16", "amp-bf16", "amp-fp16")
HALVES = ("bf16", "fp16")
ZERO_GRAD = ("after", "before", "between", "keep")
ATTENTION = ("sdpa", "eager")
SAVED = ("matmuls", "attention")
#: The options of a step by name: the fields of a Setting that a user chooses.
CHOICES = tuple(one.name for one in fields(Setting) if one.name not in ("loss", "inputs"))


@dataclass(frozen=True)
class Checkpointing:
    """Which repeated blocks are run again in the backward pass, and how.

    ``every`` k-th of them, by the ``reentrant`` way of ``torch.utils.checkpoint`` or the other one;
    ``saved`` names the results that are kept all the same: of ``matmuls``, of ``attention``.
    """

    reentrant: bool = False
    every: int = 1
    saved: tuple[str, ...] = ()


@dataclass(frozen=True)
class Adapters:
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): rank ``r``, their scale and targets.

    ``None`` and no targets leave it to ``peft``, which knows the usual ones of many model types.
    """

    r: int
    alpha: int | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = ()


def settle(
    train: bool,
    optimizer: Any,
    precision: str,
    device: str,
    checkpoint: bool,
    *,
    checkpoint_how: str = "",
    zero_grad: str = "after",
    first_step: bool = False,
    accumulate: int = 1,
    scaler: bool = False,
    master: bool = False,
    freeze: str | Iterable[str] = (),
    train_only: str | Iterable[str] = (),
    lora: str = "",
    attention: str = "",
) -> Setting:
    """The setting of a step, every word of it checked. What inference has no use for is left out.

    Raises :class:`BadInput` (:class:`UnknownName` where a word is not known) for a setting that
    cannot be run.
    """
    one_of(precision, PRECISIONS, "precision")
    one_of(zero_grad, ZERO_GRAD, "zero-grad")
    one_of(attention, ("", *ATTENTION), "attention")
    parse_checkpointing(checkpoint_how)
    parse_adapters(lora)
    frozen, trained = patterns(freeze, "freeze"), patterns(train_only, "train-only")
    if trained and lora:
        raise BadInput(
            "with adapters, only they are trained", "leave one of both out", "--lora --train-only"
        )
    updated = Setting(
        train=train, precision=precision, device=device, freeze=frozen, train_only=trained,
        lora=lora, attention=attention,
    )  # fmt: skip
    if not train:
        return updated
    setting = replace(
        updated,
        optimizer=optimizer_text(optimizer), checkpoint=bool(checkpoint or checkpoint_how),
        checkpoint_how=checkpoint_how, zero_grad=zero_grad, first_step=bool(first_step),
        accumulate=micro_batches(accumulate), scaler=bool(scaler), master=bool(master),
    )  # fmt: skip
    check_update(setting)
    return setting


def one_of(word: str, known: tuple[str, ...], option: str) -> None:
    """Raises :class:`BadInput` for a word that is not known, naming the nearest."""
    if word not in known:
        do = nearest(str(word), known) or f"use one of {', '.join(filter(None, known))}"
        raise BadInput(f"{option} {word!r} is not known", do, f"--{option} {word}")


def optimizer_text(optimizer: Any) -> str | None:
    """An optimizer as text: the user's words, or the name of what makes it.

    Raises :class:`BadInput` for one that is made already: its states are those of other weights.
    """
    if optimizer is None or isinstance(optimizer, str):
        return optimizer
    name = getattr(optimizer, "__qualname__", None)
    if name is None or not callable(optimizer):
        do = 'name it, such as optimizer="adamw", or give its class'
        raise BadInput(f"optimizer is made already: {type(optimizer).__name__}", do, "optimizer")
    return f"{getattr(optimizer, '__module__', '')}.{name}".lstrip(".")


def micro_batches(number: Any) -> int:
    """How many micro-batches a step takes. Raises :class:`BadInput` for less than one."""
    try:
        whole = index(number)
    except TypeError:
        whole = 0
    if whole < 1 or isinstance(number, bool):
        do = "give a whole number from 1"
        raise BadInput(f"accumulate is {number!r}", do, f"--accumulate {number}")
    return whole


def check_update(setting: Setting) -> None:
    """Whether scaler, copies and optimizer go together. Raises :class:`BadInput`."""
    if setting.master and setting.precision not in HALVES:
        raise BadInput(
            f"copies in fp32 are kept of 16-bit weights, and precision is {setting.precision}",
            "use --precision bf16 or fp16", "--master",
        )  # fmt: skip
    if setting.scaler and not setting.precision.endswith("fp16"):
        raise BadInput(
            f"a gradient scaler is for fp16, and precision is {setting.precision}",
            "use --precision amp-fp16", "--scaler",
        )  # fmt: skip
    if setting.scaler and setting.precision == "fp16" and not setting.master:
        raise BadInput(
            "PyTorch's scaler refuses gradients in fp16",
            "add --master, or use --precision amp-fp16", "--scaler",
        )  # fmt: skip
    if setting.master and setting.zero_grad == "keep":
        raise BadInput(
            "gradients of fp32 copies are made anew in every step", "choose another --zero-grad",
            "--master --zero-grad keep",
        )  # fmt: skip
    for name in ("master", "scaler"):
        if getattr(setting, name) and setting.optimizer is None:
            raise BadInput("there is no optimizer to step", "name one", f"--{name}")


def patterns(given: str | Iterable[str], option: str) -> tuple[str, ...]:
    """Patterns of weight names, one or many. Raises :class:`BadInput` for an empty one."""
    found = (given,) if isinstance(given, str) else tuple(given)
    if not all(isinstance(one, str) and one for one in found):
        raise BadInput("an empty pattern", 'write one such as "encoder.*"', f"--{option}")
    return found


def parse_checkpointing(text: str) -> Checkpointing:
    """``"reentrant"``, ``"every=2"``, ``"save=matmuls,save=attention"``, joined by commas.

    Raises :class:`BadInput`, :class:`UnknownName`.
    """
    asked = f"--checkpoint-how {text}"
    reentrant, every, saved = False, 1, list[str]()
    for word in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = word.partition("=")
        if word == "reentrant":
            reentrant = True
        elif key == "every":
            every = number(value, word, asked)
        elif key == "save" and value in SAVED:
            saved.append(value)
        else:
            known = ("reentrant", "every=2", *(f"save={one}" for one in SAVED))
            do = nearest(word, known) or f"use {', '.join(known)}"
            raise UnknownName(f"{word!r} is not known", do, asked)
    if reentrant and saved:
        raise BadInput("the reentrant way keeps nothing", "leave reentrant out", asked)
    return Checkpointing(reentrant, every, tuple(dict.fromkeys(saved)))


def parse_adapters(text: str) -> Adapters | None:
    """``"r=8,targets=q_proj,v_proj,alpha=16,dropout=0.05"``; ``None`` for no text.

    A part without ``=`` is one more target. Raises :class:`BadInput`, :class:`UnknownName`.
    """
    if not text:
        return None
    asked = f"--lora {text}"
    found: dict[str, Any] = {"targets": []}
    key = ""
    for part in (part.strip() for part in text.split(",")):
        name, told, value = part.partition("=")
        if not told and key == "targets" and part:
            found["targets"].append(part)
            continue
        key = name
        if key not in Adapters.__dataclass_fields__ or not value:
            do = nearest(key, Adapters.__dataclass_fields__) or "write r=8,targets=q_proj,v_proj"
            raise UnknownName(f"{part!r} is not known", do, asked)
        if key == "targets":
            found["targets"].append(value)
        else:
            of = share if key == "dropout" else number
            found[key] = of(value, part, asked)
    if "r" not in found:
        raise BadInput("the rank r is missing", "write r=8,targets=q_proj,v_proj", asked)
    return Adapters(**{**found, "targets": tuple(found["targets"])})


def number(text: str, word: str, asked: str) -> int:
    """A whole number from 1. Raises :class:`BadInput`."""
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise BadInput(f"{word!r} has no whole number from 1", "write such as 8", asked)
    return int(text)


def share(text: str, word: str, asked: str) -> float:
    """A number from 0 up to 1. Raises :class:`BadInput`."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise BadInput(f"{word!r} has no number from 0 to 1", "write such as 0.05", asked)
    return value
