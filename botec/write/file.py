"""A file to write: proved writable before the work, replaced at once when it is done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import mkstemp
from types import ModuleType

from botec.errors import BadInput
from botec.report import Report
from botec.write import format_of


class Draft:
    """A file beside ``target`` that becomes it, whole, at :meth:`place`.

    Raises :class:`~botec.errors.BadInput` at once where the target cannot be written. What stood
    there stays until it is replaced.
    """

    def __init__(self, target: str) -> None:
        self.asked, self.target = target, os.path.realpath(target)
        if os.path.isdir(self.target):
            raise BadInput("it is a folder", "name a file, such as page.json", f"-o {target}")
        with self.guarded():
            if os.path.exists(self.target):
                os.close(os.open(self.target, os.O_WRONLY))
            handle, self.path = mkstemp(dir=os.path.dirname(self.target), prefix=".botec-")
            os.close(handle)

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """What the system refuses inside becomes :class:`~botec.errors.BadInput`."""
        try:
            yield
        except OSError as error:
            seen = f"it cannot be written ({error.strerror or error})"
            do = "name a file in a folder you may write to"
            raise BadInput(seen, do, f"-o {self.asked}") from None

    def place(self) -> None:
        """Put the draft in place, with the rights a new file has."""
        with self.guarded():
            os.chmod(self.path, rights(self.target))
            os.replace(self.path, self.target)

    def drop(self) -> None:
        """Take the draft away, if it has not become the file."""
        if os.path.exists(self.path):
            os.remove(self.path)


class Place:
    """Where the report of ``-o FILE`` goes.

    Raises :class:`~botec.errors.BotecError` at once where no format has the file's suffix or the
    file cannot be written. What stood there stays, whole, until :meth:`keep`.
    """

    def __init__(self, path: str) -> None:
        self.format: ModuleType = format_of(path)
        self.draft = Draft(path)

    def keep(self, report: Report) -> None:
        """Write the report and put it in place."""
        with self.draft.guarded():
            page = self.format.write(report)
            if isinstance(page, str):
                page = page.encode("utf-8", errors="replace")
            with open(self.draft.path, "wb") as file:
                file.write(page)
            self.draft.place()

    def drop(self) -> None:
        """Take the draft away, if it has not become the file."""
        self.draft.drop()


def rights(path: str) -> int:
    """The permissions of ``path``, or those a new file gets."""
    if os.path.exists(path):
        return os.stat(path).st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
