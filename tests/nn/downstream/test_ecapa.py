"""ECAPA-TDNN: size as in the paper, padding, short and single utterances."""

from __future__ import annotations

import pytest
import torch

from nn.downstream.ecapa import ECAPA
from tests.parts.speaker_heads import (
    check_batch_and_alone,
    check_one_short_utterance_trains,
    check_padding_in_training,
    count,
    warmed,
)


def tiny(**settings) -> ECAPA:
    torch.manual_seed(0)
    return warmed(ECAPA(6, 5, channels=8, aggregation_size=12, scale=4, bottleneck=4, **settings))


@pytest.mark.parametrize("pooling", ["mean", "attentive_statistics"])
def test_an_utterance_has_the_same_embedding_in_a_padded_batch_as_alone(pooling):
    check_batch_and_alone(tiny(pooling=pooling))


def test_padding_changes_neither_the_loss_nor_the_statistics_of_training():
    check_padding_in_training(tiny(), tiny())


def test_a_batch_of_one_short_utterance_trains():
    check_one_short_utterance_trains(tiny())


def test_ecapa_has_as_many_parameters_as_the_paper_says():
    channels, width = 512, 64

    def conv(size_in, size_out, frames=1):  # with its batch norm
        return frames * size_in * size_out + size_out + 2 * size_out

    block = 2 * conv(channels, channels) + 7 * conv(width, width, 3) + (512 * 128 + 128) + (128 * 512 + 512)
    attention = (3 * 1536 * 128 + 128) + (128 * 1536 + 1536)
    tail = (3 * channels * 1536 + 1536) + attention + 2 * 3072 + (3072 * 192 + 192) + 2 * 192
    assert count(ECAPA(80, 192)) == conv(80, channels, 5) + 3 * block + tail
    assert round(count(ECAPA(80, 192)) / 1e6, 1) == 6.2  # table 1: 6.2M with 512 channels,
    assert round(count(ECAPA(80, 192, channels=1024)) / 1e6, 1) == 14.7  # 14.7M with 1024


def test_ecapa_refuses_channels_that_its_groups_do_not_divide():
    with pytest.raises(ValueError, match=r"scale is 3, expected .* a divisor of channels \(512\)"):
        ECAPA(6, 4, scale=3)


def test_the_smallest_scale_is_2():
    ECAPA(6, 4, channels=8, aggregation_size=12, scale=2, bottleneck=4)
    with pytest.raises(ValueError, match="scale is 1"):
        ECAPA(6, 4, channels=8, aggregation_size=12, scale=1, bottleneck=4)
