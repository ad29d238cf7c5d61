"""The stream of batches: a pure function of seed and place with any number of workers, resumable at any batch."""

from __future__ import annotations

import itertools
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, RandomSampler

from dataset.loader import (
    LoaderError,
    LoaderSettings,
    Unreadable,
    eval_stream,
    train_stream,
)
from dataset.samplers.epochs import epoch_batches
from dataset.samplers.sorted import SortedBatchSampler
from tests.conftest import ROOT
from tests.parts.samplers import FixedBatchSampler, Lengths


class Noisy(Dataset):
    """Items that draw from every generator, and record the number of threads."""

    ids = [f"u{i}" for i in range(11)]

    def __len__(self):
        return 11

    def __getitem__(self, index):
        drawn = (random.random(), float(np.random.rand()), float(torch.rand(())))
        return {"index": index, "drawn": drawn, "threads": torch.get_num_threads()}


class Broken(Noisy):
    def __getitem__(self, index):
        if index == 7:
            raise FileNotFoundError(2, "No such file or directory", "u7.wav")
        return super().__getitem__(index)


class Unportable(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} and {b}")


def take(count, num_workers=0, **options):
    options["settings"] = LoaderSettings(num_workers=num_workers)
    options = {"seed": 1, "batch_sampler": FixedBatchSampler(11, 3, shuffle=True, seed=1), **options}
    stream = train_stream(dataset=Noisy(), collate_fn=list, **options)
    batches = [(place, batch) for place, batch in itertools.islice(stream, count)]
    stream.close()
    return batches


