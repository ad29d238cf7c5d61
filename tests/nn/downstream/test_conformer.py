"""The conformer: torchaudio's layers without padding, and the same outputs in a padded batch as alone."""

from __future__ import annotations

import pytest
import torch
from torchaudio.models.conformer import ConformerLayer as Reference

from nn.downstream.conformer import Conformer, ConformerLayer

LENGTHS = torch.tensor([13, 5, 0, 1, 12])


def copied(layer: ConformerLayer, size: int) -> Reference:
    """torchaudio's layer with the weights of ours."""
    reference = Reference(size, 20, 2, 5)
    conv = layer.convolution
    pairs = {
        **{f"ffn{n}.sequential.{i}": own[i] for n, own in ((1, layer.first), (2, layer.second)) for i in (0, 1, 4)},
        "self_attn_layer_norm": layer.attention_norm,
        "self_attn.out_proj": layer.attention.output,
        "conv_module.layer_norm": conv.norm,
        "conv_module.sequential.0": conv.input,
        "conv_module.sequential.2": conv.depthwise,
        "conv_module.sequential.3": conv.batch_norm.norm,
        "conv_module.sequential.5": conv.output,
        "final_layer_norm": layer.norm,
    }
    state = reference.state_dict()
    for name, own in pairs.items():
        for part, value in own.state_dict().items():
            state[f"{name}.{part}"] = value.reshape(state[f"{name}.{part}"].shape)
    attention = (layer.attention.query, layer.attention.key, layer.attention.value)
    state["self_attn.in_proj_weight"] = torch.cat([own.weight for own in attention])
    state["self_attn.in_proj_bias"] = torch.cat([own.bias for own in attention])
    reference.load_state_dict(state)
    return reference


@pytest.mark.parametrize("training", [True, False])
def test_a_layer_equals_torchaudios_without_padding(training):
    torch.manual_seed(0)
    layer = ConformerLayer(8, heads=2, feedforward=20, kernel=5, dropout=0.0).train(training)
    for norm in (layer.convolution.norm, layer.convolution.batch_norm.norm, layer.norm):
        torch.nn.init.normal_(norm.weight)
    reference = copied(layer, 8).train(training)
    x = torch.randn(3, 11, 8)
    expected = reference(x.transpose(0, 1), None).transpose(0, 1)
    torch.testing.assert_close(layer(x, torch.tensor([11, 11, 11])), expected, atol=1e-5, rtol=1e-5)


def test_the_statistics_of_training_are_those_of_the_true_frames():
    torch.manual_seed(0)
    layer = ConformerLayer(8, heads=2, feedforward=20, kernel=5, dropout=0.0)
    reference = copied(layer, 8)
    x = torch.randn(1, 7, 8)
    layer(torch.nn.functional.pad(x, (0, 0, 0, 9), value=3.0), torch.tensor([7]))
    reference(x.transpose(0, 1), None)
    theirs = reference.conv_module.sequential[3]
    torch.testing.assert_close(layer.convolution.batch_norm.norm.running_mean, theirs.running_mean)
    torch.testing.assert_close(layer.convolution.batch_norm.norm.running_var, theirs.running_var)


@pytest.mark.parametrize("stack", [1, 3])
@pytest.mark.parametrize("chunk", [None, 2])
def test_an_item_is_the_same_in_a_padded_batch_as_alone(stack, chunk):
    torch.manual_seed(1)
    reach = {"chunk": chunk, "left_chunks": chunk and 1}
    encoder = Conformer(6, 5, size=8, layers=2, heads=2, feedforward=16, kernel=7, stack=stack, **reach)
    encoder(torch.randn(4, 13, 6), torch.tensor([13, 9, 13, 2]))  # so that the batch norm knows some statistics
    encoder.eval()
    x = torch.randn(5, 13, 6)
    x[1, 5:] = torch.nan  # nothing may read the padding
    y, y_len = encoder(x, LENGTHS)
    assert y_len.tolist() == [-(-n // stack) for n in LENGTHS.tolist()] and encoder.downsample_rate == stack
    for own, length, frames, expected in zip(x, LENGTHS.tolist(), y_len.tolist(), y):
        alone, alone_len = encoder(own[None, : max(1, length)], torch.tensor([length]))
        assert alone_len.item() == frames
        torch.testing.assert_close(alone[0, :frames], expected[:frames], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("chunk", [None, 2])
def test_every_weight_is_trained_and_empty_items_harm_none(chunk):
    encoder = Conformer(6, 5, size=8, layers=2, heads=2, feedforward=16, kernel=7, chunk=chunk, left_chunks=chunk and 1)
    y, y_len = encoder(torch.randn(5, 13, 6), LENGTHS)
    (y * (torch.arange(13) < y_len[:, None])[..., None]).square().sum().backward()
    for name, own in encoder.named_parameters():
        assert torch.isfinite(own.grad).all(), name
        assert own.grad.abs().max() > 0 or name.endswith("attention.key.bias"), name  # softmax ignores a shift


def test_the_order_of_frames_matters():
    encoder = Conformer(6, 5, size=8, layers=1, heads=2, feedforward=16, kernel=1).eval()  # no convolution in time
    x = torch.randn(1, 9, 6)
    y, flipped = (encoder(own, torch.tensor([9]))[0] for own in (x, x.flip(1)))
    assert (y - flipped.flip(1)).abs().max() > 1e-3


def test_a_frame_sees_its_chunk_and_those_before_it_alone():
    encoder = Conformer(6, 5, size=8, layers=1, heads=2, feedforward=16, kernel=1, chunk=4, left_chunks=1).eval()
    x = torch.randn(1, 16, 6, requires_grad=True)
    for frame, first, last in ((4, 0, 8), (7, 0, 8), (9, 4, 12), (15, 8, 16)):
        (gradient,) = torch.autograd.grad(encoder(x, torch.tensor([16]))[0][0, frame].sum(), x)
        assert gradient[0].abs().sum(1).nonzero().flatten().tolist() == list(range(first, last))


@pytest.mark.parametrize(
    "conf", [{"kernel": 4}, {"layers": 0}, {"heads": 5}, {"stack": 0}, {"chunk": 0}, {"left_chunks": 1}]
)
def test_wrong_settings_are_named(conf):
    with pytest.raises(ValueError, match=f"{next(iter(conf))}.* {next(iter(conf.values()))}|{next(iter(conf))} "):
        Conformer(6, 5, **conf)
