"""botec: back-of-the-envelope calculation for neural networks.

Before a network is run, botec says whether it will fit, how much work it is and how it grows::

    import botec

    report = botec.estimate("torchvision:resnet50", B=32)
    report.figures["memory.peak"].counted.value

    program = botec.read("transformers:gpt2", B=8, S=1024)
    botec.memory(program, B=16).peak.bytes
"""

from __future__ import annotations

# Everything here is plain Python: torch and numpy are imported by what needs them, when it runs.
from botec.analyses.count import count
from botec.analyses.memory import memory
from botec.errors import BotecError
from botec.inputs import Input
from botec.program import Program
from botec.report import Report

__version__ = "0.1.0"

from botec.estimate import estimate
from botec.read import read

__all__ = ["BotecError", "Input", "Program", "Report", "count", "estimate", "memory", "read"]
