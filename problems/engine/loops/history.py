"""What a person sees of a training: one progress bar or plain lines, the metric history, TensorBoard.

``metrics.jsonl`` is the record; TensorBoard's events are written from it anew at each resume, so that no step is there
twice and none is missing after a kill.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.files import finite, write_json, write_text
from tasks.metrics.kinds import UNDECLARED, Count, Metric, to_json

log = logging.getLogger(__name__)

HISTORY = "metrics.jsonl"
DECLARATIONS = "declarations.json"
TIMES = ("seconds", "steps_per_second")  # what differs between two equal runs


def read_history(train_dir: Path) -> list[dict[str, Any]]:
    """The rows of the metric history; a last line that a kill tore is left out."""
    path = Path(train_dir) / HISTORY
    rows = []
    for line in path.read_bytes().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 0:42, 3:07, 1:02:05."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def shown(values: Mapping[str, Any], declarations: Mapping[str, Metric], first: str | None = None) -> str:
    """Metrics on one line, each as it is declared: ``first`` comes first, counts are left out."""
    metrics = {name: declarations.get(name, UNDECLARED) for name, _ in _numbers(values)}
    names = [name for name, metric in metrics.items() if name == first or not isinstance(metric, Count)]
    names.sort(key=lambda name: name != first)
    return "  ".join(f"{metrics[name].heading(name)} {metrics[name].format(values[name])}" for name in names)


def _numbers(values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    return ((k, v) for k, v in values.items() if isinstance(v, (int, float)) and not isinstance(v, bool))


class Monitor:
    """The history of one training and its display.

    Args:
        train_dir: where the history stands.
        step: the step to go on from; what the history holds past it is of a run that was cut, and is dropped.
        total_steps: the last step, for the progress.
        primary: the metric that is shown first.
        declarations: the task's, of its metrics; they stand in ``declarations.json`` beside the history.
        validated: False if the validation of ``step`` is still to come, although a run that was cut may have logged it.
    """

    def __init__(
        self,
        train_dir: Path,
        step: int,
        total_steps: int,
        primary: str | None = None,
        declarations: Mapping[str, Metric] | None = None,
        validated: bool = True,
    ):
        from torch.utils.tensorboard import SummaryWriter

        self.primary, self.declarations = primary, declarations or {}
        self.total_steps, self.started, self.first_step = total_steps, time.monotonic(), step
        self._last = (self.started, step)
        rows = [row for row in read_history(train_dir) if row["step"] <= step]
        rows = [row for row in rows if validated or row["step"] < step or row["split"] != "valid"]
        history = Path(train_dir) / HISTORY
        write_text(history, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
        write_json(Path(train_dir) / DECLARATIONS, to_json(self.declarations))
        self.file = open(history, "a", encoding="utf-8")
        shutil.rmtree(Path(train_dir) / "tb", ignore_errors=True)
        self.board = SummaryWriter(str(Path(train_dir) / "tb"))
        for row in rows:
            self._to_board(row)
        self.bar = None
        if sys.stderr.isatty():
            from tqdm import tqdm

            self.bar = tqdm(total=total_steps, initial=step, unit="step", dynamic_ncols=True, leave=False)

    def _to_board(self, row: dict[str, Any]) -> None:
        for name, value in _numbers(row):
            if name not in ("step", "epoch"):
                self.board.add_scalar(f"{row['split']}/{name}", value, row["step"])

    def tick(self, step: int) -> None:
        """Show that ``step`` is done."""
        if self.bar is not None:
            self.bar.update(step - self.bar.n)

    def log(self, split: str, step: int, epoch: float, values: dict[str, Any]) -> None:
        """Add a row to the history and show it."""
        row = finite({"step": step, "epoch": round(epoch, 4), "split": split, **values})
        self.file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.file.flush()
        self._to_board(row)
        if split == "train":
            self._show_train(step, epoch, values)
        else:
            self._say(step, epoch, split, shown(values, self.declarations, self.primary))

    def _show_train(self, step: int, epoch: float, values: dict[str, Any]) -> None:
        loss_and_rest = "  ".join(f"{k.replace('_', ' ')} {v:.4g}" for k, v in _numbers(values) if k not in TIMES)
        if self.bar is not None:
            self.bar.set_postfix_str(loss_and_rest)
            return
        rate = (step - self.first_step) / max(time.monotonic() - self.started, 1e-9)
        left = f"{rate:.3g} steps/s, {duration((self.total_steps - step) / rate)} left" if rate else ""
        self._say(step, epoch, "train", f"{loss_and_rest}  ({left})" if step < self.total_steps else loss_and_rest)

    def _say(self, step: int, epoch: float, split: str, text: str) -> None:
        width = len(str(self.total_steps))
        log.info("  step %*d/%d  epoch %5.1f  %s  %s", width, step, self.total_steps, epoch, split, text)

    def speed(self, step: int) -> dict[str, float]:
        """Seconds of this run so far, and steps a second since the last call."""
        now = time.monotonic()
        rate = (step - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, step)
        return {"seconds": round(now - self.started, 3), "steps_per_second": round(rate, 3)}

    def sync(self) -> None:
        """Make the history durable: a checkpoint stands for all that came before it."""
        os.fsync(self.file.fileno())
        self.board.flush()

    def close(self) -> None:
        """End the display and make the history durable."""
        if self.bar is not None:
            self.bar.close()
        os.fsync(self.file.fileno())
        self.file.close()
        self.board.close()


class Silent:
    """The monitor of a process that shows and writes nothing."""

    def tick(self, step: int) -> None: ...

    def log(self, split: str, step: int, epoch: float, values: dict[str, Any]) -> None: ...

    def speed(self, step: int) -> dict[str, float]:
        return {}

    def sync(self) -> None: ...

    def close(self) -> None: ...


def open_monitor(*, writes: bool, **settings: Any) -> Monitor | Silent:
    """The monitor of the process that ``writes`` (settings: those of :class:`Monitor`), or one that keeps silent."""
    return Monitor(**settings) if writes else Silent()
