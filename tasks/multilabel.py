"""Multi-label classification: any number of labels an utterance, none included.

Notation: B utterances, C classes, N utterances of a whole data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from tasks import SEPARATOR
from tasks.base import Mode, Records, StepOutput, Task, check_scores
from tasks.contracts import Labels
from tasks.metrics.classification import accuracy, mean_average_precision, require_finite
from tasks.metrics.kinds import Count, Number, Rate
from tasks.metrics.resampling import average_precisions, ratio
from tasks.results import Tags


class MultiLabelTask(Task):
    """Binary cross-entropy of each class.

    The threshold above which a class is predicted is learnt on the validation set and kept in checkpoints; a test
    uses it as it is.

    Args:
        model: as for :class:`tasks.classification.ClassificationTask`.
        encoder: decodes class indices to labels.
    """

    metrics = {
        "map": Rate(better="higher", label="mAP"),
        "micro_f1": Rate(better="higher", label="micro F1"),
        "accuracy": Rate(better="higher"),
        "threshold": Number(),
        "loss": Number(better="lower", of=("loss", None)),
        "utterances": Count(),
    }
    takes_features = True
    learns_in_validation = True

    def __init__(self, model: nn.Module, encoder: Labels):
        super().__init__(model)
        self.encoder = encoder
        self.threshold = 0.5

    def forward(self, mode: str, *, id: list[str], label: Tensor, **batch: Any) -> StepOutput:
        """One step; the loss is the mean over utterances of the mean over classes.

        label: (B, C), 1 for each class of an utterance; other keys: the model's inputs; the rest is ignored.
        """
        self.check_mode(mode)
        logits = self._logits(batch)
        losses = F.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none").mean(dim=1)
        records: dict[str, list[Any]] = {"id": list(id)}
        if mode != Mode.TRAIN:
            records["reference"] = self._texts(label > 0)
            records["probabilities"] = logits.sigmoid().tolist()
            records["hypothesis"] = self._texts(logits.sigmoid() > self.threshold)
            records["loss"] = losses.tolist()
        return StepOutput(losses.mean(), float(len(id)), records)

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """Mean average precision, micro F1 and accuracy (exact sets) at the threshold, the mean loss.

        In mode valid the threshold is first set to the one with the highest micro F1.

        Raises:
            ValueError: the scores of an utterance are not finite; the message names it.
        """
        probabilities = np.array(records["probabilities"], dtype=np.float64)
        require_finite(records["id"], probabilities)
        labels = [self.encoder.decode(index) for index in range(len(self.encoder))]
        label_sets = [set(text.split(SEPARATOR)) for text in records["reference"]]
        references = np.array([[label in label_set for label in labels] for label_set in label_sets])
        if mode == Mode.VALID:
            self.threshold = best_threshold(references, probabilities)
        predictions = probabilities > self.threshold
        utterances = len(records["id"])
        return {
            "map": mean_average_precision(references, probabilities),
            "micro_f1": micro_f1(references, predictions),
            "accuracy": accuracy((references == predictions).all(axis=1).tolist()),
            "threshold": self.threshold,
            "loss": math.fsum(records["loss"]) / utterances,
            "utterances": utterances,
        }

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Micro F1 and accuracy at the threshold, mean average precision, the mean loss."""
        probabilities = np.array(records["probabilities"], dtype=np.float64)
        labels = [self.encoder.decode(index) for index in range(len(self.encoder))]
        label_sets = [set(text.split(SEPARATOR)) for text in records["reference"]]
        references = np.array([[label in label_set for label in labels] for label_set in label_sets])
        predictions = probabilities > self.threshold
        hits = (references & predictions).sum(axis=1)
        values = super().resampled(mode, records, weights)
        values["micro_f1"] = ratio(weights, 2 * hits, references.sum(axis=1) + predictions.sum(axis=1))
        values["accuracy"] = ratio(weights, (references == predictions).all(axis=1))
        values["map"] = average_precisions(weights, references, probabilities)
        return values

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Tags]:
        """The labels of each utterance."""
        names = [self.encoder.decode(index) for index in range(len(self.encoder))]
        probabilities = self._logits({"wav": wav, "wav_len": wav_len}).sigmoid().tolist()
        return [Tags.of(dict(zip(names, own)), self.threshold) for own in probabilities]

    def get_state(self) -> dict[str, Any]:
        """The threshold."""
        return {"threshold": self.threshold}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        self.threshold = float(state["threshold"])

    def _logits(self, batch: Mapping[str, Any]) -> Tensor:
        logits, _ = self.run_model(batch)
        check_scores(logits, len(self.encoder), "an utterance")
        return logits.float()

    def _texts(self, chosen: Tensor) -> list[str]:
        """The labels of each utterance, from bool (B, C)."""
        return [
            SEPARATOR.join(self.encoder.decode(index) for index, is_chosen in enumerate(row) if is_chosen)
            for row in chosen.tolist()
        ]


def micro_f1(references: np.ndarray, predictions: np.ndarray) -> float:
    """F1 over all (utterance, class) pairs, bool (N, C); 0 if both are empty."""
    positives = int(references.sum()) + int(predictions.sum())
    return 2 * int((references & predictions).sum()) / positives if positives else 0.0


def best_threshold(references: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest micro-averaged F1; bool and float (N, C). 0.5 if no utterance has a class."""
    if not references.any():
        return 0.5
    order = np.argsort(-probabilities.ravel(), kind="stable")
    values, hits = probabilities.ravel()[order], np.cumsum(references.ravel()[order])
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # between two different values
    f1 = 2 * hits[ends] / (ends + 1 + hits[-1])
    best = ends[int(f1.argmax())]
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2)
