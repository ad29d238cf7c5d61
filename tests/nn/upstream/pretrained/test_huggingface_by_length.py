"""SEW, SEW-D, SeamlessM4T and Parakeet: transformers' own states, alone and in a padded batch."""

from __future__ import annotations

import pytest
import torch

from nn.upstream.pretrained.huggingface import hugging_face
from tests.parts.hugging_face import saved, transformers
from tests.parts.upstreams import check_states

SQUEEZED = {
    **{"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64},
    **{"conv_dim": [32] * 13, "num_conv_pos_embedding_groups": 4},
}
SMALL = {
    **{"hidden_size": 32, "vocab_size": 20, "t2u_vocab_size": 20, "speech_encoder_layers": 2},
    **{"speech_encoder_attention_heads": 4, "speech_encoder_intermediate_size": 48, "num_adapter_layers": 1},
    **{f"{part}_layers": 1 for part in ("encoder", "decoder", "t2u_encoder", "t2u_decoder")},
    **{f"{part}_ffn_dim": 32 for part in ("encoder", "decoder", "t2u_encoder", "t2u_decoder")},
    **{f"{part}_attention_heads": 4 for part in ("encoder", "decoder", "t2u_encoder", "t2u_decoder")},
    **{"unit_hifi_gan_vocab_size": 20, "unit_embed_dim": 8, "lang_embed_dim": 8, "spkr_embed_dim": 8},
    **{"vocoder_num_langs": 2, "vocoder_num_spkrs": 2, "upsample_initial_channel": 64},
}
FAST = {
    **{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48},
    "subsampling_conv_channels": 16,
}


@pytest.mark.parametrize("kind", ["SEW", "SEWD"])
def test_a_squeezed_transformer_has_half_the_frames(kind, tmp_path):
    model = saved(tmp_path, kind, SQUEEZED, normalise=True)
    upstream = hugging_face(str(tmp_path))
    assert upstream.downsample_rates == [640] * 3 and len(upstream.layers) == 2
    extractor = transformers.AutoFeatureExtractor.from_pretrained(tmp_path)

    def states(wav):
        inputs = extractor(wav[0].numpy(), sampling_rate=16000, return_tensors="pt")
        return list(model(inputs.input_values, output_hidden_states=True).hidden_states)

    check_states(upstream, states, [12000, 7001, 400, 3000, 719, 720, 0])


@pytest.mark.parametrize("kind", ["SeamlessM4T", "SeamlessM4Tv2"])
def test_seamless_gives_the_states_of_its_speech_encoder_before_the_adapter(kind, tmp_path):
    conf = SMALL | ({"char_vocab_size": 20, "t2u_max_position_embeddings": 64} if kind.endswith("v2") else {})
    model = saved(tmp_path, kind, conf).speech_encoder
    upstream = hugging_face(str(tmp_path))
    assert upstream.downsample_rates == [320] * 3 and upstream.hidden_sizes == [32] * 3
    assert not [name for name, _ in upstream.named_parameters() if "decoder" in name or "adapter" in name]
    extractor = transformers.SeamlessM4TFeatureExtractor()

    def states(wav):
        inputs = extractor(wav[0].numpy(), sampling_rate=16000, return_tensors="pt")
        x = inputs.input_features[:, : int(inputs.attention_mask.sum())]
        out = model.encoder(model.feature_projection(x))
        last = out.last_hidden_state if hasattr(out, "last_hidden_state") else out
        return [*model(x, output_hidden_states=True).hidden_states[:-1], last]

    # as for Wav2Vec2-BERT: transformers adds up the statistics of its features in float32
    check_states(upstream, states, [12000, 7001, 1800, 3000, 100, 0], tolerance=2e-5)


@pytest.mark.parametrize("whole", [False, True])
def test_parakeet_gives_the_states_of_its_fast_conformer(whole, tmp_path):
    if whole:
        encoder_config = transformers.ParakeetEncoderConfig(**FAST)
        config = transformers.ParakeetCTCConfig(vocab_size=20, pad_token_id=19, encoder_config=encoder_config)
        torch.manual_seed(0)
        model = transformers.ParakeetForCTC(config).eval()
        model.save_pretrained(tmp_path)
        model = model.encoder
    else:
        torch.manual_seed(0)
        model = transformers.ParakeetEncoder(transformers.ParakeetEncoderConfig(**FAST)).eval()
        model.save_pretrained(tmp_path)
    upstream = hugging_face(str(tmp_path))
    assert upstream.downsample_rates == [1280] * 3 and len(upstream.layers) == 2
    extractor = transformers.ParakeetFeatureExtractor()

    def states(wav):
        inputs = extractor(wav, sampling_rate=16000, return_tensors="pt")
        out = model(**inputs, output_hidden_states=True)
        return [state[:, : int(out.attention_mask.sum())] for state in out.hidden_states]

    check_states(upstream, states, [12000, 7001, 320, 3000, 319, 0])


@pytest.mark.parametrize("kind, conf", [("SEWD", SQUEEZED), ("SeamlessM4T", SMALL)])
def test_layers_are_numbered_as_the_states_are(kind, conf, tmp_path):
    saved(tmp_path, kind, conf, normalise=True)
    upstream = hugging_face(str(tmp_path))
    names = [name for name, _ in upstream.named_parameters()]
    for number in range(3):  # state i depends on layers up to i only, and on layer i
        state = upstream(torch.randn(1, 4000), torch.tensor([4000]))[0][number]
        gradients = torch.autograd.grad(state.square().sum(), list(upstream.parameters()), allow_unused=True)
        layers = {upstream.layer_of(name) for name, gradient in zip(names, gradients) if gradient is not None}
        assert max(layers) == number
