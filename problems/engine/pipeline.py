"""The five stages of every problem: what each reads and leaves, which of them run, and running them."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from problems.engine import checkpoint, stages
from problems.engine.environment import cores, describe, versions
from problems.engine.errors import ConfigError, Interrupted, StageError
from problems.engine.files import free_name, read_json, restore_replaced, write_json, write_text
from problems.engine.lock import FolderLock
from problems.engine.predict import find
from problems.engine.stages import Fingerprint, Manifest, Stage, differences, fingerprint, flatten, hash_files

log = logging.getLogger(__name__)

DATA = ("build_dataset", "build_collate_fn")
STAGES = (
    Stage(0, "prepare data", ("prepare_data",)),
    Stage(1, "build encoder", ("build_encoder",)),
    Stage(
        2,
        "train",
        (*DATA, "build_batch_sampler", "build_upstream", "build_featurizer", "build_downstream", "build_model",
         "build_task", "build_optimizer", "build_scheduler", "train", "save_model", "save_task"),
    ),
    Stage(3, "evaluate checkpoints", (*DATA, "evaluate")),
    Stage(4, "report", ()),
)  # fmt: skip
FREE = {
    f"train.{k}"
    for k in (
        "log_step",
        "eval_step",
        "save_step",
        "keep_num_ckpts",
        "keep_best_ckpts",
        "auto_resume",
        "resume_ckpt_dir",
    )
}
EXTENDING = {f"train.{k}" for k in ("total_steps", "epochs", "patience")}
MARK = "fingerprint.json"


def _short(reasons: list[str], limit: int = 8) -> str:
    return "\n  ".join(reasons[:limit] + ([f"... and {len(reasons) - limit} more"] if len(reasons) > limit else []))


class Pipeline:
    """One run of a problem in its target folder.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.resolve`).
    """

    def __init__(self, problem: Any, config: dict[str, Any]):
        self.problem, self.config = problem, config
        self.root = Path(config["target_dir"]).absolute()
        self.cache = Path(config["cache_dir"] or "~/.cache/soundstage").expanduser().absolute()
        self.train_dir, self.manifest = self.root / "train", Manifest(self.root)
        self.workers = min(config["num_workers"], cores())
        self.stop = 4 if config["stop"] is None else config["stop"]
        if config["start"] is not None and config["start"] > self.stop:
            raise ConfigError(f"start {config['start']} is after stop {self.stop}: there is no stage between them")
        if config["world_size"] > 1:
            raise ConfigError(
                f"world_size is {config['world_size']}: training on several processes is not available yet"
            )

    # ---- what each stage reads and leaves ----

    def csvs(self) -> tuple[str, str, list[str]]:
        """The metadata CSVs of the training, validation and test sets."""
        given = self.config["prepare_data"], str(self.root), str(self.cache)
        return self.problem.prepare_data(*given, get_path_only=True)

    def encoder_path(self) -> str:
        """The label encoder's folder."""
        given = self.config["build_encoder"], str(self.root), str(self.cache), *self.csvs()
        return self.problem.build_encoder(*given, get_path_only=True)

    def _encoder_files(self) -> list[Path]:
        path = Path(self.encoder_path())
        return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]

    def _tested(self) -> list[Path]:
        """The checkpoints that stage 3 tests."""
        if self.config["test_ckpt_dir"]:
            return [find(Path(self.config["test_ckpt_dir"]))]
        restore_replaced(self.train_dir)
        steps = self.config["test_ckpt_steps"]
        if not steps:
            return [checkpoint.best(self.train_dir)]
        folders = [self.train_dir / checkpoint.name_of(step) for step in steps]
        for folder in folders:
            if not folder.is_dir():
                there = ", ".join(str(checkpoint.step_of(p)) for p in checkpoint.steps_in(self.train_dir)) or "none"
                raise checkpoint.CheckpointError(f"there is no checkpoint {folder}; the steps there are: {there}")
        return [checkpoint.require(folder) for folder in folders]

    def _result_dir(self, folder: Path, csv: str) -> Path:
        own = folder.parent == self.train_dir
        name = folder.name if own else f"{folder.name}@{stages.sha256(folder / checkpoint.MANIFEST)[:8]}"
        return self.root / "evaluate" / name / Path(csv).stem

    def _pairs(self) -> Iterator[tuple[Path, str, Path]]:
        for folder in self._tested():
            for csv in self.csvs()[2]:
                yield folder, csv, self._result_dir(folder, csv)

    def inputs(self, stage: Stage) -> dict[str, str]:
        """The content of what ``stage`` reads."""
        train, valid, tests = self.csvs() if stage.number else ("", "", [])
        if stage.number == 0:
            corpus = self.problem.corpus(self.config["prepare_data"])
            found: Iterable[Any] = corpus.sources() if corpus else ()
        elif stage.number == 1:
            found = [train, valid, *tests]
        elif stage.number == 2:
            found = [train, valid, *self._encoder_files()]
        elif stage.number == 3:
            found = [*tests, *(folder / checkpoint.MANIFEST for folder in self._tested())]
        else:
            found = [
                self.train_dir / "metrics.jsonl",
                *sorted((self.root / "evaluate").glob("*/*/result.json")),
            ]
        return hash_files((Path(p) for p in found), self.root)

    def outputs(self, stage: Stage) -> list[Path]:
        """The files that ``stage`` leaves, those that later stages and ``status`` verify."""
        if stage.number == 0:
            train, valid, tests = self.csvs()
            return [Path(p) for p in (train, valid, *tests)]
        if stage.number == 1:
            return self._encoder_files()
        if stage.number == 2:
            kept = checkpoint.steps_in(self.train_dir)
            return [self.train_dir / "best.json", *(p / checkpoint.MANIFEST for p in kept)]
        if stage.number == 3:
            return [folder / name for *_, folder in self._pairs() for name in ("result.json", "predictions.csv")]
        return sorted(p for p in (self.root / "report").rglob("*") if p.is_file())

    def mark(self, stage: Stage) -> Fingerprint:
        """The fingerprint of ``stage`` as things stand."""
        mark = fingerprint(self.problem, stage, self.config, self.inputs(stage))
        if stage.number == 3:
            mark["config"]["eval_batch"] = self.config["eval_batch"]
            mark["config"]["build_batch_sampler"] = {"test": (self.config.get("build_batch_sampler") or {}).get("test")}
        return mark

    def stale(self, stage: Stage) -> list[str]:
        """Why ``stage`` is not done and fresh; empty when it is."""
        try:
            reasons = [r for r in self.manifest.stale(stage, self.mark(stage)) if r.split(":")[0] not in FREE]
        except checkpoint.CheckpointError as error:
            return [str(error)]
        if not reasons and stage.number == 0:
            reasons = self._missing_audio()
        if not reasons and stage.number == 2:
            wrong = ((p, checkpoint.damage(p)) for p in checkpoint.steps_in(self.train_dir))
            reasons = [f"the checkpoint {p.name} is damaged: {damage}" for p, damage in wrong if damage]
        return reasons

    def _missing_audio(self) -> list[str]:
        """Audio that a corpus made in the cache and that is gone."""
        from dataset.metadata import read_csv

        train, valid, tests = self.csvs()
        for csv in (train, valid, *tests):
            table = read_csv(csv, ("id",))
            paths = table["wav_path"] if "wav_path" in table else []
            lost = [p for p in paths if p.startswith(f"{self.cache}{os.sep}") and not os.path.exists(p)]
            if lost:
                return [f"{len(lost)} files of {Path(csv).name} are gone from the cache, such as {lost[0]}"]
        return []

    # ---- which stages run ----

    def run(self) -> None:
        """Run the stages that are asked for, or all from the first that is not done and fresh."""
        if self.config["remove_all_cache"]:
            self._remove_cache()
        with FolderLock(self.root), FolderLock(self.cache, shared=True):
            first = self._first()
            if first is None:
                log.info("every stage is done and fresh in %s; --start N runs stage N again", self.root)
                return
            chosen = [s for s in STAGES if first <= s.number <= self.stop]
            fresh = self.config["fresh"] or not self.config["train"].get("auto_resume", True)
            self._check_parts()
            if not fresh and self.stop >= 2:
                self._refuse_other_training(first)
            self._write_config()
            self._say_plan(chosen)
            if fresh:
                self._set_aside(first)
            for stage in chosen:
                asked = self.config["start"] is not None
                if not asked and stage.number > first and not self.stale(stage):
                    log.info("stage %d %s: done and fresh", stage.number, stage.name)
                    continue
                self._run_stage(stage)

    def _first(self) -> int | None:
        """The stage to begin with; None when there is nothing to do."""
        start = self.config["start"]
        if start is None:
            return next(
                (s.number for s in STAGES if s.number <= self.stop and self.stale(s)),
                0 if self.config["fresh"] else None,
            )
        for stage in STAGES[:start]:
            if stage.number == 3 and start == 4:
                continue  # a report is of whatever results there are
            reasons = self.stale(stage)
            if reasons:
                raise StageError(
                    f"stage {start} stands on stage {stage.number} ({stage.name}), which is not done and fresh:\n"
                    f"  {_short(reasons)}\n"
                    f"run it first: --start {stage.number} --stop {self.stop}, or leave out --start"
                )
        return start

    def _refuse_other_training(self, first: int) -> None:
        """Never go on with a training under settings or data that it was not begun with."""
        if not checkpoint.steps_in(self.train_dir):
            return
        reasons = []
        entries = self.manifest.load()
        for stage in STAGES[first:2]:
            if str(stage.number) in entries and "fingerprint" in entries[str(stage.number)]:
                reasons += differences(entries[str(stage.number)]["fingerprint"], self.mark(stage))
        begun = self._begun()
        if begun is not None:
            now = self.mark(STAGES[2])
            now["inputs"] = now["inputs"] if first == 2 else begun["inputs"]
            reasons += [r for r in differences(begun, now) if r.split(":")[0] not in FREE | EXTENDING]
        if reasons:
            raise StageError(
                f"{self.train_dir} holds a training that was begun with other settings or data:\n"
                f"  {_short(reasons, 20)}\nput them back to go on with it, take another --target_dir,"
                " or --fresh: that moves it aside and starts anew"
            )

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
        with FolderLock(self.cache):
            for entry in entries:
                if entry.exists():
                    log.info("removing from the cache: %s", entry)
                    shutil.rmtree(entry)

    # ---- what a person is told and what is kept of a run ----

    def _check_parts(self) -> None:
        from problems.engine import optim

        if "build_optimizer" in self.config:
            optim.check_optimizer(self.config["build_optimizer"])
        if self.config["train"].get("use_scheduler"):
            optim.check_scheduler(self.config["build_scheduler"])

    def _write_config(self) -> None:
        from omegaconf import OmegaConf

        text = OmegaConf.to_yaml(OmegaConf.create(self.config))
        write_text(self.root / "config.yaml", text)
        write_text(self.root / "runs" / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}.yaml", text)
        from problems.engine.training import pick_device

        self.device = str(pick_device(self.config["device"]))
        write_json(self.root / "env.json", describe(self.device))

    def _say_plan(self, chosen: list[Stage]) -> None:
        from problems.engine.plan import describe_plan

        for line in describe_plan(self, chosen):
            log.info("%s", line)

    def _run_stage(self, stage: Stage) -> None:
        work: tuple[Callable[[], None], ...] = (
            self._prepare,
            self._encode,
            self._train,
            self._evaluate,
            self._report,
        )
        log.info("== stage %d: %s", stage.number, stage.name)
        began = time.monotonic()
        before = self.mark(stage) if stage.number < 3 else {}
        self.manifest.record(stage, status="begun", fingerprint=before)
        try:
            work[stage.number]()
        except BaseException as error:
            cut = isinstance(error, (KeyboardInterrupt, Interrupted))
            self.manifest.record(stage, status="interrupted" if cut else "failed", error=str(error)[:2000])
            raise
        mark = before or self.mark(stage)
        self.manifest.done(stage, mark, self.outputs(stage), time.monotonic() - began, versions())

    # ---- the stages ----

    def _prepare(self) -> None:
        self.problem.prepare_data(self.config["prepare_data"], str(self.root), str(self.cache))

    def _encode(self) -> None:
        self.problem.build_encoder(self.config["build_encoder"], str(self.root), str(self.cache), *self.csvs())

    def _data(self, mode: str, csv: str, encoder_path: str) -> tuple[Any, Any, Any]:
        """Dataset, batch sampler and collate function of one CSV."""
        config, folders = self.config, (str(self.root), str(self.cache))
        dataset = self.problem.build_dataset(config["build_dataset"], *folders, mode, csv, encoder_path, None)
        sampler = self.problem.build_batch_sampler(config["build_batch_sampler"], *folders, mode, csv, dataset)
        return dataset, sampler, self.problem.build_collate_fn(config["build_collate_fn"], mode)

    def model_arguments(self, encoder: Any) -> dict[str, Any]:
        """What ``build_model`` is given."""
        sections = ("build_model", "build_upstream", "build_featurizer", "build_downstream")
        return {**{name: self.config[name] for name in sections}, "model_output_size": len(encoder)}

    def _train(self) -> None:
        mark = self.mark(STAGES[2])
        write_json(self.train_dir / MARK, mark)
        train_csv, valid_csv, _ = self.csvs()
        encoder_path = self.encoder_path()
        encoder = self.problem.load_encoder(encoder_path)
        train, valid = (
            self._data("train", train_csv, encoder_path),
            self._data("valid", valid_csv, encoder_path),
        )
        sections = ("save_model", "save_task", "build_optimizer", "build_scheduler", "evaluate")
        self.problem.train(
            self.config["train"],
            str(self.train_dir),
            self.model_arguments(encoder),
            {"build_task": self.config["build_task"], "encoder": encoder},
            *(self.config[name] for name in sections),
            *train,
            *valid,
            self.workers,
            self.config["world_size"],
            self.config["rank"],
            self.config["eval_batch"],
            self.device,
            self.config,
        )

    def _evaluate(self) -> None:
        wanted = self.mark(STAGES[3])
        loaded: tuple[Path, Any] | None = None
        for folder, csv, result_dir in self._pairs():
            mark = wanted | {"inputs": hash_files([Path(csv), folder / checkpoint.MANIFEST], self.root)}
            if self._has(result_dir, mark) and (result_dir / "result.json").exists():
                log.info("%s on %s: done already", folder.name, Path(csv).stem)
                continue
            if not self._has(result_dir, mark):
                shutil.rmtree(result_dir, ignore_errors=True)
                write_json(result_dir / MARK, mark)
            if loaded is None or loaded[0] != folder:
                loaded = folder, self.problem.load_model_and_task(str(folder))[1]
            task = loaded[1].to(self.device)
            saved_encoder = folder / "task" / "encoder"
            encoder_path = str(saved_encoder) if saved_encoder.exists() else self.encoder_path()
            dataset, sampler, collate_fn = self._data("test", csv, encoder_path)
            metrics = self.problem.evaluate(
                self.config["evaluate"], "test", task, self._features(task, dataset), sampler, collate_fn,
                self.config["eval_batch"], str(result_dir), self.device, self.workers,
            )  # fmt: skip
            shown = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
            log.info("%s on %s: %s", folder.name, Path(csv).stem, shown)

    def _features(self, task: Any, dataset: Any) -> Any:
        from problems.engine.features import WithFeatures, may_compute_in_loader

        return WithFeatures(dataset, task.model.upstream) if may_compute_in_loader(task.model) else dataset

    @staticmethod
    def _has(result_dir: Path, mark: Fingerprint) -> bool:
        try:
            return read_json(result_dir / MARK) == mark
        except (FileNotFoundError, ValueError):
            return False

    def _report(self) -> None:
        from problems.engine.report import write_report

        print(write_report(self.root, self.root / "report").table)
        log.info("report: %s", self.root / "report" / "report.html")


__all__ = ["EXTENDING", "FREE", "STAGES", "Pipeline", "flatten"]
