"""Phoneme recognition by CTC: the phone error rate, the times of the phones, and their forced alignment."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nn.decode.align import filled, token_frames
from nn.decode.greedy import PathToken, ctc_best_path
from tasks.base import Mode, Records
from tasks.ctc import BLANK, CTCTask
from tasks.metrics.boundaries import TOLERANCES_MS, boundary_errors, within
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.phone_features import PhoneFeatures
from tasks.metrics.text import corpus_rate, error_counts
from tasks.results import Phones, Segment

TIMIT_39 = {
    **{"ao": "aa", "ax": "ah", "ax-h": "ah", "axr": "er", "hv": "hh", "ix": "ih", "el": "l", "em": "m", "en": "n"},
    **{"nx": "n", "eng": "ng", "zh": "sh", "ux": "uw", "pcl": "sil", "tcl": "sil", "kcl": "sil", "bcl": "sil"},
    **{"dcl": "sil", "gcl": "sil", "h#": "sil", "pau": "sil", "epi": "sil", "q": ""},
}
"""TIMIT's 61 phones as 39 (Lee and Hon, "Speaker-independent phone recognition using hidden Markov models", 1989)."""
PAUSE_SEC = 0.2
"""A phone lasts until the next one begins, unless this or more lies between."""
FOLDINGS: dict[str, Mapping[str, str]] = {"none": {}, "timit39": TIMIT_39}

FEATURE_METRICS = {
    "pfer": Rate(better="lower", label="PFER", of=("feature_errors", "segments")),
    "feature_errors": Number(better="lower", label="feature errors an utterance", of=("feature_errors", None)),
}
BOUNDARY_METRICS = {
    **{
        f"within_{own}ms": Rate(
            better="higher", label=f"boundaries within {own} ms", of=(f"within_{own}ms", "boundaries")
        )
        for own in TOLERANCES_MS
    },
    "boundary_error": Number(better="lower", unit="ms", of=("boundary_error", "boundaries")),
    "boundaries": Count(),
    "unaligned": Count(better="lower"),
}


