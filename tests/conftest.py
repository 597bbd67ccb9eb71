"""What all tests share: nothing depends on a network, on threads, or on the order of the tests."""

from __future__ import annotations

import os
import random
import sys

import pytest

# Before torch or transformers is imported: one thread (the workers share the machine), no network.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

try:
    from hypothesis import settings
except ImportError:  # the core works without the development tools; so do most of its tests
    settings = None

if settings is not None:
    settings.register_profile("botec", derandomize=True, deadline=None)
    settings.load_profile("botec")


@pytest.fixture(autouse=True)
def _same_numbers_every_run() -> None:
    """Seed every generator of random numbers that is loaded."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)
