"""Settings in which trainings may differ and still share one pass over the data, and the names of their folders."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

OF_TRAINING = (
    "build_featurizer",
    "build_downstream",
    "build_model",
    "build_task",
    "build_optimizer",
    "build_scheduler",
    "train",
)
"""Sections whose values may differ between trainings in one pass."""
SEED = "train.seed"
"""The order of the batches follows from it."""


def of_data(values: Mapping[str, Any]) -> dict[str, Any]:
    """Of settings by dotted key, those that must be equal in one pass."""
    return {key: value for key, value in values.items() if key.partition(".")[0] not in OF_TRAINING or key == SEED}


def folder_name(values: Mapping[str, Any]) -> str:
    """The name of the folder of a training at these settings, by dotted key."""
    return "-".join(f"{key.rpartition('.')[2]}_{plain(value)}" for key, value in values.items())


def plain(value: Any) -> str:
    """A value as a part of a file's name."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.-]+", "_", text).strip("_")
