"""A model's own error as one line of botec's: what was asked, what the model said, what to do."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from botec.errors import BadInput, BotecError, ModelFailed

GIVEN = "check the shapes and types given with --input"
# What the framework says -> what to do about it. The first that is found in the error counts.
REMEDIES = (
    ("SparseTensorImpl", "sparse gradients are not followed: build it with sparse=False"),
    ("compiled with CUDA enabled", "take .cuda() out of the model: botec puts it where it belongs"),
    ("Storage size calculation overflowed", "ask for smaller sizes"),
    ("meta tensor", "keep to torch's own operators in forward: no numpy, no values"),
    ("Meta", "the framework has no shape rule for this op: leave it out of forward"),
    ("more than 1 value per channel", "use a batch of 2 or more"),
    ("maximum recursion depth", "the modules are nested too deeply for Python"),
)


def explained(error: BaseException, name: str, point: Mapping[str, int], module: Any) -> BotecError:
    """The error of running ``module`` at a point, with a remedy that fits it."""
    values = ", ".join(f"{key}={size}" for key, size in point.items())
    asked = f"{name} at {values}" if values else name
    if isinstance(error, BotecError):
        return error.about(asked)
    text = first_line(error).rstrip(".")
    kind = BadInput if "SparseTensorImpl" in text else ModelFailed
    seen = f"running it raised {type(error).__name__}: {text}"
    return kind(seen, remedy(error, text, module), asked)


def remedy(error: BaseException, text: str, module: Any) -> str:
    """What to do about it, as far as the words say."""
    if isinstance(error, TypeError) and "argument" in text:
        names = [name for name in inspect.signature(module.forward).parameters if name != "self"]
        return f"forward takes {', '.join(names) or 'nothing'}: name the inputs so in --input"
    return next((do for words, do in REMEDIES if words in f"{type(error).__name__} {text}"), GIVEN)


def first_line(error: BaseException) -> str:
    """The first line of an error that says anything, cut to a readable length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] if lines else "(no message)"
