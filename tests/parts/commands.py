"""A command line in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT


def command(*words: str, cwd: Path = ROOT, module: str = "problems.asr", **kwargs) -> subprocess.CompletedProcess:
    """Run a problem's command line and return how it ended."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", **kwargs.pop("env", {})}
    words = [sys.executable, "-m", module, *words]
    return subprocess.run(words, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, **kwargs)
