"""What the sections share: rows that are worked out once, tables, errors in words, the data.

A section works out each of its rows by :func:`worked_out`; with ``--resume FILE`` a row that is in
the file is taken from there, and a cut run goes on where it stopped.
"""

from __future__ import annotations

import csv
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parent.parent / "data"
STORE: Path | None = None


def data(name: str) -> list[dict[str, str]]:
    """The rows of a CSV file of ``benchmarks/data``."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


def worked_out(key: str, make: Callable[[], Any]) -> Any:
    """What ``make()`` gives (plain data), or what the store has under ``key``."""
    if STORE and STORE.exists():
        for line in STORE.read_text("utf-8").splitlines():
            found = json.loads(line)
            if found["key"] == key:
                return found["value"]
    print(f"  {key}", file=sys.stderr)
    value = make()
    if STORE:
        with STORE.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, "value": value}) + "\n")
    return value


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown; ``None`` is an empty cell."""
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    for row in rows:
        lines.append(f"| {' | '.join('' if cell is None else str(cell) for cell in row)} |")
    return "\n".join(lines)


def error(predicted: float | None, measured: float) -> str:
    """``"-3.1 %"``: how far the prediction lies from the measurement; ``?`` where there is none."""
    return "?" if predicted is None else f"{predicted / measured - 1:+.1%}".replace("%", " %")


def summary(pairs: Iterable[tuple[float, float]]) -> str:
    """``"median error 2.1 %, …"`` of (predicted, measured): the sizes of the errors, no signs."""
    errors = sorted(abs(predicted / measured - 1) for predicted, measured in pairs)
    if not errors:
        return "no row could be predicted"
    near = 100 * sum(one <= 0.1 for one in errors) / len(errors)
    middle, worst = 100 * statistics.median(errors), 100 * errors[-1]
    return (
        f"{len(errors)} rows: median error {middle:.1f} %, {near:.0f} % of them within 10 %, "
        f"worst {worst:.1f} %"
    )
