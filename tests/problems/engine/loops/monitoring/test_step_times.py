"""The time of a step by its parts."""

from __future__ import annotations

import time

import pytest
import torch

from problems.engine.loops.monitoring import step_times
from problems.engine.loops.monitoring.step_times import StepTimes, peak_memory
from problems.engine.report.history import STEP_PARTS, read_history
from tasks.base import StepOutput
from tests.parts.least_squares import Fit, Points, loop_of

CPU = torch.device("cpu")


class Clock:
    """A clock that the test moves."""

    now = 0.0

    def perf_counter(self):
        return self.now


def test_each_part_has_its_own_time_since_the_last_line(monkeypatch):
    clock, times = Clock(), StepTimes(CPU)
    monkeypatch.setattr(step_times, "time", clock)
    for steps, unit in ((2, 0.02), (4, 0.01)):
        for _ in range(steps):
            for name, share in zip(STEP_PARTS, (1, 3, 0, 1)):
                with times.part(name):
                    clock.now += share * unit
            clock.now += 1  # between the parts
            times.steps += 1
        row = times.read()
        assert [row[f"{name}_ms"] for name in STEP_PARTS] == pytest.approx([1000 * unit * n for n in (1, 3, 0, 1)])
        assert row["memory_gb"] == pytest.approx(peak_memory(CPU) / 1e9, abs=0.01) and row["memory_gb"] > 0.05
    assert times.summary().startswith(
        "a step took 66.7 ms: waiting for data 20%, forward 60%, backward 0%, optimizer 20%; "
    )


def test_an_error_in_a_part_is_measured_and_raised():
    times = StepTimes(CPU)
    with pytest.raises(KeyError), times.part("forward"):
        raise KeyError
    assert times.seconds["forward"] > 0 and times.summary() == ""


class Slow(Fit):
    """Waits in the forward pass, and tells a named loss and an accuracy."""

    def forward(self, mode, index):
        time.sleep(0.005)
        output = super().forward(mode, index)
        return StepOutput(
            output.loss, output.weight, losses={"half": output.loss / 2}, metrics={"hits": (index % 2).float().mean()}
        )


def test_a_training_logs_times_named_losses_and_metrics(tmp_path, caplog):
    caplog.set_level("INFO")
    loop = loop_of(tmp_path, Slow(Points()), total_steps=10, log_step=5)
    loop.fit()
    rows = [row for row in read_history(tmp_path) if row["split"] == "train"]
    assert len(rows) == 2
    for row in rows:
        assert row["forward_ms"] >= 5 and row["optimizer_ms"] >= 0 and row["data_ms"] >= 0
        assert row["half"] == pytest.approx(row["loss"] / 2)
    # the mean over utterances, not over batches, the last of which is smaller: 18 of 0 to 36 are odd
    assert rows[0]["hits"] == pytest.approx(18 / 37)
    (line,) = [record.getMessage() for record in caplog.records if "a step took" in record.getMessage()]
    assert "forward" in line and "waiting for data" in line


def test_named_values_survive_an_interruption_between_two_lines(tmp_path):
    from problems.engine.loops.state.progress import Progress

    progress = Progress()
    progress.add_named({"hits": (1.0, 4.0)})
    again = Progress(**vars(progress))
    again.add_named({"hits": (2.0, 2.0), "half": (3.0, 2.0)})
    assert again.take_named() == {"hits": 0.5, "half": 1.5} and again.take_named() == {}


def test_a_step_that_is_skipped_does_not_count_in_named_values(tmp_path):
    loop = loop_of(tmp_path, Slow(Points(), {3: "nan"}), total_steps=5, log_step=5)
    loop.fit()
    (row,) = [row for row in read_history(tmp_path) if row["split"] == "train"]
    assert row["nonfinite"] == 1 and row["half"] == pytest.approx(row["loss"] / 2)
