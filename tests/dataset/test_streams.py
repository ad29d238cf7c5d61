"""Every sampler's stream from any place, on 1 to 4 processes, with 0 to 3 workers: the rest of the epoch in bytes.

A training that goes on with another number of processes is at a number of batches that all of them have done.
"""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from dataset.augmentations.chain import Chain, Sometimes
from dataset.augmentations.speed import SpeedPerturb
from dataset.augmentations.time_shift import TimeShift
from dataset.augmentations.volume import Volume
from dataset.collate import collate
from dataset.loader import LoaderSettings, train_stream
from dataset.samplers import SAMPLERS
from dataset.utterances import Utterances
from problems.methods.batches import build_sampler
from tests.conftest import write_table
from tests.dataset.samplers.test_samplers import WHOLE

COUNT, EPOCH = 41, 2
SECONDS = {"duration": 0.5, "block": 0.4}
CONF = {"speakers": {"per_speaker": 2}}
STREAMS = [*SAMPLERS, "sets", "window"]
AUGMENT = Chain([SpeedPerturb([0.9, 1.0, 1.1]), Volume(), Sometimes(TimeShift(), 0.5)])


@pytest.fixture(scope="module")
def utterances(tmp_path_factory) -> Utterances:
    """41 utterances of 20 to 200 ms with columns for every sampler, augmented."""
    folder, random, rows = tmp_path_factory.mktemp("streams"), np.random.default_rng(0), []
    for number, samples in enumerate(random.integers(320, 3200, COUNT)):
        path = folder / f"{number}.wav"
        soundfile.write(path, 0.1 * random.standard_normal(samples), 16000)
        row = {"id": f"u{number}", "wav_path": str(path), "seconds": str(samples / 16000), "label": f"l{number % 3}"}
        row |= {"weight": str(number % 4), "spk": f"s{number % 5}", "speaker": f"s{number % 7}"}
        rows.append(row | {"corpus": "small" if number < 12 else "large"})
    return Utterances(write_table(folder / "all.csv", rows), augment=AUGMENT)


def sampler_of(kind: str, utterances: Utterances):
    settings = {"name": kind, "batch_size": 4, "max_seconds": SECONDS.get(kind), "conf": CONF.get(kind, {})}
    if kind in SECONDS:
        settings["batch_size"] = None
    if kind == "sets":
        settings |= {"name": "random", "sets": {"small": {"batch_size": 2}, "large": {"name": "bucket"}}}
    if kind == "window":
        settings |= {"name": "bucket", "batches_per_epoch": 7}
    return build_sampler(settings, "train", utterances)


def content(batch: dict) -> dict:
    """A batch, or each sub-batch, as values that compare byte by byte."""
    return {
        key: content(value) if isinstance(value, dict) else value.numpy().tobytes() if torch.is_tensor(value) else value
        for key, value in batch.items()
    }


def rest(utterances, sampler, position, *, rank=0, size=1, workers=0) -> list[dict | None]:
    """The batches of one process from a place of an epoch to its end; None for one that it must not count."""
    place = {"epoch": EPOCH, "position": position, "rank": rank, "size": size}
    settings = LoaderSettings(num_workers=workers)
    stream, batches = train_stream(utterances, sampler, collate, seed=3, **place, settings=settings), []
    for at, batch in stream:
        batches.append(content(batch) if at.real else None)
        if at.last:
            break
    stream.close()
    return batches


def joined(shares: list[list[dict | None]]) -> list[dict]:
    """The batches of all processes, round by round."""
    assert len({len(share) for share in shares}) == 1, "all processes take as many steps"
    return [batch for batches in zip(*shares) for batch in batches if batch is not None]


@pytest.mark.parametrize("kind", STREAMS)
def test_the_rest_of_an_epoch_is_the_same_at_every_place_for_any_number_of_processes(kind, utterances):
    sampler = sampler_of(kind, utterances)
    whole = rest(utterances, sampler, 0)
    assert len(whole) == len(sampler) > 4
    for size in (1, 2, 3, 4):
        for position in range(0, len(whole), 3 if size > 1 else 1):
            shares = [rest(utterances, sampler, position, rank=rank, size=size) for rank in range(size)]
            assert joined(shares) == whole[position:]


@pytest.mark.filterwarnings("ignore:This DataLoader will create 3 worker processes")
@pytest.mark.parametrize("workers", [1, 2, 3])
@pytest.mark.parametrize("kind", STREAMS)
def test_so_it_is_with_any_number_of_workers(kind, workers, utterances):
    sampler, size = sampler_of(kind, utterances), 1 + workers % 2
    position = len(sampler) // 2 + workers
    shares = [rest(utterances, sampler, position, rank=rank, size=size, workers=workers) for rank in range(size)]
    assert joined(shares) == rest(utterances, sampler, position)


@pytest.mark.parametrize("sizes", [(1, 2), (2, 1), (3, 2), (4, 3), (2, 4)])
@pytest.mark.parametrize("kind", WHOLE)
def test_with_other_processes_after_any_step_each_remaining_utterance_comes_once(kind, sizes, utterances):
    sampler = sampler_of(kind, utterances)
    before, after = sizes
    shares = [rest(utterances, sampler, 0, rank=rank, size=before) for rank in range(before)]
    for steps in range(0, len(shares[0]), 2):
        seen = [id for batch in joined([share[:steps] for share in shares]) for id in batch["id"]]
        position = min(steps * before, len(sampler))
        others = [rest(utterances, sampler, position, rank=rank, size=after) for rank in range(after)]
        seen += [id for batch in joined(others) for id in batch["id"]]
        assert sorted(seen) == sorted(utterances.ids)
