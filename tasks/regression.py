"""Regression: a number for each utterance, such as a quality or an age.

Notation: B utterances, N utterances of a whole data set, R draws of the bootstrap.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from tasks.base import Mode, Records, StepOutput, Task
from tasks.contracts import Numbers
from tasks.metrics.classification import require_finite
from tasks.metrics.correlation import CORRELATIONS
from tasks.metrics.kinds import Count, Metric, Number
from tasks.metrics.regression import all_metrics, constant_columns, of_systems, resampled_systems
from tasks.results import Estimate

log = logging.getLogger(__name__)

LOSSES = ("mse", "l1", "huber")


def _metrics(prefix: str = "", level: str = "") -> dict[str, Metric]:
    """The declarations of the metrics of utterances, or of systems."""
    errors = {"mse": "squared_error", "mae": "absolute_error"}
    metrics: dict[str, Metric] = {
        f"{prefix}{name}": Number(better="lower", label=f"{level}{name.upper()}", of=None if prefix else (column, None))
        for name, column in errors.items()
    }
    for name in CORRELATIONS:
        metrics[f"{prefix}{name}"] = Number(better="higher", label=f"{level}{name.capitalize()}")
    return metrics


class RegressionTask(Task):
    """Trains a model to predict a number; measures errors and correlations.

    If batches have the ``system`` that made each utterance, such as a synthesiser or a codec, the means of the systems
    are measured as well.

    Args:
        model: ``model(wav=..., wav_len=...)`` or ``model(hidden_states=..., hidden_lens=...)`` -> standardised numbers
            (B, 1) and lengths (B,), all 1.
        encoder: from standardised numbers to those of the data.
        loss: mse, l1 or huber, of standardised numbers.
        huber_delta: the error from which huber grows linearly, in standard deviations.
    """

    predicts = "number"

    metrics = {
        **_metrics(),
        **_metrics("system_", "system "),
        "loss": Number(better="lower", of=("loss", None)),
        "utterances": Count(),
        "systems": Count(),
    }
    takes_features = True

    def __init__(self, model: nn.Module, encoder: Numbers, loss: str = "mse", huber_delta: float = 1.0):
        super().__init__(model)
        if loss not in LOSSES:
            raise ValueError(f"loss is {loss!r}: expected one of {', '.join(LOSSES)}")
        self.encoder, self.loss, self.huber_delta = encoder, loss, huber_delta

    def forward(
        self,
        mode: str,
        *,
        id: list[str],
        label: Tensor,
        value: list[str],
        system: list[str] | None = None,
        **batch: Any,
    ) -> StepOutput:
        """One step; the loss is the mean over utterances.

        label: float (B,), standardised; value: the same numbers as text, in their own unit; system: of each utterance;
        other keys: the model's inputs; the rest is ignored.
        """
        self.check_mode(mode)
        outputs = self._outputs(batch)
        losses = self._losses(outputs, label.to(outputs.dtype))
        records: dict[str, list[Any]] = {"id": list(id)}
        if mode != Mode.TRAIN:
            records["reference"] = [float(text) for text in value]
            records["hypothesis"] = self._numbers(outputs)
            gaps = [h - r for r, h in zip(records["reference"], records["hypothesis"])]
            records |= {"squared_error": [gap * gap for gap in gaps], "absolute_error": [abs(gap) for gap in gaps]}
            records["loss"] = losses.tolist()
            if system is not None:
                records["system"] = list(system)
        return StepOutput(losses.mean(), float(len(id)), records)

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """Mean squared and absolute error, Pearson, Spearman and Kendall (tau-b) of utterances and of systems, the
        mean loss. A correlation with a constant is 0, and a warning is logged.

        Raises:
            ValueError: the prediction of an utterance is not finite; the message names it.
        """
        references, hypotheses = records["reference"], records["hypothesis"]
        require_finite(records["id"], hypotheses)
        systems, utterances = records.get("system"), len(records["id"])
        metrics = all_metrics(references, hypotheses, systems)
        means = None if systems is None else of_systems(systems, references, hypotheses)
        for unit, pairs in (("utterances", (references, hypotheses)), ("systems", means)):
            constant = constant_columns(*pairs) if pairs else []
            if constant:
                log.warning(
                    "%s, %d %s: %s, so that their correlations are undefined; they are given as 0",
                    *(mode, len(pairs[0]), unit, " and ".join(constant)),
                )
        metrics |= {"loss": math.fsum(records["loss"]) / utterances, "utterances": utterances}
        return metrics if systems is None else metrics | {"systems": len(set(systems))}

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Every metric but the counts."""
        columns = [np.array(records[name], dtype=np.float64) for name in ("reference", "hypothesis")]
        values = super().resampled(mode, records, weights)
        values |= {name: correlation(weights, *columns) for name, correlation in CORRELATIONS.items()}
        if "system" in records:
            values |= resampled_systems(weights, records["system"], *columns)
        return values

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Estimate]:
        """The number of each utterance."""
        return [Estimate(float(number)) for number in self._numbers(self._outputs({"wav": wav, "wav_len": wav_len}))]

    def _outputs(self, batch: Mapping[str, Any]) -> Tensor:
        """The model's standardised numbers (B,), in float32."""
        outputs, _ = self.run_model(batch)
        if outputs.ndim != 2 or outputs.shape[1] != 1:
            raise ValueError(f"the model gives scores of the shape {tuple(outputs.shape)}: expected one an utterance")
        return outputs[:, 0].float()

    def _losses(self, outputs: Tensor, label: Tensor) -> Tensor:
        """The loss of each utterance: (B,)."""
        if self.loss == "mse":
            return F.mse_loss(outputs, label, reduction="none")
        if self.loss == "l1":
            return F.l1_loss(outputs, label, reduction="none")
        return F.huber_loss(outputs, label, reduction="none", delta=self.huber_delta)

    def _numbers(self, outputs: Tensor) -> list[float]:
        """The numbers in the unit of the data, with the seven digits that float32 has."""
        return [float(f"{self.encoder.decode(output):.7g}") for output in outputs.tolist()]
