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
from tasks.metrics import resampling
from tasks.metrics.classification import BINS, calibration_error
from tasks.metrics.confidence import ConfidenceCalibration, learn_confidence, right_words
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.text import ErrorCounts, char_errors, corpus_rate, word_errors
from tasks.results import Result, Segment, Transcript

log = logging.getLogger(__name__)

BLANK = 0
PART = "loss_"  # the beginning of the names of a loss's parts
SAMPLE_RATE = 16000
CONFIDENCES = (("word_ece", "confidence"), ("word_ece_uncalibrated", "raw_confidence"))
"""The metrics of the words' confidence, the second only if it is calibrated, and their keys in ``words``."""
EDITS = ("substitutions", "deletions", "insertions")


class CTCTask(Task):
    """Trains a model with CTC; decodes greedily in validation, and as ``decode`` says in a test.

    The confidence of the words of the best path is calibrated on each validation; that of a beam search, whose words a
    language model has corrected, is not.

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
        self.calibration: ConfidenceCalibration | None = None

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
            if self.rates_words:
                records["right_words"] = _right_words(records)
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
        """In a test, the calibration error of the words' confidence; a validation learns the calibration."""
        words = [word for own in records.get("words", ()) for word in json.loads(own)]
        if not words:
            return {}
        right = [bool(is_right) for own in records["right_words"] for is_right in json.loads(own)]
        if mode == Mode.VALID:
            self.calibration = learn_confidence([word["raw_confidence"] for word in words], right)
            return {}
        names = CONFIDENCES[: 2 if self.is_calibrated else 1]
        return {name: calibration_error([word[key] for word in words], right) for name, key in names}

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """The rates and the loss, and the calibration error of the words."""
        values = super().resampled(mode, records, weights)
        words = [json.loads(own) for own in records.get("words", ())] if self.rates_words else []
        if any(words):
            owner = np.repeat(np.arange(len(words)), [len(own) for own in words])
            right = np.concatenate([np.array(json.loads(own), dtype=float) for own in records["right_words"]])
            for name, key in CONFIDENCES[: 2 if self.is_calibrated else 1]:
                confidence = np.array([word[key] for own in words for word in own])
                values[name] = resampling.calibration_error(weights[:, owner], confidence, right, BINS)
        return values

    @property
    def is_calibrated(self) -> bool:
        """True if the confidence of words is calibrated in tests and predictions."""
        return self.calibration is not None and self.decoder.name == "greedy"

    # ---- new audio ----

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Result]:
        """The transcript of each utterance."""
        return self.results(*self._logits({"wav": wav, "wav_len": wav_len}))

    def results(self, logits: Tensor, lengths: Tensor) -> list[Result]:
        """The transcript of each utterance, from the logits (B, T', V)."""
        return [self._transcript(own) for own in self.decoder(logits, lengths)]

    def path_result(self, path: Sequence[PathToken]) -> Result:
        """The transcript of a best path."""
        return self._transcript(self.greedy.of_path(path))

    def stream(self) -> CTCStream:
        """A recording that arrives in chunks."""
        return CTCStream(self)

    def _transcript(self, decoded: Decoded) -> Transcript:
        frame_sec = self.frame_sec
        words = [] if frame_sec is None else [self._segment(word, frame_sec) for word in decoded.words]
        return Transcript(" ".join(decoded.text.split()), words, decoded.nbest)

    def _segment(self, word: DecodedWord, frame_sec: float) -> Segment:
        start, end = word.first * frame_sec, (word.last + 1) * frame_sec
        return Segment(round(start, 3), round(end, 3), word.text, self._confidence(word))

    @property
    def frame_sec(self) -> float | None:
        """Seconds of an output frame; None if the model does not tell."""
        rate = getattr(self.model, "downsample_rate", None)
        return None if rate is None else rate / SAMPLE_RATE

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """The calibration of the last validation."""
        return {} if self.calibration is None else {"confidence": list(self.calibration)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self.calibration = ConfidenceCalibration(*state["confidence"]) if "confidence" in state else None

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
            records["words"] = [self._as_json(own.words) for own in decoded]
        if decoder.nbest > 1:
            records["nbest"] = [json.dumps(own.nbest, ensure_ascii=False) for own in decoded]
        return records

    def _decoder(self, mode: str) -> CTCDecoder:
        return self.decoder if mode == Mode.TEST else self.greedy

    def _as_json(self, words: Sequence[DecodedWord]) -> str:
        """The words as JSON objects, with times in seconds if the length of a frame is known."""
        rows, frame_sec = [], self.frame_sec
        for word in words:
            row: dict[str, Any] = {"word": word.text}
            if frame_sec is not None:
                row |= {"start": round(word.first * frame_sec, 3), "end": round((word.last + 1) * frame_sec, 3)}
            rows.append(row | {"confidence": self._confidence(word), "raw_confidence": round(word.confidence, 4)})
        return json.dumps(rows, ensure_ascii=False)

    def _confidence(self, word: DecodedWord) -> float:
        """The confidence of a word, calibrated if a validation has learnt how."""
        if not self.is_calibrated:
            return round(word.confidence, 4)
        return round(float(self.calibration([word.confidence])[0]), 4)

    def _log_examples(self, records: Records) -> None:
        # the first by id: the same utterances each time, whatever the sharding
        rows = zip(records["id"], records["reference"], records["hypothesis"])
        for id, reference, hypothesis in sorted(rows)[: self.log_predictions]:
            log.info("%s\n  reference:  %s\n  hypothesis: %s", id, reference, hypothesis)


def _right_words(records: Records) -> list[str]:
    """For each utterance, whether each of its words is right, as a JSON list of 0 and 1."""
    words = ([row["word"] for row in json.loads(own)] for own in records["words"])
    pairs = zip(records["reference"], words)
    return [json.dumps([int(is_right) for is_right in right_words(*pair)]) for pair in pairs]


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
