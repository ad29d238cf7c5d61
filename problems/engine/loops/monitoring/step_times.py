"""The time of a training step by its parts, and memory; nothing waits for a GPU."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections import deque
from collections.abc import Iterator

import torch

from problems.engine.report.history import MEMORY, STEP_PARTS


class StepTimes:
    """The time that this process's steps take for each of :data:`STEP_PARTS`.

    On a GPU the host only hands over work, so its clock tells how long it waits for data, and the other parts are
    measured by events of the device, which are read when they have passed.

    Args:
        device: of the model.
    """

    def __init__(self, device: torch.device):
        self.device = device
        self.on_gpu = device.type == "cuda"
        self.seconds = dict.fromkeys(STEP_PARTS, 0.0)
        """Of this run so far."""
        self.events: deque[tuple[str, torch.cuda.Event, torch.cuda.Event]] = deque()
        self.steps = 0
        self._logged: tuple[int, dict[str, float]] = (0, dict(self.seconds))

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure a part of a step, which may be cut by an error."""
        is_host = name == "data" or not self.on_gpu
        began = time.perf_counter() if is_host else self._event()
        try:
            yield
        finally:
            if is_host:
                self.seconds[name] += time.perf_counter() - began
            else:
                self.events.append((name, began, self._event()))

    def _event(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def _read_events(self) -> None:
        """Take the events that have passed."""
        while self.events and self.events[0][2].query():
            name, began, ended = self.events.popleft()
            self.seconds[name] += began.elapsed_time(ended) / 1000

    def read(self) -> dict[str, float]:
        """Return the milliseconds of a step for each part, on average since the last call, and the peak memory."""
        self._read_events()
        steps, before = self._logged
        count = max(1, self.steps - steps)
        self._logged = self.steps, dict(self.seconds)
        row = {f"{name}_ms": round(1000 * (self.seconds[name] - before[name]) / count, 3) for name in STEP_PARTS}
        return row | {MEMORY: round(peak_memory(self.device) / 1e9, 3)}

    def summary(self) -> str:
        """The average step of this run, for people; empty without any step."""
        self._read_events()
        whole = sum(self.seconds.values())
        if not self.steps or not whole:
            return ""
        names = {"data": "waiting for data", "optimizer": "optimizer"}
        parts = (f"{names.get(name, name)} {seconds / whole:.0%}" for name, seconds in self.seconds.items())
        memory = f"{peak_memory(self.device) / 1e9:.2f} GB {'of the GPU' if self.on_gpu else 'of RAM'} at most"
        return f"a step took {1000 * whole / self.steps:.3g} ms: {', '.join(parts)}; {memory}"


def peak_memory(device: torch.device) -> int:
    """The most bytes that tensors took on a GPU, or that this process took of RAM."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
