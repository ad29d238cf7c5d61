"""Build the augmentation of a training set from the section ``build_dataset``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dataset.augmentations import AUGMENTATIONS
from dataset.augmentations.band_limit import BandLimit
from dataset.augmentations.chain import Augmentation, Chain, OfSets, Sometimes
from dataset.augmentations.crop import RandomCrop
from dataset.augmentations.speed import SpeedPerturb
from problems.engine.config.registry import build, resolve
from problems.engine.runtime.errors import ConfigError

KEYS = ("name", "prob", "conf", "sets")


def build_augmentation(build_dataset: Mapping[str, Any]) -> Chain | None:
    """Speed, then those of ``augment`` in their order, the band, and the crop; None if all are off.

    Raises:
        ConfigError: an entry of ``augment`` names nothing, or its settings are wrong.
    """
    steps: list[Augmentation] = []
    try:
        if build_dataset["speeds"] != [1.0]:
            steps.append(SpeedPerturb(build_dataset["speeds"]))
        for number, entry in enumerate(build_dataset.get("augment") or []):
            steps.append(_named(entry, f"build_dataset.augment[{number}]"))
        if build_dataset.get("band_limits"):
            steps.append(BandLimit(build_dataset["band_limits"]))
        if build_dataset.get("max_seconds") is not None:
            steps.append(RandomCrop(build_dataset["max_seconds"]))
    except ValueError as error:
        raise error if isinstance(error, ConfigError) else ConfigError(f"build_dataset: {error}") from error
    return Chain(steps) if steps else None


def _named(entry: Mapping[str, Any], key: str) -> Augmentation:
    """The augmentation of an entry ``{name, prob, conf}``."""
    unknown = [name for name in entry if name not in KEYS]
    if unknown or "name" not in entry:
        wrong = f"has {unknown[0]!r}" if unknown else "has no name"
        raise ConfigError(f"{key} {wrong}: expected {{name: noise, prob: 0.5, conf: {{...}}}}")
    step = build(resolve(entry["name"], AUGMENTATIONS, f"{key}.name"), entry.get("conf") or {}, key)
    step = step if entry.get("prob", 1.0) == 1 else Sometimes(step, entry["prob"])
    sets = entry.get("sets")
    if sets is None:
        return step
    if not isinstance(sets, list) or not sets or not all(isinstance(name, str) for name in sets):
        raise ConfigError(f"{key}.sets is {sets!r}: expected a list of corpora of a mixture, such as [digits]")
    return OfSets(step, sets)
