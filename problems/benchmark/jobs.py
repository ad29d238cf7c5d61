"""Runs of command lines, each in a process of its own, so that one that fails or is killed costs no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = ["torch", "torchaudio", "pandas", "problems.engine.stages.pipeline", "problems.engine.loops.train"]
"""Imported once, by the process that the others are forked from."""


@dataclass(frozen=True)
class Job:
    """One command line of a problem.

    Args:
        name: for people.
        problem: a key of the registry.
        words: the command line, without the program.
        log: the file of its messages.
    """

    name: str
    problem: str
    words: tuple[str, ...]
    log: Path


@dataclass(frozen=True)
class Outcome:
    """The end of a job: its exit code, negative for a signal, its seconds, and the error's message if it failed."""

    job: Job
    code: int
    seconds: float
    message: str = ""


def run_jobs(jobs: Sequence[Job], parallel: int, threads: int | None = None) -> Iterator[Outcome]:
    """Run jobs, ``parallel`` at a time, in their order; yield each as it ends.

    Args:
        threads: of each; None: the cores divided by ``parallel``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    count = threads or max(1, len(os.sched_getaffinity(0)) // parallel)
    waiting, running = list(jobs), {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                job = waiting.pop(0)
                job.log.parent.mkdir(parents=True, exist_ok=True)
                job.log.touch()
                process = context.Process(target=_work, args=(job.problem, job.words, str(job.log), count))
                process.start()
                running[process.sentinel] = job, process, (time.monotonic(), job.log.stat().st_size)
            for sentinel in wait(list(running)):
                job, process, began = running.pop(sentinel)
                yield _outcome(job, process, *began)
    finally:
        for _, process, _ in running.values():
            process.terminate()  # each writes a checkpoint first
        for _, process, _ in running.values():
            process.join()


def _outcome(job: Job, process: BaseProcess, began: float, log_size: int) -> Outcome:
    process.join()
    code = process.exitcode or 0
    return Outcome(job, code, time.monotonic() - began, _last_error(job.log, log_size) if code else "")


def _last_error(log: Path, begin: int = 0) -> str:
    """The last line of a log, from a byte on, that tells an error, or else its last line."""
    text = log.read_bytes()[begin:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["no message"])[-1]


def _work(problem: str, words: Sequence[str], log: str, threads: int) -> None:
    """Run a command line in this process, with its output in ``log``."""
    import torch

    import problems

    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with open(log, "a", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        problems.get(problem)().main(list(words))


def _follow(parent: int) -> None:
    """End this process as by a signal if the one that started it is gone: a run alone would hold its folder."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def report_progress(outcomes: Iterator[Outcome], total: int, say: Callable[[str], None]) -> list[Outcome]:
    """All outcomes; each is told as it comes."""
    ended = []
    for outcome in outcomes:
        ended.append(outcome)
        state = "done" if outcome.code == 0 else f"FAILED ({outcome.code}): {outcome.message}"
        say(f"[{len(ended)}/{total}] {outcome.job.name}: {state} in {outcome.seconds:.0f} s")
    return ended
