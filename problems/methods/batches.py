"""Build the batch sampler of a section such as ``build_batch_sampler.train``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset.protocols import BatchSampler, IndexableDataset
from dataset.samplers import SAMPLERS
from dataset.samplers.base import NumberedBatchSampler, column_of
from dataset.samplers.common.window import WindowBatchSampler
from dataset.samplers.sets import Members, SetsBatchSampler
from dataset.wording import nearest
from problems.engine.config.registry import build, resolve
from problems.engine.runtime.errors import ConfigError

LIMITS = ("batch_size", "max_seconds")
OF_SET = ("name", *LIMITS, "conf", "weight")
"""Keys of an entry of ``sets``."""
SET = "corpus"
"""The column that names the set of an utterance."""


def build_sampler(batches: Mapping[str, Any], section: str, dataset: IndexableDataset) -> BatchSampler:
    """The sampler that ``batches.name`` names, with its limits, its settings and its epochs; or one of each set.

    Args:
        batches: ``name``, ``batch_size``, ``max_seconds``, ``conf``, ``batches_per_epoch`` and ``sets``; any may be
            missing.
        section: its place in the config, for messages.
        dataset: with ``seconds`` and, for sets and samplers that read a column, ``column(name)``.

    Raises:
        ConfigError: the sampler does not exist, or refuses a value; the data have other sets.
    """
    if batches.get("sets") is not None:
        return _of_sets(batches, section, dataset)
    sampler = _named(batches, section, dataset)
    if batches.get("batches_per_epoch") is None:
        return sampler
    return WindowBatchSampler(_numbered(sampler, f"{section}.batches_per_epoch"), batches["batches_per_epoch"])


def check_sets(batches: Mapping[str, Any], section: str) -> None:
    """Check the entries of ``batches.sets``, of which no data need to be known.

    Raises:
        ConfigError: there is none, a sampler does not exist, a key is unknown, or a weight is not above 0.
    """
    sets = batches["sets"]
    if not sets:
        raise ConfigError(f"{section}.sets is {sets}: expected {{set: {{...}}, ...}}, or null for no sub-batches")
    for name, own in sets.items():
        key = f"{section}.sets.{name}"
        if not isinstance(own, Mapping):
            raise ConfigError(f"{key} is {own!r}: expected {{}}, or the keys that differ, such as {{batch_size: 8}}")
        for entry in own:
            if entry not in OF_SET:
                raise ConfigError(f"{key}.{entry}: unknown key{nearest(entry, OF_SET)}; it may be {', '.join(OF_SET)}")
        weight = own.get("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < np.inf:
            raise ConfigError(f"{key}.weight is {weight!r}: expected a number above 0")
        resolve((dict(batches) | dict(own))["name"], SAMPLERS, f"{key}.name")


def _named(batches: Mapping[str, Any], section: str, dataset: Any) -> BatchSampler:
    target = resolve(batches.get("name", "sorted"), SAMPLERS, f"{section}.name")
    limits = {key: batches.get(key) for key in LIMITS}
    return build(target, batches.get("conf"), section, dataset=dataset, **limits)


def _numbered(sampler: BatchSampler, key: str) -> NumberedBatchSampler:
    if not isinstance(sampler, NumberedBatchSampler):
        raise ConfigError(
            f"{key}: {type(sampler).__name__} gives no batch by number; expected a subclass of"
            " dataset.samplers.base.NumberedBatchSampler"
        )
    return sampler


def _of_sets(batches: Mapping[str, Any], section: str, dataset: IndexableDataset) -> SetsBatchSampler:
    """The samplers of all sets, each with the keys of ``batches`` that its entry lacks."""
    check_sets(batches, section)
    try:
        column = column_of(dataset, SET)
    except ValueError as error:
        raise ConfigError(f"{section}.sets: {error}. Sets are corpora of the corpus mixture") from error
    wanted, known = {str(name): own for name, own in batches["sets"].items()}, sorted(set(column.tolist()))
    if sorted(wanted) != known:
        raise ConfigError(
            f"{section}.sets names {', '.join(wanted)}; expected every set of the training data: {', '.join(known)}"
        )
    samplers, indices = {}, {name: np.flatnonzero(column == name) for name in wanted}
    for name, own in wanted.items():
        key, settings = f"{section}.sets.{name}", {**batches, **own}
        if own.get("name", batches.get("name")) != batches.get("name"):
            settings["conf"] = own.get("conf")  # that of another sampler does not fit
        samplers[name] = _numbered(_named(settings, key, Members(dataset, indices[name])), key)
    weights = {name: float(own.get("weight", 1.0)) for name, own in wanted.items()}
    return SetsBatchSampler(samplers, indices, weights, batches.get("batches_per_epoch"))
