"""Errors that a user can act on; the command line prints only their message and exits with their ``exit_code``."""

from __future__ import annotations


class SoundstageError(RuntimeError):
    """An error whose message is all that a user needs."""

    exit_code = 1


class ConfigError(SoundstageError, ValueError):
    """A config or a command line is wrong."""

    exit_code = 2


class StageError(SoundstageError):
    """A stage cannot run: a stage that it needs is missing or stale, or another run uses its folder."""

    exit_code = 2


class CheckpointError(SoundstageError):
    """A checkpoint is missing, damaged or of another kind than requested."""


class TrainingError(SoundstageError):
    """Training cannot continue without harm."""


class DivergedError(TrainingError):
    """Gradients or weights were not finite for longer than the patience allows."""

    exit_code = 3


class PeerError(SoundstageError):
    """Another process of the run has died, or cannot be reached."""


class Interrupted(BaseException):
    """A signal asked the run to end; what is needed to continue has been written.

    Like KeyboardInterrupt it is not an Exception: a library that handles every Exception of its own must not handle it.
    """

    def __init__(self, signal_number: int, message: str):
        super().__init__(message)
        self.exit_code = 128 + signal_number