class PhoneTask(CTCTask):
    """Trains a model with CTC on phones that are separated by spaces; decodes by the best path.

    Args:
        folding: how phones are merged before they are compared: none, or timit39.
        align: in tests, align the reference's phones with the audio; measure their boundaries if the batch has
            ``phones``: lists of [start, end, phone] in seconds, as JSON.
        pfer: measure the phone feature error rate; all symbols must be IPA.
        others: of :class:`tasks.ctc.CTCTask`.
    """

    metrics = {
        "per": Rate(better="lower", label="PER", of=("phone_errors", "phones")),
        "loss": Number(better="lower", of=("loss", None)),
        "substitutions": Count(better="lower"),
        "deletions": Count(better="lower"),
        "insertions": Count(better="lower"),
        "phones": Count(),
        "utterances": Count(),
        "too_short": Count(),
    }

    rates_words = False

    def __init__(self, *args: Any, folding: str = "none", align: bool = False, pfer: bool = False, **conf: Any):
        super().__init__(*args, **conf)
        if folding not in FOLDINGS:
            raise ValueError(f"folding is {folding!r}: expected one of {', '.join(FOLDINGS)}")
        self.folding = FOLDINGS[folding]
        self.align = align
        self.features = PhoneFeatures() if pfer else None
        if self.features is not None:
            self.features.check([self.encoder.decode([number]) for number in range(1, len(self.encoder))])
            self.metrics = self.metrics | FEATURE_METRICS
        if align and self.frame_sec is None:
            raise ValueError("align needs a model that tells the length of a frame: its downsample_rate")
        if align:
            self.metrics = self.metrics | BOUNDARY_METRICS

    def _decoded(self, mode: str, logits: Tensor, lengths: Tensor) -> dict[str, list[Any]]:
        """``hypothesis``, and in a test ``times``: [start, end, phone] in seconds, as JSON."""
        paths = ctc_best_path(logits, lengths, blank=BLANK)
        records: dict[str, list[Any]] = {"hypothesis": [self._text(path) for path in paths]}
        if mode == Mode.TEST and self.frame_sec is not None:
            segments = (self._segments(path, self.frame_sec) for path in paths)
            rows = ([[own.start, own.end, own.text] for own in phones] for phones in segments)
            records["times"] = [json.dumps(own, ensure_ascii=False) for own in rows]
        return records

    def _beside(
        self,
        mode: str,
        records: Records,
        batch: Mapping[str, Any],
        *,
        paths: tuple[Tensor, Tensor],
        targets: tuple[Tensor, Tensor],
    ) -> dict[str, list[Any]]:
        """In a test, ``aligned``: [start, end, phone] of the reference's phones, as JSON, and errors of boundaries."""
        if mode != Mode.TEST or not self.align:
            return {}
        log_probs = (own[:length].float().log_softmax(-1) for own, length in zip(paths[0], paths[1].tolist()))
        tokens = (own[:length] for own, length in zip(targets[0].tolist(), targets[1].tolist()))
        phones = (text.split() for text in records["reference"])
        aligned = [self._aligned(*own) for own in zip(log_probs, tokens, phones)]
        columns: dict[str, list[Any]] = {
            "aligned": [json.dumps(own or [], ensure_ascii=False) for own in aligned],
            "unaligned": [int(own is None) for own in aligned],
        }
        for id, reference, own in zip(records["id"], batch.get("phones", ()), aligned):
            for name, value in _boundaries(id, reference, own).items():
                columns.setdefault(name, []).append(value)
        return columns

    def _aligned(
        self, log_probs: Tensor, tokens: Sequence[int], phones: Sequence[str]
    ) -> list[tuple[float, float, str]] | None:
        """The times of phones; None if there are too few frames for them."""
        spans, frame_sec = self._spans(log_probs, tokens), self.frame_sec
        if spans is None:
            return None
        return [
            (round(first * frame_sec, 3), round((last + 1) * frame_sec, 3), phone)
            for (first, last), phone in zip(spans, phones)
        ]

    def phone_times(self, pieces: Iterable[tuple[float, Tensor]], phones: str) -> list[Segment]:
        """The times of known phones in one recording.

        Args:
            pieces: the start in seconds and the samples (T,) of each of its pieces, in turn.
            phones: separated by spaces.

        Raises:
            ValueError: the model does not know a phone or the length of a frame, or there are too few frames.
        """
        if self.frame_sec is None:
            raise ValueError("the model does not tell the length of a frame: its downsample_rate")
        unknown = sorted(self.encoder.unknown(phones))
        if unknown:
            raise ValueError(f"the model does not know the phones {' '.join(unknown)}: it was trained without them")
        starts, outputs = [], []
        for start, wav in pieces:
            length = torch.tensor([len(wav)], device=wav.device)
            logits, lengths = self._logits({"wav": wav[None], "wav_len": length})
            outputs.append(logits[0, : int(lengths[0])].float().log_softmax(-1))
            starts += [start + frame * self.frame_sec for frame in range(int(lengths[0]))]
        spans = self._spans(torch.cat(outputs), self.encoder.encode(phones))
        if spans is None:
            raise ValueError(f"its {len(starts)} frames are too few for {len(phones.split())} phones")
        return [
            Segment(round(starts[first], 3), round(starts[last] + self.frame_sec, 3), phone)
            for (first, last), phone in zip(spans, phones.split())
        ]

    def _spans(self, log_probs: Tensor, tokens: Sequence[int]) -> list[tuple[int, int]] | None:
        """The first and the last frame of each token; None if there are too few frames for them."""
        frames = token_frames(log_probs, tokens, BLANK)
        return None if frames is None else filled(frames, round(PAUSE_SEC / self.frame_sec))

    def results(self, logits: Tensor, lengths: Tensor) -> list[Phones]:
        """The phones of each utterance, from the logits (B, T', V)."""
        return [self.path_result(own) for own in ctc_best_path(logits, lengths, blank=BLANK)]

    def path_result(self, path: Sequence[PathToken]) -> Phones:
        """The phones of a best path."""
        frame_sec = self.frame_sec
        return Phones(self._text(path), [] if frame_sec is None else self._segments(path, frame_sec))

    def _text(self, path: Sequence[PathToken]) -> str:
        return self.encoder.decode([token.token for token in path])

    def _segments(self, path: Sequence[PathToken], frame_sec: float) -> list[Segment]:
        """The phones of a path, each up to the next, unless there is a pause."""
        spans = filled([(token.first, token.last) for token in path], round(PAUSE_SEC / frame_sec))
        return [
            Segment(
                round(first * frame_sec, 3),
                round((last + 1) * frame_sec, 3),
                self.encoder.decode([token.token]),
                round(token.probability, 4),
            )
            for (first, last), token in zip(spans, path)
        ]

    def _errors(self, records: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """The counts of phone errors of each utterance, and the errors of features."""
        counts = [
            error_counts(self._folded(reference), self._folded(hypothesis))
            for reference, hypothesis in zip(records["reference"], records["hypothesis"])
        ]
        columns: dict[str, list[Any]] = {
            "phone_errors": [count.errors for count in counts],
            "substitutions": [count.substitutions for count in counts],
            "deletions": [count.deletions for count in counts],
            "insertions": [count.insertions for count in counts],
            "phones": [count.reference_length for count in counts],
        }
        if self.features is not None:
            pairs = zip(records["reference"], records["hypothesis"])
            errors = [self.features.errors(reference.split(), own.split()) for reference, own in pairs]
            columns |= {
                "feature_errors": [own.distance for own in errors],
                "segments": [own.segments for own in errors],
            }
        return columns

    def _folded(self, text: str) -> list[str]:
        return [folded for phone in text.split() if (folded := self.folding.get(phone, phone))]

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """PER over all phones, the mean loss of an utterance, and counts."""
        pairs = zip(records["reference"], records["hypothesis"])
        rate, total = corpus_rate((error_counts(self._folded(r), self._folded(h)) for r, h in pairs), "phone")
        self._log_examples(records)
        utterances = len(records["id"])
        return {
            "per": rate,
            **self._feature_metrics(records),
            **self._boundary_metrics(records),
            "loss": math.fsum(records["loss"]) / utterances,
            "substitutions": total.substitutions,
            "deletions": total.deletions,
            "insertions": total.insertions,
            "phones": total.reference_length,
            "utterances": utterances,
            "too_short": sum(records["too_short"]),
        }

    def _feature_metrics(self, records: Records) -> dict[str, float]:
        """PFER, and the mean over utterances of its numerator."""
        segments = sum(records.get("segments", ()))
        if not segments:
            return {}
        errors = math.fsum(records["feature_errors"])
        return {"pfer": errors / segments, "feature_errors": errors / len(records["id"])}

    def _boundary_metrics(self, records: Records) -> dict[str, float]:
        """The boundaries near those of the references, if there are any."""
        counts = {} if "unaligned" not in records else {"unaligned": sum(records["unaligned"])}
        boundaries = sum(records.get("boundaries", ()))
        if not boundaries:
            return counts
        names = [f"within_{own}ms" for own in TOLERANCES_MS]
        means = {name: math.fsum(records[name]) / boundaries for name in (*names, "boundary_error")}
        return means | {"boundaries": boundaries} | counts


def _boundaries(id: str, reference: str, aligned: Sequence[tuple[float, float, str]] | None) -> dict[str, float]:
    """The number of boundaries of a reference (JSON), those near them in an alignment, and the sum of errors in ms."""
    intervals = json.loads(reference or "[]")
    try:
        errors = boundary_errors(intervals, aligned) if intervals and aligned is not None else np.zeros(0)
    except ValueError as error:
        raise ValueError(f"{id}: the times in the column phones are not of its transcription: {error}") from error
    near = {f"within_{own}ms": within(errors, own) for own in TOLERANCES_MS}
    return {"boundaries": len(errors), **near, "boundary_error": 1000 * float(errors.sum())}
