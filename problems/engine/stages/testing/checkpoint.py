"""Test one checkpoint: with each setting on each test set, and on the validation set if there is a choice."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from problems.engine.checkpoints.arguments import load_arguments
from problems.engine.checkpoints.learnt import write_learnt
from problems.engine.checkpoints.moved_upstream import load_options
from problems.engine.config.test_settings import TestSetting, merged
from problems.engine.loops.monitoring.display import format_metrics
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call
from problems.engine.stages.testing.choice import metric_of

if TYPE_CHECKING:
    from problems.engine.stages.evaluate import Evaluate

log = logging.getLogger(__name__)

RECORDS = ".records"
"""Records of a checkpoint, in its folder of results while its settings are tested."""


def sweep_results(evaluate_dir: Path) -> None:
    """Remove what a kill left beside whole results: the records of their batches, and those for further settings."""
    from problems.engine.loops.evaluate import PART

    for records in evaluate_dir.glob(f"*/{RECORDS}"):
        shutil.rmtree(records)
    for result in evaluate_dir.rglob("result.json"):
        for part in result.parent.glob(PART.format("*")):
            part.unlink()


@dataclass(frozen=True)
class Test:
    """One result to compute: of a checkpoint on a test set, in one way."""

    __test__ = False  # its name is not that of a test

    checkpoint: Path
    csv: str
    folder: Path
    way: TestSetting

    @property
    def title(self) -> str:
        """The name of the test, for people."""
        return f"{self.checkpoint.name} on {Path(self.csv).stem}" + (f" with {self.way.name}" if self.way.name else "")


class Tester:
    """Tests one checkpoint.

    Args:
        stage: gives the config, the builders, the folders and the choices.
        checkpoint: its folder.
        device: for the model.
    """

    def __init__(self, stage: Evaluate, checkpoint: Path, device: str):
        self.stage, self.checkpoint, self.device = stage, checkpoint, device
        self.ways = stage.ways
        self.folder = stage.folder.result_dir(checkpoint, "any").parent
        self.records = self.folder / RECORDS
        self.choice = stage.choice_of(checkpoint)

    def run(self, tests: list[Test]) -> None:
        """Compute these results, way by way; validate if there is a choice among ways or checkpoints."""
        shutil.rmtree(self.records, ignore_errors=True)
        validated = distributed.on_main(lambda: list(self.choice.known()) if self.choice else [])
        for way in self.ways:
            own, name = [test for test in tests if test.way == way], way.name or self.folder.name
            if not own and (self.choice is None or name in validated):
                continue
            task = self._load(way, own[0].csv if own else self.stage.folder.csvs()[2][0])
            began = time.monotonic()
            lacks = task.needs_validation
            if self.choice is not None or lacks or (way.task and task.learns_in_validation):
                metrics = self._validate(task, way)
                if lacks and not task.needs_validation and distributed.world().main:
                    write_learnt(self.folder, self.checkpoint, self._section(way), task.get_state())
                if self.choice is not None and distributed.world().main:
                    value = {"valid": metrics, "seconds": round(time.monotonic() - began, 3)}
                    wanted = self.stage.config["train"].get("valid_metric")
                    self.choice.write(self.choice.known() | {name: value}, *metric_of(wanted, task.metrics))
            self._test(task, way, own)
        shutil.rmtree(self.records, ignore_errors=True)

    def _test(self, task: Any, way: TestSetting, tests: list[Test]) -> None:
        for number, test in enumerate(tests):
            if number and self._arguments("test", test.csv, {}):  # trials of another set
                state, task = task.get_state(), self._load(way, test.csv)
                task.set_state(state)
            metrics = self._measure(task, "test", "test", test.csv, test)
            log.info("%s: %s", test.title, format_metrics(metrics, task.metrics))

    # ---- the task ----

    def _load(self, way: TestSetting, csv: str) -> Any:
        """The task of the checkpoint in one way, with the trials of a test set."""
        section, overrides = self._section(way), {}
        if way.task:
            overrides["build_task"] = section
            overrides |= self._arguments("valid", self.stage.folder.csvs()[1], section)
        overrides |= self._arguments("test", csv, section)
        options = load_options(self.checkpoint, self.stage.config["upstream"])
        folder = {"ckpts_dir": str(self.checkpoint)}
        _, task = call(self.stage.problem, "load_model_and_task", **folder, task_overrides=overrides, **options)
        return task.to(self.device)

    def _section(self, way: TestSetting) -> dict[str, Any]:
        """``build_task`` of the checkpoint in one way."""
        section = load_arguments(self.checkpoint / "task", self.stage.problem.load_encoder).get("build_task") or {}
        return merged(section, way.task)

    def _arguments(self, mode: str, csv: str, section: Mapping[str, Any]) -> dict[str, Any]:
        return self.stage.task_arguments(mode, csv, dict(section))

    # ---- measuring ----

    def _validate(self, task: Any, way: TestSetting) -> dict[str, float]:
        """The metrics on the validation set; none if there is none. A task that learns in validation does so."""
        from dataset.table import open_table

        csv = self.stage.folder.csvs()[1]
        task.validate_as_tested()
        if not len(open_table(csv, may_be_empty=True)):
            log.warning(
                "there is no validation set: nothing is learnt for %s, and nothing chosen", way.name or "the test"
            )
            return {}
        try:
            metrics = self._measure(task, "valid" if task.learns_in_validation else "test", "valid", csv)
        except ValueError as error:
            if type(error) is not ValueError:
                raise
            raise ConfigError(f"evaluate: {error}") from error  # a setting that the data do not allow
        name = f" with {way.name}" if way.name else ""
        log.info("%s on valid%s: %s", self.checkpoint.name, name, format_metrics(metrics, task.metrics))
        return metrics

    def _measure(self, task: Any, mode: str, data: str, csv: str, test: Test | None = None) -> dict[str, float]:
        """The metrics of a task over the data of one CSV.

        Args:
            mode: of the task. data: of the dataset and its batches.
            test: the result to write; None: nothing is written.
        """
        from dataset.samplers.epochs import utterances_in
        from problems.engine.features.attach import attach_features
        from problems.engine.features.policy import settings_of
        from problems.engine.loops.evaluate import first_batches

        saved_encoder = self.checkpoint / "task" / "encoder"
        encoder_path = str(saved_encoder) if saved_encoder.exists() else self.stage.folder.encoder_path()
        dataset, sampler, collate_fn = self.stage.build_data(data, csv, encoder_path)
        config = self.stage.config
        if config["evaluate"].get("skip_errors"):  # also where features are computed ahead
            config = {**config, "train": {**config["train"], "skip_errors": True}}
        indices = utterances_in(first_batches(sampler, config["eval_batch"]))
        evaluate = dict(config["evaluate"])
        if test is not None and test.way.name:
            names = {"checkpoint": self.folder.name, "test_set": Path(csv).stem, "setting": test.way.name}
            evaluate["place"] = names
        if task.records_follow_model and len(self.ways) > 1 and distributed.world().size == 1:
            evaluate["records"] = str(self.records / f"{data}-{Path(csv).stem}.jsonl")
        return call(
            self.stage.problem,
            "evaluate",
            evaluate=evaluate,
            mode=mode,
            task=task,
            dataset=attach_features(task, dataset, settings_of(config), indices),
            batch_sampler=sampler,
            collate_fn=collate_fn,
            eval_batch=config["eval_batch"],
            dump_dir=None if test is None else str(test.folder),
            device=self.device,
            num_workers=reading_workers(config),
        )
