"""A file to write: proved writable before the work, replaced at once when it is done."""

from __future__ import annotations

import os
from tempfile import mkstemp
from types import ModuleType

from botec.errors import BadInput
from botec.report import Report
from botec.write import format_of


class Place:
    """Where ``-o FILE`` goes.

    Raises :class:`~botec.errors.BotecError` at once where no format has the file's suffix or the
    file cannot be written. What stood there stays, whole, until :meth:`keep`.
    """

    def __init__(self, path: str) -> None:
        self.path, self.target = path, os.path.realpath(path)
        self.format: ModuleType = format_of(path)
        if os.path.isdir(self.target):
            raise BadInput("it is a folder", "name a file, such as page.json", f"-o {path}")
        try:
            if os.path.exists(self.target):
                os.close(os.open(self.target, os.O_WRONLY))
            handle, self.draft = mkstemp(dir=os.path.dirname(self.target), prefix=".botec-")
            os.close(handle)
        except OSError as error:
            raise self.unwritable(error) from None

    def unwritable(self, error: OSError) -> BadInput:
        seen = f"it cannot be written ({error.strerror or error})"
        return BadInput(seen, "name a file in a folder you may write to", f"-o {self.path}")

    def keep(self, report: Report) -> None:
        """Write the report and put it in place, whole, with the rights a new file has."""
        try:
            with open(self.draft, "w", encoding="utf-8", errors="replace") as file:
                file.write(self.format.write(report))
            os.chmod(self.draft, rights(self.target))
            os.replace(self.draft, self.target)
        except OSError as error:
            raise self.unwritable(error) from None

    def drop(self) -> None:
        """Take the draft away, if it has not become the file."""
        if os.path.exists(self.draft):
            os.remove(self.draft)


def rights(path: str) -> int:
    """The permissions of ``path``, or those a new file gets."""
    if os.path.exists(path):
        return os.stat(path).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
