"""The back doors: each ``to_<name>.py`` has a ``SUFFIX`` and ``write(report) -> str``.

The folder is the registry: a new format is one new file, found by the suffix of ``-o FILE``.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import PurePath
from pkgutil import iter_modules
from types import ModuleType

from botec.errors import UnknownName, nearest


def formats() -> dict[str, ModuleType]:
    """Every format by its suffix: ``{".json": to_json, ...}``."""
    names = sorted(entry.name for entry in iter_modules(__path__) if entry.name.startswith("to_"))
    modules = [import_module(f"{__name__}.{name}") for name in names]
    return {module.SUFFIX: module for module in modules}


def format_of(path: str) -> ModuleType:
    """The format ``path`` names by its suffix. Raises :class:`~botec.errors.UnknownName`."""
    known, suffix = formats(), PurePath(path).suffix.lower()
    if suffix in known:
        return known[suffix]
    seen = f"no format has the suffix {suffix!r}" if suffix else "the name has no suffix"
    near = nearest(suffix, known) if suffix else ""
    raise UnknownName(seen, near or f"end it in {' or '.join(sorted(known))}", f"-o {path}")
