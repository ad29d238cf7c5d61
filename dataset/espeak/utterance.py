"""What is to be said, and what was said."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Timed = tuple[float, float, str]  # start and end in seconds, and the label


@dataclass(frozen=True)
class Utterance:
    """One recording to make.

    ``id`` names its file: letters, digits, ``_``, ``-`` and ``.``. ``voice`` is an eSpeak NG language with
    or without a variant ("en-us+f3", "de", "fr+m2"). ``rate`` is in words a minute (80-450), ``pitch``
    0-99; ``pitch_range`` 0-99 is how far it moves, from monotonous to lively. ``gain_db`` is applied to the
    speech, and ``noise_db`` is the level of white noise added to everything (dB of full scale; None: none).
    The noise depends on the id alone.
    """

    id: str
    text: str
    voice: str = "en-us"
    rate: int = 165
    pitch: int = 50
    gain_db: float = 0.0
    noise_db: float | None = None
    pitch_range: int = 50


@dataclass(frozen=True)
class Spoken:
    """A recording that was made: 16 kHz mono int16 wav, and where its words and phones (IPA) are."""

    id: str
    wav_path: Path
    seconds: float
    words: tuple[Timed, ...]
    phones: tuple[Timed, ...]


def check(utterances: Sequence[Utterance]) -> None:
    """Refuse what cannot be made, with a ValueError that names the utterance."""
    seen: set[str] = set()
    for u in utterances:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", u.id):
            raise ValueError(f"an utterance's id is made of letters, digits, '_', '-' and '.', got {u.id!r}")
        if u.id in seen:
            raise ValueError(f"two utterances have the id {u.id!r}")
        seen.add(u.id)
        if not re.search(r"\w", u.text):
            raise ValueError(f"utterance {u.id!r} has no word to say, got {u.text!r}")
        if not 80 <= u.rate <= 450:
            raise ValueError(f"utterance {u.id!r}: rate is 80-450 words a minute, got {u.rate}")
        if not 0 <= u.pitch <= 99:
            raise ValueError(f"utterance {u.id!r}: pitch is 0-99, got {u.pitch}")
        if not 0 <= u.pitch_range <= 99:
            raise ValueError(f"utterance {u.id!r}: pitch_range is 0-99, got {u.pitch_range}")
