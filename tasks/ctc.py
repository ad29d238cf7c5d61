"""Connectionist temporal classification: sequences of labels without an alignment.

Graves et al., "Connectionist Temporal Classification", ICML 2006. Loss by ``nn.losses.ctc``, decoding by
``tasks.decoding``, errors by ``tasks.metrics.text``.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor, nn

from nn.decode.greedy import PathToken
from nn.losses.ctc import ctc_losses
from tasks.base import Mode, Records, StepOutput, Task, check_scores
from tasks.contracts import Vocabulary
from tasks.ctc_stream import CTCStream
from tasks.decoding import CTCDecoder, Decoded, DecodedWord, Ngrams
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.text import ErrorCounts, char_errors, corpus_rate, word_errors
from tasks.posteriors import FirstIds, pictures
from tasks.results import Result, Segment, Transcript
from tasks.word_confidence import DIGITS, WordConfidence, right_column

log = logging.getLogger(__name__)

BLANK = 0
PART = "loss_"  # the beginning of the names of a loss's parts
SAMPLE_RATE = 16000
EDITS = ("substitutions", "deletions", "insertions")


class CTCTask(Task):
    """Trains a model with CTC; decodes greedily in validation, and as ``decode`` says in a test.

    The confidence of words is calibrated in validations: that of the best path in each validation of a training, that
    of a search in one that is as tests are (:meth:`validate_as_tested`).

    Notation: B utterances, T samples, T' frames, S labels, V symbols with the blank.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` ->
            logits (B, T', V), lengths (B,).
        encoder: decodes label indices to text.
        log_predictions: references and hypotheses that ``reduction`` logs.
        decode: settings of :class:`tasks.decoding.CTCDecoder` for tests and predictions; validations are greedy.
        ngrams: the language model of the decoder, by n-gram.
    """

    metrics = {
        "wer": Rate(better="lower", label="WER", of=("word_errors", "word_reference_length")),
        "cer": Rate(better="lower", label="CER", of=("char_errors", "char_reference_length")),
        "word_ece": Rate(better="lower", label="word ECE"),
        "word_ece_uncalibrated": Rate(better="lower", label="word ECE, uncalibrated"),
        "loss": Number(better="lower", of=("loss", None)),
        "substitutions": Count(better="lower"),
        "deletions": Count(better="lower"),
        "insertions": Count(better="lower"),
        "words": Count(),
        "utterances": Count(),
        "too_short": Count(),
    }
    predicts = "text"
    takes_features = True
    rates_words = True
    """True if the symbols spell words, whose confidence is then measured and calibrated."""

    def __init__(
        self,
        model: nn.Module,
        encoder: Vocabulary,
        log_predictions: int = 0,
        decode: Mapping[str, Any] | None = None,
        ngrams: Ngrams | None = None,
    ):
        super().__init__(model)
        if log_predictions < 0:
            raise ValueError(f"log_predictions is {log_predictions}: expected 0 or more utterances")
        self.encoder = encoder
        self.log_predictions = log_predictions
        self.greedy = CTCDecoder(encoder, blank=BLANK)
        self.decoder = CTCDecoder(encoder, **dict(decode or {}), ngrams=ngrams, blank=BLANK)
        self.confidence = WordConfidence()
        self.validates_as_tested = False

    def forward(
        self, mode: str, *, id: list[str], text: list[str], tokens: Tensor, tokens_len: Tensor, **batch: Any
    ) -> StepOutput:
        """One step; the loss is the mean over utterances of nll / target length, like torch's ``mean``.

        An utterance with too few frames for its labels (or none) has no alignment: its loss is 0, it still counts
        in ``weight``, and ``too_short`` is true in its record.

        tokens: int64 (B, S); tokens_len: int64 (B,); other keys: the model's inputs; the rest is ignored.
        """
        self.check_mode(mode)
        logits, lengths = self._logits(batch)
        numbers = self._numbers(logits, lengths, tokens, tokens_len)
        records: dict[str, list[Any]] = {"id": list(id)}
        if mode != Mode.TRAIN:
            records["reference"] = list(text)
            records |= self._decoded(mode, logits.detach(), lengths)
            records |= {name: own.detach().tolist() for name, own in numbers.items()}
            records |= self._errors(records)
            paths, targets = (logits.detach(), lengths), (tokens, tokens_len)
            records |= self._beside(mode, records, batch, paths=paths, targets=targets)
            if self.pictured is not None:
                records["posteriors"] = self._pictures(self.pictured, id, *paths)
            if self.rates_words:
                records["right_words"] = right_column(records)
        parts = {name: own.mean() for name, own in numbers.items() if name.startswith(PART)}
        return StepOutput(numbers["loss"].mean(), float(len(id)), records, parts)

    def _numbers(self, logits: Tensor, lengths: Tensor, tokens: Tensor, tokens_len: Tensor) -> dict[str, Tensor]:
        """Numbers (B,) by the name of their column: ``loss``, ``too_short``, and what a subclass adds.

        Losses that a loss is made of begin with ``loss_``.
        """
        losses, too_short = ctc_losses(logits, lengths, tokens, tokens_len)
        return {"loss": losses, "too_short": too_short}

    def _errors(self, records: dict[str, list[Any]]) -> dict[str, list[int]]:
        """The counts of word and character errors of each utterance."""
        columns: dict[str, list[int]] = {}
        for unit, count_errors in (("word", word_errors), ("char", char_errors)):
            pairs = zip(records["reference"], records["hypothesis"])
            columns |= _to_columns(unit, [count_errors(*pair) for pair in pairs])
        return columns

    def _beside(
        self,
        mode: str,
        records: Records,
        batch: Mapping[str, Any],
        *,
        paths: tuple[Tensor, Tensor],
        targets: tuple[Tensor, Tensor],
    ) -> dict[str, list[Any]]:
        """Further columns of the records, for a subclass.

        Args:
            paths: logits (B, T', V) and lengths (B,).
            targets: labels (B, S) and lengths (B,).
        """
        return {}

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """WER and CER over all words and characters, the mean loss of an utterance, and counts."""
        wer, words = corpus_rate(_from_columns("word", records), "word")
        cer, _ = corpus_rate(_from_columns("char", records), "character")
        self._log_examples(records)
        utterances = len(records["id"])
        return {
            "wer": wer,
            "cer": cer,
            **self._confidence_metrics(mode, records),
            "loss": math.fsum(records["loss"]) / utterances,
            "substitutions": words.substitutions,
            "deletions": words.deletions,
            "insertions": words.insertions,
            "words": words.reference_length,
            "utterances": utterances,
            "too_short": sum(records["too_short"]),
        }

    def _confidence_metrics(self, mode: str, records: Records) -> dict[str, float]:
        """The calibration error of the words' confidence, in a test; a validation learns the calibration."""
        if mode == Mode.VALID:
            self.confidence.learn(records, self._decoder(mode).is_search)
            return {}
        return self.confidence.errors(records, self.decoder.is_search)

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The rates and the loss, and the calibration error of the words."""
        values = super().resampled(mode, records, weights)
        if self.rates_words:
            values |= self.confidence.resampled(records, weights, self.decoder.is_search)
        return values

    @property
    def learns_in_validation(self) -> bool:
        """True if tests search: the validations of a training calibrate the best path alone."""
        return self.rates_words and self.decoder.is_search

    @property
    def needs_validation(self) -> bool:
        """True if tests search, and nothing has calibrated the words."""
        return self.learns_in_validation and not self.confidence.knows(is_search=True)

    def validate_as_tested(self) -> None:
        """Decode as in tests in validations too, from now on."""
        self.validates_as_tested = True

    # ---- new audio ----

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Result]:
        """The transcript of each utterance."""
        return self.results(*self._logits({"wav": wav, "wav_len": wav_len}))

    def results(self, logits: Tensor, lengths: Tensor) -> list[Result]:
        """The transcript of each utterance, from the logits (B, T', V)."""
        return [self._transcript(own, self.decoder) for own in self.decoder(logits, lengths)]

    def path_result(self, path: Sequence[PathToken]) -> Result:
        """The transcript of a best path."""
        return self._transcript(self.greedy.of_path(path), self.greedy)

    def stream(self) -> CTCStream:
        """A recording that arrives in chunks."""
        return CTCStream(self)

    def _transcript(self, decoded: Decoded, decoder: CTCDecoder) -> Transcript:
        frame_sec = self.frame_sec
        words = [] if frame_sec is None else [self._segment(word, frame_sec, decoder) for word in decoded.words]
        return Transcript(" ".join(decoded.text.split()), words, decoded.nbest)

    def _segment(self, word: DecodedWord, frame_sec: float, decoder: CTCDecoder) -> Segment:
        start, end = word.first * frame_sec, (word.last + 1) * frame_sec
        confidence = self.confidence.of(word.confidence, decoder.is_search)
        return Segment(round(start, 3), round(end, 3), word.text, confidence)

    @property
    def frame_sec(self) -> float | None:
        """Seconds of an output frame; None if the model does not tell."""
        rate = getattr(self.model, "downsample_rate", None)
        return None if rate is None else rate / SAMPLE_RATE

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """The calibrations of the words' confidence."""
        return self.confidence.get_state()

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self.confidence.set_state(state)

    # ---- parts of a step ----

    def _logits(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        logits, lengths = self.run_model(batch)
        check_scores(logits, len(self.encoder), "a frame")
        return logits, lengths

    def _decoded(self, mode: str, logits: Tensor, lengths: Tensor) -> dict[str, list[Any]]:
        """``hypothesis``, ``words`` as JSON if the symbols spell words, and ``nbest`` if several are asked for."""
        decoder = self._decoder(mode)
        decoded = decoder(logits, lengths)
        records: dict[str, list[Any]] = {"hypothesis": [own.text for own in decoded]}
        if self.rates_words:
            records["words"] = [self._as_json(own.words, decoder) for own in decoded]
        if decoder.nbest > 1:
            records["nbest"] = [json.dumps(own.nbest, ensure_ascii=False) for own in decoded]
        return records

    def _pictures(self, first: FirstIds, ids: Sequence[str], logits: Tensor, lengths: Tensor) -> list[str]:
        symbols = list(getattr(self.encoder, "symbols", ()))
        return pictures(first, ids, logits, lengths, symbols=symbols, frame_sec=self.frame_sec, blank=BLANK)

    def _decoder(self, mode: str) -> CTCDecoder:
        return self.decoder if mode == Mode.TEST or self.validates_as_tested else self.greedy

    def _as_json(self, words: Sequence[DecodedWord], decoder: CTCDecoder) -> str:
        """The words as JSON objects, with times in seconds if the length of a frame is known."""
        rows, frame_sec = [], self.frame_sec
        for word in words:
            row: dict[str, Any] = {"word": word.text}
            if frame_sec is not None:
                row |= {"start": round(word.first * frame_sec, 3), "end": round((word.last + 1) * frame_sec, 3)}
            confidence, raw = self.confidence.of(word.confidence, decoder.is_search), round(word.confidence, DIGITS)
            rows.append(row | {"confidence": confidence, "raw_confidence": raw})
        return json.dumps(rows, ensure_ascii=False)

    def _log_examples(self, records: Records) -> None:
        # the first by id: the same utterances each time, whatever the sharding
        rows = zip(records["id"], records["reference"], records["hypothesis"])
        for id, reference, hypothesis in sorted(rows)[: self.log_predictions]:
            log.info("%s\n  reference:  %s\n  hypothesis: %s", id, reference, hypothesis)


def _to_columns(unit: str, counts: list[ErrorCounts]) -> dict[str, list[int]]:
    """The error counts of utterances as columns of the records."""
    names = ("errors", *EDITS, "reference_length")
    return {f"{unit}_{name}": [getattr(count, name) for count in counts] for name in names}


def _from_columns(unit: str, records: Records) -> list[ErrorCounts]:
    """The error counts that :func:`_to_columns` wrote."""
    columns = (records[f"{unit}_{name}"] for name in ("reference_length", *EDITS))
    return [
        ErrorCounts(hits=length - subs - dels, substitutions=subs, deletions=dels, insertions=ins)
        for length, subs, dels, ins in zip(*columns)
    ]
