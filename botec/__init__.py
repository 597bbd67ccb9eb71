"""botec: back-of-the-envelope calculation for neural networks.

Before a network is run, botec says whether it will fit, how much work it is and how it grows::

    import botec

    report = botec.estimate("torchvision:resnet50", B=32)
    report.figures["memory.peak"].counted.value

    program = botec.read("transformers:gpt2", B=8, S=1024)
    botec.memory(program).peak(B=16)
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from botec.analyses.count import count
    from botec.analyses.memory import memory
    from botec.archive import load, save
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
    "load": "botec.archive",
    "read": "botec.read",
    "save": "botec.archive",
}
__all__ = [
    "BotecError",
    "Input",
    "Program",
    "Report",
    "count",
    "estimate",
    "load",
    "memory",
    "read",
    "save",
]


class Package(ModuleType):
    """This package: ``botec.read`` is the function, also once the room of that name is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in PLACES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted(__all__)


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in PLACES:
        raise AttributeError(f"module 'botec' has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(PLACES[name]), name)
    return found


sys.modules[__name__].__class__ = Package
