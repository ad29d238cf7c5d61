"""Evaluation: every utterance once, in the order of the CSV, and going on where it was cut."""

from __future__ import annotations

import csv
import json
import math

import numpy as np
import pytest
import torch

from dataset.samplers.sorted import SortedBatchSampler
from problems.engine.loops.evaluate import PART, EvalLoop
from tasks.base import StepOutput, Task
from tasks.metrics.kinds import Number, Rate, from_json
from tests.parts.samplers import Lengths


class Numbers(torch.utils.data.Dataset):
    ids = [f"u{i}" for i in range(13)]

    def __len__(self):
        return 13

    def __getitem__(self, index):
        return index


class Count(Task):
    """Gives each utterance its own number as a score; may fail after some batches."""

    def __init__(self, fail_after=10**9):
        super().__init__(torch.nn.Linear(1, 1))
        self.left, self.batches = fail_after, 0

    def forward(self, mode, indices):
        assert mode == "test" and not self.training and not torch.is_grad_enabled()
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        self.batches += 1
        records = {"id": [f"u{i}" for i in indices], "score": [i / 3 for i in indices], "note": ["a, b"] * len(indices)}
        return StepOutput(torch.zeros(()), float(len(indices)), records)

    def reduction(self, mode, records):
        return {"mean": math.fsum(records["score"]) / len(records["score"])}


def sampler():
    return SortedBatchSampler(Lengths(np.linspace(1, 5, 13)), 4, None)


def run(task, folder=None, eval_batch=-1, workers=0, dataset=None, kind=EvalLoop):
    loop = kind(task, torch.device("cpu"))
    data = dataset or Numbers()
    return loop.evaluate(
        "test", data, sampler(), lambda i: {"indices": i}, eval_batch=eval_batch, dump_dir=folder, num_workers=workers
    )


def test_the_loop_makes_its_own_loader():
    loaders = []

    class Own(EvalLoop):
        def make_dataloader(self, dataset, **options):
            loaders.append(len(dataset))
            return super().make_dataloader(dataset, **options)

    run(Count(), kind=Own)
    assert loaders == [13]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_cannot_be_read_ends_with_its_own_error(workers):
    class Missing(Numbers):
        def __getitem__(self, index):
            return index if index != 5 else open("no such file.wav")

    with pytest.raises(FileNotFoundError, match="no such file.wav"):
        run(Count(), dataset=Missing(), workers=workers)


def rows(folder):
    with open(folder / "predictions.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_metrics_and_predictions_cover_every_utterance_in_order(tmp_path):
    metrics = run(Count(), tmp_path)
    assert metrics == {"mean": math.fsum(i / 3 for i in range(13)) / 13}
    assert [r["id"] for r in rows(tmp_path)] == Numbers.ids
    assert [float(r["score"]) for r in rows(tmp_path)] == [i / 3 for i in range(13)]
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["metrics"] == metrics and result["utterances"] == 13 and "only_batches" not in result
    assert not list(tmp_path.glob("part-*"))


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_an_interrupted_evaluation_computes_only_what_is_missing(tmp_path, cut):
    with pytest.raises(KeyboardInterrupt):
        run(Count(fail_after=cut), tmp_path / "cut")
    assert not (tmp_path / "cut" / "result.json").exists()
    second = Count()
    assert run(second, tmp_path / "cut") == run(Count(), tmp_path / "whole")
    assert second.batches == 4 - cut
    assert rows(tmp_path / "cut") == rows(tmp_path / "whole")


def test_a_line_that_a_kill_tore_is_computed_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Count(fail_after=3), tmp_path)
    part = tmp_path / PART.format(0)
    part.write_bytes(part.read_bytes()[:-7])
    second = Count()
    assert run(second, tmp_path)["mean"] == pytest.approx(2.0)
    assert second.batches == 2 and [r["id"] for r in rows(tmp_path)] == Numbers.ids


def test_a_quick_look_says_that_it_is_one(tmp_path):
    run(Count(), tmp_path, eval_batch=2)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["only_batches"] == 2 and result["utterances"] == 8


