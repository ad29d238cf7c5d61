"""Known phones with the times that a trained model gives them: forced alignment of recordings with their texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from dataset.audio import AudioError
from dataset.language.pronunciations import LexiconError, has_stress, pronounce_words
from problems.engine.inference.pieces import pieces_of
from problems.engine.inference.recordings import Failure, Recording
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.numerics import numerics
from tasks.results import Alignment, Segment

if TYPE_CHECKING:
    from problems.engine.inference.predictor import Predictor

LONGEST = 900.0
"""Seconds of the longest recording: the table of its paths grows with the square of its length."""

Words = Sequence[tuple[str, str]]
"""Words, each with its phones."""


class AlignmentError(ValueError):
    """A recording cannot be aligned with its text; the message names both."""


def align(
    predictor: Predictor,
    items: Sequence[Recording],
    texts: Sequence[str],
    lexicon: str | None = None,
    keep_errors: bool = False,
) -> Iterator[Alignment | Failure]:
    """The alignment of each recording with its text; all texts are read before the first recording is.

    Args:
        texts: phones, separated by spaces; with a lexicon, words.
        lexicon: a file, ``cmudict``, or ``espeak:<language>``.
        keep_errors: return a :class:`Failure` in the place of a recording that cannot be aligned.

    Raises:
        ConfigError: the model does not align phones, the texts are too few or too many, or the lexicon lacks words.
        AlignmentError: a text does not fit. AudioError: a recording cannot be read.
    """
    if not hasattr(predictor.task, "phone_times"):
        name = type(predictor.problem).__name__
        raise ConfigError(f"a model of {name} does not align texts: align with a model of pr, which recognises phones")
    if len(items) != len(texts):
        raise ConfigError(f"got {len(items)} recordings and {len(texts)} texts: expected a text for each recording")
    return _alignments(predictor, items, _words_with_phones(predictor, texts, lexicon), keep_errors)


def _words_with_phones(predictor: Predictor, texts: Sequence[str], lexicon: str | None) -> list[Words]:
    """The words of each text with their phones; without a lexicon, one for all phones of a text, without a name."""
    if lexicon is None:
        return [[("", text)] for text in texts]
    try:
        return pronounce_words(texts, lexicon, stress=has_stress(predictor.task.encoder.symbols))
    except LexiconError as error:
        raise ConfigError(f"lexicon: {error}") from error


def _alignments(
    predictor: Predictor, items: Sequence[Recording], words: Sequence[Words], keep_errors: bool
) -> Iterator[Alignment | Failure]:
    for recording, own in zip(items, words):
        try:
            yield _aligned(predictor, replace(recording).open(), own)
        except (AudioError, AlignmentError) as error:
            if not keep_errors:
                raise
            yield Failure(recording.name, error)


def _aligned(predictor: Predictor, recording: Recording, words: Words) -> Alignment:
    if recording.seconds > LONGEST:
        raise AlignmentError(
            f"{recording.name} lasts {recording.seconds:.0f} s: expected at most {LONGEST:g} s; cut it by the columns"
            " start_sec and end_sec of the CSV"
        )
    pieces = pieces_of(recording, predictor.problem.long_audio)
    phones = " ".join(own for _, own in words)
    with numerics(deterministic=False, tf32=False), torch.inference_mode():
        try:
            segments = predictor.task.phone_times(((start, wav.to(predictor.device)) for start, wav in pieces), phones)
        except ValueError as error:
            raise AlignmentError(f"{recording.name} cannot be aligned: {error}") from error
    result = Alignment(phones, segments, _joined(segments, words))
    result.source, result.seconds = recording.name, round(recording.seconds, 3)
    return result


def _joined(segments: Sequence[Segment], words: Words) -> list[Segment]:
    """Words with the times of their phones; those without a name or phones are left out."""
    rest, joined = iter(segments), []
    for name, phones in words:
        own = [next(rest) for _ in phones.split()]
        if name and own:
            joined.append(Segment(own[0].start, own[-1].end, name))
    return joined
