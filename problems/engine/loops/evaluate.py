"""EvalLoop: records of every utterance once, metrics over all of them, resumable.

The records of each batch are appended to ``part-<rank>.jsonl``. A batch whose records are there is not computed again.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dataset.loader import LoaderSettings, Unreadable, eval_stream, require_readable
from dataset.metadata import write_csv
from dataset.protocols import BatchSampler, CollateFn, IndexableDataset
from dataset.samplers.epochs import epoch_batches
from dataset.storage.files import finite, read_json, write_json
from problems.engine.features.attach import form_of
from problems.engine.loops import lockstep
from problems.engine.loops.analysis import Analysis
from problems.engine.loops.base import Batch, Loop
from problems.engine.loops.prefetch import prefetch
from problems.engine.loops.valid_sets import metrics_by_set, sets_of
from problems.engine.report.history import of_all_sets
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.watchdog import beat
from tasks.base import Mode
from tasks.metrics.kinds import to_json

log = logging.getLogger(__name__)

PART = "part-{}.jsonl"
Records = dict[str, list[Any]]
"""Lists with one value an utterance."""
Skipped = dict[int, tuple[str, str]]
"""The id of each utterance that failed, and its error, by index."""


class _Parts:
    """Records by batch: those in the files of all processes, and this process's file to append to.

    Args:
        folder: where the files are; None keeps the records in memory only.
        rank: the number of this process.
    """

    def __init__(self, folder: Path | None, rank: int):
        self.records: dict[int, Records] = {}
        self.skipped: dict[int, Skipped] = {}
        self.folder, self.file = folder, None
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.glob(PART.format("*"))):
            whole = self._read(path)
            if path.name == PART.format(rank):
                with open(path, "r+b") as file:
                    file.truncate(whole)
        self.file = open(folder / PART.format(rank), "ab")

    def _read(self, path: Path) -> int:
        """Take the records of a file and return how many of its bytes are whole lines."""
        whole = 0
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                batch, records, *skipped = json.loads(line)
            except ValueError:  # a kill cut this line
                break
            self.records[batch] = records
            self.skipped[batch] = {int(index): tuple(entry) for index, entry in (skipped[0] if skipped else {}).items()}
            whole += len(line)
        return whole

    def add(self, batch: int, records: Records, skipped: Skipped) -> None:
        self.records[batch], self.skipped[batch] = records, skipped
        if self.file:
            entry = [batch, records, *([skipped] if skipped else [])]
            self.file.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")
            self.file.flush()

    def close(self) -> None:
        if self.file:
            self.file.close()

    def remove(self) -> None:
        for path in self.folder.glob(PART.format("*")) if self.folder else ():
            path.unlink(missing_ok=True)


def first_batches(batch_sampler: BatchSampler, eval_batch: int) -> Sequence[list[int]]:
    """Return the first ``eval_batch`` batches; all of them if it is -1."""
    batches = epoch_batches(batch_sampler, 0, 0)
    return batches if eval_batch < 0 else batches[:eval_batch]


class EvalLoop(Loop):
    """Evaluates a task. Override its public methods to change how."""

    def on_evaluate_start(self, mode: Mode) -> None:
        """Before the first batch of a validation or a test."""

    def on_evaluate_end(self, mode: Mode, records: Records) -> None:
        """After the last batch, with the records of all utterances."""

    def on_stage_end(self, mode: Mode, metrics: Mapping[str, float]) -> None:
        """After a test. After a validation of a training, the train loop's method of this name is called."""

    def evaluate_batch(self, batch: Batch, mode: Mode) -> Records:
        """Return the records of a batch."""
        return self.forward(mode, batch).records

    def evaluate(
        self,
        mode: str,
        dataset: IndexableDataset,
        batch_sampler: BatchSampler,
        collate_fn: CollateFn,
        *,
        eval_batch: int = -1,
        dump_dir: Path | None = None,
        num_workers: int = 0,
        save_predictions: Callable[[Records, Path], None] | None = None,
        analysis: Analysis | None = None,
        records_file: Path | None = None,
        place: Mapping[str, str] | None = None,
        skip_errors: bool = False,
    ) -> dict[str, float]:
        """Return the metrics of the task over ``dataset``.

        Several processes share the batches. The metrics are reduced once, over the records of all utterances, so they
        are those of a single process to the last bit.

        Args:
            eval_batch: how many batches to evaluate; -1 for all.
            dump_dir: where ``predictions.csv`` and ``result.json`` are written; None writes nothing.
            save_predictions: writes ``predictions.csv`` of all records; None: :func:`write_predictions`.
            analysis: adds the intervals of the metrics, and groups, to ``result.json``.
            place: further entries of ``result.json``, such as the names of checkpoint and test set.
            skip_errors: leave out, name and count an utterance that cannot be read or computed, instead of stopping.
            records_file: records are read from this file if it exists, and written to it otherwise.
        """
        started, mode, dump_dir = time.monotonic(), Mode(mode), None if dump_dir is None else Path(dump_dir)
        batches = first_batches(batch_sampler, eval_batch)
        if analysis is not None and dump_dir is not None:
            analysis.check(dataset)
        world = distributed.world()
        # without shared files, this process cannot see to the parts of the others
        parts = _Parts(dump_dir if world.shared else None, world.rank)
        settings = LoaderSettings(
            num_workers=num_workers,
            pin_memory=self.device.type == "cuda",
            keep_errors=skip_errors,
            make_dataloader=self.make_dataloader,
        )
        skipped: Skipped = {}
        if records_file is not None and records_file.is_file():
            records, entries = read_json(records_file)
            skipped = {int(index): tuple(entry) for index, entry in entries.items()}
        else:
            records, skipped = self._collect(mode, dataset, batches, collate_fn, parts=parts, settings=settings)
            if records_file is not None and world.main:
                write_json(records_file, [records, skipped])
        if skipped and not records:
            id, text = skipped[min(skipped)]
            raise ValueError(f"every utterance of the {mode} failed, such as {id}: {text}")
        self.hook("on_evaluate_end", mode, records)
        metrics = self._reduce(mode, records)
        indices = sorted(index for batch in batches for index in batch if index not in skipped)
        sets = None if dump_dir is not None or self.task.paired else sets_of(dataset)
        if sets is not None:
            by_set = distributed.on_main(lambda: metrics_by_set(self.task, mode, records, sets[indices]))
            metrics |= {name: value for name, value in by_set.items() if of_all_sets(name) in metrics}
        if dump_dir is not None and world.main:
            seconds = time.monotonic() - started
            more = dict(place or {}) | ({} if eval_batch < 0 else {"only_batches": eval_batch})
            if skipped:
                more["skipped"] = dict(skipped[index] for index in sorted(skipped))
            if analysis is not None:
                more |= analysis.run(self.task, mode, records, dataset, indices)
            (save_predictions or write_predictions)(records, dump_dir)
            self._publish(dump_dir, metrics, len(records["id"]), seconds, more)
            parts.remove()
        if mode == Mode.TEST:
            self.hook("on_stage_end", mode, metrics)
        return metrics

    def _collect(
        self,
        mode: Mode,
        dataset: IndexableDataset,
        batches: Sequence[list[int]],
        collate_fn: CollateFn,
        *,
        parts: _Parts,
        settings: LoaderSettings,
    ) -> tuple[Records, Skipped]:
        """Return the records of all batches, in the order of the dataset; compute those that are missing."""
        done = {number for numbers in distributed.gather(sorted(parts.records)) for number in numbers}
        share = distributed.world().share([number for number in range(len(batches)) if number not in done])
        try:
            with self.evaluating(), torch.inference_mode():
                self.hook("on_evaluate_start", mode)

                def open_at(numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
                    stream = eval_stream(dataset, [batches[number] for number in numbers], collate_fn, settings)
                    return prefetch(zip(numbers, stream), self.device)

                stream = lockstep.shared_evaluation(f"{mode} {form_of(dataset)}", share, open_at)
                for number, batch in self._with_bar(mode, stream, len(share)):
                    try:
                        results = self.evaluate_batch(require_readable(batch), mode), {}
                    except Exception as error:
                        if not settings.keep_errors or isinstance(error, ConfigError):
                            raise
                        results = self._one_by_one(mode, dataset, batches[number], collate_fn)
                    parts.add(number, *results)
                    beat()
        finally:
            parts.close()
        by_batch = {number: records for part in distributed.gather(parts.records) for number, records in part.items()}
        failed = (own for part in distributed.gather(parts.skipped) for own in part.values())
        skipped = {index: entry for own in failed for index, entry in own.items()}
        indices = [index for batch in batches for index in batch if index not in skipped]
        return _in_order([by_batch[number] for number in range(len(batches))], indices), skipped

    def _one_by_one(
        self, mode: Mode, dataset: IndexableDataset, indices: Sequence[int], collate_fn: CollateFn
    ) -> tuple[Records, Skipped]:
        """Return the records of a batch that failed, utterance by utterance, and those that fail alone."""
        singles: list[Records] = []
        skipped: Skipped = {}
        for index in indices:
            (batch,) = eval_stream(dataset, [[index]], collate_fn, LoaderSettings(keep_errors=True))
            try:
                singles.append(self.evaluate_batch(require_readable(batch), mode))
            except ConfigError:
                raise
            except Exception as error:
                id = batch.ids[0] if isinstance(batch, Unreadable) else str(batch.get("id", [index])[0])
                text = (str(error).splitlines() or [type(error).__name__])[0]
                skipped[index] = (id, text)
                log.warning("left out of the %s: %s: %s", mode, id, text)
        names = {name: None for part in singles for name in part}
        return {name: [value for part in singles for value in part[name]] for name in names}, skipped

    @staticmethod
    def _with_bar(mode: Mode, items: Iterable[Any], total: int) -> Iterator[Any]:
        """Show a bar with the time that is left, on a terminal and for a test."""
        is_shown = mode == Mode.TEST and distributed.world().main and sys.stderr.isatty()
        return iter(tqdm(items, total=total, desc=str(mode), unit="batch", leave=False, disable=not is_shown))

    def _reduce(self, mode: Mode, records: Records) -> dict[str, float]:
        """Return the metrics, and give every process what the main one's task learnt in computing them."""
        metrics = distributed.on_main(lambda: {k: float(v) for k, v in self.task.reduction(mode, records).items()})
        world = distributed.world()
        if world.size > 1:
            state = distributed.on_main(self.task.get_state)
            if not world.main:
                self.task.set_state(state)
        return metrics

    def _publish(
        self, folder: Path, metrics: Mapping[str, float], utterances: int, seconds: float, more: Mapping[str, Any]
    ) -> None:
        """Write ``result.json``."""
        declarations = {name: metric for name, metric in self.task.metrics.items() if name in metrics}
        result = {
            "metrics": dict(metrics),
            "declarations": to_json(declarations),
            "utterances": utterances,
            "predicts": self.task.predicts,
            "seconds": round(seconds, 3),
            "checkpoint": folder.parent.name,
            "test_set": folder.name,
        }
        write_json(folder / "result.json", result | more)


def _in_order(parts: list[Records], indices: list[int]) -> Records:
    """Join the records of several batches and sort them by the indices of their utterances."""
    names = {name: None for part in parts for name in part}
    rows = {name: [value for part in parts for value in part.get(name, ())] for name in names}
    order = sorted(range(len(indices)), key=indices.__getitem__)
    return {name: [values[i] for i in order] for name, values in rows.items()}


def write_predictions(records: Records, folder: Path) -> None:
    """Write ``predictions.csv``, a row an utterance."""
    rows = [dict(zip(records, values)) for values in zip(*records.values())]
    write_csv(folder / "predictions.csv", finite(rows), ("id",))
