"""Runs of command lines in processes of their own, so that one that fails or is killed costs no other."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from problems.benchmark.runs.one_pass import run_in_one_pass

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


@dataclass(frozen=True)
class Group:
    """Jobs of one problem that share a process; several train in one pass over the data (:mod:`.one_pass`).

    Args:
        jobs: one or more.
        judge: ends trainings of several early (:class:`problems.engine.loops.lockstep.Lockstep`).
    """

    jobs: tuple[Job, ...]
    judge: Callable[..., None] | None = None


def run_jobs(groups: Sequence[Group], parallel: int, threads: int | None = None) -> Iterator[Outcome]:
    """Run groups of jobs, ``parallel`` groups at a time, in their order; yield the jobs of each as it ends.

    Args:
        threads: of each process; None: the cores divided by ``parallel``.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    _start_server()
    count = threads or max(1, len(os.sched_getaffinity(0)) // parallel)
    waiting, running = list(groups), {}
    try:
        while waiting or running:
            while waiting and len(running) < parallel:
                group = waiting.pop(0)
                log = group.jobs[0].log
                log.parent.mkdir(parents=True, exist_ok=True)
                log.touch()
                ends, sender = context.Pipe(duplex=False)
                process = context.Process(target=_work, args=(group, count, sender))
                process.start()
                sender.close()
                running[process.sentinel] = group, process, ends, (time.monotonic(), log.stat().st_size)
            for sentinel in wait(list(running)):
                group, process, ends, began = running.pop(sentinel)
                yield from _outcomes(group, process, ends, *began)
    finally:
        for _, process, *_ in running.values():
            process.terminate()  # each writes a checkpoint first
        for _, process, *_ in running.values():
            process.join()


def _start_server() -> None:
    """Start the process that the others are forked from, with Ctrl-C blocked for it and for them.

    A terminal sends Ctrl-C to all. It would interrupt the imports of the first with a traceback; the others are told to
    end by this process.
    """
    resource_tracker.ensure_running()  # or the server starts it, which unblocks the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # inherited; one that comes meanwhile waits
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _outcomes(group: Group, process: BaseProcess, ends: Connection, began: float, log_size: int) -> Iterator[Outcome]:
    """The outcomes of the jobs of a process that has ended."""
    process.join()
    code, seconds = process.exitcode or 0, time.monotonic() - began
    if ends.poll():
        with contextlib.suppress(EOFError):  # it ended before it told of its runs
            yield from (Outcome(job, end.code, end.seconds, end.message) for job, end in zip(group.jobs, ends.recv()))
            return
    for job in group.jobs:
        yield Outcome(job, code, seconds, _last_error(group.jobs[0].log, log_size) if code else "")


def _last_error(log: Path, begin: int = 0) -> str:
    """The last line of a log, from a byte on, that tells an error, or else its last line."""
    text = log.read_bytes()[begin:].decode("utf-8", "replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("error:")]
    return (errors or lines or ["no message"])[-1]


def _work(group: Group, threads: int, ends: Connection) -> None:
    """Run the jobs of a group in this process, with its output in the log of the first."""
    import torch

    import problems

    threading.Thread(target=_follow, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    os.environ["OMP_NUM_THREADS"] = str(threads)
    with open(group.jobs[0].log, "a", encoding="utf-8", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        sys.stdout = sys.stderr = file
        problem = problems.get(group.jobs[0].problem)
        if len(group.jobs) == 1 and group.judge is None:
            problem().main(list(group.jobs[0].words))
        else:
            ends.send(run_in_one_pass(problem, [job.words[1:] for job in group.jobs], group.judge))


def _follow(parent: int) -> None:
    """End this process as by a signal if the one that started it is gone: a run alone would hold its folder."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def say(text: str) -> None:
    """Print a message for people; standard output is for tables."""
    print(text, file=sys.stderr)


def report_progress(outcomes: Iterator[Outcome], total: int) -> list[Outcome]:
    """All outcomes; each is told as it comes."""
    ended = []
    for outcome in outcomes:
        ended.append(outcome)
        state = outcome.message or "done" if outcome.code == 0 else f"FAILED ({outcome.code}): {outcome.message}"
        say(f"[{len(ended)}/{total}] {outcome.job.name}: {state} in {outcome.seconds:.0f} s")
    return ended
