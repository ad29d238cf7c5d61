"""Hugging Face's encoders from local folders: the library's own states for each family, alone and in a batch."""

from __future__ import annotations

import json
import socket
import sys

import numpy as np
import pytest
import torch

from nn.upstream.pretrained.huggingface import hugging_face
from tests.parts.upstreams import LENGTHS, check_states, padded, spread

transformers = pytest.importorskip("transformers", reason="pip install 'soundstage[hf]'")
huggingface_hub = pytest.importorskip("huggingface_hub")

SHAPE = {"hidden_size": 192, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 256}
CONVOLUTIONS = {"conv_dim": [64] * 7, "num_conv_pos_embedding_groups": 4}
LARGE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
FAMILIES = {
    "wav2vec2 base": ("Wav2Vec2", SHAPE | CONVOLUTIONS, True),
    "wav2vec2 large": ("Wav2Vec2", SHAPE | CONVOLUTIONS | LARGE, True),
    "mms": ("Wav2Vec2", SHAPE | CONVOLUTIONS | LARGE | {"adapter_attn_dim": 16, "add_adapter": True}, True),
    "hubert base": ("Hubert", SHAPE | CONVOLUTIONS, True),
    "hubert large": ("Hubert", SHAPE | CONVOLUTIONS | LARGE, True),
    "hubert batch norm": ("Hubert", SHAPE | CONVOLUTIONS | {"conv_pos_batch_norm": True}, True),
    "wavlm base": ("WavLM", SHAPE | CONVOLUTIONS, False),
    "wavlm large": ("WavLM", SHAPE | CONVOLUTIONS | LARGE, True),
    "data2vec": ("Data2VecAudio", SHAPE | CONVOLUTIONS | {"conv_pos_kernel_size": 19}, True),
    "unispeech-sat": ("UniSpeechSat", SHAPE | CONVOLUTIONS, True),
    "conformer": ("Wav2Vec2Conformer", SHAPE | CONVOLUTIONS, True),
    "wav2vec2-bert": ("Wav2Vec2Bert", SHAPE | {"add_adapter": True, "use_intermediate_ffn_before_adapter": True}, None),
}  # fmt: skip


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network in a test")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)  # it would try for long
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


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
    """What transformers gives for one utterance by the model's own preprocessing and forward pass."""
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


@pytest.mark.parametrize("family", FAMILIES)
def test_states_are_the_library_s_alone_and_in_a_batch(family, tmp_path):
    folder = tmp_path / "a folder"
    model = saved(folder, *FAMILIES[family])
    upstream = hugging_face(str(folder))
    assert set(upstream.downsample_rates) == {320} and upstream.num_layers == 3
    # transformers adds up the statistics of Wav2Vec2-BERT's features frame by frame in float32: they are 1e-5 off
    tolerance = 2e-5 if family == "wav2vec2-bert" else 1e-5
    lengths = [n if n != 400 else 1800 for n in LENGTHS] if family == "wav2vec2-bert" else LENGTHS
    check_states(upstream, library_states(model, folder), lengths, tolerance)


WHISPER = {
    "d_model": 96, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 128, "decoder_layers": 1,
    "decoder_attention_heads": 4, "decoder_ffn_dim": 64, "vocab_size": 60, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 2, "decoder_start_token_id": 1, "suppress_tokens": [], "begin_suppress_tokens": [],
}  # fmt: skip


def test_whisper_fills_its_window_and_is_cut_to_true_frames(tmp_path):
    model = saved(tmp_path, "Whisper", WHISPER)
    upstream = hugging_face(str(tmp_path))
    assert not [n for n, _ in upstream.named_parameters() if "decoder" in n]
    check_states(upstream, whisper_states(model), [12000, 7001, 0, 1])


def whisper_states(model):
    """What transformers' Whisper encoder gives for one utterance, cut to the frames that it counts."""
    extractor = transformers.WhisperFeatureExtractor()

    def states(wav):
        inputs = extractor(
            wav[0].numpy(), sampling_rate=16000, return_tensors="pt", return_attention_mask=True, device="cpu"
        )
        out = model.get_encoder()(inputs.input_features, output_hidden_states=True)
        frames = model._get_feat_extract_output_lengths(inputs.attention_mask.sum())
        return [s[:, : int(frames)] for s in out.hidden_states]

    return states


