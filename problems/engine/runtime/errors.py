"""Errors that a user can act on. The command line prints their message alone and ends with ``exit_code``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class SoundstageError(RuntimeError):
    """Something went wrong that the message explains in full."""

    exit_code = 1


class ConfigError(SoundstageError, ValueError):
    """A config, or a command line, that cannot be run as it stands."""

    exit_code = 2


class StageError(SoundstageError):
    """A stage cannot run: what it stands on is missing or stale, or a run is at work in its folder."""

    exit_code = 2


class CheckpointError(SoundstageError):
    """A checkpoint that is missing, damaged or of another kind than asked for."""


class TrainingError(SoundstageError):
    """Training that cannot go on without harm."""


class Interrupted(BaseException):
    """A signal asked the run to end; what is needed to continue has been written.

    Like KeyboardInterrupt it is not an Exception: a library that handles every Exception of its own must not handle it.
    """

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + signal_number


def nearest(word: str, known: Iterable[str]) -> str:
    """``' (did you mean X?)'`` for the known word closest to ``word``, or nothing."""
    matches = difflib.get_close_matches(word, [str(k) for k in known], n=1, cutoff=0.6)
    return f" (did you mean {matches[0]}?)" if matches else ""
