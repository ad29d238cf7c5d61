"""The process of a command: messages on stderr and in the target folder's run.log, threads, a closed stdout."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import select
import sys
from pathlib import Path

from problems.engine.runtime.code.shadowing import OURS
from problems.engine.runtime.errors import ConfigError


class ConsoleHandler(logging.Handler):
    """Messages on stderr, above the progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "quiet", False):  # for run.log alone
            return
        prefix = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        text = prefix + record.getMessage()
        if "tqdm" in sys.modules:
            sys.modules["tqdm"].tqdm.write(text, file=sys.stderr)
        else:
            print(text, file=sys.stderr)


class RunLogHandler(logging.FileHandler):
    """Messages with their times in ``run.log``. On a full disk it lacks some, which is said once on stderr."""

    lacks_messages = False

    def handleError(self, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self.lacks_messages:
            self.lacks_messages = True
            print(f"warning: {self.baseFilename} lacks messages: {error.strerror}", file=sys.stderr)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what could not be written before
            super().close()


def spin_briefly() -> None:
    """Let idle threads sleep soon. Call it before torch is first loaded, which reads the variable.

    The threads of GNU OpenMP spin for milliseconds before they sleep, and keep the core from others: beside a busy
    process, an LSTM step took 60 times as long. A short spin costs nothing alone.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def start_logging(folder: Path, main: bool = True) -> None:
    """Log to the console and to ``folder/run.log``; a process other than the ``main`` one only prints warnings."""
    root = logging.getLogger()
    root.setLevel(logging.INFO if main else logging.WARNING)
    root.addHandler(ConsoleHandler())
    if main:
        root.addHandler(run_log(folder))


def run_log(folder: Path) -> RunLogHandler:
    """Return the handler that writes to ``folder/run.log``.

    Raises:
        ConfigError: the folder cannot be written in.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handler = RunLogHandler(folder / "run.log", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"target_dir: cannot write in {folder}: {error.strerror} ({error.filename});"
            " choose another folder: --target_dir DIR"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    return handler


def stop_logging() -> None:
    """Remove and close the handlers of :func:`start_logging`."""
    root = logging.getLogger()
    for handler in [h for h in root.handlers if isinstance(h, (ConsoleHandler, RunLogHandler))]:
        root.removeHandler(handler)
        handler.close()


def has_run_log() -> bool:
    """True if messages go to a run.log."""
    return any(isinstance(handler, RunLogHandler) for handler in logging.getLogger().handlers)


def is_explained(error: BaseException) -> bool:
    """True if an error's message is all that a user needs: one of ours, or the system's about a file."""
    return type(error).__module__.partition(".")[0] in OURS or (isinstance(error, OSError) and bool(error.strerror))


def message_of(error: BaseException) -> str:
    """An error's message, with advice if the disk is full."""
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    advice = "; free disk space, then run the same command to continue" if is_full else ""
    return error.strerror + (f": {error.filename}" if error.filename else "") + advice


def reader_is_gone() -> bool:
    """Return True if nobody reads stdout any more (``... | head -1``); further output is then discarded."""
    try:
        number = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file
        return False
    poll = select.poll()
    poll.register(number, 0)
    is_gone = any(event & select.POLLERR for _, event in poll.poll(0))
    if is_gone:
        os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    return is_gone
