"""Utterance classification (speaker, keyword, intent, emotion, language), for subclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.config import sections
from problems.engine.config.schema import follow_choices
from problems.engine.runtime.errors import ConfigError


@dataclass
class BuildDataset(sections.BuildDataset):
    """Augmentation of the training audio."""

    max_seconds: float | None = setting(
        None, "crop longer training utterances to this length, at another place each epoch; null: off", min=0.1
    )


@dataclass
class BuildTask:
    """The loss and further metrics."""

    class_weights: str | dict | list | None = setting(
        None, "class weights of the loss: balanced, {label: weight}, or a list of these per slot; null: all 1"
    )
    label_smoothing: float = setting(0.0, "share of the target that is spread over all labels", min=0, max=0.99)
    top_k: list[int] = setting(
        [], "also measure top-k accuracy, e.g. [5]; not for slots", test_time=True, resume="free"
    )


class Classification(Problem):
    """Maps an utterance to its label.

    A problem of your own needs only a corpus with the column ``label``: ``class Moods(Classification): pass``.
    """

    summary = "a label for each utterance"
    sections = Problem.sections | {
        "build_encoder": sections.Empty,
        "build_dataset": BuildDataset,
        "build_task": BuildTask,
    }
    columns = ("label",)
    usual_corpus = "folders"
    long_audio = "windows"
    encoder = "category"
    """The label encoder, a key of ``dataset.encoders.LABEL_ENCODERS``; it reads the first of ``columns``."""

    @property
    def label_column(self) -> str:
        """The column of labels."""
        return self.columns[0]

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, with ``usual_corpus`` and SUPERB's linear head, validated by accuracy."""
        parts = {"prepare_data": {"corpus": self.usual_corpus}, "build_downstream": {"name": "mean_pool_linear"}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": "accuracy"}
        return config

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
        """Number the labels of the training set; raise an error that names a label which only other sets have."""
        from dataset import encoders
        from dataset.encoders.coverage import require_known
        from dataset.metadata import read_csv

        folder, column = Path(target_dir) / "encoder", self.columns[0]
        if not get_path_only:
            csvs = (train_csv, valid_csv, *test_csvs)
            tables = {csv: read_csv(csv, ("id", column), may_be_empty=csv == valid_csv) for csv in csvs}
            train = tables[train_csv]
            try:
                encoder = encoders.build_encoder(self.encoder, train[column], **build_encoder)
            except encoders.EncoderError as error:
                row = "" if error.place is None else f", row {error.place + 2} ({train['id'][error.place]})"
                raise encoders.EncoderError(f"{train_csv}{row}, column {column!r}: {error}") from error
            for csv, rows in tables.items():
                require_known(encoder, rows, column, csv)
            encoder.save(folder)
        return str(folder)

    def build_dataset(
        self,
        build_dataset: Section,
        target_dir: str,
        cache_dir: str,
        mode: str,
        data_csv: str,
        encoder_path: str,
        frame_shift: int | None,
    ) -> Any:
        """Utterances with ``label``: a number, or K numbers for slots."""
        import numpy as np

        from dataset.utterances import Utterances
        from problems.methods.augmentation import build_augmentation

        labels = _Labels(self.load_encoder(encoder_path), self.columns[0])
        if mode != "train":
            return Utterances(data_csv, labels)
        dataset = Utterances(data_csv, labels, build_augmentation(build_dataset))
        if build_dataset["max_seconds"] is not None:
            dataset.seconds = np.minimum(dataset.seconds, build_dataset["max_seconds"])
        return dataset

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """Cross-entropy, accuracy and further metrics."""
        from tasks.classification import ClassificationTask

        weights = build_task["class_weights"]
        if isinstance(weights, str) and weights != "balanced":
            raise ConfigError(f"build_task.class_weights: expected balanced, or {{label: weight}}, got {weights!r}")
        weights = encoder.balanced_weights() if weights == "balanced" else weights
        try:
            return ClassificationTask(model, encoder, **{**build_task, "class_weights": weights})
        except ValueError as error:
            raise ConfigError(f"build_task: {error}") from error

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent label, and logistic regression on pooled filter banks."""
        from problems.methods import baselines

        return baselines.of_labels(
            train_csv, test_csvs, self.columns[0], has_slots=self.encoder == "categories", num_workers=num_workers
        )


class _Labels:
    """Reads the label of a row of metadata. A class, because the loader's workers must be able to pickle it."""

    def __init__(self, encoder: Any, column: str):
        self.encoder, self.column = encoder, column

    def __call__(self, row: Mapping[str, str]) -> dict[str, Any]:
        return {"label": self.encoder.encode(row[self.column])}
