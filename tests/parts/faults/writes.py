"""Act at a chosen change of the files in a folder: the instants between which a kill makes a difference.

Python tells its audit hooks before it opens, renames, makes and removes files. What a library does with an open file
is not told.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHANGES = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link"}
COUNT = "writes"
"""The name of the file, beside a run's folder, that has as many bytes as the run has changed files."""


def on_change(folder: Path, act: Callable[[str, str], None]) -> None:
    """Call ``act`` with the event and the path before each change of a file in ``folder`` by this process."""
    root, inside = f"{folder}/", []

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if inside or not _changes(event, arguments, root):
            return
        inside.append(True)
        try:
            act(event, str(arguments[0]))
        finally:
            inside.clear()

    sys.addaudithook(hook)


def _changes(event: str, arguments: tuple[Any, ...], root: str) -> bool:
    if event == "open":
        path, _, flags = arguments
        return isinstance(path, (str, os.PathLike)) and str(path).startswith(root) and bool(flags & os.O_ACCMODE)
    return event in CHANGES and (str(arguments[0]).startswith(root) or arguments[-1] not in (-1, None))


@dataclasses.dataclass(frozen=True)
class Count:
    """Counts the changes of the files in a folder (:func:`counted`)."""

    folder: Path

    def __call__(self) -> None:
        file = os.open(self.folder.with_name(COUNT), os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND)
        on_change(self.folder, lambda event, path: os.write(file, b"."))


def counted(folder: Path) -> int:
    """The number of changes that :class:`Count` has counted."""
    return folder.with_name(COUNT).stat().st_size


@dataclasses.dataclass(frozen=True)
class SignalAt:
    """Sends a signal to its process and the workers before the change with a number, from 1.

    Args:
        torn: a file that was to be opened is left empty, as if the signal came before its first byte was written.
    """

    folder: Path
    number: int
    signal: int
    torn: bool = False

    def __call__(self) -> None:
        changes = 0

        def act(event: str, path: str) -> None:
            nonlocal changes
            changes += 1
            if changes == self.number:
                if self.torn and event == "open" and not os.path.exists(path):
                    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o644))
                os.killpg(0, self.signal)

        on_change(self.folder, act)


@dataclasses.dataclass(frozen=True)
class Slow:
    """Waits before each change, as on a slow disk."""

    folder: Path
    seconds: float

    def __call__(self) -> None:
        on_change(self.folder, lambda event, path: time.sleep(self.seconds))
