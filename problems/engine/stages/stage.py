"""Stage: what a numbered stage reads and leaves, what decides its outcome, and how it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.runtime.overrides import call
from problems.engine.stages.freshness.fingerprint import Fingerprint, fingerprint, hash_files
from problems.engine.stages.freshness.manifest import Manifest
from problems.engine.stages.target_folder import TargetFolder

DATA = ("build_dataset", "build_collate_fn", "features")
"""Sections that affect every pass over data."""


class Stage:
    """A numbered stage of one run.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
        folder: the run's target folder.
        manifest: the record of earlier runs in that folder.
    """

    number: int
    name: str
    sections: tuple[str, ...] = ()
    """Config sections that affect the outcome, and so do the methods of the same names."""
    parts: tuple[str, ...] = ()
    """Further attributes of a problem that affect the outcome."""
    on_every_process = False
    """True if all processes run the stage together."""
    on_every_machine = False
    """True if the stage also runs once on each machine that does not share files with the main process."""
    of_own_training = False
    """True if the stage is skipped when a checkpoint from elsewhere is tested."""
    is_optional = False
    """True if later stages take its results as they stand."""
    is_moved_aside = False
    """True if ``--fresh`` moves the stage's folder aside."""

    def __init__(self, problem: Any, config: Mapping[str, Any], folder: TargetFolder, manifest: Manifest):
        self.problem, self.config, self.folder, self.manifest = problem, config, folder, manifest

    def inputs(self) -> list[Path]:
        """The files that the stage reads; a folder stands for the names of its files."""
        raise NotImplementedError

    def outputs(self) -> list[Path]:
        """The files that the stage leaves, which later stages and ``status`` verify."""
        raise NotImplementedError

    @property
    def output_dir(self) -> Path:
        """The folder of the outputs."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """The part of the config that affects the outcome."""
        return {name: self.config[name] for name in self.sections if name in self.config}

    def fingerprint(self) -> Fingerprint:
        """Everything that decides the outcome of the stage, as things stand."""
        inputs = hash_files(self.inputs(), self.folder.root)
        return fingerprint(self.problem, (*self.sections, *self.parts), self.settings(), inputs)

    def final_fingerprint(self, before: Fingerprint) -> Fingerprint:
        """The fingerprint to record once the stage is done, given the one from before it ran."""
        return before

    def damage(self) -> list[str]:
        """Reasons why outputs that are as recorded cannot be used; empty if they can."""
        return []

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Do the work.

        Args:
            device: for models.
            fingerprint: of the stage; None on processes that do not record it and in a diagnostic.
        """
        raise NotImplementedError

    # ---- for subclasses ----

    def builder_folders(self) -> dict[str, str]:
        """The folders that builders take."""
        return {"target_dir": str(self.folder.root), "cache_dir": str(self.folder.cache)}

    def build(self, method: str, **arguments: Any) -> Any:
        """Call a builder with the config section of its name and ``arguments``."""
        return call(self.problem, method, **{method: self.config[method]}, **arguments)

    def build_data(self, mode: str, csv: str, encoder_path: str) -> tuple[Any, Any, Any]:
        """Dataset, batch sampler and collate function of one metadata CSV."""
        folders = self.builder_folders() | {"target_dir": str(self.folder.read_root)}
        where = {**folders, "mode": mode, "data_csv": csv}
        dataset = self.build("build_dataset", **where, encoder_path=encoder_path, frame_shift=None)
        sampler = self.build("build_batch_sampler", **where, dataset=dataset)
        return dataset, sampler, self.build("build_collate_fn", mode=mode)

    def task_arguments(self, mode: str, csv: str, build_task: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments of ``build_task`` beside its section, model and encoder."""
        train_csv, *_ = self.folder.csvs()
        sections = {"build_dataset": self.config["build_dataset"], "build_task": dict(build_task)}
        return call(self.problem, "task_arguments", **sections, mode=mode, data_csv=csv, train_csv=train_csv)
