"""The transformer decoder: torch's own with the same weights, and token by token the same as all at once."""

from __future__ import annotations

import torch
from torch import nn

from nn.transformer_decoder import DecoderSearch, TransformerDecoder


def small(**settings) -> TransformerDecoder:
    torch.manual_seed(0)
    return TransformerDecoder(7, **{"size": 8, "layers": 2, "heads": 2, "feedforward": 12, **settings})


def copied(layer) -> nn.TransformerDecoderLayer:
    """torch's layer with the weights of ours."""
    reference = nn.TransformerDecoderLayer(8, 2, 12, 0.0, batch_first=True, norm_first=True)
    for theirs, own in ((reference.self_attn, layer.self_attention), (reference.multihead_attn, layer.cross_attention)):
        parts = (own.query, own.key, own.value)
        theirs.in_proj_weight.data = torch.cat([part.weight for part in parts])
        theirs.in_proj_bias.data = torch.cat([part.bias for part in parts])
        theirs.out_proj.load_state_dict(own.output.state_dict())
    pairs = (
        (reference.linear1, layer.feedforward[0]),
        (reference.linear2, layer.feedforward[3]),
        (reference.norm1, layer.self_norm),
        (reference.norm2, layer.cross_norm),
        (reference.norm3, layer.last_norm),
    )
    for theirs, own in pairs:
        theirs.load_state_dict(own.state_dict())
    return reference


def test_layers_equal_torchs():
    decoder = small(dropout=0.0)
    for name, value in decoder.named_parameters():
        if "norm" in name:
            nn.init.normal_(value)
    tokens, memory, lengths = torch.randint(1, 7, (3, 5)), torch.randn(3, 9, 8), torch.tensor([9, 4, 1])
    x = decoder.embedded(nn.functional.pad(tokens, (1, 0)), 0)
    padding = torch.arange(9) >= lengths[:, None]
    mask = nn.Transformer.generate_square_subsequent_mask(6)
    for layer in decoder.layers:
        x = copied(layer)(x, decoder.memory_norm(memory), tgt_mask=mask, memory_key_padding_mask=padding)
    expected = decoder.output(decoder.norm(x))
    memory[1, 4:] = torch.nan  # nothing may read the padding
    torch.testing.assert_close(decoder(tokens, memory, lengths), expected, atol=1e-5, rtol=1e-5)


def test_a_search_scores_each_hypothesis_as_teacher_forcing_does():
    decoder = small().eval()
    memory, lengths = torch.randn(2, 9, 8), torch.tensor([9, 3])
    search = DecoderSearch(decoder, memory, lengths, 3)
    texts = torch.zeros(2, 3, 0, dtype=torch.int64)
    parents, tokens = torch.zeros(2, 3, dtype=torch.int64), torch.zeros(2, 3, dtype=torch.int64)
    draw = torch.Generator().manual_seed(1)
    for _ in range(5):
        scores = search.step(parents, tokens)
        forced = decoder(texts.flatten(0, 1), memory.repeat_interleave(3, 0), lengths.repeat_interleave(3, 0))
        expected = forced[:, -1].log_softmax(-1).view(2, 3, 7)
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=1e-5)
        parents = torch.randint(0, 3, (2, 3), generator=draw)
        tokens = torch.randint(1, 7, (2, 3), generator=draw)
        texts = torch.cat([texts.gather(1, parents[..., None].expand_as(texts)), tokens[..., None]], dim=2)


def test_no_token_sees_a_later_one_and_each_sees_the_memory():
    decoder = small().eval()
    tokens, memory, lengths = torch.randint(1, 7, (1, 5)), torch.randn(1, 6, 8), torch.tensor([6])
    whole = decoder(tokens, memory, lengths)
    for end in range(5):
        torch.testing.assert_close(decoder(tokens[:, :end], memory, lengths), whole[:, : end + 1], atol=1e-5, rtol=1e-5)
    assert (decoder(tokens, memory.flip(2), lengths) - whole).abs().amin(dim=(0, 2)).min() > 0


def test_every_weight_is_trained_and_an_empty_memory_harms_none():
    decoder, memory = small(), torch.randn(3, 4, 8, requires_grad=True)
    decoder(torch.randint(1, 7, (3, 5)), memory, torch.tensor([4, 0, 2])).log_softmax(-1)[..., 3].sum().backward()
    for name, own in [*decoder.named_parameters(), ("memory", memory)]:
        assert torch.isfinite(own.grad).all(), name
        assert own.grad.abs().max() > 0 or name.endswith("attention.key.bias"), name  # softmax ignores a shift
    assert memory.grad[1].abs().max() == 0, "padding"
    assert torch.isfinite(decoder(torch.ones(1, 2, dtype=torch.int64), memory[:1, :0], torch.tensor([0]))).all()
