"""Setup: build, restore and run the training of stage 2 in its folder."""

from __future__ import annotations

import contextlib
import functools
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from dataset.loader import LoaderSettings, require_indexable, train_stream
from dataset.protocols import BatchSampler, CollateFn, IndexableDataset
from dataset.samplers.epochs import epoch_batches, first_utterances, utterances_in
from dataset.storage.files import write_text
from problems.engine.checkpoints import store, weights
from problems.engine.checkpoints.background import deferring
from problems.engine.config import yaml_text
from problems.engine.config.registry import load_class
from problems.engine.features import attach, policy
from problems.engine.loops import diagnostics, lockstep
from problems.engine.loops.average import write_average
from problems.engine.loops.base import Callback
from problems.engine.loops.build_task import BuildsTask, Section, build_task
from problems.engine.loops.diagnostics import Diagnostic
from problems.engine.loops.length.budget import Budget
from problems.engine.loops.length.plan import AUTO, MOST_STEPS, VALIDATIONS, planned
from problems.engine.loops.monitoring.extras import Extras
from problems.engine.loops.monitoring.profiler import Profiler
from problems.engine.loops.parallel.waiting import log_waiting
from problems.engine.loops.state import training_state
from problems.engine.loops.state.restore import load_weights, restore_training, start_from_weights
from problems.engine.loops.train import Stream, TrainLoop
from problems.engine.loops.valid_check import Validate, check_validation, validation_seconds
from problems.engine.loops.valid_sets import sets_of, with_declarations
from problems.engine.optim.build import BuildsOptimizers, build_optimizers
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.report.history import of_all_sets
from problems.engine.runtime import distributed
from problems.engine.runtime.device import pick_device
from problems.engine.runtime.overrides import call, is_overridden
from tasks.base import Task
from tasks.metrics.kinds import UNDECLARED

log = logging.getLogger(__name__)


class TrainableProblem(BuildsTask, BuildsOptimizers, Protocol):
    """The methods and attributes of a problem that training needs."""

    train_loop: type | str
    callbacks: Sequence[Callback]

    def save_model(
        self, save_model: Section, model_ckpt_dir: str, build_model_all_args: Section, model: torch.nn.Module
    ) -> None: ...

    def save_task(
        self, save_task: Section, task_ckpt_dir: str, build_task_all_args_except_model: Section, task: Task
    ) -> None: ...


