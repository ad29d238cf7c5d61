"""Sub-batches: the batches of several named sets in one step, each with the weight of its set.

With the sets s of a window, the gradient of a step is the mean over their weighted units (:mod:`.step`):

    g = sum_s(w_s * sum_b(u_b * grad L_b)) / sum_s(w_s * sum_b(u_b))

w_s: the weight of a set; b: its batches in the window, of all processes. An utterance of a set with weight 2 counts as
two utterances of a set with weight 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dataset.loader import Place, Unreadable
from problems.engine.loops.base import Batch


class SubBatches(NamedTuple):
    """A batch of each set, by name, and the weights of the sets."""

    batches: Mapping[str, Batch | Unreadable]
    weights: Mapping[str, float]


class Part(NamedTuple):
    """A batch of one forward pass; ``weight`` is 0 if it only keeps this process in step with the others."""

    batch: Batch | Unreadable
    weight: float
    set: str | None


def with_sets(place: Place, batch: Any) -> Any:
    """Return a batch of the stream as :class:`SubBatches` if it has any."""
    return batch if place.sets is None else SubBatches(batch, place.sets)


def parts_of(window: Sequence[tuple[Any, bool]]) -> Iterator[Part]:
    """Yield the batches of a window, and those of each set in place of their :class:`SubBatches`."""
    for batch, is_counted in window:
        if isinstance(batch, SubBatches):
            yield from (Part(own, batch.weights[name] * is_counted, name) for name, own in batch.batches.items())
        else:
            yield Part(batch, float(is_counted), None)
