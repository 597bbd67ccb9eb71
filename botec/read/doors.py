"""The front doors: which one a MODEL enters by.

The folder is the registry: every ``from_<name>.py`` here that defines ``claims`` is a door, and its
``FORM`` says how a MODEL looks that it opens to.
"""

from __future__ import annotations

import pkgutil
import re
from functools import cache
from importlib import import_module
from importlib.abc import SourceLoader
from importlib.util import find_spec
from types import ModuleType

from botec.errors import UnknownName, nearest
from botec.inputs import Input
from botec.read.source import Source


@cache
def doors() -> tuple[ModuleType, ...]:
    """Every door, in the order of their files' names."""
    folder = import_module("botec.read").__path__
    names = sorted(f"botec.read.{one.name}" for one in pkgutil.iter_modules(folder))
    return tuple(import_module(name) for name in names if is_door(name))


def is_door(name: str) -> bool:
    """Whether the module ``name`` is a door: told from its text, so that nothing else is imported.

    (What reads a module that is already there lies in this folder too, and needs torch at once.)
    """
    found = find_spec(name)
    text = found.loader.get_source(name) if found and isinstance(found.loader, SourceLoader) else ""
    return ".from_" in name and "\ndef claims(" in (text or "")


def forms() -> tuple[str, ...]:
    """The forms a MODEL can take: ``("FILE.py:NAME", "mlp:784-512-10", …)``."""
    return tuple(door.FORM for door in doors())


def open_source(text: str, train: bool = True, inputs: tuple[Input, ...] = ()) -> Source:
    """The network that ``text`` names, with its inputs (the user's ``inputs`` laid over them).

    Raises :class:`~botec.errors.UnknownName` where no door opens, and what the door raises.
    """
    for door in doors():
        if door.claims(text):
            return door.source(text, train, inputs)
    raise unknown(text)


def unknown(text: str) -> UnknownName:
    """The error for a MODEL of no known form, with the nearest scheme where there is one."""
    schemes = {re.split("[:.]", form)[0]: form for form in forms() if form[0].islower()}
    scheme, colon, rest = text.partition(":")
    near = nearest(scheme, schemes, most=1) if colon else ""
    do = near.replace("?", f":{rest}?") if near else f"MODEL is one of {', '.join(forms())}"
    seen = f"no such kind of model: {scheme!r}" if colon else "not of a known form"
    return UnknownName(seen, do, text or "MODEL")


def __getattr__(name: str) -> str:
    """``FORMS``: all forms in one line, found when first asked for."""
    if name == "FORMS":
        return ", ".join(forms())
    raise AttributeError(name)
