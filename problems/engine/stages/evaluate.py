"""Stage 3: the result of each tested checkpoint on each test set."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.metadata import MetadataError
from dataset.protocols import BatchSampler, IndexableDataset
from dataset.storage.files import read_json, write_json
from problems.engine.checkpoints import store
from problems.engine.checkpoints.moved_upstream import load_options
from problems.engine.config.schema import resume_keys
from problems.engine.loops.monitoring.display import format_metrics
from problems.engine.report.read import BASELINES
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.overrides import call
from problems.engine.stages.fingerprint import Fingerprint, differences, hash_files, name_of, read_begun, write_begun
from problems.engine.stages.stage import DATA, Stage

log = logging.getLogger(__name__)

RESULT = ("result.json", "predictions.csv")

Result = tuple[Path, str, Path]
"""A checkpoint, a test set's CSV and the folder of the result."""


class Evaluate(Stage):
    """Reads test CSVs and checkpoints, and leaves ``evaluate/``."""

    number, name = 3, "evaluate checkpoints"
    sections = (*DATA, "evaluate")
    parts = ("eval_loop",)
    on_every_process = True
    is_optional = True
    is_moved_aside = True

    def inputs(self) -> list[Path]:
        """The test CSVs and the manifests of the checkpoints."""
        checkpoints = self.folder.tested_checkpoints()
        return [*map(Path, self.folder.csvs()[2]), *(folder / store.MANIFEST for folder in checkpoints)]

    def outputs(self) -> list[Path]:
        """Metrics and predictions of every result."""
        return [folder / name for *_, folder in self.folder.results() for name in RESULT]

    @property
    def output_dir(self) -> Path:
        """``evaluate/``."""
        return self.folder.evaluate_dir

    def settings(self) -> dict[str, Any]:
        """The sections, how much of a test set is read, and its batches."""
        batches = {"test": (self.config.get("build_batch_sampler") or {}).get("test")}
        return super().settings() | {"eval_batch": self.config["eval_batch"], "build_batch_sampler": batches}

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Compute the results that are missing or stale."""
        from problems.engine.runtime.numerics import numerics

        train = self.config["train"]
        results = distributed.on_main(lambda: list(self._open_results(fingerprint)))
        with numerics(train.get("deterministic", False), train.get("tf32", False)):
            self._evaluate(results, device)
        if distributed.world().main:
            self.write_baselines(device)

    def _evaluate(self, results: list[Result], device: str) -> None:
        loaded: tuple[Path, str | None] | None = None
        for checkpoint, csv, result_dir in results:
            arguments = self.task_arguments("test", csv)
            wanted = checkpoint, csv if arguments else None
            if loaded != wanted:
                options = load_options(checkpoint, self.config["upstream"])
                folder = {"ckpts_dir": str(checkpoint)}
                _, task = call(self.problem, "load_model_and_task", **folder, task_overrides=arguments, **options)
                task.to(device)
                loaded = wanted
            saved_encoder = checkpoint / "task" / "encoder"
            encoder_path = str(saved_encoder) if saved_encoder.exists() else self.folder.encoder_path()
            dataset, sampler, collate_fn = self.build_data("test", csv, encoder_path)
            metrics = self.build(
                "evaluate",
                mode="test",
                task=task,
                dataset=self._with_features(task, dataset, sampler),
                batch_sampler=sampler,
                collate_fn=collate_fn,
                eval_batch=self.config["eval_batch"],
                dump_dir=str(result_dir),
                device=device,
                num_workers=reading_workers(self.config),
            )
            log.info("%s on %s: %s", checkpoint.name, Path(csv).stem, format_metrics(metrics, task.metrics))

    def write_baselines(self, device: str) -> None:
        """Write what trivial models reach on the same data, unless that is known or not wanted."""
        if not self.config["evaluate"].get("baselines", False):
            return
        from dataset.audio import AudioError

        train_csv, _, test_csvs = self.folder.csvs()
        inputs, path = hash_files(map(Path, (train_csv, *test_csvs)), self.folder.root), self.output_dir / BASELINES
        upstream = self.config.get("build_upstream")
        known = {"inputs": inputs, "build_upstream": upstream}
        if path.is_file() and {key: read_json(path).get(key) for key in known} == known:
            return
        csvs = {"train_csv": train_csv, "test_csvs": test_csvs}
        reading = {"cache_dir": str(self.folder.cache), "num_workers": reading_workers(self.config)}
        try:
            baselines = call(self.problem, "baselines", **csvs, **reading, build_upstream=upstream, device=device)
        except (AudioError, MetadataError) as error:
            log.warning("no comparison with trivial models: %s", error)
            return
        if baselines:
            write_json(path, known | {"test_sets": baselines})

    def _open_results(self, fingerprint: Fingerprint) -> Iterator[Result]:
        """The results to compute; the remains of one with another fingerprint are removed.

        A result that is whole and has the same fingerprint is not computed again.
        """
        recorded = self.manifest.entry(self.number).get("outputs", {})
        free = resume_keys(self.problem, "free")
        for checkpoint, csv, folder in self.folder.results():
            names = (name_of(path, self.folder.root) for path in (Path(csv), checkpoint / store.MANIFEST))
            wanted = fingerprint | {"inputs": {name: fingerprint["inputs"][name] for name in names}}
            begun = read_begun(folder)
            is_same = begun is not None and not differences(begun, wanted, free)
            if is_same and self._is_whole(folder, recorded):
                log.info("%s on %s: done already", checkpoint.name, Path(csv).stem)
                continue
            if not is_same or (folder / "result.json").exists():
                shutil.rmtree(folder, ignore_errors=True)
                write_begun(folder, wanted)
            yield checkpoint, csv, folder

    def _is_whole(self, folder: Path, recorded: Mapping[str, str]) -> bool:
        """True if a result is complete, and unchanged since it was recorded."""
        paths = [folder / name for name in RESULT]
        if not all(path.is_file() for path in paths):
            return False
        digests = hash_files(paths, self.folder.root)
        return all(recorded.get(name, digest) == digest for name, digest in digests.items())

    def _with_features(self, task: Any, dataset: IndexableDataset, batch_sampler: BatchSampler) -> IndexableDataset:
        from dataset.loader import utterances_in
        from problems.engine.features.attach import attach_features
        from problems.engine.features.policy import settings_of
        from problems.engine.loops.evaluate import first_batches

        indices = utterances_in(first_batches(batch_sampler, self.config["eval_batch"]))
        return attach_features(task, dataset, settings_of(self.config), indices)
