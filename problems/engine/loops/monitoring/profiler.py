"""Profile some training batches with torch's profiler."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from problems.engine.loops.base import Batch, Callback
from tasks.base import Mode, StepOutput

if TYPE_CHECKING:
    from problems.engine.loops.train import TrainLoop

log = logging.getLogger(__name__)

WARMUP = 10


class Profiler(Callback):
    """Writes ``rank0.json``, a trace for chrome://tracing or Perfetto, and a table ``rank0.txt``, for each process.

    Args:
        folder: where the files are written.
        batches: how many batches to profile, after ten of warm-up.
    """

    def __init__(self, folder: Path, batches: int):
        self.folder, self.batches, self.rank = Path(folder), batches, 0
        self.profile: torch.profiler.profile | None = None

    def on_fit_start(self, loop: TrainLoop) -> None:
        """Start the profiler."""
        self.rank = loop.world.rank
        schedule = torch.profiler.schedule(wait=0, warmup=WARMUP, active=self.batches, repeat=1)
        self.profile = torch.profiler.profile(schedule=schedule, on_trace_ready=self.write, record_shapes=True)
        self.profile.start()

    def on_fit_batch_end(self, loop: TrainLoop, batch: Batch, output: StepOutput) -> None:
        """Count a batch."""
        if self.profile:
            self.profile.step()

    def on_stage_end(self, loop: TrainLoop, mode: Mode, metrics: Mapping[str, float]) -> None:
        """Stop at the end of a training that had fewer batches."""
        if self.profile and loop.finished:
            self.profile.stop()
            self.profile = None

    def write(self, profile: torch.profiler.profile) -> None:
        """Write the trace and the table."""
        self.folder.mkdir(parents=True, exist_ok=True)
        trace = self.folder / f"rank{self.rank}.json"
        profile.export_chrome_trace(str(trace))
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        trace.with_suffix(".txt").write_text(table, encoding="utf-8")
        log.info("profile: %s, and as a table %s", trace, trace.with_suffix(".txt").name)
