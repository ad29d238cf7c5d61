"""Cut long recordings at pauses into pieces that a model can take."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dataset import SAMPLE_RATE


def at_pauses(wav: torch.Tensor, seconds: float = 30.0, search: float = 10.0) -> Iterator[torch.Tensor]:
    """Yield pieces of ``wav`` (T,) of at most ``seconds``, whose concatenation is ``wav``.

    Each cut is at the quietest 0.1 s of the last ``search`` seconds before the limit, so that words stay whole.
    """
    limit, reach, hop = int(seconds * SAMPLE_RATE), int(search * SAMPLE_RATE), SAMPLE_RATE // 20
    while len(wav) > limit:
        tail = wav[limit - reach : limit]
        energy = torch.nn.functional.avg_pool1d(tail.square()[None, None], 2 * hop, hop)[0, 0]
        cut = limit - reach + int(energy.argmin()) * hop + hop
        yield wav[:cut]
        wav = wav[cut:]
    yield wav
