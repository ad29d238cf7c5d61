"""The dataset: rows with their audio, compact in memory, with errors that name the row."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
import soundfile
import torch
from torch.utils.data import DataLoader

from dataset.audio import AudioError
from dataset.augmentations.chain import Chain, OfSets
from dataset.augmentations.speed import SpeedPerturb
from dataset.augmentations.volume import Volume
from dataset.collate import collate
from dataset.metadata import MetadataError, write_csv
from dataset.samplers.sorted import SortedBatchSampler
from dataset.utterances import Utterances

NOISE = np.random.default_rng(0).normal(0, 0.1, 40 * 16000).astype(np.float32)


@pytest.fixture
def corpus(tmp_path):
    def corpus(lengths, **columns):
        rows = []
        for i, length in enumerate(lengths):
            path = tmp_path / f"größe {i}.wav"
            soundfile.write(path, NOISE[:length], 16000, subtype="FLOAT")
            row = {"id": f"u{i:03}", "wav_path": path.name, "seconds": length / 16000}
            rows.append(row | {key: values[i] for key, values in columns.items()})
        write_csv(tmp_path / "data.csv", rows)
        return tmp_path / "data.csv"

    return corpus


def letters(row):
    return {"tokens": torch.tensor([ord(c) for c in row["text"]], dtype=torch.int64), "text": row["text"]}


def test_items(corpus):
    data = Utterances(corpus([160, 320], text=["null", "é"]), letters)
    assert len(data) == 2 and list(data.ids) == ["u000", "u001"]
    assert data.seconds.tolist() == [0.01, 0.02]
    item = data[1]
    assert list(item) == ["id", "wav", "wav_len", "tokens", "text"]
    assert item["id"] == "u001" and item["wav_len"] == 320 and item["text"] == "é"
    assert np.array_equal(item["wav"], NOISE[:320])
    assert data[-1]["id"] == data[np.int64(1)]["id"] == "u001"
    assert [item["id"] for item in data] == list(data.ids)
    with pytest.raises(IndexError, match="no utterance 2; it has 2"):
        data[2]


def test_a_single_row(corpus):
    assert len(Utterances(corpus([10]))[0]["wav"]) == 10


def test_segments(corpus):
    data = Utterances(corpus([16000] * 4, start_sec=["0", "0.25", "0.5", ""], end_sec=["", "0.75", "", "0.125"]))
    expected = [NOISE[:16000], NOISE[4000:12000], NOISE[8000:16000], NOISE[:2000]]
    assert all(np.array_equal(item["wav"], wav) for item, wav in zip(data, expected))


def test_bad_times_name_their_row(corpus):
    with pytest.raises(MetadataError, match=r"data\.csv, row 3, column 'end_sec': 'x' is not"):
        Utterances(corpus([10, 10], end_sec=["", "x"]))
    with pytest.raises(MetadataError, match=r"data\.csv, row 2, column 'start_sec': -1 is negative"):
        Utterances(corpus([10, 10], start_sec=["-1", ""]))


def test_errors_name_file_and_row(corpus, tmp_path):
    def refuse(row):
        raise ValueError(f"character {row['text']!r} is not in the vocabulary")

    path = corpus([10, 10], text=["a", "b"])
    with pytest.raises(ValueError, match=r"data\.csv, id 'u001': character 'b' is not"):
        Utterances(path, refuse)[1]
    with pytest.raises(ValueError, match=r"\['wav'\]; rename"):
        Utterances(path, lambda row: {"wav": 0})[0]
    (tmp_path / "größe 1.wav").unlink()
    with pytest.raises(AudioError, match=r"data\.csv, id 'u001': .*größe 1\.wav: no such file"):
        Utterances(path)[1]


def test_strings_are_held_in_arrays(corpus):
    data = Utterances(corpus([10] * 3, text=["null", "", "音声"]), letters)
    assert [item["text"] for item in data] == ["null", "", "音声"]
    attributes = {**vars(data), **{k: vars(v) for k, v in data.table.columns.items()}}
    lists = [k for k, v in attributes.items() if isinstance(v, (list, pd.DataFrame))]
    assert not lists  # a list would be copied into every worker (speechbrain issue 872)
    assert list(pickle.loads(pickle.dumps(data)).ids) == list(data.ids)


def test_a_loader_gives_the_same_with_any_number_of_workers(corpus):
    """One utterance of 40 seconds stands alone among short ones."""
    lengths = [1600, 40 * 16000, 800, 10, 2400]
    data = Utterances(corpus(lengths, text=list("abcde")), letters)
    sampler = SortedBatchSampler(data, None, 1.0)
    epochs = []
    for workers in (0, 2):
        loader = DataLoader(data, batch_sampler=sampler, collate_fn=collate, num_workers=workers)
        epochs.append(list(loader))
    assert [batch["id"] for batch in epochs[0]] == [["u001"], ["u004", "u000", "u002", "u003"]]
    for one, other in zip(*epochs):
        assert one.keys() == other.keys() and torch.equal(one["wav"], other["wav"])
        assert one["wav_len"].tolist() == other["wav_len"].tolist()
        assert all(np.array_equal(w[:n], NOISE[:n]) for w, n in zip(one["wav"], one["wav_len"].tolist()))


def test_an_augmentation_of_a_set_leaves_the_others_alone(write, tmp_path):
    path = write("a.wav", np.full(800, 0.1))
    rows = [{"id": name, "wav_path": str(path), "seconds": "0.05", "corpus": name} for name in ("digits", "home")]
    csv = tmp_path / "sets.csv"
    write_csv(csv, rows)
    loud, long = OfSets(Volume([6, 6]), ["digits"]), OfSets(SpeedPerturb([0.5]), ["home"])
    both = Utterances(csv, augment=Chain([loud, long]))
    digits, home = both[0], both[1]
    assert len(digits["wav"]) == 800 and digits["wav"].max() == pytest.approx(0.1 * 10 ** (6 / 20), rel=1e-3)
    assert len(home["wav"]) == 1600 and home["wav"][400] == pytest.approx(0.1, rel=1e-2)
    assert Utterances(csv, augment=Chain([loud])).num_variants is None
    with pytest.raises(MetadataError, match="the set 'digit'.*did you mean 'digits'.*it holds digits, home"):
        Utterances(csv, augment=Chain([OfSets(Volume(), ["digit"])]))
