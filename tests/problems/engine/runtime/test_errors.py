"""An interruption is not an error that other code may catch."""

from __future__ import annotations

import signal

import pytest
from omegaconf import AnyNode, OmegaConf

from problems.engine.runtime.errors import Interrupted


def test_a_library_that_catches_exceptions_lets_an_interruption_pass(monkeypatch):
    """omegaconf makes a new exception, of the same class, of any that it catches: a signal may arrive inside it."""

    def interrupted(*args, **options):
        raise Interrupted(signal.SIGTERM, "SIGTERM: stopped")

    monkeypatch.setattr(AnyNode, "__init__", interrupted)
    with pytest.raises(Interrupted, match="SIGTERM: stopped") as caught:
        OmegaConf.create({"key": 1})
    assert caught.value.exit_code == 128 + signal.SIGTERM
