"""wav2vec 2.0, HuBERT, WavLM and XLS-R of ``torchaudio.pipelines``, exact in padded batches.

The modules and weights are torchaudio's. The forward pass is written here because torchaudio's own normalises over
padded time (waveforms and group norm), cannot mask padding for WavLM, and does not return the transformer's input.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torchaudio.pipelines
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from torchaudio.models import wav2vec2_model, wavlm_model
from torchaudio.models.wav2vec2.wavlm_attention import WavLMSelfAttention

from nn.mask import frame_mask, zero_padding
from nn.upstream.pretrained.base import PretrainedEncoder, convolved, receptive_field
from nn.upstream.pretrained.masked_norms import replace_group_norms
from nn.upstream.pretrained.weights import fetch

SERVER = "https://download.pytorch.org/torchaudio/models"


class Wav2Vec2(PretrainedEncoder):
    """A model of ``torchaudio.models`` (``Wav2Vec2Model``) as an upstream.

    Args:
        model: the model; a head on it (``aux``) is not used
        normalise_wav: give each waveform zero mean and unit variance, as the model was trained
    """

    layers_path = "model.encoder.transformer.layers"
    feature_encoder_path = "model.feature_extractor"
    projection_path = "model.encoder.feature_projection"

    def __init__(self, model: nn.Module, normalise_wav: bool = False) -> None:
        super().__init__()
        model.aux = None
        self.model = model
        self.normalise = 1e-5 if normalise_wav else None
        convolutions = model.feature_extractor.conv_layers
        self._kernels = [layer.kernel_size for layer in convolutions]
        self._strides = [layer.stride for layer in convolutions]
        self.minimum, stride = receptive_field(self._kernels, self._strides)
        transformer = model.encoder.transformer
        self.num_layers = len(transformer.layers) + 1
        self.hidden_sizes = [transformer.pos_conv_embed.embed_dim] * self.num_layers
        self.downsample_rates = [stride] * self.num_layers
        # torchaudio's flag is about the transformer's own norm, not the layers': true means before the layers
        self._norm_last = not transformer.layer_norm_first
        self.after_layers = ("model.encoder.transformer.layer_norm",) if self._norm_last else ()
        self._relative = isinstance(transformer.layers[0].attention, WavLMSelfAttention)
        self._norms = replace_group_norms(convolutions[0])

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return convolved(wav_len, self._kernels, self._strides)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        for norm in self._norms:
            norm.lengths = convolved(wav_len, self._kernels[:1], self._strides[:1]) if self.padded else None
        x, _ = self.model.feature_extractor(wav, None)
        x = zero_padding(self.model.encoder.feature_projection(x), frames)
        transformer = self.model.encoder.transformer
        x = transformer._preprocess(x)
        states, bias, mask = [x], None, self._mask(frames, x)
        for layer in transformer.layers:
            if self.activation_checkpointing and torch.is_grad_enabled():
                x, bias = checkpoint(layer, x, position_bias=bias, use_reentrant=False, **mask)
            else:
                x, bias = layer(x, position_bias=bias, **mask)
            states.append(x)
        if self._norm_last:
            states[-1] = transformer.layer_norm(x)
        return states

    def _mask(self, frames: Tensor, x: Tensor) -> dict[str, Tensor]:
        """The mask that keeps attention inside each utterance, as the kind of attention expects it."""
        if not self.padded:
            return {}
        inside = frame_mask(frames, x.shape[1])
        if self._relative:
            return {"key_padding_mask": x.new_zeros(inside.shape).masked_fill(~inside, float("-inf"))}
        square = inside[:, None, None, :].expand(-1, 1, x.shape[1], -1)
        return {"attention_mask": square}


class Pipeline(Wav2Vec2):
    """A model of ``torchaudio.pipelines`` with its pretrained weights.

    Args:
        checkpoint: a local .pth or .safetensors with the weights, or "random"; null: the published ones, fetched once
        seed: seed of random weights
    """

    name: str  # of the bundle in torchaudio.pipelines

    def __init__(self, checkpoint: str | None = None, seed: int = 0) -> None:
        bundle = getattr(torchaudio.pipelines, self.name)
        factory = wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model
        # the initial weights are drawn without advancing the global generator
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = factory(**bundle._params | {"aux_num_out": None})
        if checkpoint != "random":
            _load(model, _published(bundle._path) if checkpoint is None else Path(checkpoint).expanduser())
        super().__init__(model, bundle._normalize_waveform)


def _published(path: str) -> Path:
    """The local file of a bundle's weights; a full URL has too short a file name, so its folder's name is added."""
    if not path.startswith("https:"):
        return fetch(f"{SERVER}/{path}", path)
    return fetch(path, "-".join(path.rsplit("/", 2)[1:]))


def _load(model: nn.Module, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"checkpoint: there is no file {path}")
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        state = torch.load(path, map_location="cpu", weights_only=True)
    # the head of a recogniser is not part of the encoder
    state = {key: value for key, value in state.items() if not key.startswith("aux.")}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ValueError(f"checkpoint: the weights in {path} do not fit this model: {error}") from error
