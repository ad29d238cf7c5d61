"""Protocols: what a task needs of a model and an encoder, and what else a model may offer to the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

# ---- what the scores of a model stand for ----


class Vocabulary(Protocol):
    """The symbols of a text by index; index 0 is the blank and the padding."""

    def decode(self, ids: list[int]) -> str: ...

    def __len__(self) -> int: ...


class Labels(Protocol):
    """The labels of a classifier by index."""

    def decode(self, index: int) -> str: ...

    def __len__(self) -> int: ...


@runtime_checkable
class SlotLabels(Protocol):
    """Several labels an utterance: the labels of each slot."""

    slots: Sequence[str]
    encoders: Sequence[Labels]

    def __len__(self) -> int: ...


class Numbers(Protocol):
    """Numbers of the data from the standardised ones of a model."""

    def decode(self, number: float) -> float: ...


class SpeakerActivities(Protocol):
    """The meaning of the outputs of a model of speaker activities."""

    num_speakers: int
    at_once: int
    classes: Sequence[Sequence[int]] | None

    def __len__(self) -> int: ...


# ---- what a model may offer ----


class Upstream(Protocol):
    """A module that turns waveforms into L hidden states; its lengths are known without a forward pass."""

    num_layers: int
    hidden_sizes: Sequence[int]
    downsample_rates: Sequence[int]
    training: bool

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]: ...

    def __call__(self, wav: Tensor, wav_len: Tensor) -> tuple[list[Tensor], list[Tensor]]: ...


class LayeredUpstream(Protocol):
    """An upstream that tells which of its layers a parameter belongs to; 0 is what comes before the first."""

    layers: Sequence[nn.Module]

    def layer_of(self, name: str) -> int: ...


class UpstreamModel(Protocol):
    """A model around an upstream. If ``upstream_trainable`` is false, the upstream's features may be cached and its
    weights are referred to in checkpoints, not copied.
    """

    upstream: Upstream
    upstream_trainable: bool | list[int | str]


class TrainableModel(Protocol):
    """A model that knows its parameters that are trained at some step, though perhaps not at this one."""

    @property
    def trained(self) -> list[nn.Parameter]: ...


class StepwiseModel(Protocol):
    """A model whose behaviour depends on the number of the step, 0 for the first."""

    def set_step(self, step: int) -> None: ...


class EmbeddingModel(Protocol):
    """A model whose output is one embedding an utterance."""

    embedding_size: int
