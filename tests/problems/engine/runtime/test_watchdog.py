"""A run that makes no progress logs its stack."""

from __future__ import annotations

import threading
import time

from problems.engine.runtime import watchdog
from problems.engine.runtime.watchdog import beat, watching


def a_place_to_wait(seconds):
    time.sleep(seconds)


def test_the_stack_is_logged_once_and_again_when_the_wait_has_doubled(caplog):
    with watching(0.2):
        a_place_to_wait(1.0)
    messages = [r.getMessage() for r in caplog.records if "no progress" in r.getMessage()]
    assert 2 <= len(messages) <= 3  # at 0.2 s, 0.4 s and 0.8 s, looking every 0.05 s
    assert "in a_place_to_wait" in messages[0] and "test_watchdog.py" in messages[0]


def test_progress_keeps_it_silent(caplog):
    with watching(1.0):
        for _ in range(15):
            time.sleep(0.1)
            beat()
    assert "no progress" not in caplog.text


def test_none_turns_it_off(caplog):
    with watching(None):
        assert "watchdog" not in {thread.name for thread in threading.enumerate()}
    with watching(1.0):
        assert "watchdog" in {thread.name for thread in threading.enumerate()}


def test_a_process_among_several_is_named(monkeypatch):
    monkeypatch.setattr(watchdog.distributed, "_world", watchdog.distributed.World(1, 2))
    assert watchdog.report(3.0, threading.get_ident()).startswith("rank 1 of 2 has made no progress for 3 s")
