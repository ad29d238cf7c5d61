"""The cells of the table: a problem for an encoder, its runs at each learning rate, and their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.benchmark.jobs import Job
from problems.benchmark.tasks import BenchmarkTask


@dataclass(frozen=True)
class Encoder:
    """An upstream in the table.

    Args:
        label: its row, and its folder.
        name: a key of the registry of upstreams, or ``module:Class``.
        conf: its settings.
    """

    label: str
    name: str
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The overrides that choose it."""
        return [f"--build_upstream.name={self.name}", f"--build_upstream.conf={json.dumps(dict(self.conf))}"]


@dataclass(frozen=True)
class Cell:
    """A problem for an encoder.

    Args:
        words: the config and the overrides of its runs, without those of the encoder.
        learning_rates: to choose from on the validation set; empty for that of the config.
    """

    encoder: Encoder
    task: BenchmarkTask
    root: Path
    words: tuple[str, ...]
    learning_rates: tuple[float, ...] = ()

    @property
    def title(self) -> str:
        """Its name, for people."""
        return f"{self.encoder.label} / {self.task.problem}"

    @property
    def folder(self) -> Path:
        """The folder of its runs."""
        return self.root / self.encoder.label / self.task.problem

    def run_folder(self, rate: float | None) -> Path:
        """The target folder of a run; ``rate`` None: that of the only one."""
        return self.folder if rate is None else self.folder / f"lr_{rate:g}"

    def trials(self) -> list[Job]:
        """Trainings at each learning rate, without tests; none if there is nothing to choose."""
        if len(self.learning_rates) < 2:
            return []
        return [self._job(rate, ("--stop=2",)) for rate in self.learning_rates]

    def run(self) -> Job:
        """All stages at the chosen learning rate."""
        return self._job(self.chosen_rate(), ())

    def chosen_rate(self) -> float | None:
        """The learning rate with the best validation; of equal ones the greater; None for that of the config.

        Raises:
            FileNotFoundError: a trial has not ended, or all of them diverged.
        """
        if not self.learning_rates:
            return None
        if len(self.learning_rates) == 1:
            return self.learning_rates[0]
        searched = self.searched()
        open_rates = [rate for rate in self.learning_rates if rate not in searched and not self.diverged(rate).exists()]
        if open_rates or not searched:
            rates = ", ".join(f"{rate:g}" for rate in open_rates) or "any of the learning rates, as all diverged"
            raise FileNotFoundError(f"{self.title}: there is no finished trial of {rates}")
        higher = searched.pop("higher_better")
        best = (max if higher else min)(searched.values())
        return max(rate for rate, value in searched.items() if value == best)

    def diverged(self, rate: float) -> Path:
        """The file that marks a trial whose gradients were not finite for too long."""
        return self.run_folder(rate) / "diverged"

    def searched(self) -> dict[Any, Any]:
        """The best validation at each learning rate, and whether more is better; empty if no trial has ended."""
        values: dict[Any, Any] = {}
        for rate in self.learning_rates:
            found = _validation(self.run_folder(rate)) if self.has_ended(rate) else None
            if found is not None:
                values[rate], values["higher_better"] = found
        return values

    def has_ended(self, rate: float) -> bool:
        """True if the training at a learning rate came to its end."""
        try:
            stage = read_json(self.run_folder(rate) / "stages.json")["stages"]["2"]
        except (OSError, ValueError, KeyError):
            return False
        return stage.get("status") == "done"

    def _job(self, rate: float | None, more: Sequence[str]) -> Job:
        own = [] if rate is None else [f"--build_optimizer.conf.lr={rate!r}"]
        folder = self.run_folder(rate)
        words = ["run", *self.words, *self.encoder.words, *own, f"--target_dir={folder}", *more]
        title, end = (self.title, "") if rate is None else (f"{self.title} lr {rate:g}", f"-lr_{rate:g}")
        log = self.root / "logs" / f"{self.encoder.label}-{self.task.problem}{end}.log"
        return Job(title, self.task.problem, tuple(words), log)

    def result(self) -> dict[str, Any] | None:
        """The row of ``results.json``; None if the run has no report."""
        try:
            rate = self.chosen_rate()
            folder = self.run_folder(rate)
            report = read_json(folder / "report" / "results.json")
        except (OSError, ValueError):
            return None
        checkpoint = report["best"]["checkpoint"]
        test_set, metrics = next(iter(report["checkpoints"][checkpoint].items()))
        intervals = report["intervals"].get(checkpoint, {}).get(test_set, {})
        searched = {str(key): value for key, value in self.searched().items() if key != "higher_better"}
        return {
            "upstream": self.encoder.label,
            "upstream_settings": {"name": self.encoder.name, "conf": dict(self.encoder.conf)},
            "problem": self.task.problem,
            "folder": str(folder.relative_to(self.root)),
            "test_set": test_set,
            "test_ids_sha256": _digest_of_ids(folder / "data" / f"{test_set}.csv"),
            "metrics": {
                metric: {"value": metrics.get(metric), "interval": intervals.get(metric)}
                for metric, _, _ in self.task.columns
            },
            "validation": [{key: own[key] for key in ("metric", "value", "step")} for own in report["validation"][:1]],
            "learning_rate": rate,
            "searched": searched if len(self.learning_rates) > 1 else {},
            "layer_weights": report["layers"],
            "chosen_on_test": _chosen_on_test(folder, test_set, self.task.columns[0][0]),
        }


def _validation(folder: Path) -> tuple[float, bool] | None:
    """The best validation of a training, and whether more is better; None if there is none."""
    try:
        rules = read_json(folder / "train" / "best.json")
        lines = (folder / "train" / "metrics.jsonl").read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    metric, _, sense = next(iter(rules)).rpartition(" ")
    rows = (json.loads(line) for line in lines if line.endswith("}"))  # a kill may have cut the last one
    values = [row[metric] for row in rows if row["split"] == "valid" and row.get(metric) is not None]
    if not values:
        return None
    return (max(values), True) if sense == "max" else (min(values), False)


def _chosen_on_test(folder: Path, test_set: str, metric: str) -> float | None:
    """The best value of any tested checkpoint and setting on the test set itself; None if only one was tested.

    Some published protocols report it: SUPERB's for verification and diarization. It is never used here.
    """
    results = [read_json(path) for path in sorted((folder / "evaluate").rglob("result.json"))]
    own = [result for result in results if result["test_set"] == test_set and metric in result["metrics"]]
    if len(own) < 2 or all(result["metrics"][metric] is None for result in own):
        return None
    values = [value for result in own if (value := result["metrics"][metric]) is not None]
    return max(values) if own[0]["declarations"][metric].get("better") == "higher" else min(values)


def _digest_of_ids(path: Path) -> str | None:
    """The SHA-256 of a test set's ids in their order, so that others can see that theirs is the same list."""
    from dataset.metadata import read_csv

    try:
        table = read_csv(path, ())
    except (OSError, ValueError):
        return None
    columns = [name for name in ("id", "id1", "id2") if name in table]
    text = "\n".join("\t".join(row) for row in zip(*(table[name] for name in columns)))
    return hashlib.sha256(text.encode()).hexdigest()
