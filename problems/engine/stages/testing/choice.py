"""The choice of a setting or of a checkpoint on the validation set, in a file beside the results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset.storage.files import finite, read_json, write_json
from problems.engine.report.history import of_all_sets
from problems.engine.report.read import CHECKPOINTS, CHOICE
from tasks.metrics.kinds import UNDECLARED, Metric

Values = dict[str, Any]
"""``{"valid": metrics, "seconds": number}`` by name."""


@dataclass(frozen=True)
class Choice:
    """The validation of several candidates, and the best of them.

    Args:
        path: the file.
        names: the candidates that there are now, in their order.
        key: of their validations in the file.
        data: a digest of the validation set's metadata, by which validations on another one are told.
    """

    path: Path
    names: tuple[str, ...]
    key: str
    data: str

    @classmethod
    def of_settings(cls, folder: Path, names: Sequence[str], data: str) -> Choice:
        """The choice among the settings of a checkpoint; ``folder`` has its results."""
        return cls(folder / CHOICE, tuple(names), "settings", data)

    @classmethod
    def of_checkpoints(cls, evaluate_dir: Path, names: Sequence[str], data: str) -> Choice:
        """The choice among checkpoints."""
        return cls(evaluate_dir / CHECKPOINTS, tuple(names), "checkpoints", data)

    def known(self) -> Values:
        """The validations that are known of the candidates."""
        try:
            content = read_json(self.path)
            values = content[self.key]
            return {name: values[name] for name in self.names if name in values and content.get("data") == self.data}
        except (OSError, ValueError, KeyError, TypeError):
            return {}

    def write(self, values: Mapping[str, Any], metric: str, better: str) -> None:
        """Write the validations, and the best: the first of all if none has the metric."""
        order = [name for name in self.names if name in values]
        valid = {name: finite(values[name]["valid"].get(metric)) for name in order}
        known = [name for name in order if valid[name] is not None]
        best = max if better == "higher" else min
        chosen = best(known, key=valid.__getitem__) if known else next(iter(order), None)
        validations = {name: values[name] for name in order}
        content = {"metric": metric, "better": better, "chosen": chosen, self.key: validations, "data": self.data}
        write_json(self.path, content)

    def refresh(self) -> None:
        """Choose again among the candidates that there still are."""
        values = self.known()
        if values:
            content = read_json(self.path)
            if list(values) != list(content[self.key]):
                self.write(values, content["metric"], content["better"])

    def remove(self) -> None:
        """Remove the file: nothing is to be chosen any more."""
        self.path.unlink(missing_ok=True)


def metric_of(wanted: str | None, declared: Mapping[str, Metric]) -> tuple[str, str]:
    """The metric that chooses, and its better direction: the wanted one, or else the first that has a direction."""
    is_known = wanted is not None and of_all_sets(wanted) in declared
    metric = wanted if is_known else next((name for name, own in declared.items() if own.better), "loss")
    return metric, declared.get(of_all_sets(metric), UNDECLARED).better or "lower"
