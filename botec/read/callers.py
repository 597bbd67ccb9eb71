"""Who asked for an op: the engine, a function, or a line the author wrote."""

from __future__ import annotations

import dis
import sys
from types import FrameType

RECORDING = ("/read/recorder.py", "/read/in_place.py", "/read/callers.py")
ATTENTION = ("/read/decisions.py", "/read/cuda.py")  # where its kernel is chosen


def caller() -> FrameType | None:
    """The Python frame that the op came from."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.endswith(RECORDING):
        frame = frame.f_back
    return frame


def called_by_engine() -> bool:
    """Whether the op comes from the autograd engine itself, with no Python of anyone between."""
    frame = caller()
    return frame is None or frame.f_code.co_name == "_engine_run_backward"


def called_by_linear() -> bool:
    """Whether the op comes out of a call (``F.linear``), not out of a ``+`` the author wrote."""
    frame = caller()
    if frame is None:
        return False
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] != "BINARY_OP"


def called_by_attention() -> bool:
    """Whether the op comes out of attention that is written out in products."""
    frame = caller()
    while frame is not None and frame.f_code.co_filename.endswith("/torch/_ops.py"):
        frame = frame.f_back
    return frame is not None and (
        frame.f_code.co_name == "attention" and frame.f_code.co_filename.endswith(ATTENTION)
    )


def user_line() -> str:
    """``" (model.py line 12)"``: where the author asked, outside of torch and botec."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if "/torch/" not in name and "/botec/" not in name:
            return f" ({name.rsplit('/', 1)[-1]} line {frame.f_lineno})"
        frame = frame.f_back
    return ""
