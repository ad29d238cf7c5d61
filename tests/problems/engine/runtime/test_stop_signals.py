"""Signals: the first is a request, the second ends at once, and none of them raises inside an import."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from problems.engine.runtime.errors import Interrupted
from problems.engine.runtime.stop_signals import StopRequest, forwarded, raise_on_signals
from tests.conftest import ROOT

SENDS = """
import os, signal, time
os.kill(os.getpid(), {signal})
for _ in range(10):
    time.sleep(0.01)  # handlers run between these
finished = True
"""

IMPORTS = """
import sys, time
from problems.engine.runtime.stop_signals import StopRequest, raise_on_signals
try:
    with {context}:
        import sends
        time.sleep(10)
except BaseException as error:
    print(sys.modules["sends"].finished, type(error).__name__, getattr(error, "exit_code", None))
"""


@pytest.mark.parametrize("number, error", [(signal.SIGTERM, "Interrupted 143"), (signal.SIGINT, "KeyboardInterrupt")])
@pytest.mark.parametrize("main", ["", "import program"])
def test_a_signal_during_an_import_is_answered_when_the_import_is_done(tmp_path, number, error, main):
    """Also if the whole program runs inside an import."""
    (tmp_path / "sends.py").write_text(SENDS.format(signal=int(number)))
    program = IMPORTS.format(context="raise_on_signals()")
    (tmp_path / "program.py").write_text(program)
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", main or program]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout.startswith(f"True {error}"), done.stderr


def test_a_validation_that_imports_is_stopped_after_the_import(tmp_path):
    (tmp_path / "sends.py").write_text(SENDS.format(signal=int(signal.SIGTERM)))
    program = IMPORTS.format(context="StopRequest() as stop, stop.at_once()")
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=60)
    assert done.stdout == "True Interrupted 143\n", done.stderr


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_a_request_and_the_second_ends_at_once(number, code):
    with StopRequest() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop and stop.error("saved").exit_code == code
        with pytest.raises((Interrupted, KeyboardInterrupt)):
            os.kill(os.getpid(), number)


def test_work_that_changes_nothing_is_stopped_at_once():
    with StopRequest() as stop, pytest.raises(Interrupted):
        with stop.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
    with stop, pytest.raises(Interrupted), stop.at_once():  # a request from before is answered too
        pass


def test_handlers_are_put_back_and_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with raise_on_signals():
            os.kill(os.getpid(), signal.SIGINT)
            with pytest.raises(Interrupted, match="run the same command"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def turn_into_an_error(number: int) -> None:
    """As C code does that loses the exception of a signal inside it."""
    try:
        signal.raise_signal(number)
    except BaseException:
        raise ValueError("Invalid affine transformation matrix") from None


@pytest.mark.parametrize("number, error", [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)])
def test_an_interruption_that_c_code_turned_into_an_error_is_one_all_the_same(number, error):
    with pytest.raises(error), raise_on_signals():
        turn_into_an_error(number)
    with pytest.raises(Interrupted), StopRequest() as stop, stop.at_once():
        turn_into_an_error(number)
    with pytest.raises(ValueError), raise_on_signals():  # an error without a signal stays what it is
        raise ValueError


class Signalling(io.BytesIO):
    """Is signalled while soundfile writes into it."""

    signal = None

    def write(self, content: bytes) -> int:
        if self.signal is not None:
            os.kill(os.getpid(), self.signal)
            time.sleep(0.01)
        self.signal = None
        return super().write(content)


@pytest.mark.parametrize("number, error", [(signal.SIGTERM, Interrupted), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_while_soundfile_writes_is_answered_afterwards(number, error, capfd):
    """soundfile would print the exception, go on, and leave a hole in the audio."""
    samples, whole, signalled = np.linspace(-1, 1, 30_000), io.BytesIO(), Signalling()
    soundfile.write(whole, samples, 16000, format="WAV")
    signalled.signal = number
    with pytest.raises(error), raise_on_signals():
        soundfile.write(signalled, samples, 16000, format="WAV")
        time.sleep(5)
    assert signalled.getvalue() == whole.getvalue()
    assert "Exception ignored" not in capfd.readouterr().err


def test_a_signal_in_a_destructor_is_answered_afterwards():
    class Doomed:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)

    with pytest.raises(Interrupted), raise_on_signals():
        Doomed()
        time.sleep(5)


def test_a_signal_that_the_caller_ignores_stays_ignored_in_a_training():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        for block in (StopRequest(), forwarded()):
            with block:
                signal.raise_signal(signal.SIGINT)
            assert not getattr(block, "signal", None)
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
