"""Reach: which part of the input each value of a network sees."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botec.learn import Part, Question

ORDER, NAME = 10, "reach"


def answer(asked: Question, options: Mapping[str, Any]) -> Part:
    """The receptive fields of the network's values."""
    graph = asked.graph()
    return Part(notes=(f"{len(graph.nodes)} ops were read.",))
