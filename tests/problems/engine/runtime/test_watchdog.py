"""A run that makes no progress says where it waits."""

from __future__ import annotations

import time

from problems.engine.runtime.watchdog import beat, watching


def a_place_to_wait(seconds):
    time.sleep(seconds)


def test_it_names_the_place_once_and_then_after_twice_the_time(caplog):
    with watching(0.2):
        a_place_to_wait(1.0)
    said = [r.getMessage() for r in caplog.records if "no progress" in r.getMessage()]
    assert 2 <= len(said) <= 3  # at 0.2 s, 0.4 s and 0.8 s, a look every 0.05 s
    assert "in a_place_to_wait" in said[0] and "test_watchdog.py" in said[0]


def test_progress_keeps_it_silent(caplog):
    with watching(0.3):
        for _ in range(8):
            time.sleep(0.1)
            beat()
    assert "no progress" not in caplog.text


def test_it_can_be_off(caplog):
    with watching(None):
        time.sleep(0.1)
    assert not caplog.records