def test_workers_change_nothing_and_the_task_is_left_as_it_was():
    task = Count().train()
    assert run(task, workers=2) == run(Count())
    assert task.training


def test_the_result_carries_the_declarations_of_its_metrics(tmp_path):
    class Declared(Count):
        metrics = {"mean": Number(unit="points"), "only_in_validation": Rate()}

    run(Declared(), tmp_path)
    result = json.loads((tmp_path / "result.json").read_text())
    assert from_json(result["declarations"]) == {"mean": Number(unit="points")}


def test_numbers_that_are_not_finite_are_written_as_nothing(tmp_path):
    class Odd(Count):
        def reduction(self, mode, records):
            return {"mean": math.nan, "worst": math.inf}

    run(Odd(), tmp_path)
    assert json.loads((tmp_path / "result.json").read_text())["metrics"] == {"mean": None, "worst": None}


class Fragile(Numbers):
    """Utterances 3 and 7 cannot be read."""

    def __getitem__(self, index):
        if index in (3, 7):
            raise ValueError(f"u{index} is damaged")
        return super().__getitem__(index)


class Delicate(Count):
    """Utterance 5 cannot be computed."""

    def forward(self, mode, indices):
        if 5 in indices:
            raise RuntimeError("not with 5\nsecond line")
        return super().forward(mode, indices)


@pytest.mark.parametrize("workers", [0, 2])
def test_utterances_that_fail_are_left_out_named_and_counted(tmp_path, workers, caplog):
    loop = EvalLoop(Delicate(), torch.device("cpu"))
    options = {"eval_batch": -1, "dump_dir": tmp_path / "step" / "test", "num_workers": workers, "skip_errors": True}
    metrics = loop.evaluate("test", Fragile(), sampler(), lambda i: {"indices": i}, **options)
    result = json.loads((tmp_path / "step" / "test" / "result.json").read_text())
    assert list(result["skipped"]) == ["u3", "5", "u7"] and result["utterances"] == 10
    assert result["skipped"]["5"] == "not with 5" and result["skipped"]["u3"] == "u3 is damaged"
    assert metrics["mean"] == pytest.approx(sum(i / 3 for i in range(13) if i not in (3, 5, 7)) / 10)
    with open(tmp_path / "step" / "test" / "predictions.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == [f"u{i}" for i in range(13) if i not in (3, 5, 7)]
    assert "left out of the test: u3: u3 is damaged" in caplog.text
    with pytest.raises(ValueError, match="is damaged"):
        loop.evaluate("test", Fragile(), sampler(), lambda i: {"indices": i})


def test_a_kill_keeps_what_was_left_out(tmp_path):
    folder = tmp_path / "step" / "test"
    fragile = EvalLoop(Count(3), torch.device("cpu"))
    with pytest.raises(KeyboardInterrupt):
        fragile.evaluate("test", Fragile(), sampler(), lambda i: {"indices": i}, dump_dir=folder, skip_errors=True)
    done = EvalLoop(Count(), torch.device("cpu"))
    done.evaluate("test", Fragile(), sampler(), lambda i: {"indices": i}, dump_dir=folder, skip_errors=True)
    result = json.loads((folder / "result.json").read_text())
    assert list(result["skipped"]) == ["u3", "u7"] and result["utterances"] == 11


def test_a_test_in_which_everything_fails_says_why():
    class Hopeless(Count):
        def forward(self, mode, indices):
            raise RuntimeError("no memory")

    loop = EvalLoop(Hopeless(), torch.device("cpu"))
    with pytest.raises(ValueError, match="every utterance of the test failed, such as 0: no memory"):
        loop.evaluate("test", Numbers(), sampler(), lambda i: {"indices": i}, skip_errors=True)


def test_the_end_of_a_test_is_announced_with_its_metrics():
    seen = []

    class Own(EvalLoop):
        def on_stage_end(self, mode, metrics):
            seen.append((mode, metrics))

    loop = Own(Count(), torch.device("cpu"))
    metrics = loop.evaluate("test", Numbers(), sampler(), lambda i: {"indices": i})
    assert seen == [("test", metrics)]
