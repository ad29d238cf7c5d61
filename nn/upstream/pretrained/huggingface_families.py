"""The families of Hugging Face's audio encoders, each with its own rules for input, lengths and padding.

The modules and their forward passes are transformers'. Added here: statistics and convolutions that stop at the end
of an utterance, and Whisper's window, filled before and cut after.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import frame_mask
from nn.upstream.by_length import by_length
from nn.upstream.pretrained.base import PretrainedEncoder, convolved, receptive_field
from nn.upstream.pretrained.masked_norms import replace_group_norms
from nn.upstream.signal.kaldi import Fbank

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WAV_EPSILON = 1e-7  # of transformers' normalisation of waveforms


class HuggingFaceEncoder(PretrainedEncoder):
    """A model of transformers whose hidden states are its transformer's input and the output of each layer."""

    takes_waveforms = True  # which it may expect to be normalised
    layers_path = "model.encoder.layers"
    projection_path = "model.feature_projection"

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.normalise = WAV_EPSILON if normalise else None
        self.num_layers = self.config.num_hidden_layers + 1
        self.hidden_sizes = [self.config.hidden_size] * self.num_layers
        for name in ("adapter", "intermediate_ffn"):  # beyond the encoder: they change its frames
            if getattr(model, name, None) is not None:
                setattr(model, name, None)

    def save_settings(self, folder: Path) -> dict[str, Any]:
        """Write what the model is built from beside its weights; return the settings that build it from ``folder``."""
        self.config.save_pretrained(folder)
        normalise = {"normalise": self.normalise is not None} if self.takes_waveforms else {}
        return {"model": folder.name, "revision": None, **normalise}

    def checkpoint_layers(self) -> None:
        enable = getattr(self.model, "activation_checkpointing_enable", self.model.gradient_checkpointing_enable)
        enable({"use_reentrant": False})

    def run(self, inputs: Tensor, attention_mask: Tensor | None = None) -> list[Tensor]:
        """The hidden states; the last one is the model's output, after its final layer norm."""
        mask = {} if attention_mask is None else {"attention_mask": attention_mask}
        out = self.model(inputs, output_hidden_states=True, return_dict=True, **mask)
        return [*out.hidden_states[:-1], out.last_hidden_state]


