"""Each family of Hugging Face: the library's own states, alone and in a padded batch."""

from __future__ import annotations

import pytest
import torch

from nn.upstream.pretrained.huggingface import hugging_face
from tests.parts.hugging_face import CONVOLUTIONS, LARGE, SHAPE, library_states, saved, whisper_states
from tests.parts.upstreams import LENGTHS, check_states, padded

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
}


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
    "d_model": 96,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 128,
    "decoder_layers": 1,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 64,
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
    "suppress_tokens": [],
    "begin_suppress_tokens": [],
}


def test_whisper_fills_its_window_and_is_cut_to_true_frames(tmp_path):
    model = saved(tmp_path, "Whisper", WHISPER)
    upstream = hugging_face(str(tmp_path))
    assert not [n for n, _ in upstream.named_parameters() if "decoder" in n]
    check_states(upstream, whisper_states(model), [12000, 7001, 0, 1])


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
    first, second = upstream(wav, wav_len)[0], upstream(wav, wav_len)[0]
    assert all(torch.equal(a, b) for a, b in zip(first, second)) and not torch.equal(first[1], first[2])
    sum(s.sum() for s in first).backward()
    unused = {n for n, p in upstream.named_parameters() if p.grad is None}
    assert unused == {"model.masked_spec_embed"}


@pytest.mark.parametrize("family", ["wav2vec2 base", "wav2vec2 large", "conformer"])
def test_layers_are_numbered_as_the_states_are_and_fine_tuning_can_freeze_the_convolutions(family, tmp_path):
    saved(tmp_path, *FAMILIES[family])
    upstream = hugging_face(str(tmp_path))
    names = [name for name, _ in upstream.named_parameters()]
    convolutions = {name for name in names if ".conv_layers." in name}
    assert convolutions == {name for name in names if name.startswith(f"{upstream.feature_encoder_path}.")}
    wav, wav_len = torch.randn(1, 2000), torch.tensor([2000])
    for number in range(3):  # state i depends on layers up to i only, and on layer i
        state = upstream(wav, wav_len)[0][number]
        gradients = torch.autograd.grad(state.square().sum(), list(upstream.parameters()), allow_unused=True)
        layers = {upstream.layer_of(name) for name, gradient in zip(names, gradients) if gradient is not None}
        assert max(layers) == number
    final_norm = upstream.layer_of("model.encoder.layer_norm.weight")
    assert final_norm == (0 if family == "wav2vec2 base" else 2)  # before the layers, or after them
