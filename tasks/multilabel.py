"""Any number of labels an utterance, none included: tags of sounds.

Notation: B utterances, C classes, N utterances of a whole data set.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.base import StepOutput, Task
from tasks.classification import SEPARATOR, LabelEncoder
from tasks.metrics.classification import accuracy, mean_average_precision, require_finite
from tasks.metrics.kinds import Count, Number, Rate


class MultiLabelTask(Task):
    """Binary cross-entropy of each class; the threshold above which a class is said to be there is learnt on the
    validation set, kept in checkpoints, and used as it is in testing.

    Args:
        model: as :class:`tasks.classification.ClassificationTask`'s.
        encoder: turns class indices into labels.
    """

    metrics = {
        "map": Rate(better="higher", label="mAP"),
        "micro_f1": Rate(better="higher", label="micro F1"),
        "accuracy": Rate(better="higher"),
        "threshold": Number(),
        "loss": Number(better="lower"),
        "utterances": Count(),
    }
    takes_features = True

    def __init__(self, model: nn.Module, encoder: LabelEncoder):
        super().__init__(model)
        self.encoder = encoder
        self.threshold = 0.5

    def forward(self, mode: str, *, id: list[str], label: Tensor, **batch: Any) -> StepOutput:
        """One step; the loss is the mean over utterances of the mean over classes.

        label: (B, C), 1 where an utterance has the class; other keys: the model's inputs, the rest is not used.
        """
        self.check_mode(mode)
        logits = self._logits(batch)
        losses = F.binary_cross_entropy_with_logits(logits, label.to(logits.dtype), reduction="none").mean(dim=1)
        records: dict[str, list[Any]] = {"id": list(id)}
        if mode != "train":
            records["reference"] = self._texts(label > 0)
            records["probabilities"] = logits.sigmoid().tolist()
            records["hypothesis"] = self._texts(logits.sigmoid() > self.threshold)
            records["loss"] = losses.tolist()
        return StepOutput(losses.mean(), float(len(id)), records)

    def reduction(self, mode: str, records: Mapping[str, list[Any]]) -> dict[str, float]:
        """``map`` (mean average precision), ``micro_f1`` and ``accuracy`` (exact sets) at ``threshold``, ``loss``,
        ``utterances``. In mode valid the threshold is first set to the one with the highest ``micro_f1``.
        A ValueError names an utterance whose scores are not finite."""
        self.check_mode(mode)
        if mode == "train":
            return {}
        utterances = len(records["id"])
        if not utterances:
            raise ValueError(f"no utterances to score in mode {mode}: the data set or its sampler is empty")
        probabilities = np.array(records["probabilities"], dtype=np.float64)
        require_finite(records["id"], probabilities)
        labels = [self.encoder.decode(index) for index in range(len(self.encoder))]
        sets = [set(text.split(SEPARATOR)) for text in records["reference"]]
        truth = np.array([[label in one for label in labels] for one in sets])
        if mode == "valid":
            self.threshold = best_threshold(truth, probabilities)
        said = probabilities > self.threshold
        return {
            "map": mean_average_precision(truth, probabilities),
            "micro_f1": micro_f1(truth, said),
            "accuracy": accuracy((truth == said).all(axis=1).tolist()),
            "threshold": self.threshold,
            "loss": math.fsum(records["loss"]) / utterances,
            "utterances": utterances,
        }

    @torch.no_grad()
    def predict(self, wav: Tensor, wav_len: Tensor) -> list[str]:
        """The labels of each utterance as "a ; b". wav: (B, T), wav_len: (B,). Needs ``task.eval()``."""
        if self.training:
            raise RuntimeError("the task is in training mode, where dropout changes its labels: call task.eval()")
        return self._texts(self._logits({"wav": wav, "wav_len": wav_len}).sigmoid() > self.threshold)

    def get_state(self) -> dict[str, Any]:
        """The threshold."""
        return {"threshold": self.threshold}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what :meth:`get_state` gave."""
        self.threshold = float(state["threshold"])

    def _logits(self, batch: Mapping[str, Any]) -> Tensor:
        logits, _ = self.run_model(batch)
        if logits.shape[-1] != len(self.encoder):
            raise ValueError(
                f"the model gives {logits.shape[-1]} scores an utterance but the encoder has {len(self.encoder)} "
                "classes: expected the same number, build the model with this encoder's size"
            )
        return logits.float()

    def _texts(self, label: Tensor) -> list[str]:
        return [
            SEPARATOR.join(self.encoder.decode(index) for index, there in enumerate(row) if there)
            for row in label.tolist()
        ]


def micro_f1(truth: np.ndarray, said: np.ndarray) -> float:
    """F1 over all (utterance, class) pairs, bool (N, C); 0 where nothing is there and nothing is said."""
    claimed = int(truth.sum()) + int(said.sum())
    return 2 * int((truth & said).sum()) / claimed if claimed else 0.0


def best_threshold(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """The threshold with the highest micro-averaged F1; bool and float (N, C). 0.5 where no class is ever there."""
    if not truth.any():
        return 0.5
    order = np.argsort(-probabilities.ravel(), kind="stable")
    values, hits = probabilities.ravel()[order], np.cumsum(truth.ravel()[order])
    ends = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # between two different values
    f1 = 2 * hits[ends] / (ends + 1 + hits[-1])
    best = ends[int(f1.argmax())]
    below = values[best + 1] if best + 1 < len(values) else 0.0
    return float((values[best] + below) / 2)
