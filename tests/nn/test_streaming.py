"""A recording in chunks of any size gives the output of the whole recording, or the model says why it cannot."""

from __future__ import annotations

import itertools

import pytest
import torch

from nn.downstream.conformer import Conformer
from nn.downstream.linear import FrameLinear, MeanPoolLinear
from nn.downstream.mlp import FrameMLP, MeanPoolMLP
from nn.downstream.rnn import RNNEncoder
from nn.downstream.tdnn import TDNN
from nn.featurizer import Featurizer
from nn.model import UpstreamDownstreamModel
from nn.streaming import CannotStream, stream_of
from nn.upstream.signal.kaldi import MFCC, Fbank, Spectrogram
from nn.upstream.signal.stft import Mel

CAUSAL = {"bidirectional": False, "hidden_size": [7, 6]}


def built(upstream: torch.nn.Module, head=RNNEncoder, **conf) -> UpstreamDownstreamModel:
    torch.manual_seed(0)
    featurizer = Featurizer(upstream)
    return UpstreamDownstreamModel(upstream, featurizer, head(featurizer.output_size, 5, **conf)).eval()


def streamed(model: UpstreamDownstreamModel, wav: torch.Tensor, sizes) -> torch.Tensor:
    """The logits of a waveform in chunks whose sizes are taken in turn."""
    stream, place, logits = stream_of(model), 0, []
    with torch.inference_mode():
        for size in itertools.cycle(sizes):
            logits.append(stream(wav[:, place : place + size], False))
            place += size
            if place >= wav.shape[1]:
                break
        logits.append(stream(wav[:, wav.shape[1] :], True))
    return torch.cat(logits, dim=1)


def check(model: UpstreamDownstreamModel, samples: int, sizes) -> None:
    wav = torch.randn(1, samples, generator=torch.Generator().manual_seed(samples)) * 0.1
    with torch.inference_mode():
        expected, (length,) = model(wav=wav, wav_len=torch.tensor([samples]))
    logits = streamed(model, wav, sizes)
    assert logits.shape[1] == length
    assert torch.allclose(logits, expected[:, :length], atol=2e-5)


@pytest.mark.parametrize("cmvn", ["none", "sliding"])
@pytest.mark.parametrize("deltas", [0, 1, 2])
@pytest.mark.parametrize("upstream", [Fbank, MFCC, Spectrogram])
def test_every_causal_front_end_in_chunks_equals_the_whole(upstream, deltas, cmvn):
    model = built(upstream(deltas=deltas, cmvn=cmvn), **CAUSAL)
    for samples, sizes in ((80000, [1600]), (9001, [1, 159, 2000, 0, 37])):
        check(model, samples, sizes)


def test_windows_with_gaps_between_them_are_placed_as_in_the_whole():
    model = built(Fbank(frame_length=10.0, frame_shift=25.0, cmvn="none"), **CAUSAL)
    for sizes in ([160], [1, 159, 2000, 0, 37]):
        check(model, 9001, sizes)


@pytest.mark.parametrize(
    "conf",
    [
        {"stack": 3},
        {"sample_rate": [2, 3], "sample_style": "concat"},
        {"sample_rate": [3, 1], "sample_style": "drop", "layer_norm": True, "proj": True, "stack": 2},
        {"module": "GRU", "proj_size": 4},
        {"module": "RNN", "stack": 4, "sample_rate": 2, "dropout": 0.5},
    ],
)
def test_every_unidirectional_encoder_in_chunks_equals_the_whole(conf):
    model = built(Fbank(20, cmvn="sliding"), **CAUSAL, **conf)
    for samples in (0, 100, 399, 400, 560, 800, 1200, 5000, 24017):
        check(model, samples, [700])
    check(model, 20000, [123, 4567])


@pytest.mark.parametrize(
    "conf",
    [
        {"chunk": 4, "left_chunks": 2},
        {"chunk": 1, "left_chunks": 0, "kernel": 1},
        {"chunk": 7, "left_chunks": 1, "stack": 3, "layers": 1},
        {"chunk": 5, "kernel": 31},
    ],
)
def test_a_conformer_of_limited_reach_in_chunks_equals_the_whole(conf):
    sizes = {"size": 8, "layers": 2, "heads": 2, "feedforward": 16, "kernel": 5}
    model = built(Fbank(20, cmvn="sliding"), Conformer, **sizes | conf)
    model.train()(wav=torch.randn(2, 9000), wav_len=torch.tensor([9000, 5000]))  # the batch norm learns some statistics
    model.eval()
    for samples in (0, 100, 400, 560, 1200, 24017):
        check(model, samples, [700])
    check(model, 20000, [123, 4567])


@pytest.mark.parametrize("head", [FrameLinear, FrameMLP])
def test_heads_of_single_frames_stream(head):
    check(built(Fbank(20, cmvn="none"), head), 8000, [640])


def test_all_reasons_against_chunks_are_given_at_once():
    with pytest.raises(
        CannotStream, match=r"Fbank normalises over the whole .*; RNNEncoder also reads .* from its end"
    ):
        stream_of(built(Fbank(20), hidden_size=[4]))
    for upstream, head, reason in (
        (Fbank(20, cmvn="mean"), FrameLinear, "cmvn is mean"),
        (Mel(20, cmvn="none"), FrameLinear, "Mel reflects a recording at its end"),
        (Fbank(20, cmvn="none"), TDNN, "^TDNN takes a recording as a whole$"),
        (Fbank(20, cmvn="none"), Conformer, r"Conformer attends to the whole recording \(chunk is null\)"),
        (Fbank(20, cmvn="none"), MeanPoolLinear, "MeanPoolLinear takes"),
        (Fbank(20, cmvn="none"), MeanPoolMLP, "MeanPoolMLP takes"),  # although FrameMLP is its base
    ):
        with pytest.raises(CannotStream, match=reason):
            stream_of(built(upstream, head))


def test_a_subclass_with_a_forward_of_its_own_must_say_again_that_it_streams():
    class Smoothed(FrameLinear):
        def forward(self, x, x_len):
            return super().forward(x + x.roll(1, 1), x_len)

    with pytest.raises(CannotStream, match="Smoothed"):
        stream_of(built(Fbank(20, cmvn="none"), Smoothed))
