"""Cut long recordings into pieces that a model can take."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import torch

from dataset import SAMPLE_RATE


def at_pauses(
    wav: torch.Tensor | Iterable[torch.Tensor], seconds: float = 30.0, search: float = 10.0
) -> Iterator[torch.Tensor]:
    """Yield pieces of at most ``seconds``, whose concatenation is ``wav``.

    Each cut is at the quietest 0.1 s of the last ``search`` seconds before the limit, so that words stay whole.

    Args:
        wav: (T,), or its blocks in turn.
    """
    limit, reach, hop = int(seconds * SAMPLE_RATE), int(search * SAMPLE_RATE), SAMPLE_RATE // 20
    rest = torch.zeros(0)
    for block in [wav] if isinstance(wav, torch.Tensor) else wav:
        rest = torch.cat([rest, block]) if len(rest) else block
        while len(rest) > limit:
            tail = rest[limit - reach : limit]
            energy = torch.nn.functional.avg_pool1d(tail.square()[None, None], 2 * hop, hop)[0, 0]
            cut = limit - reach + int(energy.argmin()) * hop + hop
            yield rest[:cut]
            rest = rest[cut:]
    yield rest


def in_windows(blocks: Iterable[torch.Tensor], samples: int, seconds: float) -> Iterator[torch.Tensor]:
    """Yield pieces of equal length, to a sample, and of at most ``seconds``, whose concatenation is that of ``blocks``.

    Args:
        samples: the length of all blocks together.
    """
    count = math.ceil(samples / (seconds * SAMPLE_RATE))
    ends = [samples * (number + 1) // count for number in range(count)]
    rest, position = torch.zeros(0), 0
    for block in blocks:
        rest = torch.cat([rest, block])
        while len(ends) > 1 and position + len(rest) >= ends[0]:
            size = ends.pop(0) - position
            yield rest[:size]
            rest, position = rest[size:], position + size
    yield rest
