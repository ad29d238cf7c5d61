"""A sentence to synthesise, and its recording."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

Timed = tuple[float, float, str]  # start and end in seconds, and the label


@dataclass(frozen=True)
class ToySentence:
    """A sentence to synthesise.

    Args:
        id: the name of its file: letters, digits, ``_``, ``-`` and ``.``.
        text: has at least one word.
        voice: a language of eSpeak NG with or without a variant ("en-us+f3", "de", "fr+m2").
        rate: words a minute, 80-450.
        pitch: 0-99.
        gain_db: applied to the speech.
        noise_db: the level of white noise added to everything, in dB of full scale; None: none. The noise depends only
            on the id.
        pitch_range: 0-99, from monotonous to lively.
    """

    id: str
    text: str
    voice: str = "en-us"
    rate: int = 165
    pitch: int = 50
    gain_db: float = 0.0
    noise_db: float | None = None
    pitch_range: int = 50


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """A recording (16 kHz mono int16 wav) with the times of its words and phones (IPA)."""

    id: str
    wav_path: Path
    seconds: float
    words: tuple[Timed, ...]
    phones: tuple[Timed, ...]


def check(sentences: Sequence[ToySentence]) -> None:
    """Raise a ValueError that names the first sentence that cannot be synthesised."""
    ids: set[str] = set()
    for sentence in sentences:
        name = f"sentence {sentence.id!r}"
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]*", sentence.id):
            raise ValueError(f"{name}: expected an id of letters, digits, '_', '-' and '.'")
        if sentence.id in ids:
            raise ValueError(f"two sentences have the id {sentence.id!r}")
        ids.add(sentence.id)
        if not re.search(r"\w", sentence.text):
            raise ValueError(f"{name}: expected a text with a word, got {sentence.text!r}")
        if not 80 <= sentence.rate <= 450:
            raise ValueError(f"{name}: expected a rate of 80-450 words a minute, got {sentence.rate}")
        if not 0 <= sentence.pitch <= 99:
            raise ValueError(f"{name}: expected a pitch of 0-99, got {sentence.pitch}")
        if not 0 <= sentence.pitch_range <= 99:
            raise ValueError(f"{name}: expected a pitch_range of 0-99, got {sentence.pitch_range}")
