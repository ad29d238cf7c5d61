"""Utterance classification (speaker, keyword, intent, emotion, language), for subclasses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dataset.setting import setting
from problems.base import Section
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.overrides import call
from problems.methods.labelled import Labelled


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


class Classification(Labelled):
    """Maps an utterance to its label.

    A problem of your own needs only a corpus with the column ``label``: ``class Moods(Classification): pass``.
    """

    summary = "a label for each utterance"
    sections = Labelled.sections | {"build_task": BuildTask}
    columns = ("label",)
    usual_corpus = "folders"
    usual_metric = "accuracy"
    encoder = "category"

    @property
    def label_column(self) -> str:
        """The column of labels."""
        return self.columns[0]

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
        self,
        train_csv: str,
        test_csvs: list[str],
        cache_dir: str,
        num_workers: int,
        build_upstream: Section | None = None,
        probes: bool = False,
        device: str = "cpu",
    ) -> dict[str, dict[str, dict[str, float]]]:
        """The most frequent label, logistic regression on pooled filter banks, and with ``probes`` on the upstream."""
        from problems.methods import baselines

        upstream = call(self, "build_upstream", build_upstream=build_upstream) if probes and build_upstream else None
        return baselines.of_labels(
            train_csv,
            test_csvs,
            self.columns[0],
            has_slots=self.encoder == "categories",
            num_workers=num_workers,
            upstream=upstream,
            device=device,
        )


if __name__ == "__main__":
    from problems.classification import Classification as problem  # under its own name, not as __main__

    problem().main()