def test_whisper_encodes_what_is_longer_window_by_window(tmp_path):
    saved(tmp_path, "Whisper", WHISPER | {"max_source_positions": 50})
    upstream = hugging_face(str(tmp_path))
    wav, wav_len = padded([40000, 16000, 16001])
    wav = wav.nan_to_num()
    states, lengths = upstream(wav, wav_len)
    assert lengths[0].tolist() == [125, 50, 51] and states[1].shape[1] == 125
    for start in (0, 16000, 32000):
        piece = wav[:1, start : start + 16000]
        alone, (frames, *_) = upstream(piece, torch.tensor([piece.shape[1]]))
        at = start // 320
        torch.testing.assert_close(states[2][:1, at : at + int(frames)], alone[2], atol=1e-5, rtol=0)


def test_masks_and_layer_drop_of_the_checkpoint_are_left_to_fine_tuning(tmp_path):
    still = {n: 0.0 for n in ("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout")}
    saved(tmp_path, "Wav2Vec2", SHAPE | CONVOLUTIONS | still | {"layerdrop": 0.9, "mask_time_prob": 0.9}, True)
    upstream = hugging_face(str(tmp_path)).train()
    wav, wav_len = torch.randn(2, 4000), torch.tensor([4000, 3000])
    one, two = upstream(wav, wav_len)[0], upstream(wav, wav_len)[0]
    assert all(torch.equal(a, b) for a, b in zip(one, two)) and not torch.equal(one[1], one[2])
    sum(s.sum() for s in one).backward()
    unused = {n for n, p in upstream.named_parameters() if p.grad is None}
    assert unused == {"model.masked_spec_embed"}


def test_random_weights_follow_from_the_seed(tmp_path):
    transformers.HubertConfig(**SHAPE, **CONVOLUTIONS).save_pretrained(tmp_path)
    torch.manual_seed(1)
    one = hugging_face(str(tmp_path), checkpoint="random", normalise=True)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(1), drawn)
    two = hugging_face(str(tmp_path), checkpoint="random", normalise=True, seed=1)
    weight = "model.encoder.layers.0.attention.q_proj.weight"
    assert not torch.equal(one.state_dict()[weight], two.state_dict()[weight])


def test_pickled_weights_are_refused(tmp_path):
    model = saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ValueError, match="weights in safetensors"):
        hugging_face(str(tmp_path))


def test_code_of_a_repository_is_not_run(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    (tmp_path / "theirs.py").write_text("import pathlib; pathlib.Path('ran').touch()\nclass C: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.C", "AutoModel": "theirs.C"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be loaded"):
        hugging_face(str(tmp_path))


def test_weights_that_are_missing_are_named_not_drawn(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS, True)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(ValueError, match=r"encoder\.layers\.2"):
        hugging_face(str(tmp_path))


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({}, "conf.model is missing"),
        ({"model": "facebook/hubert-base-ls960"}, "'facebook/hubert-base-ls960' cannot be loaded"),
        ({"model": "there/is none"}, "'there/is none' cannot be loaded"),
        ({"model": "x", "checkpoint": "file.pt"}, "checkpoint is 'file.pt', expected null"),
    ],
)
def test_wrong_settings_are_refused(conf, words, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=words):
        hugging_face(**conf)


def test_a_folder_without_preprocessor_config_needs_normalise(tmp_path):
    saved(tmp_path, "Hubert", SHAPE | CONVOLUTIONS)
    with pytest.raises(ValueError, match="conf.normalise to true or false"):
        hugging_face(str(tmp_path))
    assert hugging_face(str(tmp_path), normalise=False).normalise is None


@pytest.mark.parametrize("family", ["sew", "sew-d", "speecht5", "omniasr_audio", "musicgen", "bert"])
def test_another_family_is_refused_by_name_before_weights_are_read(family, tmp_path):
    """Each loads with its config alone and then fails in forward, some on short audio only, or gives other lengths."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": family}))
    with pytest.raises(ValueError, match=rf"family {family}, which is not supported; expected one of wav2vec2, hubert"):
        hugging_face(str(tmp_path), normalise=False)


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"pip install 'soundstage\[hf\]'"):
        hugging_face("x")


def test_a_waveform_of_numpy_s_precision_is_normalised_as_the_library_does():
    from nn.upstream.pretrained.huggingface_families import WAV_EPSILON
    from nn.upstream.pretrained.masked_norms import normalise_wav

    wav, wav_len = padded([5000, 900])
    for row, length in zip(wav, wav_len.tolist()):
        (expected,) = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(
            row[:length].numpy(), sampling_rate=16000
        ).input_values
        got = normalise_wav(row[None, :length], torch.tensor([length]), WAV_EPSILON)[0]
        np.testing.assert_allclose(got.numpy(), expected, atol=2e-6)
