"""The evaluation loop: every utterance once, metrics over all of them, and going on where it was cut.

The records of each batch are appended to ``part-<rank>.jsonl``; what stands there is not computed again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from dataset.files import finite, write_json
from dataset.loader import LoaderSettings, epoch_batches, eval_stream
from dataset.metadata import write_csv
from dataset.protocols import BatchSampler, CollateFn, IndexableDataset
from problems.engine.loops.base import Batch, Loop
from problems.engine.loops.prefetch import prefetch
from problems.engine.runtime import distributed
from problems.engine.runtime.watchdog import beat
from tasks.base import Mode
from tasks.metrics.kinds import to_json

PART = "part-{}.jsonl"
Records = dict[str, list[Any]]


class _Part:
    """Records by batch, those of earlier runs and other processes too, and this process's file to add more to."""

    def __init__(self, folder: Path | None, rank: int):
        self.done: dict[int, Records] = {}
        self.folder, self.file = folder, None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob("part-*.jsonl")):
            whole = self._read(path)
            if path.name == PART.format(rank):
                with open(path, "r+b") as file:
                    file.truncate(whole)
        self.file = open(folder / PART.format(rank), "ab")

    def _read(self, path: Path) -> int:
        """Take the records of a file; how many of its bytes are whole lines."""
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                batch, records = json.loads(line)
            except ValueError:  # the line that a kill tore
                break
            self.done[batch] = records
            whole += len(line)
        return whole

    def add(self, batch: int, records: Records) -> None:
        self.done[batch] = records
        if self.file:
            self.file.write(json.dumps([batch, records], ensure_ascii=False).encode() + b"\n")
            self.file.flush()

    def close(self) -> None:
        if self.file:
            self.file.close()

    def remove(self) -> None:
        for path in self.folder.glob("part-*.jsonl") if self.folder else ():
            path.unlink(missing_ok=True)


def _joined(parts: list[Records], order: list[int]) -> Records:
    """The records of all batches as one, in the order of the dataset."""
    names = {name: None for part in parts for name in part}
    rows = {name: [value for part in parts for value in part[name]] for name in names}
    ranked = sorted(range(len(order)), key=order.__getitem__)
    return {name: [values[i] for i in ranked] for name, values in rows.items()}


def first_batches(batch_sampler: BatchSampler, eval_batch: int) -> list[list[int]]:
    """The batches that are looked at: so many, or all where ``eval_batch`` is -1."""
    batches = epoch_batches(batch_sampler, 0, 0)
    return batches if eval_batch < 0 else batches[:eval_batch]


class EvalLoop(Loop):
    """Evaluates a task. Its methods are there to be overridden."""

    def on_evaluate_start(self, mode: Mode) -> None:
        """Before the first batch of a validation or a test."""

    def evaluate_batch(self, batch: Batch, mode: Mode) -> Records:
        """The records of a batch: lists with one value an utterance."""
        return self.forward(mode, batch).records

    def evaluate(
        self,
        mode: str,
        dataset: IndexableDataset,
        batch_sampler: BatchSampler,
        collate_fn: CollateFn,
        eval_batch: int = -1,
        dump_dir: Path | None = None,
        num_workers: int = 0,
        save_predictions: Callable[[Records, Path], None] | None = None,
    ) -> dict[str, float]:
        """The metrics of the task over ``dataset``.

        Of several processes each takes its share of the batches; the metrics are reduced once, over the records of all
        utterances, so that they are those of a single process to the last bit.

        Args:
            eval_batch: how many batches to look at; -1 for all.
            dump_dir: where to leave ``predictions.csv`` and ``result.json``; None leaves nothing.
            save_predictions: writes ``predictions.csv`` of all records; None: :func:`write_predictions`.
        """
        started, world = time.monotonic(), distributed.world()
        mode = Mode(mode)
        batches = first_batches(batch_sampler, eval_batch)
        kept = dump_dir if world.shared else None  # what is kept elsewhere, nobody can see to
        part = _Part(None if kept is None else Path(kept), world.rank)
        done = {number for numbers in distributed.gather(sorted(part.done)) for number in numbers}
        mine = [number for number in range(len(batches)) if number not in done][world.rank :: world.size]
        settings = LoaderSettings(
            num_workers=num_workers, pin_memory=self.device.type == "cuda", make_dataloader=self.make_dataloader
        )
        try:
            with self.evaluating(), torch.inference_mode():
                self.hook("on_evaluate_start", mode)
                wanted = [batches[n] for n in mine]
                stream = eval_stream(dataset, wanted, collate_fn, settings)
                for number, batch in prefetch(zip(mine, stream), self.device):
                    part.add(number, self.evaluate_batch(batch, mode))
                    beat()
        finally:
            part.close()
        found = {number: records for share in distributed.gather(part.done) for number, records in share.items()}
        records = _joined([found[n] for n in range(len(batches))], [index for batch in batches for index in batch])
        metrics = distributed.on_main(lambda: {k: float(v) for k, v in self.task.reduction(mode, records).items()})
        if world.size > 1:  # what the task learnt in it (a threshold) is known to all
            state = distributed.on_main(self.task.get_state)
            if not world.main:
                self.task.set_state(state)
        if dump_dir is not None and world.main:
            (save_predictions or write_predictions)(records, Path(dump_dir))
            result = {"metrics": metrics, "declarations": self._declarations(metrics), "utterances": len(records["id"])}
            result["predicts"] = self.task.predicts
            _leave(Path(dump_dir), result, time.monotonic() - started, eval_batch)
            part.remove()
        return metrics

    def _declarations(self, metrics: Mapping[str, float]) -> dict[str, dict[str, Any]]:
        """The task's declarations of the metrics that were measured."""
        return to_json({name: metric for name, metric in self.task.metrics.items() if name in metrics})


def write_predictions(records: Records, folder: Path) -> None:
    """``predictions.csv``, a row an utterance."""
    rows = [dict(zip(records, values)) for values in zip(*records.values())]
    write_csv(folder / "predictions.csv", finite(rows), ("id",))


def _leave(folder: Path, result: dict[str, Any], seconds: float, eval_batch: int) -> None:
    result |= {"seconds": round(seconds, 3), "checkpoint": folder.parent.name, "test_set": folder.name}
    write_json(folder / "result.json", result | ({} if eval_batch < 0 else {"only_batches": eval_batch}))
