"""Masked spans: their number, their places, their axis."""

from __future__ import annotations

import pytest
import torch

from nn.finetune.schedule import FineTuning
from nn.finetune.span_mask import SpanMask, spans


def test_spans_cover_the_share_distinct_and_inside():
    torch.manual_seed(0)
    sizes = torch.tensor([200, 57, 10, 9, 0])
    total = torch.zeros(5)
    for _ in range(300):
        mask = spans(torch.rand(5, 201), sizes, prob=0.5, length=10)
        assert not (mask & (torch.arange(200) >= sizes.unsqueeze(1))).any()
        total += mask.sum(1)
        for row in mask[:3].int():
            edges = torch.diff(row, prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
            lengths = (edges == -1).nonzero() - (edges == 1).nonzero()
            assert (lengths >= 10).all()
    share = total / 300 / sizes.clamp_min(1)
    # overlap leaves about 1 - exp(-0.5) of a long utterance covered; one that a span fills is covered half the time
    assert 0.37 < share[0] < 0.45 and 0.35 < share[1] < 0.5 and 0.4 < share[2] < 0.6
    assert not share[3:].any()


def test_feature_spans_are_zero_over_all_time():
    torch.manual_seed(0)
    x = torch.ones(2, 7, 64)
    y = SpanMask(feature_prob=0.5, feature_length=8)(x, torch.tensor([7, 3]))
    assert ((y == 0).all(1) == (y == 0).any(1)).all() and (y == 0).any()
    assert torch.equal(SpanMask(0.5, feature_prob=0.5).eval()(x, torch.tensor([7, 3])), x)


def test_masks_of_an_encoder_that_runs_utterances_of_one_length_at_a_time(tmp_path):
    """A Conformer calls its projection for each length; each call masks its own utterances."""
    pytest.importorskip("transformers")
    from nn.upstream.pretrained.huggingface import hugging_face
    from tests.parts.hugging_face import CONVOLUTIONS, SHAPE, saved

    saved(tmp_path, "Wav2Vec2Conformer", SHAPE | CONVOLUTIONS, True)
    upstream = hugging_face(str(tmp_path))
    for module in upstream.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.manual_seed(0)
    FineTuning(time_mask_prob=0.3, time_mask_length=3).prepare(upstream, True)
    wav, wav_len = torch.randn(3, 12000), torch.tensor([12000, 7001, 12000])
    clean = upstream.eval()(wav, wav_len)[0]
    masked, lengths = upstream.train()(wav, wav_len)
    assert [state.shape for state in masked] == [state.shape for state in clean]
    for row, frames in enumerate(lengths[0].tolist()):
        changed = (masked[0][row, :frames] != clean[0][row, :frames]).any(-1)
        assert changed.any() and not changed.all()
