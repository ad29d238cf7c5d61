"""Run the stages in order, and record what becomes of each."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

from dataset.storage.files import free_name, sweep, write_json, write_text
from problems.engine.checkpoints import store
from problems.engine.config import yaml_text
from problems.engine.config.sections import DIAGNOSTICS
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import as_typed, describe, versions
from problems.engine.runtime.errors import ConfigError, Interrupted
from problems.engine.runtime.folder_lock import folder_lock
from problems.engine.stages.build_encoder import BuildEncoder
from problems.engine.stages.cache_removal import made_audio, remove_cache
from problems.engine.stages.evaluate import Evaluate
from problems.engine.stages.freshness.fingerprint import Fingerprint
from problems.engine.stages.freshness.manifest import Manifest
from problems.engine.stages.freshness.reasons import Freshness
from problems.engine.stages.prepare_data import PrepareData
from problems.engine.stages.report import Report
from problems.engine.stages.selection import Selection
from problems.engine.stages.stage import Stage
from problems.engine.stages.start_checkpoint import moved
from problems.engine.stages.summary import summary
from problems.engine.stages.target_folder import TargetFolder
from problems.engine.stages.testing.checkpoint import sweep_results
from problems.engine.stages.testing.later_tests import PrepareTests, TestFolder
from problems.engine.stages.train import Train

log = logging.getLogger(__name__)

STAGES = (PrepareData, BuildEncoder, Train, Evaluate, Report)


class Pipeline:
    """One run of a problem in its target folder.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
        began: the time from which ``budget`` counts, by ``time.monotonic()``; None: now.
    """

    def __init__(self, problem: Any, config: dict[str, Any], began: float | None = None):
        if config["eval_batch"] == 0:
            raise ConfigError("eval_batch is 0: expected how many batches to evaluate, or -1 for all")
        self.problem, self.config = problem, config
        tests_later = config["test_data"] is not None
        self.folder = (TestFolder if tests_later else TargetFolder)(problem, config)
        self.freshness = Freshness()
        self.root = self.folder.root
        self.manifest = Manifest(self.root)
        classes = (PrepareTests if tests_later and stage is PrepareData else stage for stage in STAGES)
        self.stages = [stage(problem, config, self.folder, self.manifest) for stage in classes]
        self.diagnostics = [key for key in DIAGNOSTICS if config["train"].get(key)]
        self.selection = Selection(self.stages, self.freshness)
        self.start, self.train_stage = self.selection.start, self.selection.train_stage
        self.train_stage.began = time.monotonic() if began is None else began
        self.ran: list[Stage] = []

    def run(self) -> None:
        """Run the stages that are asked for, or all from the first that is not done and fresh.

        With several processes the main one decides; it runs some stages alone, and the others join it for the rest.
        """
        from problems.engine.runtime.device import pick_device
        from problems.engine.runtime.numerics import flushing_denormals

        with flushing_denormals():  # before torch starts its threads
            self.problem.check_config(self.config)
            world = distributed.World.from_environment(self.config["world_size"], self.config["rank"])
            self.device = str(pick_device(self.config["device"], world.local))
            self._run(world)

    def _run(self, world: distributed.World) -> None:
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
                if stage is self.train_stage and self.config["budget"] is not None and world.main:
                    self._write_baselines()
                with self._recorded(stage) as fingerprint:
                    stage.run(self.device, fingerprint)
                self.ran.append(stage)

    def _write_baselines(self) -> None:
        """Let stage 3 write what trivial models reach before the training, which then knows the time that is left."""
        evaluate = self.stages[self.train_stage.number + 1]
        if self.config["stop"] is None or self.config["stop"] >= evaluate.number:
            evaluate.write_baselines(self.device)

    def _sweep(self) -> None:
        """Remove the temporary files of a run that was killed."""
        folders = {path for stage in self.stages if (path := stage.output_dir).is_relative_to(self.root)}
        parents = (self.folder.evaluate_dir, self.folder.report_dir)
        results = [path for parent in parents for path in parent.rglob("*") if path.is_dir()]
        for folder in (self.root, self.root / "runs", self.folder.train_dir / "tb", *folders, *results):
            sweep(folder)
        sweep_results(self.folder.evaluate_dir)

    def _remove_cache(self, world: distributed.World) -> None:
        """Remove what the run would read from the cache, after the checks that may refuse the run."""
        with contextlib.ExitStack() as locks:
            if world.writes:
                locks.enter_context(folder_lock(self.folder.cache, option="cache_dir"))
            distributed.on_main(self._check_removal)
            if world.writes:
                remove_cache(self.problem, self.config, self.folder)
        self.freshness.clear()  # audio that stage 0 made is gone

    def _check_removal(self) -> None:
        if self.start and made_audio(self.problem, self.config, self.folder):
            raise ConfigError(
                f"remove_all_cache removes the audio that stage 0 made, but start is {self.start}: expected start 0,"
                " or none"
            )
        self.selection.check_diagnostics() if self.diagnostics else self.selection.check()

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
        first = self.selection.check()
        if first is None:
            log.info("every stage is done and fresh in %s; %s runs stage N again", self.root, as_typed("start", "N"))
            return
        chosen = self.selection.stages_from(first)
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
        if self.selection.is_fresh(chosen):
            self._move_aside(chosen)
        for stage in chosen:
            if self.start is None and stage.number > first and not self.freshness.reasons(stage):
                log.info("stage %d %s: done and fresh", stage.number, stage.name)
                continue
            yield stage

    def _diagnostic_stages(self) -> Iterator[Stage]:
        """The training stage, after those before it that are stale."""
        yield from self.selection.check_diagnostics()
        log.info("== in place of stage %d: %s", self.train_stage.number, ", ".join(self.diagnostics))
        yield self.train_stage

    # ---- what a run changes ----

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
        text = yaml_text.dump(self.config)
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
