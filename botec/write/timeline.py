"""Storages on a timeline as a page's script wants them: columns, every text once."""

from __future__ import annotations

from typing import Any

from botec.report import Lifetimes
from botec.units import Quantity
from botec.write.to_json import plain

SHOWN = 40  # storages in the table beside the picture
TEXTS = ("formula", "role", "module", "op", "shape", "why")
NUMBERS = ("born", "died", "bytes")


def timeline(part: Lifetimes) -> dict[str, Any]:
    """The data of a picture: numbers by column, texts as places in a list of texts."""
    words: dict[str, int] = {}

    def place(text: str) -> int:
        return words.setdefault(text, len(words))

    columns: dict[str, list[int]] = {
        **{name: [plain(getattr(one, name)) for one in part.storages] for name in NUMBERS},
        **{name: [place(getattr(one, name)) for one in part.storages] for name in TEXTS},
    }
    total = [[moment, size, place(formula)] for moment, size, formula in part.total]
    return {
        "kind": "lifetimes", "title": part.title, "up": {"title": "memory", "unit": "B"},
        "storages": columns, "total": total, "texts": list(words), "end": part.end,
        "marks": plain(part.marks), "top": plain(part.top), "limit": plain(part.limit),
    }  # fmt: skip


def largest(part: Lifetimes) -> dict[str, Any]:
    """The largest storages as a table, for those who cannot see the picture."""
    chosen = sorted(part.storages, key=lambda one: -one.bytes)[:SHOWN]
    rows = [
        [str(Quantity(one.bytes, "B")), one.role, one.module, one.op, one.shape,
         f"{one.born} to {one.died}", one.why]
        for one in chosen
    ]  # fmt: skip
    heads = ["bytes", "role", "module", "made by", "shape", "moments", "why"]
    return {"heads": heads, "rows": rows}
