"""Start a run in processes of its own, which are forked from one that has imported everything.

The instants of an interruption then fall into the work and not into imports.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.parts.faults.runs import OF_OTHERS, RUNS, SEVERAL, Line
from tests.parts.processes import free_port

PRELOADED = [
    "torch", "torchaudio", "pandas", "torch._inductor.config", "torch.utils.tensorboard", "safetensors.torch",
    "tensorboard.plugins.histogram.summary", "sklearn.linear_model", "sqlite3", "yaml",
    "matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.signal", "scipy.optimize", "torch.distributed.run",
    "problems.engine.stages.pipeline", "problems.engine.loops.train", "problems.engine.loops.setup",
    "problems.engine.report.report", "problems.engine.report.plots", "problems.benchmark.superb",
    "tests.parts.faults.process", "tests.parts.faults.interruption", "tests.parts.faults.controls",
]  # fmt: skip
Alter = Callable[[], None]
"""Changes a process before its work, to plant a difference or to act at an instant."""
PATIENCE = 180
"""Seconds after which a run is taken to hang."""


@dataclasses.dataclass(frozen=True)
class Run:
    """Command lines, each typed until it ends well, then the next.

    Args:
        name: of :data:`RUNS`, :data:`SEVERAL` or :data:`OF_OTHERS`.
        lines: ``FOLDER`` in them stands for the folder of one run.
        ranks: processes that are started, with the variables that a cluster sets.
        alter: called in each process before its work, to plant a difference; None leaves it alone.
    """

    name: str
    lines: tuple[Line, ...]
    ranks: int = 1
    alter: Alter | None = None

    @property
    def has_agent(self) -> bool:
        """True if its one process is an agent that starts others."""
        return any("--nproc=2" in line for line in self.lines)

    @property
    def starts_pythons(self) -> bool:
        """True if it starts Pythons of its own, which import everything first."""
        return self.name in OF_OTHERS

    @property
    def lets_others_work(self) -> bool:
        """True if its first process waits for others most of the time."""
        return self.starts_pythons or any(line[0] == "problems" for line in self.lines)

    def start(self, folder: Path, alter: Alter | None = None) -> list[BaseProcess]:
        """Start its processes in ``folder``; ``alter`` is called in the first alone."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        folder.mkdir(parents=True, exist_ok=True)
        port, processes = free_port() if self.ranks > 1 else 0, []
        for rank in range(self.ranks):
            place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self.ranks, "MASTER_PORT": port}
            own = (self.alter, alter if rank == 0 else None)
            processes.append(context.Process(target=_work, args=(self.lines, folder, own, place)))
            processes[-1].start()
        return processes

    def finish(self, folder: Path) -> None:
        """Type it until it ends.

        Raises:
            AssertionError: it fails, or hangs.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            processes = self.start(folder)
            codes = wait(processes, folder)
            if not any(codes):
                return
            last = log_of(folder)[-3000:]
            # what an agent that was killed leaves behind ends by itself
            assert "is in use by" in last and time.monotonic() < deadline, f"{self.name} ended with {codes}: {last}"
            time.sleep(0.2)


def prepare(name: str, folder: Path, *more: str) -> Run:
    """Write the data of a run into ``folder`` and return it; ``more`` words go to each of its lines."""
    folder.mkdir(parents=True, exist_ok=True)
    ranks, write = SEVERAL[name] if name in SEVERAL else (1, (RUNS | OF_OTHERS)[name])
    return Run(name, tuple((*line, *more) for line in write(folder)), ranks=ranks)


def wait(processes: list[BaseProcess], folder: Path, patience: float = PATIENCE) -> list[int]:
    """Wait for the end of processes and return their exit codes.

    Raises:
        AssertionError: one hangs; all are killed.
    """
    deadline = time.monotonic() + patience
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    hang = [process for process in processes if process.is_alive()]
    for process in hang:
        send(process.pid, signal.SIGKILL)
        process.join()
    assert not hang, f"{len(hang)} of {len(processes)} processes hang: {log_of(folder)[-3000:]}"
    return [process.exitcode for process in processes]


def send(process: int, number: int) -> None:
    """Send a signal to a process and its workers, as a terminal or a scheduler does."""
    for call in (os.killpg, os.kill):  # it may lead no group
        try:
            return call(process, number)
        except ProcessLookupError:
            continue


def children_of(process: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    try:
        own = [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
    except OSError:  # it is gone
        return []
    return [*own, *(child for parent in own for child in children_of(parent))]


def log_path(folder: Path) -> Path:
    """The file of what the processes of a run print: beside its folder, which may be on a full disk."""
    return folder.with_name(f"{folder.name}.log")


def log_of(folder: Path) -> str:
    """All that the processes of a run have printed."""
    path = log_path(folder)
    return path.read_text("utf-8", errors="replace") if path.exists() else ""


def erase(folder: Path) -> None:
    """Remove all that a run has left."""
    shutil.rmtree(folder, ignore_errors=True)
    log_path(folder).unlink(missing_ok=True)


def _work(lines: Sequence[Line], folder: Path, alters: Sequence[Alter | None], place: Mapping[str, int]) -> None:
    code = 130  # of a Ctrl-C before the command line can answer it
    try:
        os.setpgid(0, 0)
        _write_to(log_path(folder))
        if place["WORLD_SIZE"] > 1:
            os.environ.update({name: str(value) for name, value in place.items()}, MASTER_ADDR="127.0.0.1")
        for alter in filter(None, alters):
            alter()
        code = _run_lines(lines, folder)
    finally:
        sys.stdout.flush()
        os._exit(code)  # a signal after the work would interrupt what Python does at exit


def _write_to(log: Path) -> None:
    file = open(log, "a", encoding="utf-8", buffering=1)
    for standard in (1, 2):
        os.dup2(file.fileno(), standard)
    sys.stdout = sys.stderr = file


def _run_lines(lines: Sequence[Line], folder: Path) -> int:
    """Run command lines in this process, until one fails; return the exit code."""
    import torch

    import problems
    import problems.__main__
    from problems.engine.cli.main import execute

    torch.set_num_threads(1)
    for program, *words in lines:
        words = [word.replace("FOLDER", str(folder)) for word in words]
        if words[0] == "export" and Path(words[-1]).exists():  # it is whole or absent, and refuses to be replaced
            continue
        code = problems.__main__.main(words) if program == "problems" else execute(problems.get(program)(), words)
        if code:
            return code
    return 0
