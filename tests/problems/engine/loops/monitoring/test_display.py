"""The display: plain lines without a terminal, and metrics as they are declared."""

from __future__ import annotations

import logging
import math

from problems.engine.loops.monitoring.display import Display, format_metrics
from tests.parts.metrics import KINDS, METRICS


def test_without_a_terminal_there_are_plain_lines_with_the_time_that_is_left(caplog, capfd):
    display = Display(0, {"total_steps": 10, "valid_metric": None}, KINDS)
    with caplog.at_level(logging.INFO):
        for step in range(1, 11):
            display.tick(step)
            display.log("train", step, step / 4, {"loss": 1 / step, "lr": 0.1})
            if step % 2 == 0:
                display.log("valid", step, step / 4, METRICS)
    display.close()
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 15 and all("\r" not in line for line in lines)
    assert lines[0].startswith("  step  1/10  epoch   0.2  train  loss 1") and "left)" in lines[0]
    assert lines[2] == "  step  2/10  epoch   0.5  valid  WER 25.00%  CER 12.50%  loss 1.5"
    assert "left" not in lines[-2], "nothing is left after the last step"
    assert capfd.readouterr().out == ""


def test_metrics_for_people_have_the_chosen_one_first_rates_in_percent_and_no_counts():
    assert format_metrics(METRICS, KINDS) == "WER 25.00%  CER 12.50%  loss 1.5"
    assert format_metrics(METRICS, KINDS, "loss") == "loss 1.5  WER 25.00%  CER 12.50%"
    assert format_metrics(METRICS, KINDS, "words") == "words 12  WER 25.00%  CER 12.50%  loss 1.5"
    assert format_metrics({"loss": math.nan, "wer": 1.0}, KINDS) == "loss –  WER 100.00%"
    assert format_metrics({"word_error": 8.132, "off": 3}, {}) == "word error 8.132  off 3", "undeclared: plain numbers"
