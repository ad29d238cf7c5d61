"""Label encoders by name: text to ids and back, saved as JSON, loaded without the code that made them."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from dataset.encoders.base import BLANK, UNKNOWN, UNKNOWN_TEXT, Encoder, EncoderError, LabelEncoder, read_record

ENCODERS = {
    "character": "dataset.encoders.text:CharacterEncoder",
    "word": "dataset.encoders.text:WordEncoder",
    "phoneme": "dataset.encoders.text:PhonemeEncoder",
    "sentencepiece": "dataset.encoders.subword:SentencePieceEncoder",
}
"""Encoders of texts."""

CATEGORIES = {
    "category": "dataset.encoders.category:CategoryEncoder",
    "categories": "dataset.encoders.category:CategoryEncoders",
    "tags": "dataset.encoders.category:TagEncoder",
}
"""Encoders of utterances' labels: one, one in each of several slots, or any number."""


def get_encoder(name: str) -> type[LabelEncoder]:
    """The class of the encoder called ``name``; an EncoderError names the known ones.

    A class of the user's own is known by its ``name`` once the file that defines it has run.
    """
    known = ENCODERS | CATEGORIES
    if name in known:
        return _import(known[name])
    for cls in _descendants(LabelEncoder):
        if getattr(cls, "name", None) == name:
            return cls
    near = difflib.get_close_matches(str(name), known, n=1)
    hint = f" (nearest: {near[0]!r})" if near else ""
    raise EncoderError(
        f"no encoder is called {name!r}{hint}; there are {', '.join(known)}; "
        "for one of your own, run the file that defines it"
    )


def build_encoder(name: str, texts: Iterable[str], **conf: Any) -> LabelEncoder:
    """Build the encoder called ``name`` from training texts.

    Args:
        name: a key of :data:`ENCODERS` or :data:`CATEGORIES`, the ``name`` of a class of your own, or its
            ``module:Class``.
        texts: training transcripts; one without symbols is allowed.
        conf: settings of that encoder's ``build``. An EncoderError names those that it does not have.
    """
    cls = _import(name) if ":" in name else get_encoder(name)
    known = [key for key in inspect.signature(cls.build).parameters if key != "texts"]
    for key in conf:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" (nearest: {near[0]!r})" if near else ""
            raise EncoderError(f"the {name} encoder has no setting {key!r}{hint}; it has {', '.join(known)}")
    return cls.build(texts, **conf)


def load_encoder(folder: str | Path) -> LabelEncoder:
    """The encoder saved in ``folder``; a FileNotFoundError or an EncoderError says what is wrong there."""
    return get_encoder(read_record(folder)["name"]).load(folder)


def _import(target: str) -> type[Encoder]:
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


def _descendants(cls: type) -> Iterator[type]:
    for child in cls.__subclasses__():
        yield child
        yield from _descendants(child)


__all__ = [
    "BLANK",
    "CATEGORIES",
    "ENCODERS",
    "UNKNOWN",
    "UNKNOWN_TEXT",
    "Encoder",
    "EncoderError",
    "LabelEncoder",
    "build_encoder",
    "get_encoder",
    "load_encoder",
]
