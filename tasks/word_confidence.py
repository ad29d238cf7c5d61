"""The confidence of recognised words: calibrated in validations, and its error measured in tests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tasks.base import Records
from tasks.metrics import resampling
from tasks.metrics.classification import BINS, calibration_error
from tasks.metrics.confidence import ConfidenceCalibration, learn_confidence, right_words

DIGITS = 4
STATE = ("confidence", "search_confidence")
"""The names of the calibrations of the best path and of a search in a task's state."""
METRICS = (("word_ece", "confidence"), ("word_ece_uncalibrated", "raw_confidence"))
"""The calibration errors, the second only if there is a calibration, and their keys in the column ``words``."""


class WordConfidence:
    """Calibrations of the words of the best path, and of those of a search, of which other words are right.

    Records have the columns ``words``, a JSON list of objects with ``word``, ``confidence`` and ``raw_confidence``,
    and ``right_words``, a JSON list of 0 and 1.
    """

    def __init__(self) -> None:
        self.calibrations: dict[str, ConfidenceCalibration | None] = dict.fromkeys(STATE)

    def knows(self, is_search: bool) -> bool:
        """True if there is a calibration."""
        return self.calibrations[STATE[is_search]] is not None

    def of(self, raw: float, is_search: bool) -> float:
        """The confidence of a word, calibrated if a validation has learnt how."""
        calibration = self.calibrations[STATE[is_search]]
        return round(raw if calibration is None else float(calibration([raw])[0]), DIGITS)

    def learn(self, records: Records, is_search: bool) -> None:
        """Learn the calibration from a validation."""
        words, right = _rated(records)
        if words:
            confidences = [word["raw_confidence"] for word in words]
            self.calibrations[STATE[is_search]] = learn_confidence(confidences, right)

    def errors(self, records: Records, is_search: bool) -> dict[str, float]:
        """The calibration errors of a test; none without words."""
        words, right = _rated(records)
        names = METRICS[: 1 + self.knows(is_search)] if words else ()
        return {name: calibration_error([word[key] for word in words], right) for name, key in names}

    def resampled(self, records: Records, weights: np.ndarray, is_search: bool) -> dict[str, np.ndarray]:
        """The calibration errors over many weightings of the utterances (R, N): (R,) by metric."""
        words, right = _rated(records)
        counts = [len(json.loads(own)) for own in records.get("words", ())]
        own_weights = weights[:, np.repeat(np.arange(len(counts)), counts)]
        return {
            name: resampling.calibration_error(own_weights, np.array([word[key] for word in words]), right, BINS)
            for name, key in (METRICS[: 1 + self.knows(is_search)] if words else ())
        }

    def get_state(self) -> dict[str, list[float]]:
        """The calibrations that are known."""
        return {name: list(own) for name, own in self.calibrations.items() if own is not None}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self.calibrations = {name: ConfidenceCalibration(*state[name]) if name in state else None for name in STATE}


def right_column(records: Records) -> list[str]:
    """The column ``right_words``: for each utterance, whether each of its words is right."""
    words = ([row["word"] for row in json.loads(own)] for own in records["words"])
    pairs = zip(records["reference"], words)
    return [json.dumps([int(is_right) for is_right in right_words(*pair)]) for pair in pairs]


def _rated(records: Records) -> tuple[list[dict[str, Any]], list[bool]]:
    """All words of the records, and whether each is right."""
    words = [word for own in records.get("words", ()) for word in json.loads(own)]
    return words, [bool(is_right) for own in records.get("right_words", ()) for is_right in json.loads(own)]
