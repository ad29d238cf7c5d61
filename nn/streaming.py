"""Models applied to a recording that arrives in chunks, if no part of them reads what comes later.

A part of a model declares beside its ``forward`` how it streams: by ``framewise = True``, if each frame of its output
depends on the same frame of its input alone; or by a method ``stream()`` that returns a :class:`ChunkStream`, or raises
:class:`CannotStream`. A subclass that overrides ``forward`` must declare it again.

Notation: T: samples or frames of a chunk, T': frames that it completes, H: features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from nn.traits import trait

if TYPE_CHECKING:
    from nn.model import UpstreamDownstreamModel


class CannotStream(ValueError):
    """A part needs the whole recording; the message says which, and why."""


class ChunkStream(Protocol):
    """One recording on its way through a part of a model."""

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        """The frames (1, T', H) that a chunk (1, T) or (1, T, H) completes; T and T' may be 0.

        Concatenated, they are the output for the whole recording, up to rounding. Nothing follows the last chunk.
        """
        ...


class _Framewise:
    """A part that keeps nothing from one frame to the next."""

    def __init__(self, part: nn.Module) -> None:
        self.part = part

    def __call__(self, x: Tensor, is_last: bool) -> Tensor:
        return self.part(x, torch.tensor([x.shape[1]], device=x.device))[0]


def stream_of(part: nn.Module) -> ChunkStream:
    """A stream through a part of a model.

    Raises:
        CannotStream: the part needs the whole recording.
    """
    if trait(part, "framewise"):
        return _Framewise(part)
    begin = trait(part, "stream")
    if begin is None:
        raise CannotStream(f"{type(part).__name__} takes a recording as a whole")
    return begin()


class ModelStream:
    """One recording on its way through upstream, featurizer and downstream: from samples (1, T) to logits (1, T', V).

    Raises:
        CannotStream: parts need the whole recording; the message names all of them.
    """

    def __init__(self, model: UpstreamDownstreamModel) -> None:
        self.featurizer = model.featurizer
        reasons, streams = [], []
        for part in (model.upstream, model.downstream):
            try:
                streams.append(stream_of(part))
            except CannotStream as error:
                reasons.append(str(error))
        if not trait(model.featurizer, "framewise"):
            reasons.append(f"{type(model.featurizer).__name__} needs several frames of the upstream for one of its own")
        if reasons:
            raise CannotStream("; ".join(reasons))
        self.upstream, self.downstream = streams

    def __call__(self, wav: Tensor, is_last: bool) -> Tensor:
        states = self.upstream(wav, is_last)
        x, _ = self.featurizer([states], [torch.tensor([states.shape[1]], device=states.device)])
        return self.downstream(x, is_last)
