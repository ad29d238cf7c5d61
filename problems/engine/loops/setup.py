"""Stage 2 from its parts: model, task, optimizer and schedule built or taken up again, then the loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from dataset import seeding
from dataset.files import write_json, write_text
from dataset.loader import LoaderSettings, epoch_batches, first_utterances, require_indexable, train_stream
from problems.engine.checkpoints import averaging, store, task_state, weights
from problems.engine.config.registry import load_class
from problems.engine.features import attach, policy
from problems.engine.loops.diagnostics import trial_of
from problems.engine.loops.display import format_metrics
from problems.engine.loops.profiler import Profiler
from problems.engine.loops.train import Stream, TrainLoop
from problems.engine.optim import lr_schedules, optimizers
from problems.engine.optim.scheduled_optimizer import OptimScheduler
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import CheckpointError, ConfigError, nearest

log = logging.getLogger(__name__)

Section = Mapping[str, Any]


def pick_device(name: str, local: int = 0) -> torch.device:
    """``auto`` as a GPU where there is one; any other name as it is. ``cuda`` is the GPU with this process's number.

    Raises:
        ConfigError: there is no such device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = f"cuda:{local}" if name == "cuda" else name
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # its generator is the one that checkpoints hold
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """How many numbers are trained, and how many are frozen."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, trained in sizes if not trained)


class Training:
    """One training in one folder.

    Args:
        problem: builds the parts, saves them.
        train: the config's section.
        train_dir: the folder.
        device: a name that :func:`pick_device` takes.
        global_config: the whole config, kept in each checkpoint.
    """

    def __init__(self, problem: Any, train: Section, train_dir: Path, device: str, global_config: Section | None):
        self.problem, self.config, self.train_dir = problem, dict(train), Path(train_dir)
        self.device, self.global_config, self.world = pick_device(device), global_config, distributed.world()

    def build(
        self, model_args: Section, task_args: Section, build_optimizer: Section, build_scheduler: Section
    ) -> None:
        """Build what is trained; ``train.seed`` decides every initial weight."""
        seeding.seed_all(self.config["seed"])
        self.model_args, self.task_args = model_args, task_args
        self.sections = build_optimizer, build_scheduler
        self.model = self.problem.build_model(**model_args)
        self.task = self.problem.build_task(model=self.model, **task_args).to(self.device)
        if self.config["sync_batchnorm"]:
            self._sync_batchnorm()
        if self.config["compile"]:
            self.model.compile(backend=self.config["compile"], dynamic=True)
        if self.world.rank:  # the same weights everywhere, and other dropout
            seeding.seed_all(seeding.derive(self.config["seed"], self.world.rank))
        trained, frozen = count_parameters(self.task)
        log.debug("model: %s parameters trained, %s frozen, on %s", f"{trained:,}", f"{frozen:,}", self.device)

    def _sync_batchnorm(self) -> None:
        if self.device.type != "cuda":
            raise ConfigError(f"train.sync_batchnorm: needs GPUs, but the device is {self.device.type}")
        if self.config["skip_errors"]:
            raise ConfigError("train.sync_batchnorm: cannot go with skip_errors: a batch is then of all processes")
        if self.world.size > 1:
            self.model = self.task.model = torch.nn.SyncBatchNorm.convert_sync_batchnorm(self.model)

    def with_features(self, dataset: Any, batches: list[list[int]]) -> Any:
        """``dataset`` with features in place of waveforms where they can be computed ahead, for these batches."""
        settings = policy.settings_of(self.global_config)
        return attach.attach_features(self.task, dataset, settings, batches)

    def read(self, dataset: Any, batch_sampler: Any, collate_fn: Callable, num_workers: int) -> None:
        """Take what to train on; turn ``epochs`` into the number of steps that schedule and progress count with."""
        require_indexable(dataset)
        batches = epoch_batches(batch_sampler, self.config["seed"], 0)
        joined = self.config["gradient_accumulate"] * self.world.size
        self.windows = math.ceil(len(batches) / joined)
        if self.config["epochs"] is not None:
            self.config["total_steps"] = self.config["epochs"] * self.windows
        given = self.config["resume_ckpt_dir"]
        if given is not None and not store.steps_in(self.train_dir):  # before anything is computed ahead
            weights.require_frozen(store.require(Path(given)) / "model", self.model)
        needed = first_utterances(batch_sampler, self.config["seed"], self.config["total_steps"] * joined)
        ahead = self.with_features(dataset, [needed])
        self.data, self.num_workers = (ahead, batch_sampler, collate_fn), num_workers

    def stream(self, epoch: int, position: int, make_dataloader: Callable) -> Stream:
        """The training's batches from a place on."""
        settings = LoaderSettings(
            num_workers=self.num_workers,
            pin_memory=self.device.type == "cuda",
            keep_errors=self.config["skip_errors"],
            make_dataloader=make_dataloader,
        )
        return train_stream(
            *self.data,
            seed=self.config["seed"],
            epoch=epoch,
            position=position,
            rank=self.world.rank,
            size=self.world.size,
            settings=settings,
        )

    def optimizers(self, task: Any) -> list[OptimScheduler]:
        """The optimizers that the config names, each with its schedule.

        Raises:
            ConfigError: two would move the same parameter.
        """
        everything, taken, found = optimizers.Parameters.of_task(task), {}, []
        for name, section in optimizers.single(self.sections[0]):
            where = f"build_optimizer.optimizers.{name}" if name else "build_optimizer"
            modules = section["updated_modules"]
            own = everything if modules is None else everything.of(modules, f"{where}.updated_modules")
            for parameter, p in zip(own.names, own):
                if taken.setdefault(p, name) != name:
                    raise ConfigError(f"{where}: {parameter} is moved by {taken[p]!r} already; give updated_modules")
            found.append(self._optimizer(name, section, own))
        left = sum(p.numel() for p in everything if p not in taken)
        if left:
            log.warning("no optimizer moves %s of the parameters that could be trained", f"{left:,}")
        return found

    def _optimizer(self, name: str, section: Section, parameters: optimizers.Parameters) -> OptimScheduler:
        optimizer, config = self.problem.build_optimizer(section, parameters), self.config
        scheduler, schedule = None, section["scheduler"] or self.sections[1]
        if config["use_scheduler"] or section["scheduler"]:
            epochs = config["epochs"] or math.ceil(config["total_steps"] / self.windows)
            schedule = lr_schedules.planned(schedule, config["total_steps"], epochs, config["valid_higher_better"])
            scheduler = self.problem.build_scheduler(schedule, optimizer)
        return OptimScheduler(
            optimizer,
            scheduler,
            lr_schedules.every(schedule),
            name,
            section["optim_loss"] or optimizers.MAIN,
            section["step_per_update"],
            section.get("gradient_clipping", config["gradient_clipping"]),
            float(section.get("gradient_norm_type", config["gradient_norm_type"])),
        )

    def fit(self, validate: Callable[[], dict[str, float]], save_model: Section, save_task: Section) -> None:
        """Train to the end, from the newest whole checkpoint on; or try what the config asks to try."""

        def save(folder: Path) -> None:
            self.problem.save_model(save_model, str(folder / "model"), self.model_args, self.model)
            self.problem.save_task(save_task, str(folder / "task"), self.task_args, self.task)
            if self.global_config is not None:
                from omegaconf import OmegaConf

                write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(self.global_config))))

        trial = trial_of(self.config)
        folder = None if trial else self._newest()
        # to the CPU: the optimizer moves what belongs on the device, and its step counts stay where they are fast
        state = folder and torch.load(folder / "training.pt", map_location="cpu", weights_only=True)
        if state and self.config["epochs"] is not None and len(state["rng"]) != self.world.size:
            self.config["total_steps"] = self._steps_from(state["progress"])
        callbacks = list(self.problem.callbacks)
        if self.config["profile"] and not trial:
            callbacks.append(Profiler(self.train_dir / "profile", self.config["profile"]))
        made, parts = load_class(self.problem.train_loop), (self.config, self.train_dir, self.stream)
        loop = made(self.task, self.optimizers, *parts, validate, save, self.device, callbacks)
        if trial:
            trial(loop)
            return
        self._take_up(loop, folder, state)
        loop.fit()
        if self.config["average"]:
            self._average(validate, save)
        if self.world.main:
            layers = weights.write_layer_weights(self.train_dir, self.model)
            if len(layers) > 1:
                log.info("weights of the layers: %s", ", ".join(f"{n}: {share:.3f}" for n, share in layers.items()))

    def _steps_from(self, progress: Mapping[str, Any]) -> int:
        """The steps in all of ``epochs``, after some of another number of processes, which were of another size."""
        joined, epochs = self.config["gradient_accumulate"] * self.world.size, self.config["epochs"] - progress["epoch"]
        left = progress["batches"] - progress["position"] if progress["position"] else 0  # of the epoch under way
        return progress["step"] + math.ceil(left / joined) + (epochs - bool(left)) * self.windows

    def _average(self, validate: Callable[[], dict[str, float]], save: Callable[[Path], None]) -> None:
        """Leave the mean of the kept checkpoints, validated: what a task learns there must be of these weights."""
        folders = averaging.members(self.train_dir, self.config["average"], self.config["keep_num_ckpts"])
        target, names = self.train_dir / averaging.NAME, [folder.name for folder in folders]
        if distributed.on_main(lambda: averaging.is_of(target, names)):
            self._load_weights(target)  # the layers' weights are then written of these, as they were the first time
            return
        self._load_weights(folders[0])
        for part, module in (("model", self.model), ("task", self.task)):
            paths = [path for folder in folders if (path := folder / part / weights.WEIGHTS).exists()]
            if paths:
                module.load_state_dict(averaging.mean_of(paths), strict=False)
        with seeding.isolated():
            metrics = validate()

        def fill(temporary: Path) -> None:
            save(temporary)
            write_json(temporary / averaging.MEMBERS, {"of": names, "metrics": metrics})

        if self.world.writes:
            store.write(target, fill)
        metrics_text = format_metrics(metrics, self.task.metrics, self.config["valid_metric"])
        log.info("the mean of the weights of %s: valid %s", ", ".join(names), metrics_text)
        distributed.barrier()

    def _take_up(self, loop: TrainLoop, folder: Path | None, state: Mapping[str, Any] | None) -> None:
        """Go on from the checkpoint ``folder``; without one, from the weights of the one to start from, if any."""
        given = self.config["resume_ckpt_dir"]
        if folder is not None:
            self._load_weights(folder)
            loop.load_state_dict(state)
            log.info("training goes on from step %d (%s)", loop.progress.step, folder)
        elif given is not None:
            self._load_weights(store.require(Path(given)))
            log.info("training starts from the weights in %s", given)

    def _newest(self) -> Path | None:
        """The newest whole checkpoint that every process has.

        Where machines have files of their own, a kill may have left one more on one of them.
        """
        newest = store.newest(self.train_dir)
        if len(set(distributed.gather(newest and newest.name))) == 1:
            return newest
        whole = {p.name: p for p in store.steps_in(self.train_dir) if store.damage(p) is None}
        common = set.intersection(*map(set, distributed.gather(list(whole))))
        if not common:
            raise CheckpointError(f"no checkpoint in {self.train_dir} is there on every machine; --fresh starts anew")
        return whole[max(common)]

    def _load_weights(self, folder: Path) -> None:
        weights.load_weights(folder / "model", self.model)
        task_state.load_task(folder / "task", self.task)

    def require_metric(self, metrics: Mapping[str, float]) -> None:
        """See that validation gives the metric that is to choose the best checkpoint, before any step is taken.

        Raises:
            ConfigError: it does not.
        """
        wanted = self.config["valid_metric"]
        if wanted not in metrics:
            known = ", ".join(metrics)
            raise ConfigError(
                f"train.valid_metric: validation gives no {wanted!r}{nearest(wanted, metrics)}; it gives {known}"
            )
