"""What transformers' models say to a user while they run, left unsaid.

Some look at the first and last tokens to warn of padding that came without a mask. Shapes have no
tokens, and the warning changes nothing that is computed: three ops on a few tokens, and no more.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

CHECK = "warn_if_padding_and_no_attention_mask"
NOTE = "the check for padding without a mask is left out: it looks at the tokens"


def unwarned(network: Any) -> Any:
    """``network`` without the check."""
    for part in network.modules():
        if hasattr(part, CHECK):
            setattr(part, CHECK, silent)
    return network


def silent(*given: Any, **named: Any) -> None:
    """Nothing is said."""


def unwarned_note(kind: Any, config: Any) -> tuple[str, ...]:
    """What to say of it where models of class ``kind`` check."""
    if getattr(config, "pad_token_id", None) is None:
        return ()
    try:
        text = inspect.getsource(sys.modules[kind.__module__])
    except (OSError, TypeError):
        return ()
    return (NOTE,) if CHECK in text else ()
