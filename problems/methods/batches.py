"""Build the batch sampler of a section such as ``build_batch_sampler.train``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataset.protocols import BatchSampler, IndexableDataset
from dataset.samplers import SAMPLERS
from dataset.samplers.base import NumberedBatchSampler
from dataset.samplers.window import WindowBatchSampler
from problems.engine.config.registry import build, resolve
from problems.engine.runtime.errors import ConfigError

LIMITS = ("batch_size", "max_seconds")


def build_sampler(batches: Mapping[str, Any], section: str, dataset: IndexableDataset) -> BatchSampler:
    """The sampler that ``batches.name`` names, with its limits, its settings and its epochs.

    Args:
        batches: ``name``, ``batch_size``, ``max_seconds``, ``conf`` and ``batches_per_epoch``; any may be missing.
        section: its place in the config, for messages.
        dataset: with ``seconds`` and, for samplers that read a column, ``column(name)``.

    Raises:
        ConfigError: the sampler does not exist, or refuses a value.
    """
    target = resolve(batches.get("name", "sorted"), SAMPLERS, f"{section}.name")
    limits = {key: batches.get(key) for key in LIMITS}
    sampler = build(target, batches.get("conf"), section, dataset=dataset, **limits)
    if batches.get("batches_per_epoch") is None:
        return sampler
    if not isinstance(sampler, NumberedBatchSampler):
        raise ConfigError(
            f"{section}.batches_per_epoch: {type(sampler).__name__} gives no batch by number; expected a subclass of"
            " dataset.samplers.base.NumberedBatchSampler"
        )
    return WindowBatchSampler(sampler, batches["batches_per_epoch"])
