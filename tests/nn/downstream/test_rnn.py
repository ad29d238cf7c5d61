"""The recurrent encoder: packed sequences, padded batches, stacking and sub-sampling; and the linear probes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from nn.downstream.rnn import RNNEncoder, stack_frames, subsample

LENGTHS = torch.tensor([13, 5, 1, 9])


def copied(encoder: RNNEncoder, kind: str) -> list[nn.Module]:
    """torch's own bidirectional layers with the encoder's weights."""
    layers = []
    for layer in encoder.layers:
        reference_layer = getattr(nn, kind)(
            layer.forward_rnn.input_size,
            layer.forward_rnn.hidden_size,
            batch_first=True,
            bidirectional=layer.backward_rnn is not None,
        )
        for name, value in layer.forward_rnn.named_parameters():
            getattr(reference_layer, name).data.copy_(value)
            if layer.backward_rnn is not None:
                getattr(reference_layer, name + "_reverse").data.copy_(getattr(layer.backward_rnn, name))
        layers.append(reference_layer)
    return layers


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_equal_to_packed_sequences_with_gradients(kind, bidirectional):
    torch.manual_seed(0)
    encoder = RNNEncoder(6, 5, module=kind, hidden_size=[8, 7], bidirectional=bidirectional)
    layers = copied(encoder, kind)
    x = torch.randn(4, 13, 6, requires_grad=True)
    reference = x.detach().clone().requires_grad_()
    y, y_len = encoder(x, LENGTHS)
    z = reference
    for layer in layers:
        packed, _ = layer(pack_padded_sequence(z, LENGTHS, batch_first=True, enforce_sorted=False))
        z, _ = pad_packed_sequence(packed, batch_first=True)
    z = encoder.output(z)
    inside = (torch.arange(13) < LENGTHS[:, None]).unsqueeze(-1)
    torch.testing.assert_close(y * inside, z * inside, atol=1e-5, rtol=1e-5)
    assert torch.equal(y_len, LENGTHS)

    probe = torch.randn_like(y) * inside
    (y * probe).sum().backward()
    (z * probe).sum().backward()
    torch.testing.assert_close(x.grad, reference.grad, atol=1e-5, rtol=1e-5)
    for layer, reference in zip(encoder.layers, layers):
        for name, value in layer.forward_rnn.named_parameters():
            torch.testing.assert_close(value.grad, getattr(reference, name).grad, atol=1e-5, rtol=1e-5)
        if bidirectional:
            for name, value in layer.backward_rnn.named_parameters():
                torch.testing.assert_close(value.grad, getattr(reference, name + "_reverse").grad, atol=1e-5, rtol=1e-5)


CONFS = [
    {"stack": 3},
    {"sample_rate": [2, 1]},
    {"sample_rate": [3, 2], "sample_style": "concat"},
    {"sample_rate": 2, "proj": True, "layer_norm": [True, False], "stack": 2, "proj_size": 5},
    {"sample_rate": [1, 4], "sample_style": "concat", "proj": True, "bidirectional": False},
]


@pytest.mark.parametrize("conf", CONFS)
def test_an_item_is_the_same_in_a_padded_batch_as_alone(conf):
    torch.manual_seed(1)
    encoder = RNNEncoder(6, 5, **{"hidden_size": [8, 7], **conf}).eval()
    lengths = torch.tensor([13, 5, 0, 1, 12])
    x = torch.randn(5, 13, 6)  # padding holds noise: nothing may read it
    y, y_len = encoder(x, lengths)
    rates = [layer.rate for layer in encoder.layers]
    assert encoder.downsample_rate == encoder.stack * math.prod(rates)
    for i, n in enumerate(lengths.tolist()):
        frames = -(-n // encoder.stack)
        for rate in rates:
            frames = max(1, frames // rate) if frames else 0
        assert int(y_len[i]) == frames <= y.shape[1]
        if n:
            single, single_len = encoder(x[i : i + 1, :n], lengths[i : i + 1])
            assert int(single_len) == frames == single.shape[1]
            torch.testing.assert_close(y[i, :frames], single[0], atol=1e-5, rtol=1e-5)
    assert y.isfinite().all()


def test_a_batch_without_a_frame_is_legal():
    y, y_len = RNNEncoder(6, 5, hidden_size=[4], stack=3)(torch.zeros(2, 1, 6), torch.zeros(2, dtype=torch.long))
    assert y.shape == (2, 1, 5) and y_len.tolist() == [0, 0]


def test_stacking_joins_successive_frames_and_fills_with_zeros():
    x = torch.arange(1.0, 11.0).view(1, 5, 2)
    stacked, length = stack_frames(x, torch.tensor([4]), 3)
    assert stacked.tolist() == [[[1, 2, 3, 4, 5, 6], [7, 8, 0, 0, 0, 0]]] and length.tolist() == [2]


@pytest.mark.parametrize("style", ["drop", "concat"])
@pytest.mark.parametrize("rate", [2, 3, 5])
def test_subsampling_rounds_lengths_down_as_s3prl_does(style, rate):
    lengths = torch.tensor([13, 12, 7, 5])
    x = torch.randn(4, 13, 2, generator=torch.Generator().manual_seed(0))
    y, y_len = subsample(x, lengths, rate, style)
    assert y_len.tolist() == [n // rate for n in lengths.tolist()]
    # s3prl.nn.rnn.downsample, written out
    expected = x[:, ::rate] if style == "drop" else x[:, : 13 - 13 % rate].reshape(4, 13 // rate, 2 * rate)
    for row, theirs, frames in zip(y, expected, y_len.tolist()):
        assert torch.equal(row[:frames], theirs[:frames])


@pytest.mark.parametrize(("style", "expected"), [("drop", [[1, 2]]), ("concat", [[1, 2, 3, 4, 0, 0]])])
def test_an_utterance_shorter_than_the_rate_keeps_one_frame_and_an_empty_one_none(style, expected):
    x = torch.arange(1.0, 11.0).view(1, 5, 2).expand(2, 5, 2)
    y, y_len = subsample(x, torch.tensor([2, 0]), 3, style)
    assert y_len.tolist() == [1, 0] and y[0].tolist() == expected
    y, y_len = subsample(x[:, :2], torch.tensor([2, 0]), 3, style)  # the whole batch is that short
    assert y_len.tolist() == [1, 0] and y[0].tolist() == expected


def test_the_superb_recipe_has_the_parts_of_s3prl():
    encoder = RNNEncoder(
        8, 5, hidden_size=[16, 16], dropout=[0.2, 0.2], sample_style="concat", proj_size=12, proj=False
    )
    assert encoder.input_proj.out_features == 12
    assert [layer.output_size for layer in encoder.layers] == [32, 32]
    x, lengths = torch.randn(2, 9, 8), torch.tensor([9, 4])
    assert not torch.equal(encoder(x, lengths)[0], encoder(x, lengths)[0])  # dropout acts in training mode
    encoder.eval()
    assert torch.equal(encoder(x, lengths)[0], encoder(x, lengths)[0])


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"module": "lstm"}, "module is 'lstm', expected one of LSTM, GRU, RNN"),
        ({"sample_style": "mean"}, "sample_style is 'mean', expected one of drop, concat"),
        ({"dropout": [0.1, 0.1, 0.1]}, "dropout has 3 values"),
        ({"sample_rate": 0}, r"sample_rate \(0\) must be at least 1"),
        ({"hidden_size": []}, "a positive size for each layer"),
    ],
)
def test_impossible_settings_are_refused(conf, words):
    with pytest.raises(ValueError, match=words):
        RNNEncoder(6, 5, **conf)
