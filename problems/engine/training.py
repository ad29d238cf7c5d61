"""Stage 2 from its parts: model, task, optimizer and schedule built or taken up again, then the loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from problems.engine import checkpoint, distributed, feature_cache, features, optim, randomness, saving
from problems.engine.errors import ConfigError, nearest
from problems.engine.files import write_text
from problems.engine.stream import epoch_batches, train_stream
from problems.engine.train import Stream, TrainLoop

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
        randomness.seed_all(self.config["seed"])
        self.model_args, self.task_args = model_args, task_args
        self.sections = build_optimizer, build_scheduler
        self.model = self.problem.build_model(**model_args)
        self.task = self.problem.build_task(model=self.model, **task_args).to(self.device)
        if self.world.rank:  # the same weights everywhere, and other dropout
            randomness.seed_all(randomness.derive(self.config["seed"], self.world.rank))
        trained, frozen = count_parameters(self.task)
        log.debug("model: %s parameters trained, %s frozen, on %s", f"{trained:,}", f"{frozen:,}", self.device)

    def with_features(self, dataset: Any, batches: list[list[int]]) -> Any:
        """``dataset`` with features in place of waveforms where they can be computed ahead, for these batches."""
        settings = feature_cache.settings_of(self.global_config)
        return features.computed_ahead(self.task, dataset, settings, batches)

    def read(self, dataset: Any, batch_sampler: Any, collate_fn: Callable, num_workers: int) -> None:
        """Take what to train on; turn ``epochs`` into the number of steps that schedule and progress count with."""
        batches = epoch_batches(batch_sampler, self.config["seed"], 0)
        joined = self.config["gradient_accumulate"] * self.world.size
        if self.config["epochs"] is not None:
            self.config["total_steps"] = self.config["epochs"] * math.ceil(len(batches) / joined)
        ahead = self.with_features(dataset, batches[: self.config["total_steps"] * joined])
        self.data = ahead, batch_sampler, collate_fn
        self.num_workers = num_workers

    def stream(self, epoch: int, position: int) -> Stream:
        """The training's batches from a place on."""
        seed, pin = self.config["seed"], self.device.type == "cuda"
        workers, share = (self.num_workers, pin), (self.world.rank, self.world.size)
        return train_stream(*self.data, seed, epoch, position, *workers, *share)

    def fit(self, validate: Callable[[], dict[str, float]], save_model: Section, save_task: Section) -> None:
        """Train to the end, from the newest whole checkpoint on."""
        total = self.config["total_steps"]
        optimizer = self.problem.build_optimizer(self.sections[0], self.task.parameters())
        scheduler = None
        if self.config["use_scheduler"]:
            scheduler = self.problem.build_scheduler(optim.with_total(self.sections[1], total), optimizer)

        def save(folder: Path) -> None:
            self.problem.save_model(save_model, str(folder / "model"), self.model_args, self.model)
            self.problem.save_task(save_task, str(folder / "task"), self.task_args, self.task)
            if self.global_config is not None:
                from omegaconf import OmegaConf

                write_text(folder / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(self.global_config))))

        loop = TrainLoop(
            self.task,
            optimizer,
            scheduler,
            self.config,
            self.train_dir,
            self.stream,
            validate,
            save,
            self.device,
        )
        self._resume(loop)
        loop.fit()

    def _resume(self, loop: TrainLoop) -> None:
        """Take up the newest whole checkpoint; where there is none, the weights of the one to start from, if any."""
        folder, given = checkpoint.newest(self.train_dir), self.config["resume_ckpt_dir"]
        if folder is not None:
            self._load_weights(folder)
            # to the CPU: the optimizer moves what belongs on the device, and its step counts stay where they are fast
            loop.load_state_dict(torch.load(folder / "training.pt", map_location="cpu", weights_only=True))
            log.info("training goes on from step %d (%s)", loop.progress.step, folder)
        elif given is not None:
            self._load_weights(checkpoint.require(Path(given)))
            log.info("training starts from the weights in %s", given)

    def _load_weights(self, folder: Path) -> None:
        saving.load_weights(folder / "model", self.model)
        saving.load_task(folder / "task", self.task)

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
