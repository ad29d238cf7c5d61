"""The work of the five stages: what is called with what, and where its files stand."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dataset.files import read_json, write_json
from problems.engine.checkpoints import store
from problems.engine.checkpoints.averaging import NAME as AVERAGE
from problems.engine.checkpoints.find import find
from problems.engine.config.schema import resume_keys
from problems.engine.loops.history import shown
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import cache_folder, reading_workers
from problems.engine.stages.stage import Fingerprint, differences, hash_files, sha256

log = logging.getLogger(__name__)

MARK = "fingerprint.json"
OWN_AVERAGE = (AVERAGE, f"train/{AVERAGE}")


class Work:
    """The stages of one problem in one target folder. Stages 2 and 3 are called on every process, the others on one.

    Args:
        problem: gives the ``build_*`` methods.
        config: resolved (:func:`problems.engine.config.merge.resolve`).
        device: where models go.
    """

    def __init__(self, problem: Any, config: dict[str, Any], device: str = "cpu"):
        self.problem, self.config, self.device = problem, config, device
        self.root = Path(config["target_dir"]).absolute()
        self.cache = cache_folder(config)
        self.train_dir = self.root / "train"
        self.workers = reading_workers(config)

    # ---- where things stand ----

    def csvs(self) -> tuple[str, str, list[str]]:
        """The metadata CSVs of the training, validation and test sets."""
        given = self.config["prepare_data"], str(self.root), str(self.cache)
        return self.problem.prepare_data(*given, get_path_only=True)

    def encoder_path(self) -> str:
        """The label encoder's folder."""
        given = self.config["build_encoder"], str(self.root), str(self.cache), *self.csvs()
        return self.problem.build_encoder(*given, get_path_only=True)

    def encoder_files(self) -> list[Path]:
        """The files that stage 1 leaves."""
        path = Path(self.encoder_path())
        return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]

    def tested(self) -> list[Path]:
        """The checkpoints that stage 3 tests."""
        given = self.config["test_ckpt_dir"]
        if given in OWN_AVERAGE:
            return [self._average()]
        if given:
            return [find(Path(given).absolute())]
        steps = self.config["test_ckpt_steps"]
        if not steps:
            return [store.best(self.train_dir)]
        folders = [self.train_dir / store.name_of(step) for step in steps]
        for folder in folders:
            if not folder.is_dir():
                there = ", ".join(str(store.step_of(p)) for p in store.steps_in(self.train_dir)) or "none"
                raise store.CheckpointError(f"there is no checkpoint {folder}; the steps there are: {there}")
        return [store.require(folder) for folder in folders]

    def _average(self) -> Path:
        folder = self.train_dir / AVERAGE
        if not folder.is_dir():
            raise store.CheckpointError(
                f"there is no {folder}: give --train.average best (or newest) too; stage 2 then writes it, and trains"
                " no step more than it was to"
            )
        return store.require(folder)

    def result_dir(self, folder: Path, csv: str) -> Path:
        """Where the result of a checkpoint on a test set goes."""
        own = folder.parent == self.train_dir
        name = folder.name if own else f"{folder.name}@{sha256(folder / store.MANIFEST)[:8]}"
        return self.root / "evaluate" / name / Path(csv).stem

    def pairs(self) -> Iterator[tuple[Path, str, Path]]:
        """Each checkpoint to test with each test set and the folder of its result."""
        for folder in self.tested():
            for csv in self.csvs()[2]:
                yield folder, csv, self.result_dir(folder, csv)

    # ---- the stages ----

    def prepare(self) -> None:
        """Stage 0."""
        self.problem.prepare_data(self.config["prepare_data"], str(self.root), str(self.cache))

    def encode(self) -> None:
        """Stage 1."""
        self.problem.build_encoder(self.config["build_encoder"], str(self.root), str(self.cache), *self.csvs())

    def data(self, mode: str, csv: str, encoder_path: str) -> tuple[Any, Any, Any]:
        """Dataset, batch sampler and collate function of one CSV."""
        config, folders = self.config, (str(self.root), str(self.cache))
        dataset = self.problem.build_dataset(config["build_dataset"], *folders, mode, csv, encoder_path, None)
        sampler = self.problem.build_batch_sampler(config["build_batch_sampler"], *folders, mode, csv, dataset)
        return dataset, sampler, self.problem.build_collate_fn(config["build_collate_fn"], mode)

    def model_arguments(self, encoder: Any) -> dict[str, Any]:
        """What ``build_model`` is given."""
        sections = ("build_model", "build_upstream", "build_featurizer", "build_downstream")
        return {**{name: self.config[name] for name in sections}, "model_output_size": len(encoder)}

    def train(self) -> None:
        """Stage 2."""
        train_csv, valid_csv, _ = self.csvs()
        encoder_path = self.encoder_path()
        encoder = self.problem.load_encoder(encoder_path)
        train, valid = (
            self.data("train", train_csv, encoder_path),
            self.data("valid", valid_csv, encoder_path),
        )
        sections = ("save_model", "save_task", "build_optimizer", "build_scheduler", "evaluate")
        world = distributed.world()
        self.problem.train(
            self.config["train"],
            str(self.train_dir),
            self.model_arguments(encoder),
            {
                "build_task": self.config["build_task"],
                "encoder": encoder,
                **self.problem.task_arguments(self.config["build_dataset"], "valid", valid_csv, train_csv),
            },
            *(self.config[name] for name in sections),
            *train,
            *valid,
            self.workers,
            world.size,
            world.rank,
            self.config["eval_batch"],
            self.device,
            self.config,
        )

    def evaluate(self, wanted: Fingerprint, recorded: dict[str, str]) -> None:
        """Stage 3. A result that is there whole, under the same fingerprint, is not computed again.

        Args:
            wanted: the fingerprint of the stage.
            recorded: the hashes of results that were recorded as done.
        """
        from problems.engine.runtime.numerics import numerics

        train = self.config["train"]
        with numerics(train.get("deterministic", False), train.get("tf32", False)):
            self._evaluate(wanted, recorded)

    def _evaluate(self, wanted: Fingerprint, recorded: dict[str, str]) -> None:
        loaded: tuple[Path, str | None, Any] | None = None
        for folder, csv, result_dir in distributed.on_main(lambda: list(self._open_results(wanted, recorded))):
            own = self.problem.task_arguments(self.config["build_dataset"], "test", csv, self.csvs()[0])
            wanted_task = folder, csv if own else None
            if loaded is None or loaded[:2] != wanted_task:
                loaded = *wanted_task, self.problem.load_model_and_task(str(folder), own)[1]
            task = loaded[2].to(self.device)
            saved_encoder = folder / "task" / "encoder"
            encoder_path = str(saved_encoder) if saved_encoder.exists() else self.encoder_path()
            dataset, sampler, collate_fn = self.data("test", csv, encoder_path)
            metrics = self.problem.evaluate(
                self.config["evaluate"], "test", task, self._features(task, dataset, sampler), sampler, collate_fn,
                self.config["eval_batch"], str(result_dir), self.device, self.workers,
            )  # fmt: skip
            log.info("%s on %s: %s", folder.name, Path(csv).stem, shown(metrics, task.metrics))

    def _open_results(self, wanted: Fingerprint, recorded: dict[str, str]) -> Iterator[tuple[Path, str, Path]]:
        """The results that are missing; what is left of one under another fingerprint goes."""
        for folder, csv, result_dir in self.pairs():
            mark = wanted | {"inputs": hash_files([Path(csv), folder / store.MANIFEST], self.root)}
            left = _mark_of(result_dir)
            same = left is not None and not differences(left, mark, resume_keys(self.problem, "free"))
            now = hash_files([result_dir / "result.json", result_dir / "predictions.csv"], self.root)
            whole = all(digest not in ("missing", *_other(recorded, name, digest)) for name, digest in now.items())
            if same and whole:
                log.info("%s on %s: done already", folder.name, Path(csv).stem)
                continue
            if not same or (result_dir / "result.json").exists():
                shutil.rmtree(result_dir, ignore_errors=True)
                write_json(result_dir / MARK, mark)
            yield folder, csv, result_dir

    def _features(self, task: Any, dataset: Any, batch_sampler: Any) -> Any:
        from problems.engine.features.attach import computed_ahead
        from problems.engine.features.cache import settings_of
        from problems.engine.loops.evaluate import first_batches

        batches = first_batches(batch_sampler, self.config["eval_batch"])
        return computed_ahead(task, dataset, settings_of(self.config), batches)

    def report(self) -> None:
        """Stage 4."""
        from problems.engine.report import write_report

        print(write_report(self.root, self.root / "report").table)
        log.info("report: %s", self.root / "report" / "report.html")


def _other(recorded: dict[str, str], name: str, digest: str) -> list[str]:
    """The digest itself where another one was recorded under that name."""
    return [digest] if recorded.get(name, digest) != digest else []


def _mark_of(folder: Path) -> Fingerprint | None:
    try:
        return read_json(folder / MARK)
    except (FileNotFoundError, ValueError):
        return None
