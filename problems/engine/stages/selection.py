"""Choose the stages that a run needs, and refuse it before anything is changed if a check fails."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from problems.engine.checkpoints import store
from problems.engine.config.schema import free_keys, resume_keys, test_time_keys
from problems.engine.runtime.environment import as_typed
from problems.engine.runtime.errors import ConfigError, StageError
from problems.engine.runtime.overrides import check_signatures, is_overridden
from problems.engine.stages.freshness.fingerprint import differences, hash_files, read_begun
from problems.engine.stages.freshness.reasons import Freshness
from problems.engine.stages.stage import Stage
from problems.engine.stages.start_checkpoint import find_start
from problems.engine.stages.target_folder import TargetFolder
from problems.engine.stages.train import Train

log = logging.getLogger(__name__)


class Selection:
    """The stages that one run needs.

    Args:
        stages: all stages, in order.
        freshness: of these stages.

    Raises:
        ConfigError: ``start`` is after ``stop``.
    """

    def __init__(self, stages: Sequence[Stage], freshness: Freshness):
        self.stages, self.freshness = stages, freshness
        self.train_stage = next(stage for stage in stages if isinstance(stage, Train))
        train = self.train_stage
        self.problem, self.config, self.folder, self.manifest = (
            train.problem,
            train.config,
            train.folder,
            train.manifest,
        )
        self.start, self.stop = self.config["start"], self.config["stop"]
        if self.stop is None:
            self.stop = stages[-1].number
        if self.start is not None and self.start > self.stop:
            raise ConfigError(f"start {self.start} is after stop {self.stop}: expected start <= stop")

    def check(self) -> int | None:
        """The number of the first stage to run, or None, after the checks that may refuse the run."""
        first = self._first()
        if first is None:
            return None
        self._check_parts()
        chosen = self.stages_from(first)
        if self.train_stage in chosen:
            from problems.engine.loops.monitoring.loggers import check_loggers

            check_loggers(self.config["train"].get("loggers"))
            is_fresh = self.is_fresh(chosen)
            if self.config["upstream"] and (is_fresh or not store.steps_in(self.train_stage.output_dir)):
                raise ConfigError(
                    f"upstream is {self.config['upstream']}, but this run begins a training: upstream is for"
                    " checkpoints whose frozen upstream has moved; set build_upstream for a new training"
                )
            if not is_fresh:
                self._refuse_other_training(first)
            self._find_start(is_fresh)
        return first

    def stages_from(self, first: int) -> list[Stage]:
        """The stages from ``first`` to ``stop`` that this run needs."""
        return [s for s in self.stages if first <= s.number <= self.stop and self._is_needed(s)]

    def is_fresh(self, chosen: list[Stage]) -> bool:
        """True if the run starts over."""
        trains = self.train_stage in chosen
        return self.config["fresh"] or (trains and not self.config["train"].get("auto_resume", True))

    def check_diagnostics(self) -> list[Stage]:
        """The stale stages before the training, after the checks that may refuse the run."""
        self._check_parts()
        stale = [s for s in self.stages[: self.train_stage.number] if self.freshness.reasons(s)]
        if stale:
            self._refuse_other_training(stale[0].number)
        return stale

    def _first(self) -> int | None:
        """The number of the stage to begin with; None if there is nothing to do.

        Raises:
            StageError: a stage before ``--start`` is missing or stale.
        """
        if self.start is None:
            needed = (s for s in self.stages if s.number <= self.stop and self._is_needed(s))
            stale = (s.number for s in needed if self.freshness.reasons(s))
            return next(stale, 0 if self.config["fresh"] else None)
        for stage in self.stages[: self.start]:
            if not self._is_needed(stage) or stage.is_optional:
                continue
            reasons = self.freshness.reasons(stage)
            if reasons:
                raise StageError(
                    f"stage {self.start} needs stage {stage.number} ({stage.name}), which is missing or stale:\n"
                    f"  {_listed(reasons, 8)}\n"
                    f"run it first: {as_typed('start', stage.number)} {as_typed('stop', self.stop)}, or omit start"
                    f"{self._free_in_a_test(reasons)}"
                )
        return self.start

    def _is_needed(self, stage: Stage) -> bool:
        """True if this run needs the stage: a checkpoint from elsewhere is tested without training."""
        past_training = self.start is None or self.start > self.train_stage.number
        return not (stage.of_own_training and self.folder.tests_elsewhere and past_training)

    def _refuse_other_training(self, first: int) -> None:
        """Refuse to continue a training with other settings or data than it was begun with.

        Args:
            first: the number of the first stage to run.
        """
        train = self.train_stage
        begun = read_begun(train.output_dir)
        if begun is None or not store.steps_in(train.output_dir):
            return
        now = dict(self.freshness.fingerprint(train))
        if first < train.number:
            now["inputs"] = self._rehearse(first)
        reasons = differences(begun, now, self._may_change)
        if not reasons:
            return
        for stage in self.stages[first : train.number]:  # why the data are different
            recorded = self.manifest.entry(stage.number).get("fingerprint")
            reasons += differences(recorded, self.freshness.fingerprint(stage)) if recorded else []
        raise StageError(
            f"{train.output_dir} holds a training with different settings or data:\n"
            f"  {_listed(reasons, 20)}\nRestore them to continue, choose another --target_dir,"
            f" or use --fresh to move it aside and start over{self._free_in_a_test(reasons)}"
        )

    def _free_in_a_test(self, reasons: Sequence[str]) -> str:
        """The advice to test the model as it stands with a setting among the differences; empty if none is."""
        for section, place in (("build_task", "task"), ("build_dataset", "dataset")):
            for name in test_time_keys(self.problem, section) if section in self.problem.sections else ():
                for reason in reasons:
                    key = reason.partition(": ")[0]
                    if f"{key}.".startswith(f"{section}.{name}."):
                        free = f"--evaluate.{place}.{key.removeprefix(f'{section}.')}"
                        return f"; to test the trained model with it, type {free} in place of --{key}"
        return ""

    def _find_start(self, is_fresh: bool) -> None:
        """Find the checkpoint that a new training starts from, before any work and before anything is moved."""
        train = self.train_stage
        if is_fresh or not store.steps_in(train.output_dir):
            train.start = find_start(self.config["train"], train.settings(), self._may_change)

    @property
    def _may_change(self) -> set[str]:
        """The config keys that may differ from those that a training was begun with."""
        return free_keys(self.problem, self.config) | resume_keys(self.problem, "extends")

    def _rehearse(self, first: int) -> dict[str, str]:
        """Digests of what the training would read if the stages from ``first`` on ran now.

        They run in a temporary folder, so that a refusal leaves everything as it was.
        """
        log.info("running stages 0 and 1 in a temporary folder first, to check that the training can continue")
        scratch = self.folder.root / ".rehearsal"
        shutil.rmtree(scratch, ignore_errors=True)
        config = self.config | {"target_dir": str(scratch)}
        folder = TargetFolder(self.problem, config)
        try:
            if first > 0:
                _copy_csvs(self.folder, folder)
            for stage in self.stages[first : self.train_stage.number]:
                type(stage)(self.problem, config, folder, self.manifest).run("cpu", None)
            for csv in map(Path, folder.csvs()[:2]):  # audio that stage 0 made is elsewhere then
                if csv.is_relative_to(scratch):
                    text = csv.read_text(encoding="utf-8").replace(str(scratch), str(self.folder.root))
                    csv.write_text(text, encoding="utf-8", newline="")
            return hash_files(Train(self.problem, config, folder, self.manifest).inputs(), scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _check_parts(self) -> None:
        """Refuse what an overridden method cannot take, and names of parts that do not exist."""
        from problems.engine.optim import lr_schedules, optimizers

        train = self.config["train"]
        check_signatures(self.problem)
        if "build_optimizer" in self.config and not is_overridden(self.problem, "build_optimizer"):
            optimizers.check(self.config["build_optimizer"])
        if train.get("use_scheduler") and not is_overridden(self.problem, "build_scheduler"):
            lr_schedules.check_scheduler(self.config["build_scheduler"])
        for _, section in optimizers.single(self.config.get("build_optimizer") or {}):
            schedule = section["scheduler"] or (train.get("use_scheduler") and self.config["build_scheduler"])
            if schedule:
                lr_schedules.check_validation(schedule, train["valid_metric"])


def _copy_csvs(source: TargetFolder, target: TargetFolder) -> None:
    """Copy the CSVs of a run, and what lies beside them, to the same places of another target folder."""
    pairs = zip(*([train, valid, *tests] for train, valid, tests in (source.csvs(), target.csvs())))
    for csv, copy in ((Path(csv), Path(copy)) for csv, copy in pairs if csv != copy):
        copy.parent.mkdir(parents=True, exist_ok=True)
        if csv.parent == source.root:
            shutil.copy2(csv, copy)
        else:
            shutil.copytree(csv.parent, copy.parent, dirs_exist_ok=True)


def _listed(reasons: list[str], limit: int) -> str:
    return "\n  ".join(reasons[:limit] + ([f"... and {len(reasons) - limit} more"] if len(reasons) > limit else []))
