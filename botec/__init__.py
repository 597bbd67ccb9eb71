"""botec: back-of-the-envelope calculation for neural networks.

Before a network is run, botec says whether it will fit, how much work it is and how it grows::

    import botec

    report = botec.estimate("torchvision:resnet50", B=32)
    report.figures["memory.peak"].counted.value

    program = botec.read("transformers:gpt2", B=8, S=1024)
    botec.memory(program, B=16).peak.bytes
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from botec.analyses.count import count
    from botec.analyses.memory import memory
    from botec.errors import BotecError
    from botec.estimate import estimate
    from botec.inputs import Input
    from botec.program import Program
    from botec.read import read
    from botec.report import Report

# name -> the module it is fetched from when first asked for: importing botec costs nothing.
PLACES = {
    "BotecError": "botec.errors",
    "Input": "botec.inputs",
    "Program": "botec.program",
    "Report": "botec.report",
    "count": "botec.analyses.count",
    "estimate": "botec.estimate",
    "memory": "botec.analyses.memory",
    "read": "botec.read",
}
__all__ = ["BotecError", "Input", "Program", "Report", "count", "estimate", "memory", "read"]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in PLACES:
        raise AttributeError(f"module 'botec' has no attribute {name!r}")
    return getattr(import_module(PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
