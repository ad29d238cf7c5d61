"""The error of audio that cannot be used."""

from __future__ import annotations


class AudioError(ValueError):
    """An audio file cannot be used as it is; the message names it, and says what to do."""
