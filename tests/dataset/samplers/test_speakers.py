"""The speaker batch sampler: several utterances of different speakers in each batch, by (seed, epoch)."""

from __future__ import annotations

from collections import Counter

import pytest

from dataset.samplers.speakers import SpeakerBatchSampler

SPEAKERS = [f"s{n % 7}" for n in range(60)] + ["once"]


def test_each_batch_has_several_utterances_of_different_speakers():
    sampler = SpeakerBatchSampler(SPEAKERS, 12, 3)
    batches = list(sampler)
    assert len(batches) == len(sampler) > 3
    for batch in batches:
        assert sorted(Counter(SPEAKERS[i] for i in batch).values()) == [3, 3, 3, 3]
    used = [i for batch in batches for i in batch]
    assert len(set(used)) == len(used) and len(used) >= 48  # of 60; none twice


def test_an_epoch_is_a_function_of_seed_and_epoch():
    one, other = SpeakerBatchSampler(SPEAKERS, 12, 3, seed=5), SpeakerBatchSampler(SPEAKERS, 12, 3, seed=5)
    first = list(one)
    one.set_epoch(1)
    second = list(one)
    other.set_epoch(1)
    assert list(other) == second != first
    other.set_epoch(0)
    assert list(other) == first != list(SpeakerBatchSampler(SPEAKERS, 12, 3, seed=6))


def test_few_groups_are_left_over_where_one_speaker_has_most():
    speakers = ["much"] * 24 + [f"s{n // 4}" for n in range(80)]  # 12 groups of one, 2 of each of 20 others
    batches = list(SpeakerBatchSampler(speakers, 8, 2))
    assert sum(len(batch) for batch in batches) == 104


@pytest.mark.parametrize(
    "sizes, message",
    [((12, 1), "per_speaker is 1"), ((10, 4), "batch_size 10"), ((4, 4), "at least 2 speakers"), ((40, 4), "only 7")],
)
def test_sizes_that_do_not_fit_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        SpeakerBatchSampler(SPEAKERS, *sizes)


def test_the_smallest_batch_is_of_two_speakers_and_needs_no_more():
    assert sorted(map(sorted, SpeakerBatchSampler(["a", "b", "a", "b"], 4, 2))) == [[0, 1, 2, 3]]
