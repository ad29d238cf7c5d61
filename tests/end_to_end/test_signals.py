"""Signals at any instant of a run's start: it ends with the signal's exit code and one message, no traceback."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

PROGRAM = """
import os, signal, sys
from problems.asr import ASR
from problems.engine.cli.main import main

class Sends:
    def find_spec(self, name, path=None, target=None):
        if name.startswith(sys.argv[1]) and self in sys.meta_path:
            sys.meta_path.remove(self)
            print("sent", flush=True)
            os.kill(os.getpid(), int(sys.argv[2]))

sys.meta_path.insert(0, Sends())
main(ASR(), sys.argv[3:])
"""


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("module", ["numpy.lib._", "torch._C", "pandas.core."])
def test_a_signal_inside_the_import_of_a_library(tiny, module, number, code):
    command = [sys.executable, "-c", PROGRAM, module, str(int(number)), "run", *tiny]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.stdout == "sent\n" and done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "run the same command to continue" in done.stderr


@pytest.mark.slow
def test_sigterm_at_random_instants(tiny):
    """Before the handlers are in place, the signal itself ends the process."""
    draw = random.Random(0)
    for _ in range(30):
        seconds = draw.uniform(0, 8)
        process = subprocess.Popen(
            [sys.executable, "-m", "problems.asr", "run", *tiny],
            cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        time.sleep(seconds)
        process.terminate()
        err = process.communicate(timeout=60)[1]
        assert process.returncode in (143, -signal.SIGTERM, 0), f"after {seconds} s: {err}"
        assert "Traceback" not in err, f"after {seconds} s: {err}"
