"""The cells of the table: a problem for an encoder, its runs at each learning rate, and their results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.benchmark.runs.trials import Trial, best_of
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

    def trials(self) -> list[Trial]:
        """Trainings at each learning rate, from the greatest down."""
        return [self._trial(rate) for rate in sorted(self.learning_rates, reverse=True)]

    def chosen(self) -> Trial:
        """The run to test: of the learning rate with the best validation; of equal ones the greater.

        Raises:
            FileNotFoundError: a trial has not ended, or all of them diverged.
        """
        if len(self.learning_rates) < 2:
            return self._trial(next(iter(self.learning_rates), None))
        return best_of(self.trials(), self.title)

    def chosen_rate(self) -> float | None:
        """The learning rate of :meth:`chosen`; None for that of the config."""
        chosen = self.chosen()
        return next((rate for rate in self.learning_rates if self._trial(rate) == chosen), None)

    def searched(self) -> dict[str, float]:
        """The best validation at each learning rate of a search that has ended."""
        if len(self.learning_rates) < 2:
            return {}
        trials = {rate: self._trial(rate) for rate in self.learning_rates}
        values = {rate: trial.validation() for rate, trial in trials.items() if trial.has_ended()}
        return {str(rate): value[0] for rate, value in values.items() if value is not None}

    def _trial(self, rate: float | None) -> Trial:
        own = () if rate is None else (f"--build_optimizer.conf.lr={rate!r}",)
        title, end = (self.title, "") if rate is None else (f"{self.title} lr {rate:g}", f"-lr_{rate:g}")
        return Trial(
            problem=self.task.problem,
            name=title,
            words=(*self.words, *self.encoder.words, *own),
            folder=self.run_folder(rate),
            log=self.root / "logs" / f"{self.encoder.label}-{self.task.problem}{end}.log",
        )

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
            "searched": self.searched(),
            "layer_weights": report["layers"],
            "chosen_on_test": _chosen_on_test(folder, test_set, self.task.columns[0][0]),
        }


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
