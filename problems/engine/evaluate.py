"""The evaluation loop: every utterance once, metrics over all of them, and going on where it was cut.

The records of each batch are appended to ``part.jsonl``; what stands there is not computed again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from dataset.metadata import write_csv
from problems.engine.files import finite, write_json
from problems.engine.stream import epoch_batches, eval_stream
from problems.engine.train import to_device

PART = "part.jsonl"
Records = dict[str, list[Any]]


class _Part:
    """Records that are already there, batch by batch, and the file to add more to."""

    def __init__(self, path: Path | None):
        self.path, self.done, self.file = path, [], None
        if path is None:
            return
        whole = 0
        if path.exists():
            for line in path.read_bytes().splitlines(keepends=True):
                try:
                    self.done.append(json.loads(line))
                except ValueError:  # the line that a kill tore
                    break
                whole += len(line)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.file = open(path, "ab")
        self.file.truncate(whole)

    def add(self, records: Records) -> None:
        self.done.append(records)
        if self.file:
            self.file.write(json.dumps(records, ensure_ascii=False).encode() + b"\n")
            self.file.flush()

    def close(self, finished: bool = False) -> None:
        if self.file:
            self.file.close()
            if finished and self.path:
                self.path.unlink(missing_ok=True)


def _joined(parts: list[Records], order: list[int]) -> Records:
    """The records of all batches as one, in the order of the dataset."""
    names = {name: None for part in parts for name in part}
    rows = {name: [value for part in parts for value in part[name]] for name in names}
    ranked = sorted(range(len(order)), key=order.__getitem__)
    return {name: [values[i] for i in ranked] for name, values in rows.items()}


def evaluate(
    task: Any,
    mode: str,
    dataset: Any,
    batch_sampler: Any,
    collate_fn: Callable,
    eval_batch: int = -1,
    dump_dir: Path | None = None,
    device: torch.device | str = "cpu",
    num_workers: int = 0,
    show: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """The metrics of ``task`` over ``dataset``.

    Args:
        eval_batch: how many batches to look at; -1 for all.
        dump_dir: where to leave ``predictions.csv`` and ``result.json``; None leaves nothing.
        show: told (batches done, batches in all) after each.
    """
    started = time.monotonic()
    batches = epoch_batches(batch_sampler, 0, 0)
    batches = batches if eval_batch < 0 else batches[:eval_batch]
    part = _Part(None if dump_dir is None else Path(dump_dir) / PART)
    device = torch.device(device)
    was_training = task.training
    task.eval()
    try:
        stream = eval_stream(dataset, batches[len(part.done) :], collate_fn, num_workers, device.type == "cuda")
        with torch.inference_mode():
            for batch in stream:
                part.add(task(mode, **to_device(batch, device)).records)
                if show:
                    show(len(part.done), len(batches))
    finally:
        part.close()
        task.train(was_training)
    records = _joined(part.done, [index for batch in batches for index in batch])
    metrics = {name: float(value) for name, value in task.reduction(mode, records).items()}
    if dump_dir is not None:
        _leave(Path(dump_dir), records, metrics, time.monotonic() - started, eval_batch)
        part.close(finished=True)
    return metrics


def _leave(folder: Path, records: Records, metrics: Mapping[str, float], seconds: float, eval_batch: int) -> None:
    rows = [dict(zip(records, values)) for values in zip(*records.values())]
    write_csv(folder / "predictions.csv", finite(rows), ("id",))
    result = {"metrics": dict(metrics), "utterances": len(rows), "seconds": round(seconds, 3)}
    result |= {"checkpoint": folder.parent.name, "test_set": folder.name}
    write_json(folder / "result.json", result | ({} if eval_batch < 0 else {"only_batches": eval_batch}))
