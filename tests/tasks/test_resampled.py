"""Every task: its metrics over weighted utterances are those over repeated ones, and nothing of it changes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tasks.classification import ClassificationTask
from tasks.ctc import CTCTask
from tasks.metrics.kinds import Count, from_json, to_json
from tasks.metrics.verification import TrialScores
from tasks.multilabel import MultiLabelTask
from tasks.regression import RegressionTask
from tests.parts.classifiers import COLOURS, Echo, Labels, Slots, batch
from tests.tasks import test_regression as regression
from tests.tasks.test_ctc import Frames, Letters, make_batch
from tests.tasks.verification import test_task as verification

RANDOM = np.random.default_rng(0)


def one_label():
    task = ClassificationTask(Echo(4), Labels(COLOURS), top_k=[2]).eval()
    return task, task("test", **batch(RANDOM.integers(0, 4, 12).tolist(), 4)).records


def slots():
    task = ClassificationTask(Echo(6), Slots()).eval()
    labels = np.stack([RANDOM.integers(0, 4, 9), RANDOM.integers(0, 2, 9)], axis=1)
    return task, task("test", **batch(labels.tolist(), 6)).records


def many_labels():
    task = MultiLabelTask(Echo(3), Labels(["a", "b", "c"])).eval()
    return task, task("test", **batch((RANDOM.random((9, 3)) < 0.5).astype(int).tolist(), 3)).records


def numbers():
    task = RegressionTask(Echo(1), regression.ENCODER).eval()
    values = [str(number) for number in RANDOM.integers(1, 6, 12)]
    outputs = (RANDOM.integers(-4, 5, 12) / 2).tolist()
    return task, task("test", **regression.make_batch(values, outputs, list("abcabcabdabd"))).records


def texts():
    task = CTCTask(Frames(), Letters()).eval()
    return task, task("test", **make_batch(["ab", "a", "b a", "ba", "aab b"])).records


@pytest.mark.parametrize("make", [one_label, slots, many_labels, numbers, texts])
def test_metrics_over_weights_are_those_of_repeated_utterances(make):
    task, records = make()
    weights = np.stack([np.ones(len(records["id"])), RANDOM.integers(1, 4, len(records["id"]))])
    state = json.dumps(task.get_state())
    values = task.resampled("test", records, weights)
    for row, own in enumerate(weights.astype(int)):
        places = np.repeat(np.arange(len(own)), own)
        copies = {name: [column[i] for i in places] for name, column in records.items()}
        expected = task.reduction("test", copies)
        for name, value in values.items():
            assert value[row] == pytest.approx(expected[name], abs=1e-12, nan_ok=True), name
    left_out = {name for name in expected if name not in values and not isinstance(task.metrics[name], Count)}
    assert left_out <= {"threshold"} and json.dumps(task.get_state()) == state


def test_trials_count_as_often_as_their_speakers():
    task = verification.VerificationTask(
        verification.Echo(), verification.AAMSoftmax(verification.DIMS, 3), valid_trials=verification.VALID_TRIALS,
        test_trials=verification.TEST_TRIALS,
    ).eval()  # fmt: skip
    ids, x, _ = verification.VALID
    task.reduction("valid", {"id": ids, "embedding": verification.to_text(x)})
    ids, x, speakers = verification.TEST
    records = {"id": ids, "embedding": verification.to_text(x)}
    assert len(set(task.units("test", records))) == len(set(speakers)) == 5
    assert len(set(zip(task.units("test", records), speakers))) == 5, "joined by target trials as by their speakers"
    plain = task.reduction("test", records)
    drawn = dict(zip(sorted(set(speakers)), [2, 0, 1, 1, 1]))
    weights = np.stack([np.ones(len(ids)), [drawn[s] for s in speakers]])
    values = task.resampled("test", records, weights)
    assert {name: value[0] for name, value in values.items()} == pytest.approx(
        {name: plain[name] for name in values}, abs=1e-6
    )
    trials, scores = task.scored("test", records)
    of = dict(zip(ids, speakers))
    sides = [(of[trials.enrolments[e]], of[trials.tests[t]]) for e, t in zip(trials.enrol, trials.test)]
    counts = [drawn[a] if a == b else drawn[a] * drawn[b] for a, b in sides]
    repeated = TrialScores(np.repeat(scores, counts), np.repeat(trials.targets, counts))
    assert values["eer"][1] == pytest.approx(repeated.eer, abs=1e-6)
    point = repeated.at(task.threshold)
    assert [values["miss"][1], values["false_alarm"][1]] == pytest.approx([point.miss, point.false_alarm])


def test_a_declaration_keeps_its_columns():
    declared = from_json(json.loads(json.dumps(to_json(CTCTask.metrics))))
    assert declared == CTCTask.metrics and declared["wer"].of == ("word_errors", "word_reference_length")
