"""The metric history of a training: metrics.jsonl and TensorBoard.

``metrics.jsonl`` is the record. TensorBoard's events are written again from it at each resume, so that each step is
there exactly once after a kill.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset.storage.files import finite, write_json, write_text
from problems.engine.loops.monitoring.board import Board
from problems.engine.report.figures.posteriors import pixels, read_posteriors
from problems.engine.report.history import DECLARATIONS, HISTORY, SAMPLES, read_history, read_samples
from tasks.metrics.kinds import Metric, to_json


def numbers_in(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the names and values that are numbers."""
    return ((k, v) for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool))


class Sink:
    """A receiver of a training's metrics, on the main process."""

    def tick(self, step: int) -> None:
        """Take note that ``step`` is done."""

    def log(self, split: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Take the metrics of a split (``train`` or ``valid``) at a step."""

    def show(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Take the sample utterances of a validation: ``id, reference, hypothesis`` of each."""

    def sync(self) -> None:
        """Make everything so far durable, before a checkpoint is written."""

    def close(self) -> None:
        """End."""


class History(Sink):
    """The history in ``train_dir``.

    Args:
        train_dir: the folder of the training.
        step: the step to continue from; later rows of an interrupted run are dropped.
        declarations: the task's declarations of its metrics, written to ``declarations.json``.
        is_validated: False if the validation of ``step`` will be repeated; the row of an interrupted run is dropped.
    """

    def __init__(self, train_dir: Path, step: int, declarations: Mapping[str, Metric], is_validated: bool = True):
        train_dir = Path(train_dir)
        rows = [row for row in read_history(train_dir) if row["step"] <= step]
        rows = [row for row in rows if is_validated or row["step"] < step or row["split"] != "valid"]
        write_text(train_dir / HISTORY, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        write_json(train_dir / DECLARATIONS, to_json(declarations))
        self.samples_path = train_dir / SAMPLES
        shown = [row for row in read_samples(train_dir) if row["step"] <= step - (not is_validated)]
        if shown:
            write_text(self.samples_path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in shown))
        else:
            self.samples_path.unlink(missing_ok=True)
        self.file = open(train_dir / HISTORY, "a", encoding="utf-8")
        self.board = Board(train_dir / "tb")
        for row in rows:
            self._add_to_board(row)
        for row in shown:
            self._show_on_board(**row)

    def log(self, split: str, step: int, epoch: float, values: Mapping[str, Any]) -> None:
        """Append a row."""
        row = finite({"step": step, "epoch": round(epoch, 4), "split": split, **values})
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.file.flush()
        self._add_to_board(row)
        self.board.flush()

    def show(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        """Append the sample utterances of a validation."""
        with open(self.samples_path, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, "samples": list(samples)}, ensure_ascii=False) + "\n")
        self._show_on_board(step, samples)

    def _show_on_board(self, step: int, samples: Sequence[Mapping[str, str]]) -> None:
        for row in samples:
            text = f"    reference:  {row['reference']}\n    hypothesis: {row['hypothesis']}"  # indented: not markdown
            self.board.add_text(f"samples/{row['id']}", text, step)
            posteriors = read_posteriors(row.get("posteriors", ""))
            if posteriors:
                self.board.add_image(f"posteriors/{row['id']}", pixels(posteriors), step)

    def _add_to_board(self, row: Mapping[str, Any]) -> None:
        for name, value in numbers_in(row):
            if name not in ("step", "epoch"):
                self.board.add_scalar(f"{row['split']}/{name}", value, row["step"])

    def sync(self) -> None:
        """Write all rows to the disk."""
        os.fsync(self.file.fileno())
        self.board.flush()

    def close(self) -> None:
        """Write all rows to the disk and close the files."""
        os.fsync(self.file.fileno())
        self.file.close()
        self.board.close()


class Stopwatch:
    """Seconds and steps per second of this run."""

    def __init__(self, step: int):
        self.started = time.monotonic()
        self.last_read = (self.started, step)

    def read(self, step: int) -> dict[str, float]:
        """Return the seconds of this run so far, and the steps per second since the last call."""
        now = time.monotonic()
        rate = (step - self.last_read[1]) / max(now - self.last_read[0], 1e-9)
        self.last_read = (now, step)
        return {"seconds": round(now - self.started, 3), "steps_per_second": round(rate, 3)}
