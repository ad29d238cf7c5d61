"""Models of transformers with random weights in a folder, and the states of one utterance by transformers."""

from __future__ import annotations

import pytest
import torch

from tests.parts.upstreams import spread

transformers = pytest.importorskip("transformers", reason="pip install 'soundstage[hf]'")


SHAPE = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
CONVOLUTIONS = {"conv_dim": [64] * 7, "num_conv_pos_embedding_groups": 4}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}


def saved(folder, kind: str, conf: dict, normalise: bool | None = None):
    """A model with random weights in a folder, and the model."""
    torch.manual_seed(0)
    model = getattr(transformers, f"{kind}Model")(getattr(transformers, f"{kind}Config")(**conf)).eval()
    spread(model)
    model.save_pretrained(folder)
    if normalise is not None:
        transformers.Wav2Vec2FeatureExtractor(do_normalize=normalise).save_pretrained(folder)
    return model


def library_states(model, folder):
    """The states of one utterance by the model's own preprocessing and forward pass."""
    if model.config.model_type == "wav2vec2-bert":
        extractor = transformers.SeamlessM4TFeatureExtractor()
        model.adapter = model.intermediate_ffn = None
    else:
        extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
        model.adapter = None

    def states(wav):
        inputs = extractor(wav[0].numpy(), sampling_rate=16000, return_tensors="pt")
        if "attention_mask" in inputs and model.config.model_type != "wav2vec2-bert":
            inputs.pop("attention_mask")
        out = model(**inputs, output_hidden_states=True)
        frames = int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else None
        return [s[:, :frames] for s in (*out.hidden_states[:-1], out.last_hidden_state)]

    return states


def whisper_states(model):
    """The states of one utterance by transformers' Whisper encoder, cut to the frames that it counts."""
    extractor = transformers.WhisperFeatureExtractor()

    def states(wav):
        inputs = extractor(
            wav[0].numpy(), sampling_rate=16000, return_tensors="pt", return_attention_mask=True, device="cpu"
        )
        out = model.get_encoder()(inputs.input_features, output_hidden_states=True)
        frames = model._get_feat_extract_output_lengths(inputs.attention_mask.sum())
        return [s[:, : int(frames)] for s in out.hidden_states]

    return states
