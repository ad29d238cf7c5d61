"""The families of Hugging Face's audio encoders, each by its own rules of input, lengths and padding.

The modules and their forward passes are transformers'. Written here is what it leaves out: statistics and
convolutions that stop where an utterance ends, and Whisper's window filled and cut again.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import frame_mask
from nn.upstream.pretrained.base import PretrainedEncoder, convolved, receptive_field
from nn.upstream.pretrained.masked_norms import replace_group_norms
from nn.upstream.signal.kaldi import Fbank

WAV_EPSILON = 1e-7  # of transformers' normalisation of waveforms


class HuggingFaceEncoder(PretrainedEncoder):
    """A model of transformers whose hidden states are its transformer's input and what each layer gives."""

    takes_waveforms = True  # and may want them normalised
    layers_path = "model.encoder.layers"
    projection_path = "model.feature_projection"

    def __init__(self, model: nn.Module, normalise: bool = False) -> None:
        super().__init__()
        self.model = model
        self.config = model.config
        self.normalise = WAV_EPSILON if normalise else None
        self.num_layers = self.config.num_hidden_layers + 1
        self.hidden_sizes = [self.config.hidden_size] * self.num_layers
        for name in ("adapter", "intermediate_ffn"):  # beyond the encoder: they change its frames
            if getattr(model, name, None) is not None:
                setattr(model, name, None)

    def checkpoint_layers(self) -> None:
        enable = getattr(self.model, "activation_checkpointing_enable", self.model.gradient_checkpointing_enable)
        enable({"use_reentrant": False})

    def run(self, inputs: Tensor, **kwargs: Any) -> list[Tensor]:
        """The hidden states; the last one is the model's output, after its final layer norm."""
        out = self.model(inputs, output_hidden_states=True, return_dict=True, **kwargs)
        return [*out.hidden_states[:-1], out.last_hidden_state]


class Convolutional(HuggingFaceEncoder):
    """Wav2Vec2 (MMS, XLS-R), HuBERT, WavLM, Data2VecAudio, UniSpeech: convolutions, then a transformer.

    Args:
        model: the model
        normalise: give each waveform zero mean and unit variance
    """

    feature_encoder_path = "model.feature_extractor"

    def __init__(self, model: nn.Module, normalise: bool = False) -> None:
        super().__init__(model, normalise)
        self.minimum, stride = receptive_field(self.config.conv_kernel, self.config.conv_stride)
        self.downsample_rates = [stride] * self.num_layers
        if getattr(self.config, "do_stable_layer_norm", False):
            self.after_layers = ("model.encoder.layer_norm",)
        model.feature_extractor._requires_grad = False  # it would ask for gradients of waveforms
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
    """Positional convolutions whose input is not zero in padding, although transformers zeroes the embedding's own.

    Data2VecAudio stacks several convolutions, each of which writes into the padding that the next one reads. HuBERT
    with ``conv_pos_batch_norm`` normalises before its convolution, which shifts the zeros.
    """
    if getattr(embedding, "batch_norm", None) is not None:
        return [embedding.conv]
    return list(getattr(embedding, "layers", ()))[1:]


class Wav2Vec2Bert(HuggingFaceEncoder):
    """Wav2Vec2-BERT: two frames of Kaldi's 80 log mel energies, normalised over the utterance, to one of the model's.

    Args:
        model: the model
        normalise: not used; features are normalised
    """

    takes_waveforms = False

    def __init__(self, model: nn.Module, normalise: bool = False) -> None:
        from transformers import SeamlessM4TFeatureExtractor

        super().__init__(model)
        front = SeamlessM4TFeatureExtractor()
        self.fbank = Fbank(num_mel_bins=80, cmvn="utterance")
        self.fbank.window, self.fbank.banks = torch.from_numpy(front.window), torch.from_numpy(front.mel_filters)
        self.stride, left = divmod(self.config.feature_projection_input_dim, 80)
        if left or not self.stride:
            raise ValueError(f"the model takes {self.config.feature_projection_input_dim} features, not frames of 80")
        self.minimum = self.fbank.window_size + self.fbank.shift * (self.stride - 1)
        self.downsample_rates = [self.fbank.shift * self.stride] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return torch.div(self.fbank.output_lengths(wav_len)[0], self.stride, rounding_mode="floor")

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        # Kaldi's scale of samples, on which the floor under the energies stands, and transformers' precision
        (x,), _ = self.fbank(wav.double() * 2**15, wav_len)
        x = x.to(wav.dtype)
        whole = x.shape[1] // self.stride
        x = x[:, : whole * self.stride].reshape(len(x), whole, -1)
        return self.run(x, attention_mask=frame_mask(frames, whole).long())


