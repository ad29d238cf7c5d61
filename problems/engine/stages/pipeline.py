"""The five stages of every problem: what each reads and leaves, which of them run, and running them."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dataset.files import free_name, read_json, write_json, write_text
from problems.engine.checkpoints import store
from problems.engine.checkpoints.averaging import NAME as AVERAGE
from problems.engine.config.schema import resume_keys
from problems.engine.config.sections import DIAGNOSTICS
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import describe, versions
from problems.engine.runtime.errors import ConfigError, Interrupted, StageError
from problems.engine.runtime.folder_lock import folder_lock
from problems.engine.stages.stage import (
    STAGES,
    Fingerprint,
    Manifest,
    Stage,
    differences,
    fingerprint,
    hash_files,
)
from problems.engine.stages.summary import describe_plan
from problems.engine.stages.target_folder import MARK, OWN_AVERAGE, Work

log = logging.getLogger(__name__)


def _short(reasons: list[str], limit: int = 8) -> str:
    return "\n  ".join(reasons[:limit] + ([f"... and {len(reasons) - limit} more"] if len(reasons) > limit else []))


class Pipeline:
    """One run of a problem in its target folder.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
    """

    def __init__(self, problem: Any, config: dict[str, Any]):
        self.problem, self.config, self.work = problem, config, Work(problem, config)
        self.root, self.cache, self.train_dir = self.work.root, self.work.cache, self.work.train_dir
        self.manifest = Manifest(self.root)
        self.stop = 4 if config["stop"] is None else config["stop"]
        if config["eval_batch"] == 0:
            raise ConfigError("eval_batch is 0: expected how many batches to evaluate, or -1 for all")
        if config["start"] is not None and config["start"] > self.stop:
            raise ConfigError(f"start {config['start']} is after stop {self.stop}: there is no stage between them")

    # ---- what each stage reads and leaves ----

    def inputs(self, stage: Stage) -> dict[str, str]:
        """The content of what ``stage`` reads."""
        train, valid, tests = self.work.csvs() if stage.number else ("", "", [])
        if stage.number == 0:
            corpus = self.problem.corpus(self.config["prepare_data"])
            found: Iterable[Any] = corpus.sources() if corpus else ()
        elif stage.number == 1:
            found = [train, valid, *tests]
        elif stage.number == 2:
            found = [train, valid, *self.work.encoder_files()]
        elif stage.number == 3:
            found = [*tests, *(folder / store.MANIFEST for folder in self.work.tested())]
        else:
            found = [
                self.train_dir / "metrics.jsonl",
                *sorted((self.root / "evaluate").glob("*/*/result.json")),
            ]
        return hash_files((Path(p) for p in found), self.root)

    def outputs(self, stage: Stage) -> list[Path]:
        """The files that ``stage`` leaves, those that later stages and ``status`` verify."""
        if stage.number == 0:
            train, valid, tests = self.work.csvs()
            return [Path(p) for p in (train, valid, *tests)]
        if stage.number == 1:
            return self.work.encoder_files()
        if stage.number == 2:
            kept = store.steps_in(self.train_dir)
            return [self.train_dir / "best.json", *(p / store.MANIFEST for p in kept)]
        if stage.number == 3:
            return [folder / name for *_, folder in self.work.pairs() for name in ("result.json", "predictions.csv")]
        return sorted(p for p in (self.root / "report").rglob("*") if p.is_file())

    def mark(self, stage: Stage) -> Fingerprint:
        """The fingerprint of ``stage`` as things stand."""
        mark = fingerprint(self.problem, stage, self.config, self.inputs(stage))
        if stage.number in (2, 3):
            mark["config"]["eval_batch"] = self.config["eval_batch"]
        if stage.number == 3:
            mark["config"]["build_batch_sampler"] = {"test": (self.config.get("build_batch_sampler") or {}).get("test")}
        return mark

    def stale(self, stage: Stage) -> list[str]:
        """Why ``stage`` is not done and fresh; empty when it is."""
        try:
            free = resume_keys(self.problem, "free")
            reasons = [r for r in self.manifest.stale(stage, self.mark(stage)) if r.split(":")[0] not in free]
        except store.CheckpointError as error:
            return [str(error)]
        if not reasons and stage.number == 0:
            reasons = self._missing_audio()
        if not reasons and stage.number == 2:
            kept = store.steps_in(self.train_dir)
            kept += [self.train_dir / AVERAGE] if self.config["train"].get("average") else []
            wrong = ((p, store.damage(p)) for p in kept)
            reasons = [f"the checkpoint {p.name} is damaged: {damage}" for p, damage in wrong if damage]
        return reasons

    def _missing_audio(self) -> list[str]:
        """Audio that a corpus made in the cache and that is gone."""
        from dataset.metadata import PATH_COLUMNS, read_csv
        from dataset.trial_tables import SEPARATOR

        train, valid, tests = self.work.csvs()
        for csv in (train, valid, *tests):
            table = read_csv(csv, ())
            paths = {path for column in PATH_COLUMNS if column in table for path in table[column]}
            paths = {part for path in paths for part in ([path] if os.path.exists(path) else path.split(SEPARATOR))}
            lost = sorted(p for p in paths if p.startswith(f"{self.cache}{os.sep}") and not os.path.exists(p))
            if lost:
                return [f"{len(lost)} files of {Path(csv).name} are gone from the cache, such as {lost[0]}"]
        return []

    # ---- which stages run ----

    def run(self) -> None:
        """Run the stages that are asked for, or all from the first that is not done and fresh.

        Of several processes the main one decides and does stages 0, 1 and 4; the others follow it into 2 and 3.
        """
        from problems.engine.loops.setup import pick_device

        wanted = distributed.World.from_environment(self.config["world_size"], self.config["rank"])
        self.work.device = str(pick_device(self.config["device"], wanted.local))
        with distributed.process_group(wanted, self.work.device):
            world = distributed.detect_shared_files(self.root)
            with contextlib.ExitStack() as held:
                if world.writes:
                    if self.config["remove_all_cache"]:
                        self._remove_cache()
                    held.enter_context(folder_lock(self.root))
                    held.enter_context(folder_lock(self.cache, shared=True))
                if not world.main:
                    self._follow(world)
                    return
                self._run_stages()
            distributed.announce(None)

    def _follow(self, world: distributed.World) -> None:
        """Do what the main process says: on a file system that it does not write, stages 0 and 1 as well."""
        if world.writes:
            store.tidy(self.train_dir)
        while (number := distributed.next_stage()) is not None:
            if number > 1 or world.writes:
                self._call(STAGES[number])

    def _run_stages(self) -> None:
        store.tidy(self.train_dir)
        if any(self.config["train"].get(key) for key in DIAGNOSTICS):
            self._try()
            return
        first = self._first()
        if first is None:
            log.info("every stage is done and fresh in %s; --start N runs stage N again", self.root)
            return
        chosen = [s for s in STAGES if first <= s.number <= self.stop and self._counts(s)]
        anew = not self.config["train"].get("auto_resume", True) and any(s.number == 2 for s in chosen)
        fresh = self.config["fresh"] or anew
        self._check_parts()
        if not fresh and any(s.number == 2 for s in chosen):
            self._refuse_other_training(first)
        self._write_config()
        for line in describe_plan(self, chosen):
            log.info("%s", line)
        if fresh:
            self._set_aside(first)
        for stage in chosen:
            asked = self.config["start"] is not None
            if not asked and stage.number > first and not self.stale(stage):
                log.info("stage %d %s: done and fresh", stage.number, stage.name)
                continue
            self._run_stage(stage)

    def _try(self) -> None:
        """What the config asks to try of stage 2: nothing of it is recorded or kept, and no training is touched."""
        self._check_parts()
        stale = [stage for stage in STAGES[:2] if self.stale(stage)]
        if stale:
            self._refuse_other_training(stale[0].number)
        for stage in stale:
            self._run_stage(stage)
        log.info("== a trial of stage 2: %s", ", ".join(key for key in DIAGNOSTICS if self.config["train"].get(key)))
        self._together(STAGES[2])

    def _together(self, stage: Stage) -> None:
        """Do a stage with the other processes, which wait for its number."""
        distributed.announce(stage.number)
        self._call(stage)

    def _first(self) -> int | None:
        """The stage to begin with; None when there is nothing to do."""
        start = self.config["start"]
        if start is None:
            return next(
                (s.number for s in STAGES if s.number <= self.stop and self._counts(s) and self.stale(s)),
                0 if self.config["fresh"] else None,
            )
        for stage in STAGES[:start]:
            if not self._counts(stage) or (stage.number == 3 and start == 4):
                continue  # a report is of whatever results there are
            reasons = self.stale(stage)
            if reasons:
                raise StageError(
                    f"stage {start} stands on stage {stage.number} ({stage.name}), which is not done and fresh:\n"
                    f"  {_short(reasons)}\n"
                    f"run it first: --start {stage.number} --stop {self.stop}, or leave out --start"
                )
        return start

    def _counts(self, stage: Stage) -> bool:
        """Whether the stage has a part in the run: a checkpoint from elsewhere is tested without a training here."""
        elsewhere = self.config["test_ckpt_dir"] and self.config["test_ckpt_dir"] not in OWN_AVERAGE
        elsewhere = elsewhere and (self.config["start"] is None or self.config["start"] > 2)
        return not (elsewhere and stage.number in (1, 2))

    def _refuse_other_training(self, first: int) -> None:
        """Never go on with a training under settings or data that it was not begun with."""
        begun = self._begun()
        if begun is None or not store.steps_in(self.train_dir):
            return
        now = self.mark(STAGES[2])
        if first < 2:
            now["inputs"] = self._rehearse(first)
        reasons = differences(begun, now, resume_keys(self.problem, "free") | resume_keys(self.problem, "extends"))
        if not reasons:
            return
        entries = self.manifest.load()
        for stage in STAGES[first:2]:  # why the data are others now
            entry = entries.get(str(stage.number), {})
            reasons += differences(entry["fingerprint"], self.mark(stage)) if entry.get("fingerprint") else []
        raise StageError(
            f"{self.train_dir} holds a training that was begun with other settings or data:\n"
            f"  {_short(reasons, 20)}\nput them back to go on with it, take another --target_dir,"
            " or --fresh: that moves it aside and starts anew"
        )

    def _rehearse(self, first: int) -> dict[str, str]:
        """What the training would read if stages 0 and 1 ran now, found out in a folder of its own."""
        log.info("stages 0 and 1 are tried first, since a training stands on what they leave")
        scratch = self.root / ".rehearsal"
        shutil.rmtree(scratch, ignore_errors=True)
        work = Work(self.problem, self.config | {"target_dir": str(scratch)}, self.work.device)
        try:
            if first == 0:
                work.prepare()
            else:
                shutil.copytree(self.root / "data", scratch / "data")
            work.encode()
            train, valid, _ = work.csvs()
            for csv in (train, valid):  # audio that stage 0 itself made stands elsewhere then
                text = Path(csv).read_text(encoding="utf-8").replace(str(scratch), str(self.root))
                Path(csv).write_text(text, encoding="utf-8", newline="")
            return hash_files([Path(train), Path(valid), *work.encoder_files()], scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _begun(self) -> Fingerprint | None:
        try:
            return read_json(self.train_dir / MARK)
        except (FileNotFoundError, ValueError):
            return None

    def _set_aside(self, first: int) -> None:
        moved = [
            n
            for n, number in (("train", 2), ("evaluate", 3), ("report", 4))
            if first <= number <= self.stop or (number > 2 and first <= 2 <= self.stop)
        ]
        for name in moved:
            if (self.root / name).exists():
                aside = free_name(self.root / name)
                os.rename(self.root / name, aside)
                log.info("the earlier %s is now %s", name, aside)

    def _remove_cache(self) -> None:
        entries = [
            self.cache / name for name in {*self.problem.families(), self.config["prepare_data"].get("corpus")} if name
        ]
        with folder_lock(self.cache):
            for entry in entries:
                if entry.exists():
                    log.info("removing from the cache: %s", entry)
                    shutil.rmtree(entry)

    # ---- what a person is told and what is kept of a run ----

    def _check_parts(self) -> None:
        from problems.engine.optim import lr_schedules, optimizers

        if "build_optimizer" in self.config:
            optimizers.check(self.config["build_optimizer"])
        if self.config["train"].get("use_scheduler"):
            lr_schedules.check_scheduler(self.config["build_scheduler"])

    def _write_config(self) -> None:
        from omegaconf import OmegaConf

        text = OmegaConf.to_yaml(OmegaConf.create(self.config))
        write_text(self.root / "config.yaml", text)
        write_text(self.root / "runs" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}.yaml", text)
        write_json(self.root / "env.json", describe(self.work.device))

    def _run_stage(self, stage: Stage) -> None:
        log.info("== stage %d: %s", stage.number, stage.name)
        began = time.monotonic()
        before = self.mark(stage) if stage.number < 3 else {}
        self.manifest.record(stage, status="begun", fingerprint=before)
        if stage.number == 2:
            write_json(self.train_dir / MARK, before)
        try:
            if stage.number < 4:
                self._together(stage)
            else:
                self._call(stage)
        except BaseException as error:
            cut = isinstance(error, (KeyboardInterrupt, Interrupted))
            self.manifest.record(stage, status="interrupted" if cut else "failed", error=str(error)[:2000])
            raise
        mark = self.mark(stage) if stage.number in (0, 3, 4) else before
        if stage.number == 0:  # what it fetched itself was not there before; what was there is as it was read
            there = {name: digest for name, digest in before["inputs"].items() if digest != "missing"}
            mark["inputs"] |= {name: there[name] for name in mark["inputs"].keys() & there.keys()}
        self.manifest.done(stage, mark, self.outputs(stage), time.monotonic() - began, versions())

    def _same_data(self) -> None:
        """See that a machine with files of its own trains on the same data, and on no training that is not ours."""
        world, mine = distributed.world(), hash_files(map(Path, self.work.csvs()[:2]), self.root)
        mine |= hash_files(self.work.encoder_files(), self.root)
        theirs, begun = distributed.broadcast((mine, bool(store.steps_in(self.train_dir))))
        other = [name for name in theirs if mine.get(name) != theirs[name]]
        if "missing" in (mine.get(name, "missing") for name in other):
            raise StageError(
                f"{socket.gethostname()} has files of its own, and no {other[0]} yet: let stages 0 and 1 run there too"
                " (start=0)"
            )
        if other:
            raise StageError(
                f"{socket.gethostname()} has files of its own, and {other[0]} differs from that of the main process:"
                " the corpus must be the same, at the same place, on every machine"
            )
        if world.writes and not world.main and not begun and self.train_dir.exists():
            os.rename(self.train_dir, free_name(self.train_dir))
        distributed.barrier()

    def _call(self, stage: Stage) -> None:
        work = self.work
        if stage.number == 2:
            self._same_data()
        if stage.number == 3:
            recorded = self.manifest.load().get("3", {}).get("outputs", {})
            work.evaluate(*distributed.on_main(lambda: (self.mark(stage), recorded)))
            return
        calls: dict[int, Callable[[], None]] = {0: work.prepare, 1: work.encode, 2: work.train, 4: work.report}
        calls[stage.number]()