def flat(batches):
    return [(p.epoch, p.done, [(i["index"], i["drawn"]) for i in batch]) for p, batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
def test_first_k_and_the_rest_are_all(workers):
    whole = flat(take(10, num_workers=workers))
    for epoch, position in ((0, 1), (0, 3), (1, 0), (1, 2), (2, 1)):
        behind = epoch * 4 + position
        rest = flat(take(10 - behind, epoch=epoch, position=position, num_workers=workers))
        assert rest == whole[behind:]


def test_any_number_of_workers_gives_the_same():
    assert flat(take(9, num_workers=0)) == flat(take(9, num_workers=1)) == flat(take(9, num_workers=2))


def test_every_utterance_once_an_epoch_and_another_order_the_next():
    batches = take(8)
    orders = [[i["index"] for p, b in batches if p.epoch == e for i in b] for e in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(11))
    assert orders[0] != orders[1]
    assert [p.last for p, _ in batches] == [False, False, False, True] * 2


def test_augmentation_follows_seed_epoch_and_id_alone():
    draws = {(p.epoch, i["index"]): i["drawn"] for p, b in take(12) for i in b}
    assert len(set(draws.values())) == len(draws)  # another draw for each utterance and epoch
    regrouped = take(22, batch_sampler=FixedBatchSampler(11, 1, shuffle=True, seed=9))
    for p, b in regrouped:
        assert draws[p.epoch, b[0]["index"]] == b[0]["drawn"]
    other = {(p.epoch, i["index"]): i["drawn"] for p, b in take(4, seed=2) for i in b}
    assert all(draws[key] != value for key, value in other.items())


def test_reading_in_the_main_process_leaves_its_generators_and_threads_alone():
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    before, threads = (torch.rand(1), np.random.rand(), random.random()), torch.get_num_threads()
    torch.manual_seed(5), np.random.seed(5), random.seed(5)
    torch.set_num_threads(3)
    batches = take(3, num_workers=0)
    assert (torch.rand(1), np.random.rand(), random.random()) == before
    assert torch.get_num_threads() == 3
    torch.set_num_threads(threads)
    assert {i["threads"] for _, b in batches for i in b} == {1}


def test_a_plain_sampler_of_torch_resumes_too():
    def sampler():
        return BatchSampler(RandomSampler(range(11)), 3, drop_last=False)

    whole = flat(take(8, batch_sampler=sampler()))
    assert flat(take(3, batch_sampler=sampler(), epoch=1, position=1)) == whole[5:]
    assert [b for _, _, b in whole[:4]] != [b for _, _, b in whole[4:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_error_of_an_item_is_raised_as_itself(workers):
    stream = train_stream(Broken(), FixedBatchSampler(11, 4), list, seed=0, settings=LoaderSettings(workers))
    next(stream)
    with pytest.raises(FileNotFoundError, match="u7.wav"):
        next(stream)
    stream.close()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_unreadable_batch_can_be_kept_and_names_its_utterances(workers):
    settings = LoaderSettings(num_workers=workers, keep_errors=True)
    for stream in (
        (batch for _, batch in train_stream(Broken(), FixedBatchSampler(11, 4), list, seed=0, settings=settings)),
        eval_stream(Broken(), [[0, 1, 2, 3], [4, 5, 6, 7], [8]], list, settings),
    ):
        first, second, third = itertools.islice(stream, 3)
        assert [item["index"] for item in first] == [0, 1, 2, 3] and third[0]["index"] == 8
        assert isinstance(second, Unreadable) and second.ids == ["u4", "u5", "u6", "u7"]
        assert isinstance(second.error, FileNotFoundError) and "__getitem__" in second.trace
        stream.close()


def test_the_trace_of_a_worker_is_a_note_on_its_error():
    with pytest.raises(FileNotFoundError) as caught:
        list(eval_stream(Broken(), [[7]], list, LoaderSettings(num_workers=1)))
    if sys.version_info >= (3, 11):  # exceptions have notes
        assert "in __getitem__" in caught.value.__notes__[0]


def test_a_dataset_limits_its_workers():
    class Mapped(Noisy):
        most_workers = 1

    numbers = []

    def make_dataloader(*args, **options):
        numbers.append((options["num_workers"], options["prefetch_factor"]))
        return DataLoader(*args, **options)

    settings = LoaderSettings(num_workers=3, make_dataloader=make_dataloader)
    for dataset, batches in ((Mapped(), [[0], [1]]), (Noisy(), [[0], [1]]), (Noisy(), [])):
        list(eval_stream(dataset, batches, list, settings))
    assert numbers == [(1, 4), (2, 4), (0, None)]  # never more workers than batches


def test_workers_leave_signals_to_the_main_process():
    class Signals(Noisy):
        def __getitem__(self, index):
            return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    assert [*eval_stream(Signals(), [[0]], list, LoaderSettings(num_workers=1))] == [[[signal.SIG_IGN] * 2]]


def test_an_error_that_cannot_be_pickled_keeps_its_name_and_message():
    class Odd(Noisy):
        def __getitem__(self, index):
            raise Unportable(1, 2)

    with pytest.raises(RuntimeError, match="Unportable: 1 and 2"):
        next(train_stream(Odd(), FixedBatchSampler(11, 4), list, seed=0, settings=LoaderSettings(num_workers=1)))


def test_a_sampler_without_a_batch_is_refused():
    with pytest.raises(LoaderError, match="no batch"):
        next(train_stream(Noisy(), [], list, seed=0))


def test_an_iterable_dataset_is_refused():
    class Stream(IterableDataset):
        def __iter__(self):
            yield from range(3)

    with pytest.raises(LoaderError, match="Stream is an IterableDataset"):
        train_stream(Stream(), [[0]], list, seed=0)
    with pytest.raises(LoaderError, match="Stream is an IterableDataset"):
        next(eval_stream(Stream(), [[0]], list))


def test_workers_read_before_the_first_batch_is_asked_for(tmp_path):
    class Marked(list):
        def __getitem__(self, index):
            (tmp_path / "read").touch()
            return index

    settings = LoaderSettings(num_workers=1)
    stream = train_stream(Marked(range(4)), [[0, 1], [2, 3]], list, seed=0, settings=settings)
    end = time.monotonic() + 30
    while not (tmp_path / "read").exists():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert next(stream)[1] == [0, 1]


def test_an_error_that_nobody_handles_ends_a_script_with_open_workers():
    code = """
from dataset.loader import LoaderSettings, train_stream
stream = train_stream(list(range(8)), [[0, 1], [2, 3]], list, seed=0, settings=LoaderSettings(num_workers=2))
next(stream)
raise SystemExit(7)
"""
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 7


def test_evaluation_sees_each_utterance_once_in_the_order_asked():
    sampler = SortedBatchSampler(Lengths(np.linspace(1, 2, 11)), 4, None)
    batches = epoch_batches(sampler, 0, 0)
    indices = [i["index"] for b in eval_stream(Noisy(), batches, list, LoaderSettings(num_workers=2)) for i in b]
    assert indices == [index for batch in batches for index in batch]
    assert sorted(indices) == list(range(11))
