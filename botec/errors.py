"""What botec says when a question cannot be answered: one line, three parts.

Every error states what was asked, what was seen, and what to do. Lower rooms raise the bare fact
(``seen``); whoever knows more about the question adds it with :meth:`BotecError.about`.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher, get_close_matches


class BotecError(Exception):
    """The question was wrong. Prints as ``asked: seen; do`` on one line."""

    def __init__(self, seen: str, do: str = "", asked: str = "") -> None:
        super().__init__(seen, do, asked)
        self.seen, self.do, self.asked = one_line(seen), one_line(do), one_line(asked, 120)

    def about(self, asked: str) -> BotecError:
        """The same error, with the question it belongs to in front (kept if already known)."""
        return type(self)(self.seen, self.do, self.asked or asked)

    def __str__(self) -> str:
        asked = f"{self.asked}: " if self.asked else ""
        return f"{asked}{self.seen}{'; ' + self.do if self.do else ''}"


class UnknownName(BotecError):
    """A model, dimension, device, optimizer or file that botec does not know."""


class BadInput(BotecError):
    """An argument without a meaning: a negative batch, a shape that does not fit, a broken file."""


class ModelFailed(BotecError):
    """The user's own model raised while botec ran it on shapes."""


class DataDependent(BotecError):
    """The model asked for a value that only real data could give."""


class OutsideRegime(BotecError):
    """A formula was asked at a point where it has not been proved."""


class MissingPackage(BotecError):
    """A package of one of botec's extras is not installed."""


LONGEST = 320  # letters of one part of an error that a reader can still take in


def one_line(text: str, most: int = LONGEST) -> str:
    """``text`` with every run of white space as one space, cut where it is no longer readable."""
    words = " ".join(str(text).split())
    return words if len(words) <= most else f"{words[:most]}…"


FAR = 0.3  # of the likeness of two names, which is 1 for the same


def nearest(name: str, known: Iterable[str], most: int = 3) -> str:
    """``"did you mean a, b?"``, or ``""`` where nothing is near.

    Names much farther off than the nearest are left out.
    """
    near = get_close_matches(name, list(known), n=most, cutoff=0.5)
    likeness = [SequenceMatcher(None, one, name).ratio() for one in near]
    found = [one for one, like in zip(near, likeness, strict=True) if like > max(likeness) - FAR]
    return f"did you mean {', '.join(found)}?" if found else ""
