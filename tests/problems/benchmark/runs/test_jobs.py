"""Runs in processes of their own: Ctrl-C ends them all, at any time, without a traceback."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT

CODE = """
import sys
from pathlib import Path
from problems.benchmark.runs import jobs

jobs.PRELOADED = ["tests.parts.slow_import"]
job = jobs.Job("one", "ks", ("run", "--start=9"), Path(sys.argv[1]))
print("starts", flush=True)
try:
    list(jobs.run_jobs([jobs.Group((job,))] * 50, 1))
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


@pytest.mark.parametrize("seconds", [0.3, 0.8])  # while the server of processes imports
def test_ctrl_c_during_the_imports_shows_no_traceback(seconds, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, str(tmp_path / "log.txt")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        start_new_session=True,
    )
    assert process.stdout.readline() == "starts\n"
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    out, err = process.communicate(timeout=60)
    assert out == "interrupted\n" and "Traceback" not in err, err
    deadline = time.monotonic() + 20
    while left := running_in(process.pid):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def running_in(group: int) -> list[str]:
    """The processes of a group that have not ended."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().rpartition(")")
            state, _, own, *_ = rest.split()
            lines += [name] if int(own) == group and state != "Z" else []
    return lines
