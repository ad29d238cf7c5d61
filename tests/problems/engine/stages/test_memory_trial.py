"""A trial trains on the largest batches, and its end for want of memory is a measure like any other."""

from __future__ import annotations

import os
import signal

import pytest

from problems.asr import ASR
from problems.engine.cli.arguments import parse, resolve_config
from problems.engine.stages.memory_trial import MemoryTrials
from problems.engine.stages.pipeline import Pipeline


class Spoilt(ASR):
    """Calls ``spoil`` in its third step; the first two are those of the largest batches."""

    spoil = staticmethod(lambda: None)

    def build_task(self, build_task, model, encoder):
        task, seen = super().build_task(build_task, model, encoder), []
        forward = task.forward

        def counted(mode, **batch):
            seen.append(len(batch["id"]))
            if len(seen) == 3:
                self.spoil()
            return forward(mode, **batch)

        task.forward = counted
        return task


def trials_of(tiny, problem):
    config = resolve_config(problem, [], parse(tiny).overrides)
    pipeline = Pipeline(problem, {**config, "stop": 1, "device": "cpu"})
    pipeline.run()
    return MemoryTrials(problem, {**config, "device": "cpu"}, pipeline.folder, pipeline.manifest)


def test_the_largest_batches_are_the_heaviest_and_the_one_with_the_longest_utterance(tiny):
    trials = trials_of(tiny, ASR())
    size = trials.size("batch_size", 5)
    heaviest, with_longest = size.batches
    assert len(heaviest) == size.utterances == 5 and size.longest == max(trials.lengths[heaviest])
    assert max(trials.lengths) in trials.lengths[with_longest]
    assert size.padded == pytest.approx(5 * max(trials.lengths)), "buckets put long utterances together"


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def exhausted():
    raise MemoryError


@pytest.mark.parametrize("spoil", [killed, exhausted])
def test_a_process_that_is_killed_or_raises_for_want_of_memory_is_out_of_memory(tiny, spoil):
    problem = Spoilt()
    problem.spoil = spoil
    trials = trials_of(tiny, problem)
    assert trials.measure(trials.size("batch_size", 2), None).is_out_of_memory


def test_a_trial_gives_the_time_of_a_step_and_the_memory(tiny):
    trials = trials_of(tiny, ASR())
    trial = trials.measure(trials.size("batch_size", 2), None)
    assert not trial.is_out_of_memory and 0 < trial.seconds < 60 and trial.peak > 50e6
