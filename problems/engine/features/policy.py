"""Decide whether and where the features of a frozen upstream are cached."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from problems.engine.runtime.environment import cache_folder, reading_workers

READ_SPEED = 200e6  # bytes a second; a slow disk reads features back at this rate


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of the cache.

    Args:
        mode: auto, off, ram or disk.
        dtype: fp16, fp32 or int8.
        limit: bytes that all cached features may take on disk.
        root: the folder that runs share.
        num_workers: processes that read audio.
        skip_errors: leave out utterances that cannot be read. The loader meets the error again when it asks for one.
    """

    mode: str
    dtype: str
    limit: int
    root: Path
    num_workers: int = 0
    skip_errors: bool = False


@dataclasses.dataclass(frozen=True)
class Decision:
    """The decision about the features of one dataset.

    Args:
        place: disk, ram or off.
        reason: why they are not cached, if they are not.
        level: the level at which the reason is logged.
    """

    place: str
    reason: str = ""
    level: int = logging.INFO

    @classmethod
    def failed(cls, reason: object) -> Decision:
        """Do not cache, because of an error."""
        return cls("off", str(reason), logging.WARNING)


def settings_of(config: Mapping[str, Any] | None) -> Settings | None:
    """Read the settings from a whole config; None if it has no section ``features``."""
    section = (config or {}).get("features")
    if not section:
        return None
    return Settings(
        mode=section["cache"],
        dtype=section["dtype"],
        limit=int(section["limit_gb"] * 1e9),
        root=cache_folder(config) / "features",
        num_workers=reading_workers(config),
        skip_errors=bool((config.get("train") or {}).get("skip_errors")),
    )


def decide(mode: str, size: float, seconds: float, available: Mapping[str, float]) -> Decision:
    """Decide for features of ``size`` bytes that take ``seconds`` to compute.

    Args:
        mode: of the settings. ``auto`` uses at most half of what is available.
        available: bytes on ``disk`` and in ``ram``.
    """
    level = logging.INFO if mode == "auto" else logging.WARNING
    if mode == "off":
        return Decision("off", "features.cache is off")
    if mode == "auto" and seconds < 2 * size / READ_SPEED:
        return Decision("off", "reading them back would take as long as computing them", level)
    share = 0.5 if mode == "auto" else 1.0
    places = ("disk", "ram") if mode == "auto" else (mode,)
    for place in places:
        if size <= share * available[place]:
            return Decision(place)
    names = {"disk": "on disk", "ram": "in RAM"}
    space = " and ".join(f"{available[place] / 1e9:.1f} GB {names[place]}" for place in places)
    reason = f"they need {size / 1e9:.1f} GB, and there is room for {space}"
    if mode == "auto":
        reason += ", of which auto uses at most half"
    return Decision("off", reason, level)