class Whisper(HuggingFaceEncoder):
    """Whisper's encoder. Its 30-second window is filled with silence and cut to the true frames.

    Audio longer than the window is encoded in consecutive windows, each on its own.

    Args:
        model: the whole model, of which the encoder is kept, or the encoder
        normalise: not used; features are normalised
    """

    takes_waveforms = False
    layers_path = "model.layers"
    after_layers = ("model.layer_norm",)
    projection_path = None

    def __init__(self, model: nn.Module, normalise: bool = False) -> None:
        from transformers import WhisperFeatureExtractor

        super().__init__(model.get_encoder() if hasattr(model, "decoder") else model)
        front = WhisperFeatureExtractor(feature_size=self.config.num_mel_bins)
        self.n_fft, self.hop = front.n_fft, front.hop_length
        self.register_buffer("mel", torch.from_numpy(front.mel_filters).float(), persistent=False)
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
        # windows behind an utterance's end are not worth encoding; its first one is, even where it is empty
        used = frame_mask(torch.div(frames - 1, self.positions, rounding_mode="floor") + 1, number)
        states = []
        for state in self.run(self.log_mel(windows[used])):
            whole = state.new_zeros(batch, number, *state.shape[1:])
            whole[used] = state
            states.append(whole.flatten(1, 2)[:, : int(self.frame_lengths(torch.tensor(wav.shape[1])))])
        return states

    def log_mel(self, wav: Tensor) -> Tensor:
        """(W, samples) -> (W, num_mel_bins, frames), as WhisperFeatureExtractor gives it."""
        with torch.autocast(wav.device.type, enabled=False):
            spectrum = torch.stft(wav.float(), self.n_fft, self.hop, window=self.window, return_complex=True)
            power = torch.view_as_real(spectrum[..., :-1]).square().sum(-1)
            log = (self.mel.t() @ power).clamp_min(1e-10).log10()
            log = torch.maximum(log, log.amax(dim=(1, 2), keepdim=True) - 8.0)
            return (log + 4.0) / 4.0


class Conformer(HuggingFaceEncoder):
    """Wav2Vec2Conformer: utterances of one length at a time, so that there is no padding.

    Its convolutions and normalisations between the layers know no lengths.

    Args:
        model: the model
        normalise: give each waveform zero mean and unit variance
    """

    def __init__(self, model: nn.Module, normalise: bool = False) -> None:
        super().__init__(model, normalise)
        self.minimum, stride = receptive_field(self.config.conv_kernel, self.config.conv_stride)
        self.downsample_rates = [stride] * self.num_layers

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return convolved(wav_len, self.config.conv_kernel, self.config.conv_stride)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        longest = int(self.frame_lengths(torch.tensor(wav.shape[1])))
        rows: list[list[Tensor]] = [[]] * len(wav)
        for length in wav_len.clamp_min(self.minimum).unique().tolist():
            same = (wav_len.clamp_min(self.minimum) == length).nonzero().flatten().tolist()
            padded = [pad(state, (0, 0, 0, longest - state.shape[1])) for state in self.run(wav[same, :length])]
            for place, row in enumerate(same):
                rows[row] = [state[place] for state in padded]
        return [torch.stack(layer) for layer in zip(*rows)]
