"""Families of Hugging Face's audio encoders whose modules do not know lengths: one length at a time, unpadded."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from nn.upstream.by_length import by_length
from nn.upstream.pretrained.huggingface_families import Convolutional, HuggingFaceEncoder, Wav2Vec2Bert

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Squeezed(Convolutional):
    """SEW and SEW-D: a transformer on every second frame of the convolutions.

    The states are the transformer's. The upsampling after it, for the loss of pretraining, is left out.

    Args:
        model: the model
        normalise: give each waveform zero mean and unit variance
    """

    after_layers = ()

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        super().__init__(model, normalise)
        self.layers_path = "model.encoder.layers" if hasattr(model.encoder, "layers") else "model.encoder.encoder.layer"
        if not hasattr(model, "feature_projection"):
            self.projection_path = None
        stride, factor = self.downsample_rates[0], self.config.squeeze_factor
        self.minimum += stride * (factor - 1)
        self.downsample_rates = [stride * factor] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return torch.div(super().frame_lengths(wav_len), self.config.squeeze_factor, rounding_mode="floor")

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        return by_length(wav, wav_len.clamp_min(self.minimum), self._encode)

    def _encode(self, wav: Tensor) -> list[Tensor]:
        self.frames = self.frame_lengths(torch.full((len(wav),), wav.shape[1], device=wav.device))  # of this call
        return list(self.model(wav, output_hidden_states=True, return_dict=True).hidden_states)


class SeamlessM4T(Wav2Vec2Bert):
    """The speech encoder of SeamlessM4T, before its adapter: two frames of log mel energies make one frame.

    Args:
        model: the whole model, of which only the speech encoder is kept
        normalise: not used; features are normalised
    """

    after_layers = ("model.encoder.layer_norm",)

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        super().__init__(model.speech_encoder)
        self.num_layers = self.config.speech_encoder_layers + 1
        self.hidden_sizes = [self.config.hidden_size] * self.num_layers
        self.downsample_rates = self.downsample_rates[:1] * self.num_layers

    def run(self, inputs: Tensor, attention_mask: Tensor | None = None) -> list[Tensor]:
        """The input of each layer, then the encoder's output after its layer norm."""
        return by_length(inputs.flatten(1), attention_mask.sum(1) * inputs.shape[2], self._encode)

    def _encode(self, x: Tensor) -> list[Tensor]:
        states: list[Tensor] = []

        def keep(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            states.append(args[0] if args else kwargs["hidden_states"])

        handles = [layer.register_forward_pre_hook(keep, with_kwargs=True) for layer in self.layers]
        try:
            hidden = self.model.feature_projection(x.unflatten(1, (-1, self.config.feature_projection_input_dim)))
            out = self.model.encoder(hidden)
        finally:
            for handle in handles:
                handle.remove()
        return [*states, out.last_hidden_state if hasattr(out, "last_hidden_state") else out]


class Parakeet(HuggingFaceEncoder):
    """Parakeet's FastConformer: eight frames of log mel energies, normalised over the utterance, make one frame.

    Args:
        model: the encoder, or the whole model, whose decoder is dropped
        normalise: not used; features are normalised
    """

    takes_waveforms = False
    layers_path = "model.layers"
    projection_path = "model.subsampling"

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        from transformers import ParakeetFeatureExtractor

        super().__init__(getattr(model, "encoder", model))
        self.extractor = ParakeetFeatureExtractor(feature_size=self.config.num_mel_bins)
        hop = self.extractor.hop_length
        self.minimum = 2 * hop  # the deviation over one frame is not a number
        self.downsample_rates = [hop * self.config.subsampling_factor] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        features = torch.div(wav_len, self.extractor.hop_length, rounding_mode="floor")
        frames = self.model._get_subsampling_output_length(features).long()
        return torch.where(wav_len < self.minimum, 0, frames)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        return by_length(wav, wav_len.clamp_min(self.minimum), self._encode)

    def _encode(self, wav: Tensor) -> list[Tensor]:
        extract = functools.partial(self.extractor, sampling_rate=self.extractor.sampling_rate, return_tensors="pt")
        inputs = extract(wav.float().cpu()).to(wav.device)
        frames = int(self.frame_lengths(torch.tensor(wav.shape[1])))
        return [state[:, :frames] for state in self.run(inputs["input_features"].to(wav), inputs["attention_mask"])]
