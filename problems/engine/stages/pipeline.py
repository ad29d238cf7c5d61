"""Run the stages: which of them, in which order, and why not."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.files import free_name, sweep, write_json, write_text
from problems.engine.checkpoints import store
from problems.engine.config.schema import free_keys, resume_keys
from problems.engine.config.sections import DIAGNOSTICS
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import as_typed, describe, versions
from problems.engine.runtime.errors import ConfigError, Interrupted, StageError
from problems.engine.runtime.folder_lock import folder_lock
from problems.engine.runtime.overrides import check_signatures, is_overridden
from problems.engine.stages.build_encoder import BuildEncoder
from problems.engine.stages.cache_removal import made_audio, remove_cache
from problems.engine.stages.evaluate import Evaluate
from problems.engine.stages.fingerprint import Fingerprint, differences, hash_files, read_begun
from problems.engine.stages.freshness import Freshness
from problems.engine.stages.manifest import Manifest
from problems.engine.stages.prepare_data import PrepareData
from problems.engine.stages.report import Report
from problems.engine.stages.stage import Stage
from problems.engine.stages.start_checkpoint import find_start, moved
from problems.engine.stages.summary import summary
from problems.engine.stages.target_folder import TargetFolder
from problems.engine.stages.train import Train

log = logging.getLogger(__name__)

STAGES = (PrepareData, BuildEncoder, Train, Evaluate, Report)


class Pipeline:
    """One run of a problem in its target folder.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
    """

    def __init__(self, problem: Any, config: dict[str, Any]):
        if config["eval_batch"] == 0:
            raise ConfigError("eval_batch is 0: expected how many batches to evaluate, or -1 for all")
        self.problem, self.config = problem, config
        self.folder, self.freshness = TargetFolder(problem, config), Freshness()
        self.root = self.folder.root
        self.manifest = Manifest(self.root)
        self.stages = [stage(problem, config, self.folder, self.manifest) for stage in STAGES]
        self.train_stage = next(stage for stage in self.stages if isinstance(stage, Train))
        self.start, self.stop = config["start"], self.stages[-1].number if config["stop"] is None else config["stop"]
        self.diagnostics = [key for key in DIAGNOSTICS if config["train"].get(key)]
        if self.start is not None and self.start > self.stop:
            raise ConfigError(f"start {self.start} is after stop {self.stop}: expected start <= stop")

    def run(self) -> None:
        """Run the stages that are asked for, or all from the first that is not done and fresh.

        With several processes the main one decides; it runs some stages alone, and the others join it for the rest.
        """
        from problems.engine.runtime.device import pick_device

        world = distributed.World.from_environment(self.config["world_size"], self.config["rank"])
        self.device = str(pick_device(self.config["device"], world.local))
        with distributed.process_group(world, self.device), contextlib.ExitStack() as locks:
            world = distributed.detect_shared_files(self.root)
            if world.writes:
                locks.enter_context(folder_lock(self.root))
                store.tidy(self.folder.train_dir)
                self._sweep()
            if self.config["remove_all_cache"]:
                self._remove_cache(world)
            if world.writes:
                locks.enter_context(folder_lock(self.folder.cache, shared=True, option="cache_dir"))
            for stage in self._scheduled() if world.main else self._announced(world):
                with self._recorded(stage) as fingerprint:
                    stage.run(self.device, fingerprint)

    def _sweep(self) -> None:
        """Remove the temporary files of a run that was killed."""
        folders = {path for stage in self.stages if (path := stage.output_dir).is_relative_to(self.root)}
        results = self.folder.evaluate_dir.glob("*/*")
        for folder in (self.root, self.root / "runs", self.folder.train_dir / "tb", *folders, *results):
            sweep(folder)

    def _remove_cache(self, world: distributed.World) -> None:
        """Remove what the run would read from the cache, after the checks that may refuse the run."""
        with contextlib.ExitStack() as locks:
            if world.writes:
                locks.enter_context(folder_lock(self.folder.cache, option="cache_dir"))
            distributed.on_main(self._check_removal)
            if world.writes:
                remove_cache(self.problem, self.config, self.folder)
        self.freshness = Freshness()  # audio that stage 0 made is gone

    def _check_removal(self) -> None:
        if self.start and made_audio(self.problem, self.config, self.folder):
            raise ConfigError(
                f"remove_all_cache removes the audio that stage 0 made, but start is {self.start}: expected start 0,"
                " or none"
            )
        self._check_diagnostics() if self.diagnostics else self._check()

    # ---- which stages run ----

    def _announced(self, world: distributed.World) -> Iterator[Stage]:
        """The stages that the main process announces and that this process has a part in."""
        while (number := distributed.next_stage()) is not None:
            stage = self.stages[number]
            if stage.on_every_process or (stage.on_every_machine and world.writes):
                yield stage

    def _scheduled(self) -> Iterator[Stage]:
        """The stages to run, each announced to the other processes first."""
        for stage in self._diagnostic_stages() if self.diagnostics else self._chosen_stages():
            distributed.announce(stage.number)
            yield stage
        distributed.announce(None)

    def _chosen_stages(self) -> Iterator[Stage]:
        first = self._check()
        if first is None:
            log.info("every stage is done and fresh in %s; %s runs stage N again", self.root, as_typed("start", "N"))
            return
        chosen = self._from(first)
        self._write_config()
        has_data, has_encoder = (not self.freshness.reasons(s) for s in self.stages[: self.train_stage.number])
        lines = summary(
            self.train_stage,
            chosen,
            has_data=has_data,
            has_encoder=has_data and has_encoder,
            device=self.device,
        )
        for line in lines:
            log.info("%s", line)
        if self._is_fresh(chosen):
            self._move_aside(chosen)
        for stage in chosen:
            if self.start is None and stage.number > first and not self.freshness.reasons(stage):
                log.info("stage %d %s: done and fresh", stage.number, stage.name)
                continue
            yield stage

    def _check(self) -> int | None:
        """The number of the first stage to run, or None, after the checks that may refuse the run."""
        first = self._first()
        if first is None:
            return None
        self._check_parts()
        chosen = self._from(first)
        if self.train_stage in chosen:
            is_fresh = self._is_fresh(chosen)
            if self.config["upstream"] and (is_fresh or not store.steps_in(self.train_stage.output_dir)):
                raise ConfigError(
                    f"upstream is {self.config['upstream']}, but this run begins a training: upstream is for"
                    " checkpoints whose frozen upstream has moved; set build_upstream for a new training"
                )
            if not is_fresh:
                self._refuse_other_training(first)
            self._find_start(is_fresh)
        return first

    def _from(self, first: int) -> list[Stage]:
        """The stages from ``first`` to ``stop`` that this run needs."""
        return [s for s in self.stages if first <= s.number <= self.stop and self._is_needed(s)]

    def _is_fresh(self, chosen: list[Stage]) -> bool:
        """True if the run starts over."""
        trains = self.train_stage in chosen
        return self.config["fresh"] or (trains and not self.config["train"].get("auto_resume", True))

    def _diagnostic_stages(self) -> Iterator[Stage]:
        """The training stage, after those before it that are stale."""
        yield from self._check_diagnostics()
        log.info("== in place of stage %d: %s", self.train_stage.number, ", ".join(self.diagnostics))
        yield self.train_stage

    def _check_diagnostics(self) -> list[Stage]:
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
            " or use --fresh to move it aside and start over"
        )

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
        scratch = self.root / ".rehearsal"
        shutil.rmtree(scratch, ignore_errors=True)
        config = self.config | {"target_dir": str(scratch)}
        folder = TargetFolder(self.problem, config)
        try:
            if first > 0:
                _copy_csvs(self.folder, folder)
            for stage in self.stages[first : self.train_stage.number]:
                type(stage)(self.problem, config, folder, self.manifest).run(self.device, None)
            for csv in map(Path, folder.csvs()[:2]):  # audio that stage 0 made is elsewhere then
                if csv.is_relative_to(scratch):
                    text = csv.read_text(encoding="utf-8").replace(str(scratch), str(self.root))
                    csv.write_text(text, encoding="utf-8", newline="")
            return hash_files(Train(self.problem, config, folder, self.manifest).inputs(), scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    # ---- what a run changes ----

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

    def _move_aside(self, chosen: list[Stage]) -> None:
        """Rename the folders of the chosen stages; with the training go the results that depend on it."""
        for stage in self.stages:
            if stage.is_moved_aside and stage.output_dir.exists() and {stage, self.train_stage} & {*chosen}:
                aside = free_name(stage.output_dir)
                os.rename(stage.output_dir, aside)
                log.info("the earlier %s is now %s", stage.output_dir.name, aside)
                self.train_stage.start = moved(self.train_stage.start, stage.output_dir, aside)
                self.freshness.forget(stage)

    def _write_config(self) -> None:
        from omegaconf import OmegaConf

        text = OmegaConf.to_yaml(OmegaConf.create(self.config))
        write_text(self.root / "config.yaml", text)
        write_text(self.root / "runs" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}.yaml", text)
        write_json(self.root / "env.json", describe(self.device))

    @contextlib.contextmanager
    def _recorded(self, stage: Stage) -> Iterator[Fingerprint | None]:
        """Record what becomes of a stage in ``stages.json``; gives its fingerprint.

        Only the main process records, and nothing of a diagnostic.
        """
        if not distributed.world().main or (self.diagnostics and stage is self.train_stage):
            yield None
            return
        began, number = time.monotonic(), stage.number
        log.info("== stage %d: %s", number, stage.name)
        try:
            fingerprint = self.freshness.fingerprint(stage)
            self.manifest.record(number, name=stage.name, status="started", fingerprint=fingerprint)
            yield fingerprint
        except BaseException as error:
            was_cut = isinstance(error, (KeyboardInterrupt, Interrupted))
            status = "interrupted" if was_cut else "failed"
            self.manifest.record(number, name=stage.name, status=status, error=str(error)[:2000])
            raise
        seconds = time.monotonic() - began
        fingerprint = stage.final_fingerprint(fingerprint)
        self.manifest.record_done(number, fingerprint, stage.outputs(), seconds=seconds, versions=versions())
        self.freshness.forget(stage)


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
