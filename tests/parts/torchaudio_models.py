"""torchaudio's encoders with random weights, and the states of one utterance by torchaudio."""

from __future__ import annotations

import torch
import torchaudio.pipelines
from torchaudio.models import wav2vec2_model, wavlm_model

from tests.parts.upstreams import spread


def bundle_model(name: str, layers: int = 2) -> torch.nn.Module:
    """A bundle's model at its full width with few layers and random weights."""
    bundle = getattr(torchaudio.pipelines, name)
    make = wavlm_model if bundle._model_type == "WavLM" else wav2vec2_model
    torch.manual_seed(0)
    model = make(**bundle._params | {"encoder_num_layers": layers, "aux_num_out": None}).eval()
    spread(model)
    return model


def small_model(**changes) -> torch.nn.Module:
    """wav2vec 2.0 base with narrow layers, for what has nothing to do with width."""
    params = torchaudio.pipelines.WAV2VEC2_BASE._params | {
        "extractor_conv_layer_config": [(16, 10, 5), (16, 3, 2), (16, 2, 2)],
        "encoder_embed_dim": 32,
        "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 3,
        "encoder_num_heads": 4,
        "encoder_ff_interm_features": 48,
        "aux_num_out": None,
    }
    torch.manual_seed(0)
    return wav2vec2_model(**params | changes)


def torchaudio_states(model: torch.nn.Module, normalise: bool):
    """The states of one utterance by torchaudio: the transformer's input, each layer, and the model's own output."""

    def states(wav):
        if normalise:
            wav = torch.nn.functional.layer_norm(wav, wav.shape)
        features, _ = model.feature_extractor(wav, None)
        first = model.encoder.transformer._preprocess(model.encoder.feature_projection(features))
        return [first, *model.extract_features(wav)[0][:-1], model(wav)[0]]

    return states
