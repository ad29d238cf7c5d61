"""Extraction gives the states of each utterance in full precision, in groups of like lengths, within the memory."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from nn.downstream.linear import FrameLinear
from problems.engine.features import extraction
from problems.engine.features.attach import attach_features
from problems.engine.features.extraction import FeatureExtractor, group_by_length, measure_speed
from tests.parts.features import Convolution, assert_close, settings, states_alone, task_of, utterances

ALL = range(11)


def test_the_size_of_features_follows_from_the_lengths(tmp_path):
    dataset, upstream = utterances(tmp_path), Convolution()
    for mean, dtype in ((False, "fp16"), (True, "fp32")):
        extractor = FeatureExtractor(upstream, [0, 2], mean, dtype)
        for index in range(len(dataset)):
            wav = dataset[index]["wav"]
            (states,) = extractor(wav[None], torch.tensor([len(wav)]))
            expected = extractor.sizes(np.array([dataset.seconds[index]]))[0]
            assert sum(s.nbytes for s in states) == expected, index


def test_groups_hold_every_utterance_once_beside_others_of_its_length():
    seconds = np.random.default_rng(0).uniform(0.2, 9, 200)
    seconds[7] = 40.0  # longer than a group
    groups = group_by_length(seconds, torch.device("cpu"))
    assert sorted(i for group in groups for i in group) == list(range(200))
    assert all(len(g) == 1 or len(g) * seconds[g].max() <= 24.0001 for g in groups)
    assert sum(len(g) * seconds[g].max() for g in groups) < 1.1 * seconds.sum()


def test_an_upstream_that_draws_random_numbers_does_not_change_the_run(data, root):
    class Drawing(Convolution):
        def forward(self, wav, wav_len):
            torch.rand(3)
            return super().forward(wav, wav_len)

    torch.manual_seed(7)
    before = torch.rand(1)
    torch.manual_seed(7)
    attach_features(task_of(FrameLinear(6, 3), Drawing()).requires_grad_(False), data, settings(root), ALL)
    torch.manual_seed(7)
    assert torch.equal(torch.rand(1), before)


def test_features_are_computed_in_full_precision_whatever_the_run_asks_for(data, root, monkeypatch):
    class Recording(Convolution):
        def forward(self, wav, wav_len):
            self.calls.append((torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32))
            return super().forward(wav, wav_len)

    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    task = task_of(FrameLinear(6, 3), Recording())
    attach_features(task, data, settings(root), ALL)
    assert {call for call in task.model.upstream.calls if isinstance(call, tuple)} == {(False, False)}
    assert torch.backends.cudnn.allow_tf32


def test_a_cold_start_does_not_count_in_the_speed(data, monkeypatch):
    clock = types.SimpleNamespace(now=0.0)

    class Starting(Convolution):
        def forward(self, wav, wav_len):
            clock.now += 2.0 if self.calls else 50.0
            return super().forward(wav, wav_len)

    monkeypatch.setattr(extraction.time, "perf_counter", lambda: clock.now)
    extractor = FeatureExtractor(Starting(), [0, 1, 2], False, "fp16")
    indices = np.arange(len(data))
    sample = np.sort(data.seconds)[len(indices) // 2 :]  # less than is measured at most
    assert measure_speed(extractor, data, indices, skip_errors=False) == pytest.approx(2.0 / sample.sum())


def test_values_beyond_half_precision_are_not_cached(data, root, caplog):
    task = task_of(FrameLinear(6, 3), Convolution(gain=1e6))
    assert attach_features(task, data, settings(root), ALL) is data
    assert "beyond 65504" in caplog.text and "--features.dtype fp32" in caplog.text
    dataset = attach_features(task, data, settings(root, dtype="fp32"), ALL)
    assert_close(dataset[5]["hidden_states"], states_alone(task, data, 5), torch.float32)


def test_a_batch_is_halved_when_memory_runs_out(data, root):
    class Small(Convolution):
        def forward(self, wav, wav_len):
            if len(wav) > 3:
                raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")
            return super().forward(wav, wav_len)

    task = task_of(FrameLinear(6, 3), Small())
    dataset = attach_features(task, data, settings(root), ALL)
    for index in range(11):
        assert_close(dataset[index]["hidden_states"], states_alone(task, data, index))
