"""Interrupt a run at random instants until it ends: kill it, stop it, fill its disk."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

from tests.parts.faults.comparison import digests
from tests.parts.faults.process import PATIENCE, Run, children_of, erase, log_of, send, wait
from tests.parts.faults.writes import Count, SignalAt, Slow, counted

SIGNALS = {"kill": signal.SIGKILL, "terminate": signal.SIGTERM, "interrupt": signal.SIGINT, "slow disk": signal.SIGKILL}
FAULTS = (*SIGNALS, "stop", "one process", "full disk")
ENDED = {
    signal.SIGKILL: {0, -signal.SIGKILL},
    signal.SIGTERM: {0, 128 + signal.SIGTERM, -signal.SIGTERM},  # -15: before it handles signals
    signal.SIGINT: {0, 128 + signal.SIGINT},
}
"""Exit codes after a signal. 0 is a run that had all its work done."""
LOOK = 0.004
"""Seconds between two looks at a process."""
NOTICE = 3
"""Seconds after which a process is terminated if another one of its run has died."""
SLOW = 0.01
"""Seconds that a slow disk takes for each change of a file."""
PAGE = 4096


@dataclasses.dataclass(frozen=True)
class Undisturbed:
    """A run that nothing interrupted.

    Args:
        seconds: of the processor, in its first process; of the clock, for a run that lets others work.
        writes: changes of files by its first process.
        bytes: of its folder.
        digests: of what it left.
    """

    seconds: float
    writes: int
    bytes: int
    digests: dict[str, str]


def undisturbed(run: Run, folder: Path) -> Undisturbed:
    """Run to the end in ``folder``, and remove it."""
    erase(folder)
    processes = run.start(folder, Count(folder))
    seconds = _after(run, processes[0], math.inf)
    assert not any(wait(processes, folder)), log_of(folder)[-3000:]
    size = sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*"))
    whole = Undisturbed(seconds, counted(folder), size, digests(folder))
    erase(folder)
    return whole


def interrupt(run: Run, folder: Path, whole: Undisturbed, fault: str, *, rng: random.Random, most: int) -> list[str]:
    """Type a run again and again in an empty ``folder``, each time with a fault, until it ends; at most ``most`` times.

    Returns:
        The stage of each fault that came before the end.

    Raises:
        AssertionError: a run hangs, fails by itself, or shows a traceback.
    """
    erase(folder)
    faults = _Faults(run, folder, whole, fault, rng=rng)
    return faults.fill_disk(most) if fault == "full disk" else faults.strike(most)


@dataclasses.dataclass
class _Faults:
    """Faults of one kind in one run; ``stages`` are those that were hit."""

    run: Run
    folder: Path
    whole: Undisturbed
    fault: str
    rng: random.Random
    stages: list[str] = dataclasses.field(default_factory=list)

    def strike(self, most: int) -> list[str]:
        """Send a signal each time the run is started."""
        number = SIGNALS.get(self.fault, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        while len(self.stages) < most:
            told = len(log_of(self.folder))
            # later where each start costs seconds, else nothing but starts would be hit
            share = self.rng.uniform(0.3, 1) if self.run.starts_pythons else self.rng.uniform(0, 0.5)
            processes = self._struck(number, share)
            codes = wait(processes, self.folder)
            said = log_of(self.folder)[told:][-3000:]
            message = f"{self.run.name} ended with {codes} after {self.fault} in {self.stages[-1:]}: {said}"
            # the others of a process that is gone fail for want of it
            assert codes[0] in ENDED[number] or len(codes) > 1 or self.run.has_agent, message
            assert "Traceback" not in said, message
            if not any(codes):
                break
            if "is in use by" in said:  # the workers of an agent that was killed have not ended yet
                assert time.monotonic() < deadline, message
                time.sleep(0.2)
                continue
            deadline = time.monotonic() + PATIENCE
            self.stages.append(stage_under_way(self.folder))
        return self.stages

    def _struck(self, number: int, share: float) -> list[BaseProcess]:
        """Start the run, and send it a signal after a share of its time, or of its changes of files."""
        run, folder, rng = self.run, self.folder, self.rng
        by_writes = self.fault in SIGNALS and self.fault != "slow disk" and not run.has_agent
        if by_writes and rng.random() < 0.5:
            at = SignalAt(folder, 1 + int(share * self.whole.writes), number, torn=rng.random() < 0.5)
            processes = run.start(folder, at)
            wait(processes[:1], folder)
        else:
            processes = run.start(folder, Slow(folder, SLOW) if self.fault == "slow disk" else None)
            is_running = _after(run, processes[0], share * self.whole.seconds)
            while is_running and self.fault == "stop" and rng.random() < 0.7:
                self._pause(processes[0].pid)
                share += rng.uniform(0, 0.5)
                is_running = _after(run, processes[0], share * self.whole.seconds)
        alive = [process.pid for process in processes if process.is_alive()]
        alive += children_of(processes[0].pid) if run.has_agent else []
        for process in [rng.choice(alive)] if self.fault == "one process" and alive else alive:
            send(process, number)
        if len(processes) > 1:
            _end(processes)
        return processes

    def _pause(self, process: int) -> None:
        self.stages.append(stage_under_way(self.folder))
        send(process, signal.SIGSTOP)
        time.sleep(self.rng.uniform(0.05, 0.5))
        send(process, signal.SIGCONT)

    def fill_disk(self, most: int) -> list[str]:
        """Let the run meet a full disk, and give it a little more each time it is typed again."""
        size = 8 * PAGE
        with disk(self.folder, size):
            while True:
                told = len(log_of(self.folder))
                codes = wait(self.run.start(self.folder), self.folder)
                if not any(codes):
                    return self.stages
                said = log_of(self.folder)[told:][-3000:]
                explained = codes[0] == 1 and "Traceback" not in said and "No space left" in said
                assert explained, f"{self.run.name} ended with {codes} on a full disk: {said}"
                self.stages.append(stage_under_way(self.folder))
                size += PAGE * round(self.rng.uniform(1, self.whole.bytes / PAGE / most * 2))
                subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True)


def _end(processes: list[BaseProcess]) -> None:
    """Let the processes that are left notice; terminate those that do not, as an agent or a scheduler does."""
    for process in processes:
        process.join(NOTICE)
        if process.is_alive() and not all(other.exitcode in (None, 0) for other in processes):
            send(process.pid, signal.SIGTERM)


def _after(run: Run, process: BaseProcess, seconds: float) -> float:
    """Wait until a process has worked so long, or has ended; return how long it has, and 0 if it has ended before."""
    while process.is_alive() and os.getpgid(process.pid) != process.pid:  # it has not begun
        time.sleep(LOOK)
    began, worked = time.monotonic(), 0.0
    clock = ~process.pid << 3 | 2  # of the processor time of another process: see clock_getcpuclockid(3)
    while process.is_alive():
        with contextlib.suppress(OSError):
            worked = time.monotonic() - began if run.lets_others_work else time.clock_gettime(clock)
        if worked >= seconds:
            return worked
        process.join(LOOK)
    return worked if seconds == math.inf else 0.0


@contextlib.contextmanager
def disk(folder: Path, size: int) -> Iterator[None]:
    """Make ``folder`` a file system of ``size`` bytes within a ``with`` block; what it holds is lost at its end.

    Raises:
        PermissionError: this process may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True)
    if mount.returncode:
        raise PermissionError(mount.stderr.decode())
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


# ---- where it is ----


def stage_under_way(folder: Path) -> str:
    """A name for what a run in ``folder`` is doing, by what it has left."""
    try:
        newest = max(folder.rglob("stages.json"), key=lambda path: path.stat().st_mtime_ns)
        stages = json.loads(newest.read_text("utf-8"))["stages"].values()
    except (OSError, ValueError, KeyError):
        return "start"
    begun = [stage["name"] for stage in stages if stage["status"] != "done"]
    if begun == ["train"] and any(folder.rglob("train/.step_*.tmp")):
        return "writing a checkpoint"
    return begun[-1] if begun else "between"
