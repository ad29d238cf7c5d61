"""Regression of a number an utterance: ``python -m problems.regression run``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dataset.setting import setting
from problems.base import Section
from problems.engine.runtime.errors import ConfigError
from problems.methods.labelled import Labelled, LabelReader

SYSTEM = "system"


@dataclass
class BuildTask:
    """The loss, of numbers that are standardised by the training set."""

    loss: str = setting("mse", "squared error, absolute error, or Huber's", choices=("mse", "l1", "huber"))
    huber_delta: float = setting(1.0, "deviations from which Huber's loss grows linearly", min=1e-6)


class Regression(Labelled):
    """Predicts a number for an utterance, such as a mean opinion score or an age; the column ``value`` holds it.

    With a column ``system`` (the synthesiser, codec or line that made an utterance), the means of the systems are
    measured as well.
    """

    summary = "regression: a number for each utterance, such as its quality"
    sections: dict[str, Any] = Labelled.sections | {"build_task": BuildTask}
    columns = ("value",)
    usual_corpus = "toy_quality"
    usual_metric = "mse"
    encoder = "number"

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
        """Learn mean and deviation of the training set; raise an error that names a cell without a number or system."""
        if not get_path_only:
            for csv in (valid_csv, *test_csvs):
                _require_systems(csv)
        return super().build_encoder(
            build_encoder, target_dir, cache_dir, train_csv, valid_csv, test_csvs, get_path_only
        )

    def labels_of(self, encoder: Any) -> Callable[[Mapping[str, str]], dict[str, Any]]:
        """The reader of a row of metadata: ``label``, standardised, ``value``, and ``system`` if there is one."""
        return _Values(encoder, self.columns[0])

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """Regression with errors and correlations."""
        from tasks.regression import RegressionTask

        try:
            return RegressionTask(model, encoder, **build_task)
        except ValueError as error:
            raise ConfigError(f"build_task: {error}") from error

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The mean of the training set, and ridge regression on pooled filter banks."""
        from problems.methods import baselines

        return baselines.of_numbers(train_csv, test_csvs, self.columns[0], num_workers=num_workers)


class _Values(LabelReader):
    """Reads the number of a row of metadata, and its system."""

    def __call__(self, row: Mapping[str, str]) -> dict[str, Any]:
        system = {SYSTEM: row[SYSTEM]} if SYSTEM in row else {}
        return super().__call__(row) | {"value": row[self.column]} | system


def _require_systems(csv: str) -> None:
    """Raise a MetadataError that names the first row with an empty ``system``, if there is such a column."""
    from dataset.metadata import MetadataError, read_csv

    rows = read_csv(csv, ("id",), may_be_empty=True)
    for number, (name, system) in enumerate(zip(rows["id"], rows.get(SYSTEM, rows["id"])), start=2):
        if not system:
            raise MetadataError(
                f"{csv}, row {number} ({name}), column {SYSTEM!r}: it is empty; fill it in, or leave out the column"
            )


if __name__ == "__main__":
    from problems.regression import Regression as problem  # under its own name, not as __main__

    problem().main()
