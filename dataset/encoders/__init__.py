"""Label encoders by name: text to numbers and back, saved as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from dataset.encoders.base import EncoderError, LabelEncoder, read_record
from dataset.encoders.text import BLANK, UNKNOWN, UNKNOWN_TEXT, TextEncoder
from dataset.wording import nearest

TEXT_ENCODERS = {
    "character": "dataset.encoders.text:CharacterEncoder",
    "marked_character": "dataset.encoders.marked:MarkedCharacterEncoder",
    "word": "dataset.encoders.text:WordEncoder",
    "phoneme": "dataset.encoders.text:PhonemeEncoder",
    "sentencepiece": "dataset.encoders.subword:SentencePieceEncoder",
}
"""Encoders of transcripts."""

LABEL_ENCODERS = {
    "category": "dataset.encoders.category:CategoryEncoder",
    "categories": "dataset.encoders.slots:SlotEncoder",
    "tags": "dataset.encoders.tags:TagEncoder",
    "number": "dataset.encoders.number:NumberEncoder",
    "events": "dataset.encoders.events:EventEncoder",
}
"""Encoders of labels: one an utterance, one in each of several slots, any number of them, a value, or timed events."""

OTHER_ENCODERS = {
    "speaker_activities": "dataset.encoders.speakers:SpeakerEncoder",
    "none": "dataset.encoders.none:NoEncoder",
}
"""Encoders that learn nothing from texts."""


def get_encoder(name: str) -> type[LabelEncoder]:
    """Return the class of the encoder called ``name``, or raise an EncoderError that lists the names.

    A user's class is available by its ``name`` once the file that defines it has run.
    """
    registry = TEXT_ENCODERS | LABEL_ENCODERS | OTHER_ENCODERS
    if name in registry:
        return _import(registry[name])
    for cls in _descendants(LabelEncoder):
        if getattr(cls, "name", None) == name:
            return cls
    raise EncoderError(
        f"unknown encoder {name!r}{nearest(name, registry)}; expected one of {', '.join(registry)}; "
        "for one of your own, run the file that defines it"
    )


def build_encoder(name: str, texts: Iterable[str], **conf: Any) -> LabelEncoder:
    """Build the encoder called ``name`` from training texts.

    Args:
        name: a key of :data:`TEXT_ENCODERS` or :data:`LABEL_ENCODERS`, the ``name`` of a user's class, or its
            ``module:Class``.
        texts: training transcripts or labels.
        conf: settings of that encoder's ``build``.

    Raises:
        EncoderError: the name or a setting is unknown, or the texts do not suffice.
    """
    cls = _import(name) if ":" in name else get_encoder(name)
    settings = [key for key in inspect.signature(cls.build).parameters if key != "texts"]
    for key in conf:
        if key not in settings:
            raise EncoderError(
                f"the {name} encoder has no setting {key!r}{nearest(key, settings)}; "
                f"its settings are {', '.join(settings) or 'none'}"
            )
    return cls.build(texts, **conf)


def load_encoder(folder: str | Path) -> LabelEncoder:
    """Load the encoder in ``folder``; a FileNotFoundError or an EncoderError says what is wrong there."""
    return get_encoder(read_record(folder)["name"]).load(folder)


def _import(target: str) -> type[LabelEncoder]:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _descendants(cls: type) -> Iterator[type]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


__all__ = [
    "BLANK",
    "LABEL_ENCODERS",
    "OTHER_ENCODERS",
    "TEXT_ENCODERS",
    "UNKNOWN",
    "UNKNOWN_TEXT",
    "EncoderError",
    "LabelEncoder",
    "TextEncoder",
    "build_encoder",
    "get_encoder",
    "load_encoder",
]
