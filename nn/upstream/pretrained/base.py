"""What the pretrained encoders share: the waveform's way in, lengths, layers by number, places to act on.

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
    """A pretrained encoder as an upstream: N + 1 states, the transformer's input and what each layer gives.

    State i is what layer i gives, counted from 1; the last one is the encoder's own output, after its final layer
    norm where it has one. The states of one utterance are those of the source library on it alone, in any batch.
    An utterance too short for one frame has none.

    Subclasses set the attributes below and give :meth:`states`.
    """

    num_layers: int
    hidden_sizes: list[int]
    downsample_rates: list[int]
    minimum: int = 1  # samples that the model cannot do with less than
    normalise: float | None = None  # the waveform is normalised with this epsilon in the variance
    layers_path: str  # the transformer's layers, as a module's name
    after_layers: tuple[str, ...] = ()  # names of what comes after them
    feature_encoder_path: str | None = None  # what fine-tuning leaves as it is: the convolutions
    projection_path: str | None = None  # whose output is masked in fine-tuning
    activation_checkpointing = False
    frames: Tensor  # (B,) of the batch at work, at least 1
    padded: bool  # whether any of its utterances ends before the others

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        """The hidden states of a batch whose padding is zero.

        Args:
            wav: (B, T), at least ``minimum`` samples.
            wav_len: (B,) int64, at most T.
            frames: (B,) int64, :meth:`frame_lengths` of ``wav_len``, but at least one.
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
            wav: (B, T) float, 16 kHz, amplitude in [-1, 1]; what stands past an utterance's length is not read.
            wav_len: (B,) int64, samples of each utterance, at most T.

        Returns:
            ``num_layers`` tensors (B, T', H), T' at least 1, and as many lengths, int64 (B,).
        """
        if wav.dim() != 2 or wav_len.shape != wav.shape[:1]:
            raise ValueError(
                f"wav must be (batch, samples) and wav_len (batch,), got {tuple(wav.shape)} and {tuple(wav_len.shape)}"
            )
        lengths = self.output_lengths(wav_len)
        self.frames = lengths[0].clamp_min(1)
        wav = pad(wav, (0, max(0, self.minimum - wav.shape[1])))
        # without padding there is nothing to mask, and attention may take its fastest way
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
        """Keep no activations inside layers in training; they are computed again going backward."""
        self.activation_checkpointing = True

    def layer_of(self, name: str) -> int:
        """How deep a parameter or module stands, by its name here: i in layer i, 0 before the transformer's layers.

        What comes after the last layer counts with it. State i depends on nothing deeper than i.
        """
        number = name.removeprefix(f"{self.layers_path}.").partition(".")[0]
        if number.isdigit():
            return int(number) + 1
        after = any(f"{name}.".startswith(f"{path}.") for path in self.after_layers)
        return len(self.layers) if after else 0


def convolved(length: Tensor, kernels: Iterable[int], strides: Iterable[int]) -> Tensor:
    """Frames that a stack of convolutions without padding leaves of ``length``; 0 where there is not one."""
    for kernel, stride in zip(kernels, strides):
        length = torch.div(length - kernel, stride, rounding_mode="floor") + 1
    return length.clamp_min(0)


def receptive_field(kernels: Iterable[int], strides: Iterable[int]) -> tuple[int, int]:
    """Samples that one frame of a stack of convolutions sees, and samples between two frames."""
    field, stride = 1, 1
    for kernel, step in zip(kernels, strides):
        field += (kernel - 1) * stride
        stride *= step
    return field, stride
