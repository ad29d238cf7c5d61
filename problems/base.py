"""Problem: the ``build_*`` methods of every problem, and the entry points of the five stages.

Each ``build_*`` method takes the config section of its name first. Subclass Problem or a problem, override what differs
and run it with the same verbs: ``MyASR().main()``. Importing a problem loads neither torch nor numpy.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from problems.engine.config import sections
from problems.engine.config.layers import Layer
from problems.engine.config.merge import resolve as resolve_config
from problems.engine.config.registry import load_class, resolve
from problems.engine.config.schema import fields_of, section_defaults
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call, is_overridden
from problems.methods.checkpointing import Checkpointing
from problems.methods.looping import Looping
from problems.methods.model_building import ModelBuilding
from problems.registry import CLASSES, find_class

if TYPE_CHECKING:
    from dataset.encoders import LabelEncoder
    from dataset.protocols import BatchSampler, CollateFn, IndexableDataset

log = logging.getLogger(__name__)

Section = Mapping[str, Any]


class Problem(ModelBuilding, Looping, Checkpointing):
    """A speech problem in five stages. A built-in one is in the module of its name."""

    summary = "a problem of your own"
    run_section = sections.Run
    sections: dict[str, type] = {
        "prepare_data": sections.PrepareData,
        "build_encoder": sections.BuildEncoder,
        "build_dataset": sections.BuildDataset,
        "build_batch_sampler": sections.BuildBatchSampler,
        "build_collate_fn": sections.Empty,
        "build_upstream": sections.BuildUpstream,
        "build_featurizer": sections.BuildFeaturizer,
        "build_downstream": sections.BuildDownstream,
        "build_model": sections.BuildModel,
        "build_task": sections.Empty,
        "build_optimizer": sections.BuildOptimizer,
        "build_scheduler": sections.BuildScheduler,
        "train": sections.Train,
        "evaluate": sections.Evaluate,
        "features": sections.Features,
        "save_model": sections.SaveModel,
        "save_task": sections.SaveTask,
    }
    model_attributes: tuple[str, ...] = ()
    """Attributes that ``build_task`` reads from the model."""
    columns: tuple[str, ...] = ()
    """Columns that the metadata CSVs need beside ``id, wav_path, seconds``."""
    own_corpus = "csv"
    """The corpus of a user's own files, which hints name."""
    unscored: tuple[str, str] | None = None
    """A column of references, and the error if a validation or test set has only empty ones, with ``{csv}``."""
    fixed_encoder: str | None = None
    """The label encoder of a problem that learns none from its data; its settings are ``build_encoder``."""
    label_column: str | None = None
    """The column of which ``prepare_data.train_fraction`` keeps every value."""
    long_audio: Literal["pauses", "windows", "whole"] = "whole"
    """The way in which a prediction takes a long recording: cut at pauses into pieces of at most 30 s; if it is longer
    than two minutes, in equal windows of at most one; or whole. Results of pieces are joined (``tasks.results``).
    """
    train_loop: type | str = "problems.engine.loops.train:TrainLoop"
    """The loop of stage 2, or a subclass of it."""
    eval_loop: type | str = "problems.engine.loops.evaluate:EvalLoop"
    """The loop of validation and of stage 3, or a subclass of it."""
    callbacks: Sequence[Any] = ()
    """:class:`problems.engine.loops.base.Callback` objects, called by both loops."""

    def __init_subclass__(cls, **kwargs: Any):
        super().__init_subclass__(**kwargs)
        taken = CLASSES.get(cls.__name__)
        if taken is not None and taken.__module__.startswith("problems.") and taken.__module__ != cls.__module__:
            raise TypeError(
                f"{cls.__name__} is the name of {taken.__module__}.{cls.__name__}: give your class another name,"
                " because checkpoints record their problem by its name"
            )
        CLASSES[cls.__name__] = cls

    @staticmethod
    def get_class_from_name(name: str) -> type[Problem]:
        """The problem class called ``name``: a built-in one, or one whose module is imported."""
        return find_class(name)

    @classmethod
    def families(cls) -> list[str]:
        """The folders of this problem's presets: its own first, then inherited ones."""
        return [c.__name__.lower() for c in cls.__mro__ if issubclass(c, Problem) and c is not Problem]

    # ---- config and running ----

    def default_config(self) -> dict[str, Any]:
        """Every key with its default. Keys that a subclass adds are known on the command line."""
        options = section_defaults(self.run_section)
        return options | {name: section_defaults(s) for name, s in self.sections.items()}

    def check_config(self, config: Section) -> None:
        """Refuse what only a later stage would read: it is called before the first one.

        Raises:
            ConfigError: an augmentation or sub-batches cannot be built, or a file that the task reads does not exist.
        """
        from problems.methods.augmentation import build_augmentation
        from problems.methods.batches import check_sets

        if not is_overridden(self, "build_dataset") and "speeds" in config["build_dataset"]:
            build_augmentation(config["build_dataset"])
        batches = (config.get("build_batch_sampler") or {}).get("train") or {}
        if batches.get("sets") is not None and not is_overridden(self, "build_batch_sampler"):
            check_sets(batches, "build_batch_sampler.train")
        for source in call(self, "task_sources", build_task=config["build_task"]):
            if not Path(source).expanduser().is_file():
                raise ConfigError(f"build_task: there is no file {source}")

    def main(self, args: list[str] | None = None) -> None:
        """The command line of this problem: run, status, config, predict. Ends the process with its exit code."""
        from problems.engine.cli.main import main

        main(self, args)

    def run(
        self,
        target_dir: str,
        cache_dir: str | None = None,
        remove_all_cache: bool = False,
        start: int | None = None,
        stop: int | None = None,
        num_workers: int = 6,
        eval_batch: int = -1,
        device: str = "auto",
        world_size: int = 1,
        rank: int = 0,
        test_ckpt_dir: str | None = None,
        test_ckpt_steps: list[int] | None = None,
        fresh: bool = False,
        upstream: str | None = None,
        **section: dict[str, Any] | None,
    ) -> None:
        """Run the stages ``start`` to ``stop``; None stands for the first that is not done and fresh, and for the last.

        Args:
            section: one dict per section, merged onto its default; None means its default.

        Raises:
            ConfigError: a key or a value is wrong. StageError: an earlier stage is missing or stale.
        """
        from problems.engine.stages.pipeline import Pipeline

        options = {
            "target_dir": target_dir,
            "cache_dir": cache_dir,
            "remove_all_cache": remove_all_cache,
            "start": start,
            "stop": stop,
            "num_workers": num_workers,
            "eval_batch": eval_batch,
            "device": device,
            "world_size": world_size,
            "rank": rank,
            "test_ckpt_dir": test_ckpt_dir,
            "test_ckpt_steps": test_ckpt_steps,
            "fresh": fresh,
            "upstream": upstream,
        }
        sections = {name: values for name, values in section.items() if values is not None}
        config = resolve_config(self, [Layer("run()", options | sections)])
        if config["nproc"] > 1:
            raise ConfigError(
                f"nproc is {config['nproc']}, but run() starts no processes: use the command line's --nproc, or call"
                " run() in each process with world_size and rank"
            )
        Pipeline(self, config).run()

    # ---- data ----

    def prepare_data(
        self, prepare_data: Section, target_dir: str, cache_dir: str, get_path_only: bool = False
    ) -> tuple[str, str, list[str]]:
        """Stage 0. Writes ``data/train.csv``, ``data/valid.csv`` and ``data/<test set>.csv``.

        Returns:
            Their paths. With ``get_path_only`` nothing is written.
        """
        from dataset import prepare
        from dataset.corpora import CorpusError

        if get_path_only:
            return prepare.paths(Path(target_dir))
        splits = self.corpus(prepare_data).load(Path(cache_dir))
        folders = {"target_dir": target_dir, "cache_dir": cache_dir}
        try:
            paths = prepare.write(splits, prepare_data, self.columns, **folders, label=self.label_column)
        except CorpusError as error:
            if prepare_data.get("corpus") != "csv" or self.own_corpus == "csv":
                raise
            raise CorpusError(f"{error}; {self.own_corpus} is the corpus of this problem's own CSV files") from error
        if self.unscored:
            prepare.require_references(paths, *self.unscored)
        return paths

    def data_sources(self, prepare_data: Section) -> list[str]:
        """Files that ``prepare_data`` reads beside the corpus's; if the content of one changes, stage 0 is stale."""
        return []

    def corpus(self, prepare_data: Section) -> Any:
        """The corpus that ``prepare_data`` names, with its settings."""
        corpora, name = load_class("dataset.corpora:CORPORA"), prepare_data.get("corpus")
        if name is None or (name not in corpora and ":" not in name and is_overridden(self, "prepare_data")):
            return None  # a subclass that prepares its data itself
        corpus_cls = load_class(resolve(name, corpora, "prepare_data.corpus"))
        names = {field.name for field, _ in fields_of(corpus_cls)}
        return corpus_cls(**{key: value for key, value in prepare_data.items() if key in names})

    def build_encoder(
        self,
        build_encoder: Section,
        target_dir: str,
        cache_dir: str,
        train_csv: str,
        valid_csv: str,
        test_csvs: list[str],
        get_path_only: bool = False,
    ) -> str:
        """Stage 1. Learns a label encoder from the training CSV, writes it and returns its folder."""
        if self.fixed_encoder is None:
            raise NotImplementedError(f"{type(self).__name__} must define build_encoder")
        from dataset import encoders

        folder = Path(target_dir) / "encoder"
        if not get_path_only:
            encoders.build_encoder(self.fixed_encoder, [], **build_encoder).save(folder)
        return str(folder)

    def load_encoder(self, encoder_path: str) -> LabelEncoder:
        """The label encoder in a folder."""
        from dataset.encoders import load_encoder

        return load_encoder(encoder_path)

    def build_dataset(
        self,
        build_dataset: Section,
        target_dir: str,
        cache_dir: str,
        mode: str,
        data_csv: str,
        encoder_path: str,
        frame_shift: int | None,
    ) -> IndexableDataset:
        """The dataset of one CSV. ``frame_shift``, the samples per output frame, is always None so far."""
        raise NotImplementedError(f"{type(self).__name__} must define build_dataset")

    def build_batch_sampler(
        self,
        build_batch_sampler: Section,
        target_dir: str,
        cache_dir: str,
        mode: str,
        data_csv: str,
        dataset: IndexableDataset,
    ) -> BatchSampler:
        """The batch sampler that ``mode`` names."""
        from problems.methods.batches import build_sampler

        return build_sampler(build_batch_sampler[mode], f"build_batch_sampler.{mode}", dataset)

    def build_collate_fn(self, build_collate_fn: Section, mode: str) -> CollateFn:
        """The function that makes a batch of items."""
        from dataset.collate import collate

        return collate
