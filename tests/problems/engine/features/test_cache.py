"""A cache is filled once, read by later runs, never serves other content, and survives full disks and damaged files."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
from pathlib import Path

import pytest
import torch

from dataset.audio import AudioError
from nn.downstream.linear import FrameLinear, MeanPoolLinear
from problems.engine.features import cache, shards
from problems.engine.features.attach import CachedFeatures, attach_features
from tests.parts.features import Convolution, Utterances, assert_close, settings, states_alone, stored_keys, task_of

ALL = range(11)


def test_a_later_run_and_another_dataset_of_the_same_audio_compute_nothing(data, root, tmp_path, caplog):
    attach_features(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    shutil.copytree(tmp_path / "audio ü", tmp_path / "moved")
    text = (tmp_path / "moved" / "data.csv").read_text("utf-8")
    (tmp_path / "moved" / "data.csv").write_text(text.replace("audio ü", "moved").replace("u1,", "other,"), "utf-8")
    other = Utterances(tmp_path / "moved" / "data.csv")
    task = task_of(FrameLinear(6, 7))
    with caplog.at_level(logging.INFO):
        dataset = attach_features(task, other, settings(root), ALL)
    assert not task.model.upstream.calls
    assert "11 utterances from the cache, 0 computed" in caplog.text
    assert_close(dataset[10]["hidden_states"], states_alone(task, data, 10))


def test_only_missing_utterances_are_computed(data, root, caplog):
    attach_features(task_of(FrameLinear(6, 3)), data, settings(root), range(4))
    first = stored_keys(root)
    with caplog.at_level(logging.INFO):
        dataset = attach_features(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    assert "4 utterances are cached" in caplog.text
    keys = stored_keys(root)
    assert len(first) == 4 and set(first) < set(keys) and len(set(keys)) == len(keys) == 11
    assert_close(dataset[9]["hidden_states"], states_alone(task_of(FrameLinear(6, 3)), data, 9))


def test_auto_finishes_a_cache_that_was_begun_however_fast_the_rest_is(data, root, monkeypatch):
    """Else a run that was interrupted while it filled the cache could train on other features than one that was not."""

    def attached(root, batches):
        return attach_features(task_of(FrameLinear(6, 3)), data, settings(root, "auto"), batches)

    monkeypatch.setattr(cache, "measure_speed", lambda *args: 1.0)
    assert isinstance(attached(root, range(4)), CachedFeatures)
    monkeypatch.setattr(cache, "measure_speed", lambda *args: 0.0)
    assert isinstance(attached(root, ALL), CachedFeatures)
    assert attached(root / "other", ALL) is data


@pytest.mark.parametrize("change", ["weights", "settings", "class", "dtype", "head"])
def test_another_upstream_or_type_has_its_own_features(data, root, change):
    class Other(Convolution):
        pass

    attach_features(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    upstreams = {"weights": Convolution(seed=1), "settings": Convolution(gain=2.0), "class": Other()}
    head = MeanPoolLinear(6, 3) if change == "head" else FrameLinear(6, 3)
    task = task_of(head, upstreams.get(change))
    dataset = attach_features(task, data, settings(root, dtype="fp32" if change == "dtype" else "fp16"), ALL)
    assert sum(task.model.upstream.calls) >= 11
    assert len(list(root.glob("Convolution-*"))) == (1 if change == "class" else 2)
    expected = states_alone(task, data, 8)
    if change == "head":
        expected = [s.mean(0, keepdim=True) for s in expected]
    assert_close(dataset[8]["hidden_states"], expected, torch.float32 if change == "dtype" else torch.float16)


def test_changed_audio_is_computed_again_even_with_its_old_size_and_time(data, root):
    task = task_of(FrameLinear(6, 3))
    attach_features(task, data, settings(root), ALL)
    path = data.sources[4][0]
    before = os.stat(path)
    content = bytearray(open(path, "rb").read())
    content[60:2000] = bytes(1940)
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (os.stat(path).st_size, os.stat(path).st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    task.model.upstream.calls.clear()
    dataset = attach_features(task, data, settings(root), ALL)
    assert task.model.upstream.calls
    assert_close(dataset[4]["hidden_states"], states_alone(task, data, 4))


def test_a_corrupted_shard_is_logged_and_computed_again(data, root, caplog):
    task = task_of(FrameLinear(6, 3))
    attach_features(task, data, settings(root), ALL)
    (path,) = root.glob("*/*.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 64
    path.write_bytes(content)
    dataset = attach_features(task, data, settings(root), ALL)
    for index in range(11):
        assert_close(dataset[index]["hidden_states"], states_alone(task, data, index))
    assert f"{path} is damaged" in caplog.text and not path.exists()
    task.model.upstream.calls.clear()
    attach_features(task, data, settings(root), ALL)  # whole again
    assert task.model.upstream.calls and len(list(root.glob("*/*.safetensors"))) == 1


def test_unreadable_files_are_named_and_not_confused(data, root, caplog):
    for index in (3, 4):
        os.rename(data.sources[index][0], f"{data.sources[index][0]}.away")
    assert attach_features(task_of(FrameLinear(6, 3)), data, settings(root), ALL) is data
    assert f"{data.sources[3][0]} cannot be read, and 1 more" in caplog.text
    assert isinstance(attach_features(task_of(FrameLinear(6, 3)), data, settings(root), [1, 2]), CachedFeatures)


@pytest.mark.parametrize("skip_errors", [False, True])
def test_a_damaged_file_is_left_out_or_ends_the_run_as_in_the_loader(data, root, skip_errors):
    for index, content in ((3, b"no audio"), (4, None)):
        os.remove(data.sources[index][0])
        if content:
            Path(data.sources[index][0]).write_bytes(content)
    skipping = dataclasses.replace(settings(root), skip_errors=skip_errors)
    task, some = task_of(FrameLinear(6, 3)), [i for i in range(11) if i != 4]
    if not skip_errors:
        with pytest.raises(AudioError, match="Ä 3"):
            attach_features(task, data, skipping, some)
        return
    dataset = attach_features(task, data, skipping, ALL)
    for index in range(11):
        if index in (3, 4):
            with pytest.raises(AudioError, match=f"Ä {index}"):
                dataset[index]
        else:
            assert_close(dataset[index]["hidden_states"], states_alone(task, data, index))
    assert len(stored_keys(root)) == 9


def test_a_file_replaced_during_extraction_is_not_cached(data, root, caplog):
    class Replacing(Convolution):
        def forward(self, wav, wav_len):
            if not self.calls:
                shutil.copy(data.sources[5][0], data.sources[4][0])
            return super().forward(wav, wav_len)

    task = task_of(FrameLinear(6, 3), Replacing())
    attach_features(task, data, settings(root), ALL)
    assert f"{data.sources[4][0]} changed while" in caplog.text
    assert len(stored_keys(root)) == 10


def test_with_a_full_disk_features_are_kept_in_ram(data, root, caplog, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    task = task_of(FrameLinear(6, 3))
    dataset = attach_features(task, data, settings(root), ALL)
    assert "the disk is full" in caplog.text and "kept in RAM" in caplog.text
    for index in range(11):
        assert_close(dataset[index]["hidden_states"], states_alone(task, data, index))
    assert not list(root.glob("*/*"))


def test_with_a_full_disk_and_no_ram_features_are_not_cached(data, root, caplog, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.available_memory", lambda: 100)
    task = task_of(FrameLinear(6, 3))
    assert attach_features(task, data, settings(root, limit=10), ALL) is data
    assert "they need 0.0 GB" in caplog.text
    monkeypatch.setattr("problems.engine.features.cache.Shards.room", lambda self: 10**9)  # another took it since
    assert attach_features(task, data, settings(root, limit=10), ALL) is data
    assert "limit_gb" in caplog.text and "not enough RAM" in caplog.text


def test_too_large_a_dataset_is_refused_before_a_file_is_read(data, root, caplog, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.available_memory", lambda: 100)
    monkeypatch.setattr("problems.engine.features.cache.content_digests", None)  # would fail
    task = task_of(FrameLinear(6, 3))
    with caplog.at_level(logging.INFO):
        assert attach_features(task, data, settings(root, "auto", limit=10), ALL) is data
    assert "of which auto uses at most half" in caplog.text and not task.model.upstream.calls


def test_unplanned_utterances_are_cached_too_in_bounded_memory(data, root, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.PORTION_BYTES", 300)
    task = task_of(FrameLinear(6, 3))
    dataset = attach_features(task, data, settings(root), range(4))
    for _ in range(2):
        task.model.upstream.calls.clear()
        for index in range(11):
            assert_close(dataset[index]["hidden_states"], states_alone(task, data, index))
    assert len(task.model.upstream.calls) == 11  # of this test alone
    assert not dataset.cache.memory and sum(x.nbytes for s in dataset.cache.pending.values() for x in s) < 300
    assert len(stored_keys(root)) + len(dataset.cache.pending) == 11


def test_portions_grow_with_the_dataset(data, root, monkeypatch):
    monkeypatch.setattr("problems.engine.features.extraction.PORTION_BYTES", 1)
    monkeypatch.setattr("problems.engine.features.cache.PORTION_BYTES", 1)
    monkeypatch.setattr("problems.engine.features.extraction.GROUP_SECONDS", {"cpu": 0.1})
    counts = []
    for most, name in ((1000, "a"), (2, "b")):
        monkeypatch.setattr("problems.engine.features.cache.MAX_SHARDS", most)
        attach_features(task_of(FrameLinear(6, 3)), data, settings(root / name), ALL)
        counts.append(len(list(root.glob(f"{name}/*/*.safetensors"))))
    assert counts[0] > 4 and counts[1] <= 3
