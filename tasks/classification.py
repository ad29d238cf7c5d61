"""Classification of utterances: one label each, or one in each of several slots.

Notation: B utterances, T samples, K slots, C_k classes of slot k, C their sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks import SEPARATOR
from tasks.base import Mode, Records, StepOutput, Task, check_scores
from tasks.contracts import Labels, SlotLabels
from tasks.metrics import classification as scores
from tasks.metrics import resampling
from tasks.metrics.kinds import Count, Metric, Number, Rate
from tasks.results import Label, LabelsOfSlots, Result

Weights = Mapping[str, float]


class ClassificationTask(Task):
    """Cross-entropy over the classes of each slot; accuracy of all slots together and of each alone.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` -> logits (B, C) and
            lengths (B,), all 1.
        encoder: decodes class indices to labels. With ``slots`` and their ``encoders``, the logits hold the classes
            of one slot after the other.
        class_weights: loss weight of each class in training as {label: weight}, default 1; with K slots, a list of
            K of them.
        label_smoothing: share of the target that is spread over all classes, in training.
        top_k: also measure the share of utterances whose label is among the k highest scores; not with slots.
    """

    metrics = {
        "accuracy": Rate(better="higher", of=("correct", None)),
        "macro_f1": Rate(better="higher", label="macro F1"),
        "uar": Rate(better="higher", label="UAR"),
        "ece": Rate(better="lower", label="ECE"),
        "loss": Number(better="lower", of=("loss", None)),
        "utterances": Count(),
    }
    takes_features = True

    def __init__(
        self,
        model: nn.Module,
        encoder: Labels | SlotLabels,
        class_weights: Weights | Sequence[Weights] | None = None,
        label_smoothing: float = 0.0,
        top_k: Sequence[int] = (),
    ):
        super().__init__(model)
        if isinstance(encoder, SlotLabels):
            self.encoders, self.slots = list(encoder.encoders), list(encoder.slots)
        else:
            self.encoders, self.slots = [encoder], ["label"]
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}: expected 0 or more, and less than 1")
        if any(k < 1 for k in top_k) or (top_k and len(self.slots) > 1):
            raise ValueError(f"top_k is {list(top_k)}: expected numbers from 1, and one label an utterance")
        self.label_smoothing, self.top_k = label_smoothing, list(top_k)
        self.metrics = {**self.metrics, **self._metrics_by_settings()}
        weights = [class_weights] if isinstance(class_weights, Mapping) else class_weights or [{}] * len(self.slots)
        if len(weights) != len(self.slots):
            raise ValueError(f"class_weights are for {len(weights)} labels an utterance, expected {len(self.slots)}")
        for k, (slot_encoder, slot_weights) in enumerate(zip(self.encoders, weights)):
            # from the arguments, not from the checkpoint: a buffer that is not saved, and follows the device
            self.register_buffer(f"class_weights_{k}", _to_tensor(slot_weights, slot_encoder), persistent=False)

    def _metrics_by_settings(self) -> dict[str, Metric]:
        """The declarations of the metrics whose names depend on ``top_k`` and the slots."""
        metrics: dict[str, Metric] = {
            f"top{k}_accuracy": Rate(better="higher", label=f"top-{k} accuracy") for k in self.top_k
        }
        for slot in self.slots if len(self.slots) > 1 else ():
            for name in ("accuracy", "macro_f1", "uar"):
                label = f"{ClassificationTask.metrics[name].heading(name)} {slot}"
                metrics[f"{name}_{slot}"] = Rate(better="higher", label=label)
        return metrics

    def forward(self, mode: str, *, id: list[str], label: Tensor, **batch: Any) -> StepOutput:
        """One step; the loss is the mean over utterances of the summed cross-entropy of their slots.

        Class weights and label smoothing act in training only, so that validation losses can be compared.

        label: int64 (B,), or (B, K); other keys: the model's inputs; the rest is ignored.
        """
        self.check_mode(mode)
        logits, label = self._logits(batch), label.view(len(id), len(self.slots))
        if mode == Mode.TRAIN:
            losses = sum(self._training_loss(k, x, label[:, k]) for k, x in enumerate(logits))
            hits = torch.stack([x.detach().argmax(dim=1) == label[:, k] for k, x in enumerate(logits)]).all(dim=0)
            metrics = {"accuracy": hits.float().mean()}
            return StepOutput(losses.mean(), float(len(id)), {"id": list(id)}, metrics=metrics)
        losses = sum(F.cross_entropy(x, label[:, k], reduction="none") for k, x in enumerate(logits))
        records = {"id": list(id), "reference": self._texts(label), **self._predictions(logits)}
        records["correct"] = _matches(records["reference"], records["hypothesis"])
        records["loss"] = losses.tolist()
        if self.top_k:
            reference_logits = logits[0].gather(1, label)
            not_above = logits[0] <= reference_logits  # false for NaN, which is therefore not a hit
            records["rank"] = (1 + (~not_above).sum(dim=1)).tolist()
        return StepOutput(losses.mean(), float(len(id)), records)

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """Accuracy (all slots of an utterance together), macro F1 and unweighted average recall (of each slot, if
        there are several), top-k accuracies, expected calibration error, the mean loss.

        Raises:
            ValueError: the scores of an utterance are not finite; the message names it.
        """
        scores.require_finite(records["id"], records["confidence"])
        references, hypotheses = records["reference"], records["hypothesis"]
        correct = _matches(references, hypotheses)
        metrics = {"accuracy": scores.accuracy(correct)}
        if len(self.slots) == 1:
            metrics |= _averages_over_labels(references, hypotheses)
        else:
            for k, slot in enumerate(self.slots):
                metrics |= _of_slot(slot, _column(references, k), _column(hypotheses, k))
        for k in self.top_k:
            metrics[f"top{k}_accuracy"] = scores.accuracy([rank <= k for rank in records["rank"]])
        metrics["ece"] = scores.calibration_error(records["confidence"], correct)
        utterances = len(records["id"])
        return metrics | {"loss": math.fsum(records["loss"]) / utterances, "utterances": utterances}

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Every metric but the counts."""
        references, hypotheses = records["reference"], records["hypothesis"]
        correct, confidence = np.array(records["correct"]), np.array(records["confidence"], dtype=np.float64)
        values = super().resampled(mode, records, weights)
        values["ece"] = resampling.calibration_error(weights, confidence, correct, scores.BINS)
        if len(self.slots) == 1:
            values |= resampling.averages_over_labels(weights, references, hypotheses)
        else:
            for k, slot in enumerate(self.slots):
                own = _column(references, k), _column(hypotheses, k)
                values[f"accuracy_{slot}"] = resampling.ratio(weights, np.array(_matches(*own)))
                averages = resampling.averages_over_labels(weights, *own)
                values |= {f"{name}_{slot}": value for name, value in averages.items()}
        for k in self.top_k:
            values[f"top{k}_accuracy"] = resampling.ratio(weights, np.array(records["rank"]) <= k)
        return values

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Result]:
        """The label of each utterance, or those of its slots."""
        logits = self._logits({"wav": wav, "wav_len": wav_len})
        labels = [self._labels(encoder, own) for encoder, own in zip(self.encoders, logits)]
        if len(self.slots) == 1:
            return labels[0]
        return [LabelsOfSlots(dict(zip(self.slots, own))) for own in zip(*labels)]

    @staticmethod
    def _labels(encoder: Labels, logits: Tensor) -> list[Label]:
        names = [encoder.decode(index) for index in range(len(encoder))]
        return [Label.of(dict(zip(names, own))) for own in logits.softmax(dim=-1).tolist()]

    def _logits(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """The logits (B, C_k) of each slot, in float32."""
        logits, _ = self.run_model(batch)
        sizes = [len(encoder) for encoder in self.encoders]
        check_scores(logits, sum(sizes), "an utterance")
        return list(logits.float().split(sizes, dim=-1))

    def _training_loss(self, k: int, logits: Tensor, label: Tensor) -> Tensor:
        weights = getattr(self, f"class_weights_{k}")
        losses = F.cross_entropy(logits, label, reduction="none", label_smoothing=self.label_smoothing)
        return losses if weights is None else losses * weights[label]

    def _predictions(self, logits: list[Tensor]) -> dict[str, list[Any]]:
        """``hypothesis``, and ``confidence``, the product of the probabilities of its labels."""
        best = [x.softmax(dim=-1).max(dim=-1) for x in logits]
        confidence = torch.stack([b.values for b in best]).prod(dim=0)
        return {
            "hypothesis": self._texts(torch.stack([b.indices for b in best], dim=1)),
            "confidence": confidence.tolist(),
        }

    def _texts(self, label: Tensor) -> list[str]:
        rows = label.tolist()
        return [SEPARATOR.join(encoder.decode(index) for encoder, index in zip(self.encoders, row)) for row in rows]


def _matches(references: Sequence[str], hypotheses: Sequence[str]) -> list[bool]:
    return [reference == hypothesis for reference, hypothesis in zip(references, hypotheses)]


def _column(texts: Sequence[str], k: int) -> list[str]:
    """The label of slot ``k`` of each utterance."""
    return [text.split(SEPARATOR)[k] for text in texts]


def _averages_over_labels(references: Sequence[str], hypotheses: Sequence[str]) -> dict[str, float]:
    return {
        "macro_f1": scores.macro_f1(references, hypotheses),
        "uar": scores.unweighted_average_recall(references, hypotheses),
    }


def _of_slot(slot: str, references: list[str], hypotheses: list[str]) -> dict[str, float]:
    metrics = {"accuracy": scores.accuracy(_matches(references, hypotheses))}
    metrics |= _averages_over_labels(references, hypotheses)
    return {f"{name}_{slot}": value for name, value in metrics.items()}


def _to_tensor(weights: Weights, encoder: Labels) -> Tensor | None:
    """The weight of each class of ``encoder``; None if all are 1."""
    if not weights:
        return None
    labels = [encoder.decode(index) for index in range(len(encoder))]
    unknown = sorted(weights.keys() - set(labels))
    if unknown or min(weights.values()) < 0:
        problem = f"{unknown[0]!r} is not a label of the training set" if unknown else "a weight is negative"
        raise ValueError(f"class_weights: {problem}; expected {{label: weight from 0}} with labels among {labels[:10]}")
    return torch.tensor([float(weights.get(label, 1.0)) for label in labels])
