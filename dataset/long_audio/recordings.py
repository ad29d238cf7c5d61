"""Whole recordings of any length."""

from __future__ import annotations

from dataset.utterances import Utterances


class Recordings(Utterances):
    """Recordings that a task cuts into windows itself."""

    keeps_waveforms = True
