"""Run a function of ours in a process of its own, since eSpeak NG repeats its output only in a fresh one."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

PACKAGE = "espeakng_loader"

# the child has the import path of this process, whatever the working directory is
BOOTSTRAP = (
    "import importlib, json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "sys.exit(importlib.import_module(sys.argv[2]).main(*sys.argv[3:]))"
)


def locate() -> dict[str, str] | None:
    """The file of eSpeak NG's ``library`` and the folder of its ``data``; None if espeakng-loader is not installed."""
    if importlib.util.find_spec(PACKAGE) is None:
        return None
    import espeakng_loader

    return {"library": espeakng_loader.get_library_path(), "data": espeakng_loader.get_data_path()}


def run_apart(module: str, *arguments: str) -> str | None:
    """Call ``main`` of a module with words, in a new process; return None, or the reason why it failed.

    An exception here, such as that of Ctrl-C, kills the process and waits for it.
    """
    paths = json.dumps([os.path.abspath(entry) for entry in sys.path])
    command = [sys.executable, "-c", BOOTSTRAP, paths, module, *arguments]
    process = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    if process.returncode == 0:
        return None
    last = "\n".join(process.stderr.strip().splitlines()[-5:])
    reason = f"signal {-process.returncode}" if process.returncode < 0 else f"exit code {process.returncode}"
    return f"ended with {reason}" + (f", and these last lines:\n{last}" if last else " and no output")
