"""Task: one train, validation or test step, its metrics and its predictions."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from nn.streaming import CannotStream
from tasks.metrics.kinds import Metric
from tasks.metrics.resampling import ratio
from tasks.posteriors import FirstIds

Records = Mapping[str, list[Any]]


class Mode(str, enum.Enum):
    """The purpose of a step. Each mode equals its name as text: ``Mode.TRAIN == "train"``."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"

    __str__ = str.__str__


MODES: tuple[str, ...] = tuple(mode.value for mode in Mode)
INPUTS = ("wav", "wav_len", "hidden_states", "hidden_lens")


@dataclass
class StepOutput:
    """The result of one step.

    loss: scalar tensor, the mean over ``weight`` units. The loop multiplies it by ``weight`` before ``backward`` and
        divides the summed gradients by the summed weight, so that every unit counts once, whatever the batches and
        the ranks.
    weight: the number of units that the loss is a mean over: utterances or tokens, the task's choice.
    records: lists with one JSON-able value an utterance, always with ``id``.
    losses: further losses by name, each a mean over the same units, for optimizers that follow one of them
        (``build_optimizer.optimizers.<name>.optim_loss``).
    metrics: what else a training logs, by name, each a mean over the same units, such as accuracy.
    """

    loss: Tensor
    weight: float
    records: dict[str, list[Any]] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)
    metrics: dict[str, Tensor] = field(default_factory=dict)


class ResultStream(Protocol):
    """One recording on its way through a task and its model."""

    def __call__(self, wav: Tensor, is_last: bool) -> Any:
        """The result of all samples so far, of which these (1, T) are the next; T may be 0."""
        ...


class Task(nn.Module):
    """One step of a problem, its metrics and its predictions; ``self.model`` is what is trained.

    A subclass writes ``forward``, ``measure`` and ``infer``. ``reduction`` and ``predict`` call the last two after
    their checks; a subclass may override them instead.
    """

    metrics: Mapping[str, Metric] = {}
    """The declaration of each metric that ``reduction`` returns. An undeclared metric is shown as a plain number.

    Names that depend on a task's settings are declared by the instance: ``self.metrics = {**self.metrics, ...}``.
    """
    predicts: Literal["text", "label", "number", "turns", "trials"] = "label"
    """The kind of predictions, from which the report chooses what it draws.

    text: ``reference`` and ``hypothesis`` have words, which are aligned. label: they are compared as a whole, counted
    as confusions, and drawn by ``confidence`` if there is one; the worst have the highest ``loss``. number: they are
    seldom equal; the worst have the highest ``loss``. turns: they are JSON lists of start, end, and speaker or event,
    drawn as timelines. trials: ``predictions.csv`` has ``id1, id2, label, score``
    and perhaps ``llr``; ``det.json`` beside it is drawn as a DET curve.
    """
    paired = False
    """True if metrics are of pairs of utterances (trials), which groups and weights then select on both sides."""
    learns_in_validation = False
    """True if a validation sets something that tests use, such as a threshold."""
    needs_validation = False
    """True if tests use something that a validation sets, and none has set it yet; the task's state is then JSON."""
    records_follow_model = False
    """True if records do not depend on the task's settings, so that other settings can be measured on the same ones."""
    takes_features = False
    """True if ``forward`` passes ``hidden_states`` and ``hidden_lens`` on to the model when a batch has them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model
        self.pictured: FirstIds | None = None
        """The utterances of a validation whose records have a column ``posteriors``, if the task can picture them."""

    # ---- a step ----

    def forward(self, mode: str, **batch: Any) -> StepOutput:
        """One step on a collated batch. ``train`` must not wait for the device: no ``.item()``."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(mode, **batch)")

    def run_model(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The model's output and lengths for the waveforms or hidden states of a batch."""
        return self.model(**{key: batch[key] for key in INPUTS if batch.get(key) is not None})

    def check_mode(self, mode: str) -> None:
        """Raise ValueError unless mode is train, valid or test."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(MODES)}")

    def validate_as_tested(self) -> None:
        """Do in validations what tests do, from now on: they belong to a test, and to no training."""

    # ---- metrics ----

    def reduction(self, mode: str, records: Records) -> dict[str, float]:
        """The metrics over all utterances at once; none for training records, which hold no predictions.

        ``records`` joins those of every batch and rank, in any order.

        Raises:
            ValueError: there are no utterances.
        """
        self.check_mode(mode)
        if mode == Mode.TRAIN:
            return {}
        if not records["id"]:
            raise ValueError(f"no utterances to score in mode {mode}: the data set or its sampler is empty")
        return self.measure(mode, records)

    def measure(self, mode: str, records: Records) -> dict[str, float]:
        """The metrics over at least one utterance, in mode valid or test.

        The result must not depend on the order of the records: sum integers, or floats by ``math.fsum``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define measure(mode, records)")

    def resampled(
        self, mode: str, records: Records, weights: np.ndarray, test_weights: np.ndarray | None = None
    ) -> dict[str, np.ndarray]:
        """Metrics over many weightings of the same utterances at once: for their intervals, and for groups.

        By default those that are declared with ``of``, if the records have its columns. Override it for others; none
        may change the task's state.

        Args:
            weights: how often each utterance counts, float64 (R, N).
            test_weights: of trials, the weights of the test side; None: ``weights``.

        Returns:
            (R,) by metric.
        """
        values = {}
        for name, metric in self.metrics.items():
            if metric.of is not None and {*metric.of} - {None} <= records.keys():
                top, bottom = metric.of
                values[name] = ratio(weights, records[top], None if bottom is None else records[bottom])
        return values

    def units(self, mode: str, records: Records) -> list[str] | None:
        """The unit that each utterance is drawn with, such as its speaker; None: the metadata's speaker, or itself."""
        return None

    def width(self, mode: str) -> int:
        """The number of trials that :meth:`resampled` spreads each row of weights over; 0: its utterances."""
        return 0

    # ---- new audio ----

    def predict(self, wav: Tensor, wav_len: Tensor) -> list[Any]:
        """One prediction an utterance.

        Args:
            wav: (B, T) at 16 kHz, zero-padded. wav_len: (B,) samples.

        Raises:
            RuntimeError: the task is in training mode.
        """
        if self.training:
            raise RuntimeError("the task is in training mode, in which dropout acts: call task.eval() first")
        with torch.no_grad():
            return self.infer(wav, wav_len)

    def infer(self, wav: Tensor, wav_len: Tensor) -> list[Any]:
        """One prediction an utterance, in evaluation mode and without gradients."""
        raise NotImplementedError(f"{type(self).__name__} does not define infer(wav, wav_len)")

    def stream(self) -> ResultStream:
        """A recording that arrives in chunks.

        Raises:
            CannotStream: the task, or its model, needs the whole recording.
        """
        raise CannotStream(f"{type(self).__name__} takes a recording as a whole")

    # ---- state ----

    def get_state(self) -> dict[str, Any]:
        """The state that a checkpoint keeps beyond weights and buffers: JSON-able values or tensors."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`get_state` returned."""
        if state:
            raise ValueError(
                f"{type(self).__name__} has no state beyond its weights, but got {sorted(state)}: the checkpoint was"
                " written by another task"
            )


def check_scores(logits: Tensor, classes: int, unit: str) -> None:
    """Raise ValueError unless ``logits`` hold a score of each class for each ``unit``: "a frame", "an utterance"."""
    if logits.shape[-1] != classes:
        raise ValueError(
            f"the model gives {logits.shape[-1]} scores {unit} but the encoder has {classes} classes: build the model"
            " with the size of this encoder"
        )
