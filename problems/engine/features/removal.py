"""Delete the cached features of some audio, of every upstream."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from problems.engine.features.cache import Source, cache_keys
from problems.engine.features.eviction import all_shards, mutex
from problems.engine.features.shards import keys_in


def shards_of(sources: Iterable[Source], root: Path) -> list[Path]:
    """The shards under ``root`` that hold features of any of these pieces of audio."""
    if not root.is_dir():
        return []
    shards = [path for path, *_ in all_shards(root)]
    keys = {*cache_keys(sources, root)} - {""} if shards else set()
    return [path for path in shards if keys & keys_in(path)]


def remove_shards(paths: Iterable[Path], root: Path) -> None:
    """Delete shards; a process that reads one keeps what it has open."""
    with mutex(root):
        for path in paths:
            path.unlink(missing_ok=True)
