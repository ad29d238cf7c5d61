"""Where a training's time goes, batch by batch: a trace of torch's profiler."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from problems.engine.loops.base import Batch, Callback
from tasks.base import Mode

log = logging.getLogger(__name__)

WARMUP = 10


class Profiler(Callback):
    """Leaves ``rank0.json``, a trace for chrome://tracing or Perfetto, and a table ``rank0.txt``, for each process.

    Args:
        folder: where they go.
        batches: how many to profile, after ten of warm-up.
    """

    def __init__(self, folder: Path, batches: int):
        self.folder, self.batches = Path(folder), batches

    def on_fit_start(self, loop: Any) -> None:
        """Begin to count batches."""
        self.rank = loop.world.rank
        schedule = torch.profiler.schedule(wait=0, warmup=WARMUP, active=self.batches, repeat=1)
        self.profile: Any = torch.profiler.profile(schedule=schedule, on_trace_ready=self.leave, record_shapes=True)
        self.profile.start()

    def on_fit_batch_end(self, loop: Any, batch: Batch, output: Any) -> None:
        """A batch more."""
        if self.profile:
            self.profile.step()

    def on_stage_end(self, loop: Any, mode: Mode, metrics: Mapping[str, float]) -> None:
        """End with the training, however few batches it had."""
        if self.profile and loop.finished:
            self.profile.stop()
            self.profile = None

    def leave(self, profile: Any) -> None:
        """Write what was found."""
        self.folder.mkdir(parents=True, exist_ok=True)
        trace = self.folder / f"rank{self.rank}.json"
        profile.export_chrome_trace(str(trace))
        table = profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=40)
        trace.with_suffix(".txt").write_text(table, encoding="utf-8")
        log.info("profile: %s, and as a table %s", trace, trace.with_suffix(".txt").name)
