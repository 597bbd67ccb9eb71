"""The allocator in lists beside the one in objects: equal in every number, over recorded streams,
drawn ones, and capacities from too little to enough."""

from __future__ import annotations

import random
from typing import Any

import pytest
from analyses.recorded_streams import NAMES, births_and_deaths

from botec.analyses.allocator import Allocator, plain
from botec.analyses.requests import numbered

MIB = 2**20
EDGES = (0, 1, 512, 513, MIB, MIB + 1, 2 * MIB, 10 * MIB, 10 * MIB + 1, 20 * MIB)


def drawn(seed: int) -> list[tuple[int, int | None]]:
    """Births and deaths of all sizes, those about the limits of blocks and segments among them."""
    draw = random.Random(seed)
    most = draw.choice([4000, 3 * MIB, 60 * MIB])
    found: list[tuple[int, int | None]] = []
    alive: list[int] = []
    for number in range(300):
        if alive and draw.random() < 0.48:
            found.append((alive.pop(draw.randrange(len(alive))), None))
        else:
            size = draw.choice([draw.randrange(most), draw.randrange(3000), draw.choice(EDGES)])
            found.append((number, size))
            alive.append(number)
    return found


def agree(events: list[tuple[Any, int | None]]) -> bool:
    """Whether both say the same, with no limit and with several."""
    found = numbered(events)
    order, amounts = found.events, found.storages  # bytes in the place of storages
    held = Allocator().replay(events).peak.reserved
    for capacity in (None, *(held * part // 10 for part in range(4, 11))):
        run = Allocator(capacity=capacity).replay(events)
        if plain.replayed(order, amounts, capacity) != (None if run.refused else run.peak):
            return False
    return True


@pytest.mark.parametrize("seed", range(60))
def test_drawn_requests(seed: int) -> None:
    assert agree(drawn(seed))


@pytest.mark.parametrize("name", NAMES)
def test_recorded_requests(name: str) -> None:
    assert agree([*births_and_deaths(name)])


@pytest.mark.parametrize("fault", ["LEAST_BLOCK", "MOST_SMALL"])
def test_another_rounding_is_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, fault, getattr(plain, fault) * 2)
    assert not all(agree(drawn(seed)) for seed in range(5))


def test_segments_that_are_not_given_back_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain.Heap, "empty", lambda heap: None)
    assert not all(agree(drawn(seed)) for seed in range(5))
