"""Stage 3: the result of each tested checkpoint on each test set, with each setting."""

from __future__ import annotations

import functools
import inspect
import logging
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dataset.metadata import MetadataError
from dataset.storage.files import read_json, sha256, write_json
from problems.engine.checkpoints import store
from problems.engine.config.schema import resume_keys
from problems.engine.config.test_settings import TestSetting, dataset_settings, merged, settings_of
from problems.engine.report.read import BASELINES
from problems.engine.runtime import distributed
from problems.engine.runtime.environment import reading_workers
from problems.engine.runtime.overrides import call
from problems.engine.stages.freshness.fingerprint import (
    Fingerprint,
    differences,
    hash_files,
    name_of,
    read_begun,
    write_begun,
)
from problems.engine.stages.stage import DATA, Stage
from problems.engine.stages.target_folder import check_ckpts
from problems.engine.stages.testing.checkpoint import Test, Tester
from problems.engine.stages.testing.choice import Choice

log = logging.getLogger(__name__)

RESULT = ("result.json", "predictions.csv")
TASK = "task of the test"
"""The keys of ``build_task`` that a test replaces, in a fingerprint: under its own name, it would be free to change."""


class Evaluate(Stage):
    """Reads test CSVs and checkpoints, and leaves ``evaluate/``."""

    number, name = 3, "evaluate checkpoints"
    sections = (*DATA, "evaluate")
    parts = ("eval_loop",)
    on_every_process = True
    is_optional = True
    is_moved_aside = True

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.ways = settings_of(self.problem, self.config, own=not self.folder.tests_elsewhere)
        """Every way in which models are tested; wrong ones are refused before any work."""
        check_ckpts(self.config)
        self.config = {**self.config, "build_dataset": dataset_settings(self.problem, self.config)}

    def inputs(self) -> list[Path]:
        """The test CSVs, the validation CSV, the manifests of the checkpoints, and the files that tasks read.

        Choices are made on the validation set, and tasks may learn something there that tests use.
        """
        checkpoints = self.folder.tested_checkpoints()
        manifests = [folder / store.MANIFEST for folder in checkpoints]
        _, valid, tests = self.folder.csvs()
        return [
            *map(Path, [*tests, valid]),
            *manifests,
            *dict.fromkeys(f for w in self.ways for f in self._files(w)),
        ]

    def _files(self, way: TestSetting) -> list[Path]:
        """The files that the task of a test reads."""
        return [Path(path).absolute() for path in call(self.problem, "task_sources", build_task=way.task)]

    def outputs(self) -> list[Path]:
        """Metrics and predictions of every result."""
        return [test.folder / name for test in self._tests() for name in RESULT]

    @property
    def output_dir(self) -> Path:
        """``evaluate/``."""
        return self.folder.evaluate_dir

    def settings(self) -> dict[str, Any]:
        """The sections, how much of a test set is read, its batches, and what each test sets of the task."""
        batches = {"test": (self.config.get("build_batch_sampler") or {}).get("test")}
        tasks = [way.task for way in self.ways]
        more = {"eval_batch": self.config["eval_batch"], "build_batch_sampler": batches}
        return super().settings() | more | ({TASK: tasks} if any(tasks) else {})

    def run(self, device: str, fingerprint: Fingerprint | None) -> None:
        """Compute the results that are missing or stale."""
        from problems.engine.runtime.numerics import numerics

        train = self.config["train"]
        self._check_analysis()
        tests = distributed.on_main(lambda: list(self._open_tests(fingerprint)))
        tested = {test.checkpoint for test in tests}
        # on the main process: a machine with files of its own may not have the results of earlier runs
        checkpoints = distributed.on_main(self.folder.tested_checkpoints)
        unvalidated = distributed.on_main(lambda: list(self._unvalidated(checkpoints)))
        with numerics(train.get("deterministic", False), train.get("tf32", False)):
            for checkpoint in checkpoints:
                if checkpoint in tested or checkpoint in unvalidated:
                    Tester(self, checkpoint, device).run([test for test in tests if test.checkpoint == checkpoint])
        if distributed.world().main:
            self._choose()
            self.write_baselines(device)

    # ---- what is chosen on the validation set ----

    @property
    def chooses_checkpoint(self) -> bool:
        """True if one of several checkpoints is chosen on the validation set, rather than by the training."""
        return bool(self.config["evaluate"].get("ckpts")) and len(self.folder.tested_checkpoints()) > 1

    def choice_of(self, checkpoint: Path) -> Choice | None:
        """The choice that validations of this checkpoint are for; None if there is nothing to choose."""
        if len(self.ways) > 1:
            folder = self.folder.result_dir(checkpoint, "any").parent
            return Choice.of_settings(folder, [way.name for way in self.ways], self._valid_digest)
        return self._choice_of_checkpoints() if self.chooses_checkpoint else None

    def _choice_of_checkpoints(self) -> Choice:
        names = [self.folder.result_dir(own, "any").parent.name for own in self.folder.tested_checkpoints()]
        return Choice.of_checkpoints(self.output_dir, names, self._valid_digest)

    @functools.cached_property
    def _valid_digest(self) -> str:
        """A digest of the validation set's metadata, on which a choice is made."""
        return sha256(self.folder.csvs()[1])

    def _unvalidated(self, checkpoints: Iterable[Path]) -> Iterator[Path]:
        """The checkpoints that lack a validation for a choice, as those tested when there was nothing to choose."""
        among = self._choice_of_checkpoints() if len(self.ways) == 1 and self.chooses_checkpoint else None
        for checkpoint in checkpoints if among or len(self.ways) > 1 else ():
            choice, own = among or self.choice_of(checkpoint), self.folder.result_dir(checkpoint, "any").parent.name
            if not {way.name or own for way in self.ways} <= choice.known().keys():
                yield checkpoint

    def _choose(self) -> None:
        """Choose among the settings of each checkpoint, and the checkpoints, that there are now."""
        of_settings = {
            folder.name: Choice.of_settings(folder, [way.name for way in self.ways], self._valid_digest)
            for folder in (self.folder.result_dir(own, "any").parent for own in self.folder.tested_checkpoints())
        }
        for choice in of_settings.values():
            choice.refresh() if len(self.ways) > 1 else choice.remove()
        if not self.chooses_checkpoint:
            Choice.of_checkpoints(self.output_dir, (), "").remove()
        elif len(self.ways) == 1:
            self._choice_of_checkpoints().refresh()
        else:  # each checkpoint counts with its chosen setting
            contents = {name: read_json(choice.path) for name, choice in of_settings.items()}
            values = {name: own["settings"][own["chosen"]] for name, own in contents.items()}
            first = next(iter(contents.values()))
            self._choice_of_checkpoints().write(values, first["metric"], first["better"])

    def _check_analysis(self) -> None:
        """Refuse groups that the test sets do not have, before any result is touched."""
        from problems.engine.loops.analysis import Analysis

        evaluate = self.config["evaluate"]
        if evaluate.get("groups") or evaluate.get("unit"):
            for csv in self.folder.csvs()[2]:
                dataset, *_ = self.build_data("test", csv, self.folder.encoder_path())
                Analysis(evaluate.get("groups") or (), 0, evaluate.get("unit")).check(dataset)

    # ---- what is tested ----

    def _tests(self) -> Iterator[Test]:
        """Every result of this run."""
        for checkpoint, csv, folder in self.folder.results():
            for way in self.ways:
                yield Test(checkpoint, csv, folder if way.name is None else folder / way.name, way)

    def _open_tests(self, fingerprint: Fingerprint) -> Iterator[Test]:
        """The results to compute; the remains of one with another fingerprint are removed.

        A result that is whole and has the same fingerprint is not computed again.
        """
        recorded = self.manifest.entry(self.number).get("outputs", {})
        free = resume_keys(self.problem, "free")
        for test in self._tests():
            valid = Path(self.folder.csvs()[1])
            files = (Path(test.csv), valid, test.checkpoint / store.MANIFEST, *self._files(test.way))
            names = (name_of(path, self.folder.root) for path in files)
            inputs = {name: fingerprint["inputs"][name] for name in names}
            # a result depends on its own checkpoint and setting, not on the others
            config = {**fingerprint["config"], TASK: test.way.task}
            config["evaluate"] = {k: v for k, v in config["evaluate"].items() if k not in ("task", "settings", "ckpts")}
            wanted = fingerprint | {"inputs": inputs, "config": config}
            begun = read_begun(test.folder)
            is_same = begun is not None and not differences(begun, wanted, free)
            if is_same and self._is_whole(test.folder, recorded):
                log.info("%s: done already", test.title)
                continue
            if not is_same or (test.folder / "result.json").exists():
                shutil.rmtree(test.folder, ignore_errors=True)
                write_begun(test.folder, wanted)
            yield test

    def _is_whole(self, folder: Path, recorded: Mapping[str, str]) -> bool:
        """True if a result is complete, and unchanged since it was recorded."""
        paths = [folder / name for name in RESULT]
        if not all(path.is_file() for path in paths):
            return False
        digests = hash_files(paths, self.folder.root)
        return all(recorded.get(name, digest) == digest for name, digest in digests.items())

    def write_baselines(self, device: str) -> None:
        """Write what trivial models reach on the same data, unless that is known or not wanted."""
        if not self.config["evaluate"].get("baselines", False):
            return
        from dataset.audio import AudioError

        train_csv, _, test_csvs = self.folder.csvs()
        inputs, path = hash_files(map(Path, (train_csv, *test_csvs)), self.folder.root), self.output_dir / BASELINES
        upstream = self.config.get("build_upstream")
        task = merged(self.config["build_task"], self.config["evaluate"].get("task") or {})
        probes = bool(self.config["evaluate"].get("probes"))
        known = {"inputs": inputs, "build_upstream": upstream} | ({"probes": True} if probes else {})
        if "build_task" in inspect.signature(self.problem.baselines).parameters:
            known["build_task"] = task
        if path.is_file() and {key: read_json(path).get(key) for key in known} == known:
            return
        csvs = {"train_csv": train_csv, "test_csvs": test_csvs}
        reading = {"cache_dir": str(self.folder.cache), "num_workers": reading_workers(self.config)}
        try:
            parts = {"build_upstream": upstream, "build_task": task, "probes": probes}
            baselines = call(self.problem, "baselines", **csvs, **reading, **parts, device=device)
        except (AudioError, MetadataError) as error:
            log.warning("no comparison with trivial models: %s", error)
            return
        if baselines:
            write_json(path, known | {"test_sets": baselines})
