"""Features that are computed once: the same results with and without, found again, and never another's."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset.audio import AudioError
from dataset.collate import collate
from dataset.loader import LoaderSettings, train_stream
from nn.downstream.linear import FrameLinear, MeanPoolLinear
from nn.upstream.signal.kaldi import Fbank
from problems.engine.features import shards
from problems.engine.features.attach import CachedFeatures, WithFeatures, computed_ahead
from problems.engine.features.cache import FeatureCache
from problems.engine.features.extraction import Encoder
from problems.engine.loops.evaluate import EvalLoop
from tests.parts.features import Convolution, Utterances, settings, task_of, utterances
from tests.parts.samplers import FixedBatchSampler

ALL = [range(11)]


@pytest.fixture
def data(tmp_path):
    return utterances(tmp_path / "audio ü")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache dir" / "features"


def alone(task, dataset, index):
    """The states of one utterance from the upstream itself."""
    item = dataset[index]
    with torch.no_grad():
        states, lengths = task.model.upstream(item["wav"][None], torch.tensor([item["wav_len"]]))
    return [s[0, : int(n)] for s, n in zip(states, lengths)]


def close(found, expected, dtype=torch.float16):
    assert len(found) == len(expected)
    for a, b in zip(found, expected):
        assert a.dtype == dtype and a.shape == b.shape
        rounding = 1e-3 if dtype == torch.float16 else 1e-5
        torch.testing.assert_close(a.float(), b, rtol=rounding, atol=rounding * 1e-1)


@pytest.mark.parametrize("mode", ["disk", "ram"])
@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_cached_states_are_those_of_the_utterance_alone(data, root, mode, dtype):
    task = task_of(FrameLinear(6, 3))
    found = computed_ahead(task, data, settings(root, mode, dtype), ALL)
    assert isinstance(found, CachedFeatures) and len(found) == len(data) == 11
    task.model.upstream.calls.clear()
    for index in range(len(data)):
        item = found[index]
        assert item.keys() == {"id", "label", "hidden_states"} and item["id"] == data[index]["id"]
        close(item["hidden_states"], alone(task, data, index), torch.float16 if dtype == "fp16" else torch.float32)
    assert len(task.model.upstream.calls) == 11  # those of the test alone
    assert bool(list(root.glob("*/*.safetensors"))) == (mode == "disk")


def test_an_utterance_without_a_frame_has_none(data, root):
    found = computed_ahead(task_of(MeanPoolLinear(6, 3)), data, settings(root), ALL)
    assert [tuple(s.shape) for s in found[0]["hidden_states"]] == [(0, 6)] * 3


def test_a_later_run_and_another_dataset_of_the_same_audio_compute_nothing(data, root, tmp_path, caplog):
    computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    shutil.copytree(tmp_path / "audio ü", tmp_path / "moved")
    text = (tmp_path / "moved" / "data.csv").read_text("utf-8")
    (tmp_path / "moved" / "data.csv").write_text(text.replace("audio ü", "moved").replace("u1,", "other,"), "utf-8")
    other = Utterances(tmp_path / "moved" / "data.csv")
    task = task_of(FrameLinear(6, 7))
    with caplog.at_level(logging.INFO):
        found = computed_ahead(task, other, settings(root), ALL)
    assert not task.model.upstream.calls
    assert "11 utterances from the cache, 0 computed" in caplog.text
    close(found[10]["hidden_states"], alone(task, data, 10))


def test_what_is_missing_alone_is_added(data, root, caplog):
    computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), [range(4)])
    with caplog.at_level(logging.INFO):
        found = computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    assert "4 utterances are in the cache" in caplog.text
    kept = [set(shards._Shard(path).keys) for path in root.glob("*/*.safetensors")]
    assert sorted(map(len, kept)) == [4, 7] and not set.intersection(*kept)
    close(found[9]["hidden_states"], alone(task_of(FrameLinear(6, 3)), data, 9))


@pytest.mark.parametrize("change", ["weights", "settings", "class", "dtype", "head"])
def test_another_upstream_or_kind_has_features_of_its_own(data, root, change):
    class Other(Convolution):
        pass

    computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), ALL)
    made = {"weights": Convolution(seed=1), "settings": Convolution(gain=2.0), "class": Other()}
    head = MeanPoolLinear(6, 3) if change == "head" else FrameLinear(6, 3)
    task = task_of(head, made.get(change))
    found = computed_ahead(task, data, settings(root, dtype="fp32" if change == "dtype" else "fp16"), ALL)
    assert sum(task.model.upstream.calls) >= 11
    assert len(list(root.glob("Convolution-*"))) == (1 if change == "class" else 2)
    expected = alone(task, data, 8)
    if change == "head":
        expected = [s.mean(0, keepdim=True) for s in expected]
    close(found[8]["hidden_states"], expected, torch.float32 if change == "dtype" else torch.float16)


def test_audio_that_changed_is_computed_again_even_under_its_old_size_and_time(data, root):
    task = task_of(FrameLinear(6, 3))
    computed_ahead(task, data, settings(root), ALL)
    path = data.sources[4][0]
    before = os.stat(path)
    content = bytearray(open(path, "rb").read())
    content[60:2000] = bytes(1940)
    with open(path, "r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (os.stat(path).st_size, os.stat(path).st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    task.model.upstream.calls.clear()
    found = computed_ahead(task, data, settings(root), ALL)
    assert task.model.upstream.calls
    close(found[4]["hidden_states"], alone(task, data, 4))


@pytest.mark.parametrize("layers, count", [("last", 1), ([2, 0], 2), ([2, 0, 1], 3), (None, 3)])
def test_only_the_layers_that_the_head_reads_are_kept(data, root, layers, count):
    task = task_of(FrameLinear(6, 3), layer_selections=layers).eval()
    if count > 1:
        torch.nn.init.normal_(task.model.featurizer.weights)
    found = computed_ahead(task, data, settings(root, dtype="fp32"), ALL)
    assert len(found[3]["hidden_states"]) == count
    for index in range(1, 4):
        torch.testing.assert_close(result(task, found, index), result(task, data, index), rtol=1e-5, atol=1e-6)


def result(task, dataset, index):
    batch = {k: v for k, v in collate([dataset[index]]).items() if k not in ("id", "label")}
    with torch.no_grad():
        return task.model(**batch)[0]


def test_pooled_vectors_give_what_frames_give_and_take_a_fraction_of_the_space(data, root):
    task = task_of(MeanPoolLinear(6, 3))
    torch.nn.init.normal_(task.model.featurizer.weights)
    found = computed_ahead(task, data, settings(root, dtype="fp32"), ALL)
    assert [tuple(s.shape) for s in found[8]["hidden_states"]] == [(1, 6)] * 3
    whole, batch = ([d[i] for i in range(11)] for d in (data, found))
    drop = ("id", "label")
    with torch.no_grad():
        logits = [task.model(**{k: v for k, v in collate(b).items() if k not in drop})[0] for b in (whole, batch)]
    torch.testing.assert_close(logits[0], logits[1], rtol=1e-5, atol=1e-6)


def test_means_are_kept_only_where_nothing_acts_on_frames(data, root):
    class Louder(MeanPoolLinear):
        def forward(self, x, x_len):
            return super().forward(x.abs(), x_len)

    for head, options in ((Louder(6, 3), {}), (MeanPoolLinear(6, 3), {"normalize": True})):
        found = computed_ahead(task_of(head, **options), data, settings(root), ALL)
        assert found[7]["hidden_states"][0].shape[0] == 8
    task = task_of(MeanPoolLinear(6, 3))
    task.model.augment = torch.nn.Identity()
    assert computed_ahead(task, data, settings(root), ALL)[7]["hidden_states"][0].shape[0] == 8


class Noisy(Utterances):
    def __getitem__(self, index):
        item = super().__getitem__(index)
        return {**item, "wav": item["wav"] + torch.randn(len(item["wav"]))}


class Own(torch.utils.data.Dataset):
    def __getitem__(self, index):
        return {}


@pytest.mark.parametrize(
    "case", ["augment", "overridden", "own dataset", "trained", "part trained", "training", "off", "untold"]
)
def test_what_may_differ_from_time_to_time_is_not_cached(data, root, caplog, case):
    task = task_of(FrameLinear(6, 3))
    if case == "augment":
        data.augment = torch.flip
    elif case in ("overridden", "own dataset"):
        data = Noisy(data.csv) if case == "overridden" else Own()
    elif case == "trained":
        task.model.upstream_trainable = True
    elif case == "part trained":
        task.model.upstream.deeper.requires_grad_(True)
    elif case == "training":
        task.model.upstream.train()
    elif case == "untold":
        task.model.upstream.lock = threading.Lock()
    with caplog.at_level(logging.INFO):
        assert computed_ahead(task, data, settings(root, "off" if case == "off" else "disk"), ALL) is data
    reasons = {
        "augment": "changes the audio",
        "overridden": "Noisy does not say sources",
        "part trained": "not known",
        "own dataset": "Own does not say sources",
        "training": "not known",
        "untold": "cannot be digested",
    }
    assert reasons.get(case, "") in caplog.text
    assert not root.exists()


def test_an_upstream_without_weights_is_computed_in_the_loader_with_the_cache_on(data, root):
    task = task_of(FrameLinear(80, 3), Fbank())
    assert isinstance(computed_ahead(task, data, settings(root), ALL), WithFeatures)
    assert not root.exists()


def test_an_upstream_that_draws_leaves_the_generators_alone(data, root):
    class Drawing(Convolution):
        def forward(self, wav, wav_len):
            torch.rand(3)
            return super().forward(wav, wav_len)

    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    computed_ahead(task_of(FrameLinear(6, 3), Drawing()).requires_grad_(False), data, settings(root), ALL)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), before)


def test_features_are_computed_in_full_precision_whatever_the_run_asks_for(data, root, monkeypatch):
    class Telling(Convolution):
        def forward(self, wav, wav_len):
            self.calls.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
            return super().forward(wav, wav_len)

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    task = task_of(FrameLinear(6, 3), Telling())
    computed_ahead(task, data, settings(root), ALL)
    assert {call for call in task.model.upstream.calls if isinstance(call, tuple)} == {(False, False)}
    assert torch.backends.cudnn.allow_tf32


def test_a_cold_start_does_not_count_for_what_computing_takes(data, root):
    class Starting(Convolution):
        def forward(self, wav, wav_len):
            time.sleep(0 if self.calls else 0.5)
            return super().forward(wav, wav_len)

    cache = FeatureCache(Encoder(Starting(), [0, 1, 2], False, "fp16"), data, root, settings(root))
    assert cache._trial(np.arange(11)) * min(4.0, data.seconds[5:].sum()) < 0.4


# ---- what goes wrong ----


def test_a_corrupted_byte_is_named_and_computed_again(data, root, caplog):
    task = task_of(FrameLinear(6, 3))
    computed_ahead(task, data, settings(root), ALL)
    (path,) = root.glob("*/*.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 64
    path.write_bytes(content)
    found = computed_ahead(task, data, settings(root), ALL)
    for index in range(11):
        close(found[index]["hidden_states"], alone(task, data, index))
    assert f"{path} is damaged" in caplog.text and not path.exists()
    task.model.upstream.calls.clear()
    computed_ahead(task, data, settings(root), ALL)  # whole again
    assert task.model.upstream.calls and len(list(root.glob("*/*.safetensors"))) == 1


def test_files_that_cannot_be_read_are_named_and_not_taken_for_each_other(data, root, caplog):
    for index in (3, 4):
        os.rename(data.sources[index][0], f"{data.sources[index][0]}.away")
    assert computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), ALL) is data
    assert f"{data.sources[3][0]} cannot be read, and 1 more" in caplog.text
    assert isinstance(computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root), [[1, 2]]), CachedFeatures)


@pytest.mark.parametrize("skip_errors", [False, True])
def test_a_damaged_file_is_left_out_or_ends_the_run_at_once_as_the_loader_would(data, root, skip_errors):
    for index, content in ((3, b"no audio"), (4, None)):
        os.remove(data.sources[index][0])
        if content:
            Path(data.sources[index][0]).write_bytes(content)
    given = dataclasses.replace(settings(root), skip_errors=skip_errors)
    task, some = task_of(FrameLinear(6, 3)), [i for i in range(11) if i != 4]
    if not skip_errors:
        with pytest.raises(AudioError, match="Ä 3"):
            computed_ahead(task, data, given, [some])
        return
    found = computed_ahead(task, data, given, ALL)
    for index in range(11):
        if index in (3, 4):
            with pytest.raises(AudioError, match=f"Ä {index}"):
                found[index]
        else:
            close(found[index]["hidden_states"], alone(task, data, index))
    assert sorted(len(shards._Shard(path).keys) for path in root.glob("*/*.safetensors")) == [9]


def test_a_file_replaced_before_it_is_encoded_is_not_kept_under_its_old_content(data, root, caplog):
    class Replacing(Convolution):
        def forward(self, wav, wav_len):
            if not self.calls:
                shutil.copy(data.sources[5][0], data.sources[4][0])
            return super().forward(wav, wav_len)

    task = task_of(FrameLinear(6, 3), Replacing())
    computed_ahead(task, data, settings(root), ALL)
    assert f"{data.sources[4][0]} changed while" in caplog.text
    kept = {key for path in root.glob("*/*.safetensors") for key in shards._Shard(path).keys}
    assert len(kept) == 10


def test_values_beyond_half_precision_are_not_kept_and_the_result_stays_right(data, root, caplog):
    task = task_of(FrameLinear(6, 3), Convolution(gain=1e6))
    assert computed_ahead(task, data, settings(root), ALL) is data
    assert "beyond 65504" in caplog.text and "--features.dtype fp32" in caplog.text
    found = computed_ahead(task, data, settings(root, dtype="fp32"), ALL)
    close(found[5]["hidden_states"], alone(task, data, 5), torch.float32)


def test_a_full_disk_turns_to_ram_loudly_and_stays_right(data, root, caplog, monkeypatch):
    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.os, "fsync", full)
    task = task_of(FrameLinear(6, 3))
    found = computed_ahead(task, data, settings(root), ALL)
    assert "the disk is full" in caplog.text and "kept in RAM" in caplog.text
    for index in range(11):
        close(found[index]["hidden_states"], alone(task, data, index))
    assert not list(root.glob("*/*"))


def test_a_full_disk_and_no_ram_turn_to_computing(data, root, caplog, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.available_memory", lambda: 100)
    task = task_of(FrameLinear(6, 3))
    assert computed_ahead(task, data, settings(root, limit=10), ALL) is data
    assert "they take 0.0 GB" in caplog.text
    monkeypatch.setattr("problems.engine.features.cache.Shards.room", lambda self: 10**9)  # another took it since
    assert computed_ahead(task, data, settings(root, limit=10), ALL) is data
    assert "limit_gb" in caplog.text and "RAM has no room" in caplog.text


def test_what_is_too_much_by_its_lengths_is_left_without_reading_a_file(data, root, caplog, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.available_memory", lambda: 100)
    monkeypatch.setattr("problems.engine.features.cache.content_digests", None)  # would fail
    task = task_of(FrameLinear(6, 3))
    with caplog.at_level(logging.INFO):
        assert computed_ahead(task, data, settings(root, "auto", limit=10), ALL) is data
    assert "of which auto takes half" in caplog.text and not task.model.upstream.calls


def test_memory_that_runs_out_halves_the_batch(data, root):
    class Small(Convolution):
        def forward(self, wav, wav_len):
            if len(wav) > 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(wav, wav_len)

    task = task_of(FrameLinear(6, 3), Small())
    found = computed_ahead(task, data, settings(root), ALL)
    for index in range(11):
        close(found[index]["hidden_states"], alone(task, data, index))


def test_what_was_not_foreseen_is_kept_too_and_memory_is_bounded(data, root, monkeypatch):
    monkeypatch.setattr("problems.engine.features.cache.PORTION_BYTES", 300)
    task = task_of(FrameLinear(6, 3))
    found = computed_ahead(task, data, settings(root), [range(4)])
    for _ in range(2):
        task.model.upstream.calls.clear()
        for index in range(11):
            close(found[index]["hidden_states"], alone(task, data, index))
    assert len(task.model.upstream.calls) == 11  # of this test alone
    assert not found.cache.memory and sum(x.nbytes for s in found.cache.late.values() for x in s) < 300
    kept = [key for path in root.glob("*/*.safetensors") for key in shards._Shard(path).keys]
    assert len(kept) + len(found.cache.late) == 11


def test_portions_grow_with_what_is_to_be_kept(data, root, monkeypatch):
    monkeypatch.setattr("problems.engine.features.extraction.PORTION_BYTES", 1)
    monkeypatch.setattr("problems.engine.features.cache.PORTION_BYTES", 1)
    monkeypatch.setattr("problems.engine.features.extraction.GROUP_SECONDS", {"cpu": 0.1})
    counts = []
    for most, name in ((1000, "a"), (2, "b")):
        monkeypatch.setattr("problems.engine.features.cache.MOST_SHARDS", most)
        computed_ahead(task_of(FrameLinear(6, 3)), data, settings(root / name), ALL)
        counts.append(len(list(root.glob(f"{name}/*/*.safetensors"))))
    assert counts[0] > 4 and counts[1] <= 3


# ---- the same results ----


def trained(task, dataset, steps=12):
    """The weights after some steps, and the accuracy then."""
    optimizer = torch.optim.SGD([p for p in task.parameters() if p.requires_grad], lr=0.1)
    sampler, workers = FixedBatchSampler(11, 4, shuffle=True), LoaderSettings(num_workers=1)
    stream = train_stream(dataset, sampler, collate, seed=0, settings=workers)
    for _, (_, batch) in zip(range(steps), stream):
        optimizer.zero_grad()
        task("train", **batch).loss.backward()
        optimizer.step()
    stream.close()
    loop = EvalLoop(task, torch.device("cpu"))
    metrics = loop.evaluate("valid", dataset, FixedBatchSampler(11, 4), collate)
    return torch.cat([p.detach().flatten() for p in task.parameters() if p.requires_grad]), metrics


@pytest.mark.parametrize("normalize", [False, True])
def test_training_with_and_without_agree(data, root, normalize):
    plain, cached, exact = (task_of(MeanPoolLinear(6, 3), normalize=normalize) for _ in range(3))
    expected, metrics = trained(plain, data)
    found, again = trained(cached, computed_ahead(cached, data, settings(root), ALL))
    assert metrics == again
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
    found, again = trained(exact, computed_ahead(exact, data, settings(root, dtype="fp32"), ALL))
    assert metrics == again
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
