"""PyTorch's CUDA caching allocator, simulated on whole numbers: what a step reserves, and when.

    >>> from botec.analyses.allocator import Allocator
    >>> Allocator().replay([("a", 1000), ("b", 3_000_000), ("a", None)]).peak
    Usage(requested=3001000, allocated=3001344, reserved=23068672)

``max_memory_allocated`` is ``peak.allocated`` and ``max_memory_reserved`` is ``peak.reserved``;
nvidia-smi shows the latter plus the driver's own context.
"""

from botec.analyses.allocator.caching import (
    Allocator,
    Outcome,
    OutOfMemory,
    Place,
    SegmentEvent,
    Usage,
)
from botec.analyses.allocator.sizes import block_size, segment_size

__all__ = [
    "Allocator",
    "OutOfMemory",
    "Outcome",
    "Place",
    "SegmentEvent",
    "Usage",
    "block_size",
    "segment_size",
]
