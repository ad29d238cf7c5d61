"""Any number of labels per utterance, for subclasses."""

from __future__ import annotations

from typing import Any

from problems.base import Section
from problems.classification import Classification
from problems.engine.config import sections


class MultiLabel(Classification):
    """Maps an utterance to any number of labels, or none: the column ``labels`` holds ``siren ; rain``, or is empty.

    Subclass it in a file of your own, as :class:`Classification`. The probability above which a label counts as present
    is learnt on the validation set.
    """

    summary = "any number of labels for each utterance"
    sections = Classification.sections | {"build_task": sections.Empty}
    columns = ("labels",)
    usual_corpus = "csv"
    usual_metric = "map"
    encoder = "tags"

    def baselines(
        self, train_csv: str, test_csvs: list[str], cache_dir: str, num_workers: int
    ) -> dict[str, dict[str, dict[str, float]]]:
        """None: those of :class:`Classification` are for one label an utterance."""
        return {}

    def build_task(self, build_task: Section, model: Any, encoder: Any) -> Any:
        """Binary cross-entropy per label, and one threshold."""
        from tasks.multilabel import MultiLabelTask

        return MultiLabelTask(model, encoder)


if __name__ == "__main__":
    from problems.multilabel import MultiLabel as problem  # under its own name, not as __main__

    problem().main()
