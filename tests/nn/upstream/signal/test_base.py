"""Rules that every signal feature keeps: batches, silence, gradients, the interface, refused settings."""

from __future__ import annotations

import pytest
import torch

from nn.upstream.signal.deltas_cmvn import CMVN
from nn.upstream.signal.kaldi import MFCC, Fbank
from nn.upstream.signal.stft import Linear
from tests.parts.signals import LENGTHS, SIGNALS, alone, noise, signal_upstream
from tests.parts.upstreams import padded


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("cmvn", CMVN)
def test_an_utterance_gives_the_same_features_in_a_batch_as_alone(name, cmvn):
    upstream = signal_upstream(name, cmvn=cmvn, deltas=2)
    wav, wav_len = padded(LENGTHS)
    (x,), (lengths,) = upstream(wav, wav_len)
    assert x.isfinite().all()
    assert lengths.dtype == torch.int64
    assert torch.equal(lengths, upstream.output_lengths(wav_len)[0])
    assert x.shape[0] == len(LENGTHS) and x.shape[1] >= int(lengths.max()) and x.shape[2] == upstream.hidden_sizes[0]
    for row, frames, single in zip(x, lengths.tolist(), noise()):
        torch.testing.assert_close(row[:frames], alone(upstream, single), atol=1e-4, rtol=1e-4)
        assert not row[frames:].any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fbank", [max(0, 1 + (samples - 400) // 160) for samples in LENGTHS]),
        ("linear", [1 + samples // 160 if samples > 200 else 0 for samples in LENGTHS]),
    ],
)
def test_the_number_of_frames_follows_from_the_samples(name, expected):
    assert signal_upstream(name).output_lengths(torch.tensor(LENGTHS))[0].tolist() == expected


@pytest.mark.parametrize("name", SIGNALS)
def test_silence_constants_and_nothing_give_finite_small_features(name):
    upstream = signal_upstream(name, deltas=1)
    for wav in (torch.zeros(1, 4000), torch.full((1, 4000), 0.3), torch.zeros(1, 0), torch.zeros(1, 400)):
        wav.requires_grad_()
        (x,), (length,) = upstream(wav, torch.tensor([wav.shape[1]]))
        assert x.shape[1] >= 1
        assert x.abs().max() < 0.1
        x.sum().backward()
        assert wav.grad.isfinite().all()


@pytest.mark.parametrize("name", SIGNALS)
def test_gradients_of_a_padded_batch_stay_inside_the_utterances(name):
    wav, wav_len = padded(LENGTHS)
    wav = wav.nan_to_num(1.0).requires_grad_()
    (x,), (lengths,) = signal_upstream(name)(wav, wav_len)
    x.square().sum().backward()
    assert wav.grad.isfinite().all()
    for gradient, samples, frames in zip(wav.grad, LENGTHS, lengths.tolist()):
        assert not gradient[samples:].any() and gradient.any() == (frames > 1)


@pytest.mark.parametrize("name", SIGNALS)
def test_interface_and_empty_state(name):
    upstream = signal_upstream(name)
    assert not upstream.state_dict() and not list(upstream.parameters())
    assert (upstream.num_layers, upstream.downsample_rates) == (1, [160])
    assert len(upstream.hidden_sizes) == 1


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Fbank(cmvn="global"), "cmvn is 'global', expected one of none, mean, utterance, sliding"),
        (lambda: Fbank(deltas=3), "deltas is 3, expected 0, 1 or 2"),
        (lambda: Fbank(num_mel_bins=2), "num_mel_bins is 2"),
        (lambda: MFCC(num_ceps=30), "num_ceps is 30, expected from 1 to num_mel_bins"),
        (lambda: Linear(frame_shift=0.0), "frame_shift 0.0 ms"),
        (lambda: Fbank()(torch.zeros(5), torch.tensor([5])), "wav must be"),
    ],
)
def test_impossible_settings_are_refused(build, words):
    with pytest.raises(ValueError, match=words):
        build()
