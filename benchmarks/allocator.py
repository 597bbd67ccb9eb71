"""How fast the simulated allocator is: events (births and deaths) a second.

    python benchmarks/allocator.py

Replays the recorded streams of tests/data/cuda_host_traces, and a million events made up: requests
of a few bytes to 30 MiB, four thousand of them alive, as they are and with other settings.
"""

from __future__ import annotations

import gzip
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botec.analyses.allocator import Allocator

STREAMS = Path(__file__).resolve().parent.parent / "tests" / "data" / "cuda_host_traces"
Events = list[tuple[int, int | None]]
SETTINGS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "expandable segments": {"expandable": True},
    "max_split_size 128 MiB": {"max_split_size": 128 * 2**20},
}


def recorded() -> Iterator[tuple[str, Events]]:
    """Every recorded stream: its name, its births and deaths."""
    for path in sorted(STREAMS.glob("*.json.gz")):
        events = json.loads(gzip.decompress(path.read_bytes()))["events"]
        births = [
            (event[1], event[2] if event[0] == "alloc" else None)
            for event in events
            if event[0] in ("alloc", "free_completed")
        ]
        yield path.name.removesuffix(".json.gz"), births


def made_up(number: int, alive: int = 4000) -> Events:
    """``number`` events; from the time ``alive`` blocks are there, one dies for each that is born.

    Half are up to 4 KiB, half up to 30 MiB, spread evenly over powers of two.
    """
    source = random.Random(0)
    events: Events = []
    names: list[int] = []
    while len(events) < number:
        if len(names) >= alive:
            place = source.randrange(alive)
            names[place], names[-1] = names[-1], names[place]
            events.append((names.pop(), None))
        least, most = source.choice([(3, 12), (12, 24.9)])
        events.append((len(events), int(2 ** source.uniform(least, most))))
        names.append(len(events) - 1)
    return events


def replayed(events: Events, **settings: Any) -> tuple[float, int]:
    """The seconds of the fastest of three replays, and the peak of what is reserved."""
    taken = []
    for _ in range(3):
        start = time.perf_counter()
        peak = Allocator(**settings).replay(events).peak
        taken.append(time.perf_counter() - start)
    return min(taken), peak.reserved


def row(name: str, events: Events, **settings: Any) -> None:
    """Print one line of the table."""
    took, peak = replayed(events, **settings)
    rate, reserved = len(events) / took, peak / 2**30
    print(f"{name:32}{len(events):>10,}{took:>10.3f}{rate:>14,.0f}{reserved:>13.3f}")


def main() -> None:
    """Print the table."""
    print(f"{'stream':32}{'events':>10}{'seconds':>10}{'events/s':>14}{'reserved GiB':>13}")
    streams = dict(recorded())
    for name, events in streams.items():
        row(name, events)
    million = made_up(10**6)
    for name, settings in SETTINGS.items():
        row(f"made up, {name}", million, **settings)


if __name__ == "__main__":
    main()
