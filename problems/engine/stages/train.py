"""Stage 2: checkpoints, the history and the best model."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sized
from pathlib import Path
from typing import Any

from dataset.storage.files import free_name, read_json
from problems.engine.checkpoints import averaging, store
from problems.engine.checkpoints.moved_upstream import redirected
from problems.engine.config.sections import DIAGNOSTICS
from problems.engine.loops.length.budget import REPORT_SECONDS, Budget
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.errors import ConfigError, StageError
from problems.engine.runtime.formatting import seconds_of
from problems.engine.runtime.overrides import arranged
from problems.engine.stages.freshness.fingerprint import MISSING, Fingerprint, hash_files, write_begun
from problems.engine.stages.stage import DATA, Stage


class Train(Stage):
    """Reads the training and validation CSVs and the encoder, and leaves ``train/``."""

    number, name = 2, "train"
    sections = (
        *DATA,
        "build_batch_sampler",
        "build_upstream",
        "build_featurizer",
        "build_downstream",
        "build_model",
        "build_task",
        "build_optimizer",
        "build_scheduler",
        "train",
        "save_model",
        "save_task",
    )
    parts = ("train_loop", "callbacks")
    on_every_process = True
    of_own_training = True
    is_moved_aside = True
    start: Mapping[str, str] = {}
    """The key and path of the checkpoint that a new training starts from or continues (:mod:`.start_checkpoint`)."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.began = time.monotonic()
        if self.config["budget"] is not None:
            seconds_of(self.config["budget"])  # refuse what is no time before any work
            if self.config["train"].get("epochs") is not None:
                raise ConfigError("budget and train.epochs each set the length of the training: set one of them")

    def inputs(self) -> list[Path]:
        """The training and validation CSVs and the encoder's files."""
        train, valid, _ = self.folder.csvs()
        return [Path(train), Path(valid), *self.folder.encoder_files()]

    def outputs(self) -> list[Path]:
        """``best.json`` and the manifests of the checkpoints."""
        checkpoints = store.steps_in(self.output_dir)
        return [self.output_dir / "best.json", *(folder / store.MANIFEST for folder in checkpoints)]

    @property
    def output_dir(self) -> Path:
        """``train/``."""
        return self.folder.train_dir

    def settings(self) -> dict[str, Any]:
        """The sections, how much of the validation set is read, and the budget."""
        return super().settings() | {key: self.config[key] for key in ("eval_batch", "budget")}

    def damage(self) -> list[str]:
        """Checkpoints that do not verify, and an average that is not of those that the config asks for."""
        damages = ((folder, store.damage(folder)) for folder in store.steps_in(self.output_dir))
        damaged = [f"the checkpoint {folder.name} is damaged: {damage}" for folder, damage in damages if damage]
        return damaged or self._damage_of_average()

    def _damage_of_average(self) -> list[str]:
        train, folder = self.config["train"], self.output_dir / averaging.NAME
        if not train.get("average"):
            return []
        if not folder.is_dir():
            return [f"{self.output_dir.name}/{averaging.NAME} is not written yet"]
        damage = store.damage(folder)
        if damage:
            return [f"the checkpoint {folder.name} is damaged: {damage}"]
        names = [path.name for path in averaging.candidates(self.output_dir, train["average"], train["keep_num_ckpts"])]
        averaged = read_json(folder / averaging.MEMBERS)["of"]
        return [] if averaged == names else [f"its average is of {', '.join(averaged)}, expected {', '.join(names)}"]

    def model_arguments(self, encoder: Sized) -> dict[str, Any]:
        """The arguments of ``build_model``; only the length of ``encoder`` counts."""
        names = ("build_model", "build_upstream", "build_featurizer", "build_downstream")
        sections = {name: self.config[name] for name in names}
        if self.config["upstream"] and store.steps_in(self.output_dir):  # then its digest is known
            sections["build_upstream"] = redirected(sections["build_upstream"], self.config["upstream"])
        return {**sections, "model_output_size": len(encoder)}

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Train, from the newest checkpoint if there is one."""
        train_csv, valid_csv, test_csvs = self.folder.csvs()
        is_validated = self.config["train"]["valid_metric"] is not None
        self._require_same_data()
        if is_validated:
            self._require_validation(valid_csv)
        if fingerprint is not None:
            write_begun(self.output_dir, fingerprint)
        encoder_path = self.folder.encoder_path()
        encoder = self.problem.load_encoder(encoder_path)
        train_dataset, train_batch_sampler, train_collate_fn = self.build_data("train", train_csv, encoder_path)
        valid_dataset, valid_batch_sampler, valid_collate_fn = (
            self.build_data("valid", valid_csv, encoder_path) if is_validated else (None, None, None)
        )
        arguments = dict(
            train=self.config["train"] | distributed.broadcast(self.start) | self._budget(valid_csv, test_csvs),
            train_dir=str(self.output_dir),
            build_model_all_args=self.model_arguments(encoder),
            build_task_all_args_except_model={
                "build_task": self.config["build_task"],
                "encoder": encoder,
                **self.task_arguments("valid", valid_csv, self.config["build_task"]),
            },
            save_model=self.config["save_model"],
            save_task=self.config["save_task"],
            build_optimizer=self.config["build_optimizer"],
            build_scheduler=self.config["build_scheduler"],
            evaluate=self.config["evaluate"],
            train_dataset=train_dataset,
            train_batch_sampler=train_batch_sampler,
            train_collate_fn=train_collate_fn,
            valid_dataset=valid_dataset,
            valid_batch_sampler=valid_batch_sampler,
            valid_collate_fn=valid_collate_fn,
            num_workers=reading_workers(self.config),
            world_size=distributed.world().size,
            rank=distributed.world().rank,
            eval_batch=self.config["eval_batch"],
            device=device,
            global_config=self.config,
        )
        positional, named = arranged(self.problem, "train", arguments)
        self.problem.train(*positional, **named)

    def _budget(self, valid_csv: str, test_csvs: list[str]) -> dict[str, Budget]:
        """The time that the run may take as the entry ``budget``, if it is limited and no diagnostic runs."""
        from dataset.table import open_table

        limit, stop = self.config["budget"], 4 if self.config["stop"] is None else self.config["stop"]
        if limit is None or any(self.config["train"].get(key) for key in DIAGNOSTICS):
            return {}
        tests = sum(len(open_table(csv)) for csv in test_csvs) if stop > self.number else 0
        valid = len(open_table(valid_csv, may_be_empty=True))
        after = REPORT_SECONDS if stop > self.number else 0.0
        return {"budget": Budget(seconds_of(limit), self.began, tests=tests / max(1, valid), after=after)}

    def _require_validation(self, valid_csv: str) -> None:
        """Check that there is something to validate on.

        Raises:
            ConfigError: the validation set is empty.
        """
        from dataset.table import open_table

        if not len(open_table(valid_csv, may_be_empty=True)):
            metric = self.config["train"]["valid_metric"]
            raise ConfigError(
                f"train.valid_metric is {metric!r}, but {valid_csv} has no utterance to validate on: add a validation"
                " set, or train without one with --train.valid_metric null"
            )

    def _require_same_data(self) -> None:
        """Check that a machine with files of its own trains on the same data, and move aside a training of its own.

        Raises:
            StageError: its data are missing or different.
        """
        if distributed.world().size == 1:
            return
        digests = hash_files(self.inputs(), self.folder.root)
        expected, has_begun = distributed.broadcast((digests, bool(store.steps_in(self.output_dir))))
        different = [name for name in expected if digests.get(name) != expected[name]]
        if any(digests.get(name, MISSING) == MISSING for name in different):
            raise StageError(
                f"{socket.gethostname()} does not share files with the main process and has no {different[0]} yet:"
                " let stages 0 and 1 run there too (start=0)"
            )
        if different:
            raise StageError(
                f"{socket.gethostname()} does not share files with the main process, and its {different[0]} differs:"
                " the corpus must be the same, at the same place, on every machine"
            )
        world = distributed.world()
        if world.writes and not world.main and not has_begun and self.output_dir.exists():
            os.rename(self.output_dir, free_name(self.output_dir))
        distributed.barrier()
