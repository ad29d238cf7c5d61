"""One label an utterance, or several at once: who speaks, which word, which intent.

Notation: B utterances, T samples, K labels an utterance, C_k classes of label k, C their sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.base import StepOutput, Task
from tasks.metrics import classification as scores
from tasks.metrics.kinds import Count, Metric, Number, Rate

SEPARATOR = " ; "  # between the labels of one utterance, as in the column ``labels``


class LabelEncoder(Protocol):
    """Labels to indices from 0 and back. One of several labels an utterance has ``encoders``, and their names as
    ``slots``."""

    def encode(self, label: str) -> int: ...

    def decode(self, index: int) -> str: ...

    def __len__(self) -> int: ...


class ClassificationTask(Task):
    """Cross-entropy over the classes of each label; labels of one utterance are judged jointly and each for itself.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` -> scores (B, C), ones.
        encoder: turns class indices into labels; where it has ``encoders``, one for each of K labels
            called ``slots``, the scores are theirs, one after the other.
        class_weights: what an utterance of each label counts in training, as {label: weight}, a label that is not
            named 1; of K labels a list of K of them. :func:`tasks.metrics.classification.balanced_weights` makes them.
        label_smoothing: part of the target that is spread over all classes, in training.
        top_k: for one label: also the fraction of utterances whose label is among the k highest scores.
    """

    metrics = {
        "accuracy": Rate(better="higher"),
        "macro_f1": Rate(better="higher", label="macro F1"),
        "uar": Rate(better="higher", label="UAR"),
        "ece": Rate(better="lower", label="ECE"),
        "loss": Number(better="lower"),
        "utterances": Count(),
    }
    takes_features = True

    def __init__(
        self,
        model: nn.Module,
        encoder: LabelEncoder,
        class_weights: Mapping[str, float] | Sequence[Mapping[str, float]] | None = None,
        label_smoothing: float = 0.0,
        top_k: Sequence[int] = (),
    ):
        super().__init__(model)
        self.encoders: list[LabelEncoder] = list(getattr(encoder, "encoders", [encoder]))
        self.slots: list[str] = list(getattr(encoder, "slots", ["label"]))
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"label_smoothing is {label_smoothing}: expected 0 or more, and less than 1")
        if any(k < 1 for k in top_k) or (top_k and len(self.slots) > 1):
            raise ValueError(f"top_k is {list(top_k)}: expected numbers from 1, and one label an utterance")
        self.label_smoothing, self.top_k = label_smoothing, list(top_k)
        self.metrics = {**self.metrics, **self._metrics_by_settings()}
        given = [class_weights] if isinstance(class_weights, Mapping) else class_weights or [{}] * len(self.encoders)
        if len(given) != len(self.slots):
            raise ValueError(f"class_weights are for {len(given)} labels an utterance, expected {len(self.slots)}")
        for k, (one, weights) in enumerate(zip(self.encoders, given)):
            # from the arguments, not from the checkpoint: a buffer that is not saved, and follows the device
            self.register_buffer(f"class_weights_{k}", _weights(one, weights), persistent=False)

    def forward(self, mode: str, *, id: list[str], label: Tensor, **batch: Any) -> StepOutput:
        """One step; the loss is the mean over utterances of the summed cross-entropy of their labels.

        Class weights and label smoothing act in training only, so that validation losses can be compared.

        label: int64 (B,), or (B, K); other keys: the model's inputs, the rest is not used.
        """
        self.check_mode(mode)
        logits, label = self._logits(batch), label.view(len(id), len(self.slots))
        if mode == "train":
            losses = sum(self._training_loss(k, x, label[:, k]) for k, x in enumerate(logits))
            return StepOutput(losses.mean(), float(len(id)), {"id": list(id)})
        losses = sum(F.cross_entropy(x, label[:, k], reduction="none") for k, x in enumerate(logits))
        records = {"id": list(id), "reference": self._texts(label), **self._predictions(logits)}
        records["loss"] = losses.tolist()
        if self.top_k:
            own = logits[0].gather(1, label)  # NaN is no hit: it is not below anything
            records["rank"] = (1 + (~(logits[0] <= own)).sum(dim=1)).tolist()
        return StepOutput(losses.mean(), float(len(id)), records)

    def reduction(self, mode: str, records: Mapping[str, list[Any]]) -> dict[str, float]:
        """``accuracy`` (of all labels of an utterance together), ``macro_f1``, ``uar`` (unweighted average recall),
        ``top<k>_accuracy``, ``ece`` (expected calibration error), ``loss``, ``utterances``; of several labels
        ``accuracy_<slot>``, ``macro_f1_<slot>`` and ``uar_<slot>`` of each instead of the plain two.

        Training records hold no predictions and give no metrics. A ValueError names an utterance whose scores are not
        finite.
        """
        self.check_mode(mode)
        if mode == "train":
            return {}
        utterances = len(records["id"])
        if not utterances:
            raise ValueError(f"no utterances to score in mode {mode}: the data set or its sampler is empty")
        scores.require_finite(records["id"], records["confidence"])
        pairs = [records["reference"], records["hypothesis"]]
        correct = [a == b for a, b in zip(*pairs)]
        found = {"accuracy": scores.accuracy(correct)}
        if len(self.slots) == 1:
            found |= {"macro_f1": scores.macro_f1(*pairs), "uar": scores.unweighted_average_recall(*pairs)}
        else:
            for k, slot in enumerate(self.slots):
                found |= _of_slot(slot, *([text.split(SEPARATOR)[k] for text in texts] for texts in pairs))
        found |= {f"top{k}_accuracy": scores.accuracy([r <= k for r in records["rank"]]) for k in self.top_k}
        found["ece"] = scores.calibration_error(records["confidence"], correct)
        return found | {"loss": math.fsum(records["loss"]) / utterances, "utterances": utterances}

    @torch.no_grad()
    def predict(self, wav: Tensor, wav_len: Tensor) -> list[str]:
        """The label of each utterance, several as "a ; b". wav: (B, T), wav_len: (B,). Needs ``task.eval()``."""
        if self.training:
            raise RuntimeError("the task is in training mode, where dropout changes its labels: call task.eval()")
        return self._predictions(self._logits({"wav": wav, "wav_len": wav_len}))["hypothesis"]

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

    def _logits(self, batch: Mapping[str, Any]) -> list[Tensor]:
        """Scores (B, C_k) of each label, in float32."""
        logits, _ = self.run_model(batch)
        sizes = [len(encoder) for encoder in self.encoders]
        if logits.shape[-1] != sum(sizes):
            raise ValueError(
                f"the model gives {logits.shape[-1]} scores an utterance but the encoder has {sum(sizes)} classes: "
                "expected the same number, build the model with this encoder's size"
            )
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


def _of_slot(slot: str, references: list[str], hypotheses: list[str]) -> dict[str, float]:
    correct = [a == b for a, b in zip(references, hypotheses)]
    return {
        f"accuracy_{slot}": scores.accuracy(correct),
        f"macro_f1_{slot}": scores.macro_f1(references, hypotheses),
        f"uar_{slot}": scores.unweighted_average_recall(references, hypotheses),
    }


def _weights(encoder: LabelEncoder, weights: Mapping[str, float]) -> Tensor | None:
    """The weight of each class of ``encoder``; None where all are one."""
    if not weights:
        return None
    labels = [encoder.decode(index) for index in range(len(encoder))]
    unknown = sorted(weights.keys() - set(labels))
    if unknown or min(weights.values()) < 0:
        wrong = f"{unknown[0]!r} is no label of the training set" if unknown else "a weight is negative"
        raise ValueError(f"class_weights: {wrong}; expected {{label: weight from 0}} with labels among {labels[:10]}")
    return torch.tensor([float(weights.get(label, 1.0)) for label in labels])
