"""For the tests of shards: entries whose states follow from their keys, and the files of a folder."""

from __future__ import annotations

from pathlib import Path

import torch

from problems.engine.features.shards import Shards

LIMIT = 10**9


def states_of(key: str, layers: int = 2, frames: int = 5, size: int = 8) -> list[torch.Tensor]:
    """The states of the entry ``key``, drawn from its name."""
    generator = torch.Generator().manual_seed(sum(map(ord, key)))
    return [torch.randn(frames, size, generator=generator).half() for _ in range(layers)]


def entries(*keys: str, **shape) -> dict[str, list[torch.Tensor]]:
    return {key: states_of(key, **shape) for key in keys}


def same(a, b) -> bool:
    return len(a) == len(b) and all(torch.equal(x, y) and x.dtype == y.dtype for x, y in zip(a, b))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def one_shard(folder: Path, key: str) -> Path:
    """Write a shard that nothing holds open."""
    before = set(files(folder))
    Shards(folder, [0, 1], LIMIT).write(entries(key))
    (path,) = set(files(folder)) - before
    return path
