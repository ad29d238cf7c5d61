"""The options of the run itself, of its cache of features, and of what it saves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dataset.setting import setting


@dataclass
class Run:
    """Options of the run itself."""

    target_dir: str | None = setting(None, "output folder; null: result/<problem>/<preset>")
    cache_dir: str | None = setting(None, "folder shared by all runs; null: ~/.cache/soundstage")
    remove_all_cache: bool = setting(False, "first delete what this run would read from cache_dir")
    start: int | None = setting(
        None, "first stage to run, 0-4; null: the first missing or stale one (under torchrun: start=N)", min=0, max=4
    )
    stop: int | None = setting(None, "last stage to run, inclusive; null: 4", min=0, max=4)
    budget: str | float | None = setting(
        None,
        "time for the whole run, e.g. 90s, 5m or 2h: as many steps are trained as fit, in place of train.total_steps",
        resume="extends",
    )
    learning_curve: bool = setting(
        False, "also train on 10 and 30 % of the training set, in learning_curve/, and compare", resume="free"
    )
    folds: int | Literal["all"] | None = setting(
        None,
        "run every fold of the corpus in folds/, and average: all, or a number; null: one run",
        resume="free",
        min=2,
    )
    seeds: int | str | list | None = setting(
        None,
        "run with several seeds in seeds/, and average: how many, from train.seed on, or which, e.g. 0,1,2; null: one"
        " run",
        resume="free",
    )
    num_workers: int = setting(6, "processes that read audio, at most the number of cores; 0: none", min=0)
    eval_batch: int = setting(-1, "evaluate only this many batches, for a quick look; -1: all", min=-1)
    device: str = setting("auto", "auto, cpu, cuda, cuda:1, ...; auto: a GPU if there is one")
    nproc: int = setting(1, "start this many processes on this machine, which train together", min=1)
    launcher: Literal["slurm"] | None = setting(
        None, "slurm: submit the run as a job of nproc processes on each node; null: run it here", resume="free"
    )
    slurm: dict | None = setting(
        None, "what the job asks for, e.g. {nodes: 2, gpus_per_node: 4, timeout_min: 600}", resume="free"
    )
    world_size: int = setting(1, "number of processes that train together, if run() is called from code", min=1)
    rank: int = setting(0, "rank of this process, if run() is called from code", min=0)
    test_ckpt_dir: str | None = setting(None, "checkpoint folder to test; null: the best checkpoint of this training")
    test_ckpt_steps: list[int] | None = setting(None, "test the checkpoints of these steps, e.g. [1000, 2000]")
    test_data: dict | None = setting(
        None,
        "test sets that the training did not have, in place of its own, e.g. {corpus: csv, test: new.csv}: the settings"
        " of a corpus; the command test writes it",
    )
    upstream: str | None = setting(None, "file or folder of a checkpoint's frozen upstream, if that has moved")
    fresh: bool = setting(False, "move an earlier training aside (train.1, ...) and start over")


@dataclass
class Features:
    """The cache of a frozen upstream's features, shared by epochs, runs and problems."""

    cache: str = setting(
        "auto",
        "where to cache; auto: on disk or in RAM, if that saves time",
        choices=("auto", "off", "ram", "disk"),
        resume="free",
    )
    dtype: str = setting(
        "fp16", "storage type; fp32 takes twice the space, int8 half of it", choices=("fp16", "fp32", "int8")
    )
    limit_gb: float = setting(
        50.0, "disk limit for all cached features (GB); least recently used evicted first", min=0, resume="free"
    )


@dataclass
class SaveModel:
    """Files saved beside the model."""

    extra_conf: dict | None = setting(None, "anything to save as extra_conf.json in each checkpoint")


@dataclass
class SaveTask:
    """Files saved beside the task."""

    extra_conf: dict | None = setting(None, "anything to save as extra_conf.json in each checkpoint")


@dataclass
class Empty:
    """A section without keys of its own; a subclass adds them in ``default_config()``."""
