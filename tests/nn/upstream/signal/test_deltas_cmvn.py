"""Deltas and normalisation see the true frames of each utterance only."""

from __future__ import annotations

import pytest
import torch
import torchaudio

from nn.upstream.signal.deltas_cmvn import SLIDING_FRAMES
from nn.upstream.signal.kaldi import Fbank
from tests.parts.signals import LENGTHS
from tests.parts.upstreams import padded


@pytest.mark.parametrize("orders", [1, 2])
def test_deltas_equal_torchaudio_on_the_utterance_alone(orders):
    wav, wav_len = padded(LENGTHS)
    (x,), (lengths,) = Fbank(num_mel_bins=20, cmvn="none", deltas=orders)(wav, wav_len)
    assert x.shape[2] == 20 * (1 + orders)
    for row, length in zip(x, lengths.tolist()):
        if length:
            parts = [row[:length, :20]]
            for _ in range(orders):
                parts.append(torchaudio.functional.compute_deltas(parts[-1].t()).t())
            torch.testing.assert_close(row[:length], torch.cat(parts, 1), atol=1e-5, rtol=1e-5)


def test_normalisation_uses_each_utterance_s_true_frames():
    wav, wav_len = padded([16000, 5000, 10])
    (raw,), (lengths,) = Fbank(cmvn="none")(wav, wav_len)
    (mean_only,), _ = Fbank(cmvn="mean")(wav, wav_len)
    (full,), _ = Fbank(cmvn="utterance")(wav, wav_len)
    for i, frames in enumerate(lengths.tolist()[:2]):
        centred = raw[i, :frames] - raw[i, :frames].mean(0)
        torch.testing.assert_close(mean_only[i, :frames], centred, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(full[i, :frames], centred / raw[i, :frames].std(0), atol=1e-4, rtol=1e-4)


def test_the_sliding_mean_is_that_of_torchaudio():
    """Its window does not count the frame itself."""
    wav, wav_len = padded([16000 * 6, 400, 5000])
    (raw,), (lengths,) = Fbank(num_mel_bins=20, cmvn="none")(wav, wav_len)
    (x,), _ = Fbank(num_mel_bins=20, cmvn="sliding")(wav, wav_len)
    assert lengths[0] > 2 * 290 > SLIDING_FRAMES
    for own, row, length in zip(x, raw, lengths.tolist()):
        expected = torchaudio.functional.sliding_window_cmn(row[:length], SLIDING_FRAMES - 1, 1, center=False)
        expected = expected.view(length, 20)  # of a single frame it drops an axis
        torch.testing.assert_close(own[:length], expected, atol=1e-4, rtol=0)
        assert not own[length:].any()