class Setup:
    """One training in one folder.

    Args:
        problem: builds the parts and saves them.
        train: the config's section, and the ``budget`` if there is one; a copy of it, with ``total_steps`` filled in,
            becomes ``config``.
        train_dir: the folder.
        device: a name that :func:`pick_device` takes.
        model_args: the arguments of ``build_model``.
        task_args: the arguments of ``build_task`` but the model.
        build_optimizer, build_scheduler: the config's sections.
        global_config: the whole config, kept in each checkpoint.
    """

    def __init__(
        self,
        problem: TrainableProblem,
        train: Section,
        train_dir: Path,
        device: str,
        *,
        model_args: Section,
        task_args: Section,
        build_optimizer: Section,
        build_scheduler: Section,
        global_config: Section | None = None,
    ):
        self.problem, self.config, self.train_dir = problem, dict(train), Path(train_dir)
        self.budget: Budget | None = self.config.pop("budget", None)
        self.device, self.world = pick_device(device), distributed.world()
        self.model_args, self.task_args = model_args, task_args
        self.build_optimizer, self.build_scheduler = build_optimizer, build_scheduler
        self.global_config = global_config
        self.task = self._build_task()
        if self.config["valid_higher_better"] is None:
            metric = self.task.metrics.get(of_all_sets(self.config["valid_metric"] or ""), UNDECLARED)
            self.config["valid_higher_better"] = metric.better == "higher"
        self.extras = Extras(self.config, global_config)
        self.windows = 0  # steps in an epoch
        self.valid_batches = 0
        self.valid_sets: list[str] = []
        self.make_stream: Callable[[int, int, Callable], Stream]

    def _build_task(self) -> Task:
        return build_task(self.problem, self.config, self.device, model_args=self.model_args, task_args=self.task_args)

    def _build_again(self) -> None:
        """Replace a task that is divided among processes by a whole one, with the weights of the last checkpoint."""
        self.task = self._build_task()
        load_weights(store.steps_in(self.train_dir)[-1], self.task)

    @property
    def model(self) -> torch.nn.Module:
        """The model that is trained."""
        return self.task.model

    # ---- data ----

    def with_features(
        self, dataset: IndexableDataset, indices: Sequence[int], passes: float = VALIDATIONS
    ) -> IndexableDataset:
        """Return ``dataset`` with features in place of waveforms if they can be computed ahead for these utterances.

        Args:
            passes: how often each utterance will be read.
        """
        settings = policy.settings_of(self.global_config)
        return attach.attach_features(self.task, dataset, settings, indices, passes=passes)

    def with_valid_features(self, dataset: IndexableDataset, batches: Sequence[list[int]]) -> IndexableDataset:
        """Return the validation set like :meth:`with_features`, and count its batches and the time for the budget."""
        sets = sets_of(dataset)
        if sets is not None:
            self.valid_sets = sorted(set(sets.tolist()))
            self.task.metrics = with_declarations(self.task.metrics, self.valid_sets)
        began = time.monotonic()
        dataset, self.valid_batches = self.with_features(dataset, utterances_in(batches)), len(batches)
        if self.budget:
            self.budget.features = time.monotonic() - began
        return dataset

    def read(
        self, dataset: IndexableDataset, batch_sampler: BatchSampler, collate_fn: CollateFn, num_workers: int
    ) -> None:
        """Take the training set; turn ``epochs`` and ``auto`` into the steps that schedule and progress count with."""
        require_indexable(dataset)
        seed = self.config["seed"]
        batches_per_step = self.config["gradient_accumulate"] * self.world.size
        batches = epoch_batches(batch_sampler, seed, 0)
        log_waiting(dataset, batches, self.world.size)
        self.windows = math.ceil(len(batches) / batches_per_step)
        if self.config["epochs"] is not None:
            self.config["total_steps"] = self.config["epochs"] * self.windows
        if self.budget:
            self.budget.intervals = tuple(key for key in ("eval_step", "save_step") if self.config[key] == AUTO)
            self.config["total_steps"] = MOST_STEPS  # until the speed is known
        self.config = planned(self.config, self.windows, has_budget=self.budget is not None)
        start = self.config["resume_ckpt_dir"] or self.config["init_ckpt_dir"]
        whole = self.config.get("init_parts") is None
        if start is not None and whole and not store.steps_in(self.train_dir):  # before anything is computed ahead
            weights.require_frozen(store.require(Path(start)) / "model", self.model)
        needed = first_utterances(batch_sampler, seed, self.config["total_steps"] * batches_per_step)
        passes = 1 if diagnostics.requested(self.config) else self.config["total_steps"] / self.windows
        with_features = self.with_features(dataset, needed, passes)
        lockstep.name_training_batches(seed, attach.form_of(with_features))

        def make_stream(epoch: int, position: int, make_dataloader: Callable) -> Stream:
            settings = LoaderSettings(
                num_workers=num_workers,
                pin_memory=self.device.type == "cuda",
                keep_errors=self.config["skip_errors"],
                make_dataloader=make_dataloader,
            )
            return train_stream(
                with_features,
                batch_sampler,
                collate_fn,
                seed=seed,
                epoch=epoch,
                position=position,
                rank=self.world.rank,
                size=self.world.size,
                settings=settings,
            )

        self.make_stream = make_stream

    def make_optimizers(self, task: Task) -> list[OptimScheduler]:
        """Build the optimizers that the config names, each with its schedule."""
        return build_optimizers(
            self.problem,
            task,
            build_optimizer=self.build_optimizer,
            build_scheduler=self.build_scheduler,
            train=self.config,
            steps_per_epoch=self.windows,
        )

    # ---- training ----

    def fit(self, validate: Validate | None, save_model: Section, save_task: Section) -> None:
        """Train to the end, from the newest whole checkpoint if there is one; or run the requested diagnostic.

        Args:
            validate: None trains without validation.
        """
        diagnostic = diagnostics.requested(self.config)
        if self.config["total_steps"] == 0:
            log.info("nothing is trained, as train.total_steps is 0: the checkpoint is the model as it was built")
        if validate is None:
            log.info("no validation: the last checkpoint counts as the best")
        elif self.config["best_rules"] or distributed.on_main(lambda: not store.steps_in(self.train_dir)):
            check_validation(self.task, validate, self.config, self.valid_sets)
            if self.budget:
                self.budget.evaluation = validation_seconds(self.task, validate, self.valid_batches)
        checkpoint = None if diagnostic else training_state.newest_everywhere(self.train_dir)
        resumed = checkpoint or self._elsewhere(diagnostic)
        state = training_state.read(resumed) if resumed else None
        if state and self.budget and state.get("budget"):
            self.config["total_steps"] = round(state["total_steps"] * self.budget.seconds / state["budget"])
        if state and self.config["epochs"] is not None and len(state["rng"]) != self.world.size:
            self.config["total_steps"] = self._steps_from(state["progress"])
        save = functools.partial(self._save, save_model, save_task)
        loop = self._make_loop(diagnostic, validate, save)
        if diagnostic:
            diagnostic.run(loop)
            return
        if state:
            restore_training(loop, resumed, state)
        elif self.config["init_ckpt_dir"] is not None:
            start_from_weights(self.task, Path(self.config["init_ckpt_dir"]), self.config.get("init_parts"))
        if checkpoint is None:
            loop.progress.saved = -1  # nothing is in this folder yet
        loop.fit()
        if loop.sharding:
            self._build_again()
        if self.config["average"]:
            write_average(self.task, self.config, self.train_dir, validate=validate, save=save)
        if self.world.main:
            layers = weights.write_layer_weights(self.train_dir, self.model)
            if len(layers) > 1:
                log.info("weights of the layers: %s", ", ".join(f"{n}: {share:.3f}" for n, share in layers.items()))

    def _make_loop(
        self, diagnostic: Diagnostic | None, validate: Validate | None, save: Callable[[Path], None]
    ) -> TrainLoop:
        """Return the problem's loop, as the diagnostic adapts it."""
        loop_cls, callbacks = load_class(self.problem.train_loop), list(self.problem.callbacks)
        if diagnostic:
            loop_cls = diagnostic.adapt(loop_cls)
        elif self.config["profile"]:
            callbacks.append(Profiler(self.train_dir / "profile", self.config["profile"]))
        loop = loop_cls(
            task=self.task,
            make_optimizers=self.make_optimizers,
            train=self.config,
            train_dir=self.train_dir,
            make_stream=self.make_stream,
            validate=validate,
            save=save,
            device=self.device,
            callbacks=callbacks,
            budget=self.budget,
        )
        loop.extras = None if diagnostic else self.extras
        return loop

    def _save(self, save_model: Section, save_task: Section, folder: Path) -> None:
        """Write model, task and config into a checkpoint's folder."""
        model = {"build_model_all_args": self.model_args, "model": self.model}
        with self._files_at_once("save_model"):
            call(self.problem, "save_model", save_model=save_model, model_ckpt_dir=str(folder / "model"), **model)
        task = {"build_task_all_args_except_model": self.task_args, "task": self.task}
        with self._files_at_once("save_task"):
            call(self.problem, "save_task", save_task=save_task, task_ckpt_dir=str(folder / "task"), **task)
        if self.global_config is not None:
            write_text(folder / "config.yaml", yaml_text.dump(self.global_config))

    def _files_at_once(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Write at once inside an overridden method, which may go on with the files that ours has written."""
        return deferring(None) if is_overridden(self.problem, name) else contextlib.nullcontext()

    def _steps_from(self, progress: Mapping[str, Any]) -> int:
        """Return ``epochs`` in steps, if those done so far were taken by another number of processes."""
        batches_per_step = self.config["gradient_accumulate"] * self.world.size
        epochs = self.config["epochs"] - progress["epoch"]
        batches = progress["batches"] - progress["position"] if progress["position"] else 0  # of the epoch under way
        return progress["step"] + math.ceil(batches / batches_per_step) + (epochs - bool(batches)) * self.windows

    def _elsewhere(self, diagnostic: Diagnostic | None) -> Path | None:
        """Return the checkpoint of another training that this one continues; None without ``resume_ckpt_dir``."""
        folder = self.config["resume_ckpt_dir"]
        return None if diagnostic or folder is None else store.require(Path(folder))
