"""Runs of a problem, each forked from one process that has loaded everything: whole runs in about two seconds.

Reads lines of JSON, ``[log, arguments]``; prints ``pid N`` when a run has begun and ``code N`` when it has ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tests.conftest import ROOT


class ForkServer:
    """Starts the server, and runs one at a time by it."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.parts.fork_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
            cwd=ROOT,
        )

    def run(self, log: Path, arguments: list[str], signal_number: int = 0, after: float = 0.0) -> int:
        """Run to the end, or send a signal ``after`` so many seconds; return the exit code."""
        self.process.stdin.write(json.dumps([str(log), arguments]) + "\n")
        self.process.stdin.flush()
        pid = int(self._read("pid"))
        timer = threading.Timer(after, os.kill, (pid, signal_number))
        if signal_number:
            timer.start()
        try:
            return int(self._read("code"))
        finally:
            timer.cancel()

    def _read(self, word: str) -> str:
        line = self.process.stdout.readline().split()
        assert line and line[0] == word, f"the fork server said {line}, expected {word}"
        return line[1]

    def close(self) -> None:
        """End the server."""
        self.process.stdin.close()
        self.process.wait(30)


def _serve() -> None:
    """Load what a run imports, then fork a run for each line."""
    import matplotlib.pyplot  # noqa: F401
    import torch.utils.tensorboard  # noqa: F401

    import dataset.prepare  # noqa: F401
    import nn.model  # noqa: F401
    import problems.engine.loops.setup
    import problems.engine.report.report
    import problems.engine.stages.pipeline  # noqa: F401
    from problems.engine.cli.main import execute
    from tests.parts.frozen_asr import FrozenASR

    for line in sys.stdin:
        log, arguments = json.loads(line)
        pid = os.fork()
        if not pid:
            code = 128 + signal.SIGINT  # of a Ctrl-C before the run can answer it
            try:
                target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
                os.dup2(target, 1)
                os.dup2(target, 2)
                code = execute(FrozenASR(), arguments)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print("pid", pid, flush=True)
        print("code", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    _serve()
