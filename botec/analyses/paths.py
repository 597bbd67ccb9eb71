"""Modules' paths, cut to as many as a screen holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache

MOST_MODULES = 40


def grouping(scopes: Iterable[str]) -> Callable[[str], str]:
    """Cut paths at the greatest depth that leaves at most :data:`MOST_MODULES` of them."""
    paths = list(scopes)
    depth = 1
    deepest = max((path.count(".") + 1 for path in paths), default=1)
    while depth < deepest and len({cut(path, depth + 1) for path in paths}) <= MOST_MODULES:
        depth += 1
    return cache(lambda path: cut(path, depth))


def cut(path: str, depth: int) -> str:
    return ".".join(path.split(".")[:depth])
