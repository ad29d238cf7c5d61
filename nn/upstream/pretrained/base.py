"""The base of pretrained encoders: input, lengths, layers by number, paths of the modules to fine-tune.

Notation: B: batch, T: samples, T': frames, H: features, N: transformer layers.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import zero_padding
from nn.upstream.pretrained.masked_norms import normalise_wav


class PretrainedEncoder(nn.Module):
    """A pretrained encoder as an upstream: N + 1 states, the transformer's input and the output of each layer.

    State i is the output of layer i, counted from 1. The last state is the encoder's own output, after its final layer
    norm if it has one. In any batch, an utterance has the states that the source library gives for it alone. An
    utterance too short for one frame has none.

    Subclasses set the attributes below and implement :meth:`states` and :meth:`frame_lengths`.
    """

    num_layers: int
    hidden_sizes: list[int]
    downsample_rates: list[int]
    minimum: int = 1  # fewest samples that the model accepts
    normalise: float | None = None  # epsilon in the variance of the waveform; None: not normalised
    layers_path: str  # name of the module that holds the transformer's layers
    after_layers: tuple[str, ...] = ()  # names of the modules after them
    feature_encoder_path: str | None = None  # name of the convolutions, which fine-tuning may freeze
    projection_path: str | None = None  # name of the module whose output fine-tuning masks
    activation_checkpointing = False
    frames: Tensor  # (B,) of the current batch, at least 1
    padded: bool  # True if an utterance of the current batch is shorter than the batch

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        """The hidden states of a batch whose padding is zero.

        Args:
            wav: (B, T), at least ``minimum`` samples.
            wav_len: (B,) int64, at most T.
            frames: (B,) int64, :meth:`frame_lengths` of ``wav_len``, at least 1.
        """
        raise NotImplementedError

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        """Frames of utterances of ``wav_len`` (B,) samples."""
        raise NotImplementedError

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]:
        """The lengths of all states without a forward pass: ``num_layers`` int64 tensors (B,)."""
        return [self.frame_lengths(wav_len)] * self.num_layers

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """States of a padded batch.

        Args:
            wav: (B, T) float, 16 kHz, amplitude in [-1, 1]; samples past an utterance's length are not read.
            wav_len: (B,) int64, samples of each utterance, at most T.

        Returns:
            ``num_layers`` tensors (B, T', H), T' at least 1, and their lengths, ``num_layers`` int64 tensors (B,).
        """
        if wav.dim() != 2 or wav_len.shape != wav.shape[:1]:
            raise ValueError(
                f"wav must be (batch, samples) and wav_len (batch,), got {tuple(wav.shape)} and {tuple(wav_len.shape)}"
            )
        lengths = self.output_lengths(wav_len)
        self.frames = lengths[0].clamp_min(1)
        wav = pad(wav, (0, max(0, self.minimum - wav.shape[1])))
        # without padding there is nothing to mask, and attention may take its fastest path
        self.padded = bool((wav_len < wav.shape[1]).any())
        if self.normalise is None:
            wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
        else:
            wav = normalise_wav(wav.float(), wav_len, self.normalise)
        return self.states(wav, wav_len, self.frames), lengths

    @property
    def layers(self) -> nn.ModuleList:
        """The transformer's layers: layer i of a config is ``layers[i - 1]``."""
        return self.get_submodule(self.layers_path)

    def checkpoint_layers(self) -> None:
        """Recompute the activations inside layers in the backward pass."""
        self.activation_checkpointing = True

    def layer_of(self, name: str) -> int:
        """The layer of a parameter or module, by its name: i in layer i, 0 before the transformer's layers.

        Modules after the last layer count as part of it. State i depends on layers up to i only.
        """
        number = name.removeprefix(f"{self.layers_path}.").partition(".")[0]
        if number.isdigit():
            return int(number) + 1
        is_after = any(f"{name}.".startswith(f"{path}.") for path in self.after_layers)
        return len(self.layers) if is_after else 0


def convolved(length: Tensor, kernels: Iterable[int], strides: Iterable[int]) -> Tensor:
    """Output frames of a stack of convolutions without padding for ``length`` input frames; at least 0."""
    for kernel, stride in zip(kernels, strides):
        length = torch.div(length - kernel, stride, rounding_mode="floor") + 1
    return length.clamp_min(0)


def receptive_field(kernels: Iterable[int], strides: Iterable[int]) -> tuple[int, int]:
    """Receptive field and stride, in samples, of a stack of convolutions."""
    field, stride = 1, 1
    for kernel, step in zip(kernels, strides):
        field += (kernel - 1) * stride
        stride *= step
    return field, stride
