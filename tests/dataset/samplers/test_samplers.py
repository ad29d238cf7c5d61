"""Every batch sampler: batches by number, limits kept, a function of (seed, epoch, number) alone."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch

from dataset.samplers import SAMPLERS
from dataset.samplers.base import Limits, whole
from dataset.samplers.bucket import BucketBatchSampler
from dataset.samplers.common.window import WindowBatchSampler
from problems.engine.config.registry import load_class
from tests.parts.samplers import Lengths

SECONDS = np.random.default_rng(0).gamma(4, 2, 503)
LABELS = ["common"] * 400 + ["some"] * 80 + ["rare"] * 23
DATA = Lengths(
    SECONDS,
    label=LABELS,
    weight=["0" if i < 100 else "3" if i < 200 else "1" for i in range(503)],
    spk=[f"s{i % 7}" for i in range(502)] + ["once"],
    speaker=[f"s{i % 11}" for i in range(503)],
    corpus=["large"] * 400 + ["small"] * 103,
)
LIMITS = {
    "random": (8, None),
    "sequential": (8, None),
    "sorted": (8, 60.0),
    "bucket": (8, 60.0),
    "duration": (None, 60.0),
    "block": (16, 60.0),
    "balanced": (8, None),
    "weighted": (8, None),
    "speakers": (12, None),
    "grouped": (8, None),
    "mixed": (8, None),
}
WHOLE = ("random", "sequential", "sorted", "bucket", "duration", "block", "grouped")
"""Those that visit every utterance once an epoch."""
DRAWING = ("balanced", "weighted", "speakers", "mixed")
KINDS = pytest.mark.parametrize("kind", SAMPLERS)


def make(kind, data=DATA, limits=None, **conf):
    if kind == "speakers":
        conf = {"per_speaker": 3} | conf
    return load_class(SAMPLERS[kind])(data, *(limits or LIMITS[kind]), **conf)


def epoch(sampler, number, seed=0):
    return [sampler.batch(seed, number, place) for place in range(len(sampler))]


@pytest.mark.parametrize("kind", WHOLE)
def test_every_utterance_once_an_epoch(kind):
    for number in range(3):
        batches = epoch(make(kind), number)
        assert all(batches) and all(type(i) is int for i in batches[0])
        assert sorted(i for batch in batches for i in batch) == list(range(503))


@KINDS
def test_a_batch_is_a_function_of_seed_epoch_and_number_alone(kind):
    sampler = make(kind)
    asked = [(seed, number, place) for seed in (0, 5) for number in (0, 3, 1) for place in (0, len(sampler) - 1, 4)]
    batches = [sampler.batch(*one) for one in asked]
    for one, batch in reversed(list(zip(asked, batches))):
        assert sampler.batch(*one) == make(kind).batch(*one) == batch


@KINDS
def test_epochs_and_seeds_differ_but_where_an_order_is_asked_for(kind):
    sampler = make(kind)
    orders = [epoch(sampler, number, seed) for seed in (0, 1) for number in (0, 1)]
    if kind in ("sequential", "sorted"):
        assert all(order == orders[0] for order in orders)
    else:
        assert all(order != earlier for i, order in enumerate(orders) for earlier in orders[:i])


@KINDS
def test_the_first_batches_and_the_rest_are_the_epoch_at_every_place(kind):
    sampler = make(kind)
    sampler.seed = 4
    sampler.set_epoch(2)
    whole_epoch = list(sampler)
    assert len(whole_epoch) == len(sampler)
    for place in range(0, len(sampler), 7):
        rest = [sampler.batch(4, 2, number) for number in range(place, len(sampler))]
        assert whole_epoch[:place] + rest == whole_epoch


@KINDS
def test_global_random_state_is_untouched(kind):
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = state()
    list(make(kind))
    assert state() == before


@KINDS
def test_the_utterances_of_the_first_batches_are_those_that_come(kind):
    sampler = make(kind)
    for count in (0, 1, 5, len(sampler), len(sampler) + 3):
        places = (divmod(number, len(sampler)) for number in range(count))
        seen = {i for number, place in places for i in sampler.batch(7, number, place)}
        assert list(sampler.utterances(7, count)) == sorted(seen)


@pytest.mark.parametrize("kind", ["sorted", "bucket", "duration"])
def test_padded_length_is_limited_and_a_long_utterance_stands_alone(kind):
    data = Lengths(np.append(SECONDS, 99.0))
    areas = [len(batch) * data.seconds[batch].max() for batch in make(kind, data, (None, 60.0))]
    assert sorted(areas)[-2] <= 60 * (1 + 1e-6) and max(areas) == 99
    assert [503] in list(make(kind, data, (None, 60.0)))
    padding = sum(areas) / data.seconds.sum() - 1
    assert padding < {"sorted": 0.05, "bucket": 0.15, "duration": 0.05}[kind]
    assert len(areas) < {"sorted": 1.1, "bucket": 1.25, "duration": 1.25}[kind] * data.seconds.sum() / 60 + 2


def test_sorted_by_hand():
    data = Lengths([1.0, 5.0, 2.0, 40.0, 1.0, 3.0, 0.0])
    assert list(make("sorted", data, (3, None))) == [[3, 1, 5], [2, 0, 4], [6]]
    assert list(make("sorted", data, (None, 8))) == [[3], [1], [5, 2], [0, 4, 6]]
    assert list(make("sorted", data, (2, 8))) == [[3], [1], [5, 2], [0, 4], [6]]
    assert list(make("sorted", data, (3, None), order="ascending")) == [[6], [4, 0, 2], [5, 1, 3]]
    assert list(make("sorted", Lengths([0.1] * 3), (None, 0.3))) == [[0, 1, 2]]
    assert list(make("sorted", Lengths([2.0]), (4, None))) == [[0]]


def test_a_curriculum_begins_with_short_utterances():
    sampler = make("sorted", order="curriculum", curriculum_epochs=2)
    for number in (0, 1):
        longest = [SECONDS[batch].max() for batch in epoch(sampler, number)]
        assert longest == sorted(longest)
    longest = [SECONDS[batch].max() for batch in epoch(sampler, 2)]
    assert longest != sorted(longest) and epoch(sampler, 1) == epoch(sampler, 0)


def test_a_block_is_closed_once_its_sum_is_reached():
    for batch in make("block", limits=(None, 60.0)):
        lengths = SECONDS[batch]
        assert lengths[:-1].sum() < 60 and (lengths.sum() >= 60 or batch[-1] == SECONDS.argmin())


def test_attention_makes_long_utterances_count_for_more():
    sizes = {long: [] for long in (False, True)}
    for quadratic, sampler in ((None, make("duration")), (10.0, make("duration", quadratic_seconds=10.0))):
        longest = max((batch for batch in sampler), key=lambda batch: SECONDS[batch].max())
        sizes[quadratic is not None] = SECONDS[longest].max() * len(longest)
    assert sizes[True] <= 60 / (1 + SECONDS.max() / 10) * 1.5 < sizes[False]


def test_neighbours_and_batches_are_mixed_anew():
    for kind in ("random", "bucket", "duration"):
        epochs = [epoch(make(kind), number) for number in range(2)]
        pairs = [{frozenset((a, b)) for batch in e for a in batch for b in batch if a < b} for e in epochs]
        assert len(pairs[0] & pairs[1]) < 0.6 * len(pairs[0]), kind
        means = [SECONDS[batch].mean() for batch in epochs[0]]
        assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.4, kind  # not from long to short


def test_random_batches_are_a_fair_sample_and_buckets_of_similar_length():
    spread = {
        kind: np.mean(
            [SECONDS[b].std() for n in range(5) for b in epoch(make(kind, limits=(8, None)), n) if len(b) == 8]
        )
        for kind in ("random", "bucket")
    }
    drawn = np.mean([SECONDS[np.random.default_rng(i).choice(503, 8)].std() for i in range(500)])
    assert spread["random"] == pytest.approx(drawn, rel=0.1) and spread["bucket"] < 0.3 * drawn


def test_batches_of_one_size_are_as_many_as_they_must_be():
    for count in (1, 7, 8, 9, 503):
        for kind in ("random", "sequential", "sorted", "bucket"):
            assert len(make(kind, Lengths([1.0 + i % 3 for i in range(count)]), (8, None))) == -(-count // 8)


def test_utterances_of_one_length_are_mixed_whatever_their_order_in_the_data():
    labels = np.repeat(range(10), 100)  # the data are sorted by label
    for kind, limits in (("bucket", (20, None)), ("bucket", (None, 20.0)), ("duration", (None, 20.0))):
        for jitter in (0, 0.01):
            data = Lengths(1 + jitter * labels / 10)
            spread = np.mean([len(set(labels[batch])) for batch in make(kind, data, limits)])
            assert spread > 7.5, (kind, jitter)  # of 20 drawn at random: 8.8


def test_grouped_batches_have_one_value():
    for batch in make("grouped"):
        assert len({i % 11 for i in batch}) == 1


class TestBalanced:
    def test_every_class_comes_up_equally_often_in_an_epoch_of_the_same_length(self):
        drawn = [index for batch in make("balanced") for index in batch]
        sizes = Counter(LABELS[i] for i in drawn)
        assert sum(sizes.values()) == 503 and max(sizes.values()) - min(sizes.values()) <= 1
        times = Counter(drawn)
        assert {times[i] for i in range(480, 503)} == {7, 8}, "no utterance is drawn again before all of its class were"
        assert {times[i] for i in range(400, 480)} == {2, 3} and {times[i] for i in range(400)} == {0, 1}

    def test_over_epochs_every_utterance_is_seen_before_one_comes_again(self):
        sampler = make("balanced")
        common = [i for number in range(6) for batch in epoch(sampler, number) for i in batch if LABELS[i] == "common"]
        assert max(Counter(common).values()) - min(Counter(common).values()) <= 1 and len(set(common)) == 400

    def test_a_batch_pads_less_than_a_random_one(self):
        spread = {kind: np.mean([SECONDS[b].std() for b in make(kind)]) for kind in ("balanced", "random")}
        assert spread["balanced"] < 0.4 * spread["random"]

    def test_more_classes_than_a_batch_has_places(self):
        drawn = [i for batch in make("balanced", Lengths([1.0] * 3, label=["a", "b", "c"]), (2, None)) for i in batch]
        assert sorted(drawn) == [0, 1, 2]


def test_weighted_draws_follow_the_weights():
    sampler = make("weighted")
    drawn = Counter(i for number in range(200) for batch in epoch(sampler, number) for i in batch)
    assert not any(drawn[i] for i in range(100))
    three, one = (np.mean([drawn[i] for i in places]) for places in (range(100, 200), range(200, 503)))
    assert three / one == pytest.approx(3, rel=0.05)


class TestMixed:
    def count(self, sampler, epochs):
        drawn = [i for number in range(epochs) for batch in epoch(sampler, number) for i in batch]
        return drawn, sum(i >= 400 for i in drawn) / len(drawn)

    def test_each_corpus_has_its_part(self):
        for parts, expected in (({"large": 1, "small": 3}, 0.75), ({"large": 0.9, "small": 0.1}, 0.1), (None, 0.5)):
            drawn, part = self.count(make("mixed", parts=parts), 6)
            assert part == pytest.approx(expected, abs=0.02)
            times = Counter(drawn)
            for own in (range(400), range(400, 503)):
                counts = [times[i] for i in own]
                assert max(counts) - min(counts) <= 1, "no utterance comes again before all of its corpus did"

    def test_parts_are_exact_in_a_thousand_places(self):
        data = Lengths([1.0] * 3000, corpus=["a"] * 2500 + ["b"] * 400 + ["c"] * 100)
        sampler = make("mixed", data, (10, None), parts={"a": 0.701, "b": 0.2, "c": 0.099})
        drawn = sampler.drawn(0, 0, np.arange(1000))
        assert [sum(drawn < 2500), sum((drawn >= 2500) & (drawn < 2900)), sum(drawn >= 2900)] == [701, 200, 99]

    def test_every_value_has_a_place(self):
        data = Lengths([1.0] * 30, corpus=["a"] * 10 + ["b"] * 10 + ["c"] * 10)
        sampler = make("mixed", data, (10, None), parts={"a": 1e-4, "b": 1e-4, "c": 0.9998})
        assert sampler.places.tolist() == [1, 1, 998]
        with pytest.raises(ValueError, match="has 1200 values; mixed takes at most 1000"):
            make("mixed", Lengths([1.0] * 1200, corpus=[str(i) for i in range(1200)]), (10, None))

    @pytest.mark.parametrize("parts", [{"large": 1}, {"large": 1, "smal": 1}, {"large": 1, "small": 0}])
    def test_parts_that_do_not_fit_are_refused(self, parts):
        with pytest.raises(ValueError, match="above 0 for each value of 'corpus', which are large, small"):
            make("mixed", parts=parts)


class TestSpeakers:
    def test_each_batch_has_several_utterances_of_different_speakers(self):
        for number in range(4):
            for batch in epoch(make("speakers"), number):
                assert len(set(batch)) == 12 and 502 not in batch
                assert sorted(Counter(i % 7 for i in batch).values()) == [3, 3, 3, 3]

    def test_speakers_take_turns_and_so_do_their_utterances(self):
        speakers = [f"s{i % 8}" for i in range(240)]  # 30 of each
        sampler = make("speakers", Lengths([1.0] * 240, spk=speakers), (12, None))
        assert len(sampler) == 20
        batches = epoch(sampler, 0)
        for first in range(0, 20, 2):
            assert len({speakers[i] for batch in batches[first : first + 2] for i in batch}) == 8
        drawn = [i for batch in batches for i in batch]
        assert len(set(drawn)) == 240, "all are visited before one is visited again"

    @pytest.mark.parametrize(
        "size, per_speaker, message",
        [(12, 1, "per_speaker is 1"), (10, 4, "batch_size 10"), (4, 4, "at least 2 speakers"), (40, 4, "only 7")],
    )
    def test_sizes_that_do_not_fit_are_refused(self, size, per_speaker, message):
        with pytest.raises(ValueError, match=message):
            make("speakers", limits=(size, None), per_speaker=per_speaker)

    def test_the_smallest_batch_is_of_two_speakers_and_needs_no_more(self):
        sampler = make("speakers", Lengths([1.0] * 4, spk=["a", "b", "a", "b"]), (4, None), per_speaker=2)
        assert sorted(map(sorted, sampler)) == [[0, 1, 2, 3]]


class TestWindow:
    @pytest.mark.parametrize("size", [3, 20, 63, 150])
    def test_all_is_covered_before_anything_is_repeated(self, size):
        inner = make("random")  # 63 batches
        window = WindowBatchSampler(inner, size)
        assert len(window) == size
        stream = [batch for number in range(200 // size + 2) for batch in epoch(window, number)]
        assert stream[:63] == epoch(inner, 0) and stream[63:126] == epoch(inner, 1)

    def test_an_epoch_has_at_least_one_batch(self):
        with pytest.raises(ValueError, match="batches_per_epoch must be a whole number of at least 1; got 0"):
            WindowBatchSampler(make("random"), 0)


def test_processes_share_padding_evenly():
    for kind in ("random", "bucket", "duration"):
        seconds = np.random.default_rng(1).gamma(4, 2, 20000)
        sampler = make(kind, Lengths(seconds))
        areas = np.array([len(b) * seconds[b].max() for b in epoch(sampler, 0)])
        for size in (2, 4):
            by_rank = [areas[rank::size].sum() for rank in range(size)]
            assert max(by_rank) / min(by_rank) < 1.05, (kind, size)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: Limits(None, None), "batch_size and max_seconds are both None"),
        (lambda: Limits(0, None), "batch_size must be a whole number of at least 1; got 0"),
        (lambda: Limits(2.5, None), "batch_size .* got 2.5"),
        (lambda: Limits(True, None), "batch_size .* got True"),
        (lambda: Limits(None, 0), "max_seconds must be .* above 0"),
        (lambda: Limits(None, float("nan")), "max_seconds .* got nan"),
        (lambda: whole("epoch", -1, 0), "epoch .* got -1"),
        (lambda: make("random").set_epoch(-1), "epoch .* got -1"),
        (lambda: make("random", limits=(None, 10.0)), "random needs batch_size and excludes max_seconds"),
        (lambda: make("duration", limits=(8, None)), "duration needs it"),
        (lambda: make("duration", spread=0), "spread is 0"),
        (lambda: make("block", limits=(8, None)), "block needs a number above 0"),
        (lambda: make("sorted", order="up"), "order is 'up'; expected one of descending, ascending, curriculum"),
        (lambda: make("bucket", buckets=0), "buckets must be a whole number of at least 1"),
        (lambda: make("bucket", Lengths([])), "at least one length"),
        (lambda: make("bucket", Lengths([1.0, float("nan")])), "utterance 1 is nan"),
        (lambda: make("bucket", Lengths([1.0, -2])), "utterance 1 is -2"),
        (lambda: make("balanced", column="mood"), "column is 'mood': the metadata has no such column; the columns are"),
        (lambda: make("weighted", column="label"), "column 'label' holds weights, numbers from 0"),
        (lambda: make("weighted", Lengths([1.0] * 2, weight=["0", "0"])), "some above 0"),
    ],
)
def test_arguments_are_checked(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_ten_million_utterances_take_no_list():
    seconds = np.random.default_rng(0).uniform(1, 20, 10**6)
    sampler = BucketBatchSampler(Lengths(seconds), 16, None)
    assert len(sampler) == 62500 and len(sampler.batch(0, 3, 62499)) == 16
    assert isinstance(sampler.utterances(0, 10**6), range)
