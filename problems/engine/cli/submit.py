"""``run --launcher slurm``: submit the run to a cluster, by submitit; it is queued again after a preemption.

Each task of the job is a process of the run (``nproc`` on each node). A job that is preempted, or out of time, is
queued again by submitit and continues from its newest checkpoint.
"""

from __future__ import annotations

import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from problems.engine.runtime.errors import ConfigError

GRACE = 120
"""Seconds that a run has to write a checkpoint when its job is preempted."""


STOPPED = 128 + signal.SIGTERM
"""The exit code of a run that was asked to end; so are the other processes of one that is preempted."""


class Task:
    """One process of the job: it starts the run with the ranks that Slurm gave.

    Args:
        words: the command line, from the interpreter on.
        folder: the working folder.
    """

    def __init__(self, words: Sequence[str], folder: str):
        self.words, self.folder = list(words), folder
        self.process: subprocess.Popen | None = None

    def __call__(self) -> None:
        """Run it to its end.

        Raises:
            RuntimeError: it failed; its messages are in the job's log.
        """
        import submitit

        submitit.helpers.TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        self.process = subprocess.Popen([sys.executable, *self.words], cwd=self.folder)
        while (code := self.process.poll()) is None:  # wait() would hold a lock that checkpoint() needs
            time.sleep(0.5)
        if code and code != STOPPED:
            raise RuntimeError(f"the run ended with exit code {code}")

    def checkpoint(self) -> Any:
        """Called by submitit before the job is queued again: let the run save and end."""
        import submitit

        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.process.kill()
        return submitit.helpers.DelayedSubmission(Task(self.words, self.folder))


def submit(problem: Any, config: Mapping[str, Any], words: Sequence[str]) -> Any:
    """Submit a run and return submitit's job.

    Args:
        words: the command line after ``run``.

    Raises:
        ConfigError: submitit is not installed, or it refuses a setting.
    """
    try:
        import submitit
    except ModuleNotFoundError as error:
        raise ConfigError("launcher slurm needs submitit: pip install 'soundstage[slurm]'") from error
    settings = dict(config["slurm"] or {})
    cluster = settings.pop("cluster", "slurm")
    folder = Path(config["target_dir"]).resolve() / "slurm"
    module = type(problem).__module__
    program = ["-m", module] if module != "__main__" else [inspect.getfile(type(problem))]
    task = Task([*program, "run", *words, "--launcher=null"], os.getcwd())
    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        executor.update_parameters(**{"name": folder.parent.name, "tasks_per_node": config["nproc"]} | settings)
        return executor.submit(task)
    except (TypeError, ValueError, NameError, RuntimeError, OSError) as error:
        raise ConfigError(f"slurm: {error}") from error
