"""Problems with a label an utterance, of any kind: the part that classification and regression share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.setting import setting
from problems.base import Problem, Section
from problems.engine.config import sections
from problems.engine.config.schema import follow_choices


@dataclass
class BuildDataset(sections.BuildDataset):
    """Augmentation of the training audio."""

    max_seconds: float | None = setting(
        None, "crop longer training utterances to this length, at another place each epoch; null: off", min=0.1
    )


class Labelled(Problem):
    """Maps an utterance to a label, which the first of ``columns`` holds.

    A subclass names the column and the encoder, and builds the task.
    """

    sections = Problem.sections | {"build_encoder": sections.Empty, "build_dataset": BuildDataset}
    long_audio = "windows"
    usual_corpus = "csv"
    usual_head = "mean_pool_linear"
    usual_metric = "loss"
    """The metric that ranks the checkpoints of a problem without a preset."""
    encoder: str
    """The label encoder, a key of ``dataset.encoders.LABEL_ENCODERS``."""
    refuses_unknown = True
    """True if a label that training lacks is refused; else it is warned of, and no prediction can be right."""

    def default_config(self) -> dict[str, Any]:
        """The defaults of every problem, with the usual corpus, one of SUPERB's linear heads, and the usual metric."""
        parts = {"prepare_data": {"corpus": self.usual_corpus}, "build_downstream": {"name": self.usual_head}}
        config = follow_choices(self, super().default_config(), parts)
        config["train"] |= {"valid_metric": self.usual_metric}
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
        """Learn the labels of the training set; refuse labels that only other sets have, or warn of them."""
        from dataset import encoders
        from dataset.encoders.coverage import require_known, warn_of_unknown
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
                if self.refuses_unknown:
                    require_known(encoder, rows, column, csv)
                else:
                    warn_of_unknown(encoder, rows, column, csv, unit="label")
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
        """Utterances with the entries of :meth:`labels_of`."""
        import numpy as np

        from dataset.utterances import Utterances
        from problems.methods.augmentation import build_augmentation

        labels = self.labels_of(self.load_encoder(encoder_path))
        if mode != "train":
            return Utterances(data_csv, labels)
        dataset, crop = Utterances(data_csv, labels, build_augmentation(build_dataset)), build_dataset["max_seconds"]
        if crop is not None:
            if len(dataset.augment.steps) == 1 and dataset.seconds.max() <= crop:
                dataset.augment = None  # the crop would change nothing, but keep features from being cached
            dataset.seconds = np.minimum(dataset.seconds, crop)
        return dataset

    def labels_of(self, encoder: Any) -> Callable[[Mapping[str, str]], dict[str, Any]]:
        """The reader of a row of metadata; by default it gives ``label``: a number, or K numbers for slots."""
        return LabelReader(encoder, self.columns[0])


class LabelReader:
    """Reads the label of a row of metadata. A class, because the loader's workers must be able to pickle it."""

    def __init__(self, encoder: Any, column: str):
        self.encoder, self.column = encoder, column

    def __call__(self, row: Mapping[str, str]) -> dict[str, Any]:
        return {"label": self.encoder.encode(row[self.column])}