class Convolutional(HuggingFaceEncoder):
    """Wav2Vec2 (MMS, XLS-R), HuBERT, WavLM, Data2VecAudio, UniSpeech: convolutions, then a transformer.

    Args:
        model: the model
        normalise: give each waveform zero mean and unit variance
    """

    feature_encoder_path = "model.feature_extractor"

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        super().__init__(model, normalise)
        self.minimum, stride = receptive_field(self.config.conv_kernel, self.config.conv_stride)
        self.downsample_rates = [stride] * self.num_layers
        if getattr(self.config, "do_stable_layer_norm", False):
            self.after_layers = ("model.encoder.layer_norm",)
        model.feature_extractor._requires_grad = False  # otherwise it computes gradients for waveforms
        self._norms = replace_group_norms(model.feature_extractor)
        for module in _reading_padding(model.encoder.pos_conv_embed):
            module.register_forward_pre_hook(self._zero_padding)

    def _zero_padding(self, module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        """Forward pre-hook: zero the frames past each utterance's end in (B, H, T')."""
        outside = ~frame_mask(self.frames, args[0].shape[2])
        return (args[0].masked_fill(outside.unsqueeze(1), 0.0),)

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return convolved(wav_len, self.config.conv_kernel, self.config.conv_stride)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        first = convolved(wav_len, self.config.conv_kernel[:1], self.config.conv_stride[:1])
        for norm in self._norms:
            norm.lengths = first if self.padded else None
        if not self.padded:
            return self.run(wav)
        mask = frame_mask(wav_len.clamp_min(self.minimum), wav.shape[1])
        return self.run(wav, attention_mask=mask.long())


def _reading_padding(embedding: nn.Module) -> list[nn.Module]:
    """Positional convolutions whose input is not zero in padding. transformers zeroes the input of the embedding only.

    Data2VecAudio stacks several convolutions, each of which writes into the padding that the next one reads. HuBERT
    with ``conv_pos_batch_norm`` normalises before its convolution, which shifts the zeros.
    """
    if getattr(embedding, "batch_norm", None) is not None:
        return [embedding.conv]
    return list(getattr(embedding, "layers", ()))[1:]


class Wav2Vec2Bert(HuggingFaceEncoder):
    """Wav2Vec2-BERT: each frame is two frames of Kaldi's 80 log mel energies, normalised over the utterance.

    Args:
        model: the model
        normalise: not used; features are normalised
    """

    takes_waveforms = False

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        from transformers import SeamlessM4TFeatureExtractor

        super().__init__(model)
        extractor = SeamlessM4TFeatureExtractor()
        self.fbank = Fbank(num_mel_bins=80, cmvn="utterance")
        self.fbank.window = torch.from_numpy(extractor.window)
        self.fbank.banks = torch.from_numpy(extractor.mel_filters)
        self.stride, remainder = divmod(self.config.feature_projection_input_dim, 80)
        if remainder or not self.stride:
            raise ValueError(
                f"the model takes {self.config.feature_projection_input_dim} features, expected a multiple of 80"
            )
        self.minimum = self.fbank.window_size + self.fbank.shift * (self.stride - 1)
        self.downsample_rates = [self.fbank.shift * self.stride] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return torch.div(self.fbank.output_lengths(wav_len)[0], self.stride, rounding_mode="floor")

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        # in Kaldi's scale of samples, which the floor under the energies assumes, and in transformers' precision
        (x,), _ = self.fbank(wav.double() * 2**15, wav_len)
        x = x.to(wav.dtype)
        whole = x.shape[1] // self.stride
        x = x[:, : whole * self.stride].reshape(len(x), whole, -1)
        return self.run(x, attention_mask=frame_mask(frames, whole).long())


class Whisper(HuggingFaceEncoder):
    """Whisper's encoder. Its 30-second window is filled with silence and cut to the true frames.

    Audio longer than the window is encoded in consecutive windows, each on its own.

    Args:
        model: the encoder, or the whole model, whose decoder is dropped
        normalise: not used; features are normalised
    """

    takes_waveforms = False
    layers_path = "model.layers"
    after_layers = ("model.layer_norm",)
    projection_path = None

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        from transformers import WhisperFeatureExtractor

        super().__init__(model.get_encoder() if hasattr(model, "decoder") else model)
        extractor = WhisperFeatureExtractor(feature_size=self.config.num_mel_bins)
        self.n_fft, self.hop = extractor.n_fft, extractor.hop_length
        self.register_buffer("mel", torch.from_numpy(extractor.mel_filters).float(), persistent=False)
        self.register_buffer("window", torch.hann_window(self.n_fft), persistent=False)
        self.positions = self.config.max_source_positions
        stride = self.hop * self.model.conv2.stride[0]
        self.samples = self.positions * stride
        self.downsample_rates = [stride] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return torch.div(wav_len + self.downsample_rates[0] - 1, self.downsample_rates[0], rounding_mode="floor")

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        batch, number = len(wav), math.ceil(wav.shape[1] / self.samples)
        windows = pad(wav, (0, number * self.samples - wav.shape[1])).view(batch, number, self.samples)
        # windows after an utterance's end are skipped, but each utterance has at least one
        is_used = frame_mask(torch.div(frames - 1, self.positions, rounding_mode="floor") + 1, number)
        states = []
        for state in self.run(self.log_mel(windows[is_used])):
            whole = state.new_zeros(batch, number, *state.shape[1:])
            whole[is_used] = state
            states.append(whole.flatten(1, 2)[:, : int(self.frame_lengths(torch.tensor(wav.shape[1])))])
        return states

    def log_mel(self, wav: Tensor) -> Tensor:
        """(W, samples) -> (W, num_mel_bins, frames), as WhisperFeatureExtractor computes it."""
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = torch.stft(wav.float(), self.n_fft, self.hop, window=self.window, return_complex=True)
            power = torch.view_as_real(spectrum[..., :-1]).square().sum(-1)
            log = (self.mel.t() @ power).clamp_min(1e-10).log10()
            log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
            return (log + 4.0) / 4.0


class Conformer(Convolutional):
    """Wav2Vec2Conformer: utterances of one length at a time, so that there is no padding.

    The convolutions and batch norms inside its layers do not know lengths.

    Args:
        model: the model
        normalise: give each waveform zero mean and unit variance
    """

    after_layers = ("model.encoder.layer_norm",)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        return by_length(wav, wav_len.clamp_min(self.minimum), self._encode)

    def _encode(self, wav: Tensor) -> list[Tensor]:
        self.frames = self.frame_lengths(torch.full((len(wav),), wav.shape[1], device=wav.device))  # of this call
        return self.run(wav)
