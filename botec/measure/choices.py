"""A real model made ready for a setting: what is trained, and what is computed again.

Words are understood by the rooms that understand them for a reading; what they do to a real model,
``peft`` and ``torch.utils.checkpoint`` do.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from botec.program import Setting


def prepared(model: Any, setting: Setting) -> Any:
    """Adapters, frozen weights, attention and blocks run again; ``model`` itself is changed.

    Raises :class:`botec.errors.UnknownName` for a pattern or target that meets nothing.
    """
    from botec.read.trained import choose_trained

    choose_trained(model, setting)
    if setting.attention:
        configure(model, "_attn_implementation", setting.attention)
    if setting.checkpoint:
        checkpointed(model, setting.checkpoint_how)
    return model


def checkpointed(model: Any, how: str = "") -> None:
    """Recompute the activations of the model's repeated blocks in the backward, as ``how`` says.

    A block run again would add its keys and values to a cache twice, so there is none.
    """
    from botec.read import checkpointing
    from botec.read.settings import parse_checkpointing

    way = parse_checkpointing(how)
    again = checkpointing.chosen(model, way)
    configure(model, "use_cache", False)
    for block in [part for part in model.modules() if id(part) in again]:
        block.forward = partial(checkpointing.checkpointed, way, block.forward)


def configure(model: Any, field: str, value: Any) -> None:
    """Set a field of the configurations of ``model``'s parts, where they have it."""
    for part in model.modules():
        config = getattr(part, "config", None)
        if hasattr(config, field):
            setattr(config, field, value)
