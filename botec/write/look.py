"""The signs a terminal page is drawn with: the usual ones, and those of every keyboard."""

from __future__ import annotations

from dataclasses import dataclass

TITLE, HEADING, QUIET, FORMULA, TROUBLE = "bold", "bold cyan", "dim", "cyan", "yellow"
REFUSAL = "bold red"


@dataclass(frozen=True)
class Look:
    """How a page is drawn: line, ellipsis, bullet, and the digits of footnote marks."""

    rule: str = "─"
    more: str = "…"
    bullet: str = "· "
    digits: str = "⁰¹²³⁴⁵⁶⁷⁸⁹"

    def mark(self, number: int) -> str:
        """The mark of footnote ``number``: ``¹²`` for 12, ``[12]`` on a plain page."""
        if not self.digits:
            return f"[{number}]"
        return "".join(self.digits[int(digit)] for digit in str(number))


USUAL, PLAIN = Look(), Look(rule="-", more="...", bullet="- ", digits="")
