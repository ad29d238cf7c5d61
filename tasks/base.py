"""What the train and evaluation loops ask of every task."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from tasks.metrics.kinds import Metric


class Mode(str, enum.Enum):
    """What a step is for. Each equals its name as text: ``Mode.TRAIN == "train"``."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"

    __str__ = str.__str__


MODES: tuple[str, ...] = tuple(mode.value for mode in Mode)
INPUTS = ("wav", "wav_len", "hidden_states", "hidden_lens")


@dataclass
class StepOutput:
    """What one step hands to the loop.

    loss: scalar tensor, the mean over ``weight`` units; the loop multiplies it by ``weight`` before
        ``backward`` and divides the summed gradients by the summed weight, so that batches of any size and
        any sharding count each unit once.
    weight: how many units the loss is a mean over: utterances or tokens, the task's choice.
    records: lists with one JSON-able value an utterance, always with ``id``.
    losses: further losses by name, each a mean over the same units, for optimizers that follow one of them
        (``build_optimizer.optimizers.<name>.optim_loss``).
    """

    loss: Tensor
    weight: float
    records: dict[str, list[Any]] = field(default_factory=dict)
    losses: dict[str, Tensor] = field(default_factory=dict)


class Task(nn.Module):
    """One step of a problem, its metrics and its predictions; ``self.model`` is what is trained.

    A subclass writes ``forward``, ``reduction`` and ``predict``.
    """

    metrics: Mapping[str, Metric] = {}
    """The declaration of each metric that ``reduction`` returns. An undeclared metric is shown as a plain number.

    Names that depend on a task's settings are declared by the instance: ``self.metrics = {**self.metrics, ...}``.
    """
    takes_features = False
    """Whether ``forward`` passes ``hidden_states`` and ``hidden_lens`` on to the model where a batch has them."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, mode: str, **batch: Any) -> StepOutput:
        """One step on a collated batch. ``train`` must not wait for the device: no ``.item()``."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward(mode, **batch)")

    def reduction(self, mode: str, records: Mapping[str, list[Any]]) -> dict[str, float]:
        """The metrics over all utterances at once.

        ``records`` joins those of every batch and rank, in any order; the result must not depend on that
        order (sum integers, or floats by ``math.fsum``).
        """
        raise NotImplementedError(f"{type(self).__name__} does not define reduction(mode, records)")

    def predict(self, wav: Tensor, wav_len: Tensor) -> list[Any]:
        """One prediction an utterance. wav: (B, T) at 16 kHz, zero-padded; wav_len: (B,) samples."""
        raise NotImplementedError(f"{type(self).__name__} does not define predict(wav, wav_len)")

    def get_state(self) -> dict[str, Any]:
        """What a checkpoint must keep beyond weights and buffers: JSON-able, or tensors."""
        return {}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take back what ``get_state`` gave."""
        if state:
            raise ValueError(
                f"{type(self).__name__} keeps no state beyond its weights, but was given {sorted(state)}: "
                "the checkpoint was written by another task"
            )

    def run_model(self, batch: Mapping[str, Any]) -> Any:
        """What the model gives for a batch's waveforms or hidden states."""
        return self.model(**{key: batch[key] for key in INPUTS if batch.get(key) is not None})

    def check_mode(self, mode: str) -> None:
        """Raise ValueError unless mode is train, valid or test."""
        if mode not in MODES:
            raise ValueError(f"unknown mode {mode!r}: expected one of {', '.join(MODES)}")
