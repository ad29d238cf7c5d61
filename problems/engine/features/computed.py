"""Features of an upstream without weights, such as filter banks: computed in the loader, or once and kept in RAM."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from dataset.loader import LoaderSettings, Unreadable, eval_stream
from dataset.protocols import HasIds, IndexableDataset, offers
from nn.traits import trait
from problems.engine.features.extraction import FeatureExtractor
from problems.engine.features.policy import Settings
from problems.engine.runtime import distributed
from problems.engine.runtime.memory import available_memory

log = logging.getLogger(__name__)

LEAST_PASSES = 2
"""Times that each waveform must be read for its features to be kept."""
RAM_SHARE = 0.25
"""Share of the available memory that kept features may take."""
BATCH = 32


class ComputedFeatures(torch.utils.data.Dataset):
    """A dataset whose items carry ``hidden_states`` (a list of L tensors (T', H)) in place of ``wav``.

    Args:
        dataset: gives items with ``wav`` (T,) and ``wav_len``.
        upstream: called for one utterance at a time, as a copy on the CPU.
    """

    def __init__(self, dataset: IndexableDataset, upstream: torch.nn.Module):
        self.dataset = dataset
        self.upstream = copy.deepcopy(upstream).cpu()
        self.ids = dataset.ids if offers(dataset, HasIds) else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.compute(self.dataset[index])

    def compute(self, item: Mapping[str, Any]) -> dict[str, Any]:
        """Return an item of the dataset with features in place of audio."""
        item = dict(item)
        wav, length = item.pop("wav"), item.pop("wav_len")
        with torch.no_grad():
            states, lengths = self.upstream(wav[None], torch.tensor([length]))
        item["hidden_states"] = [s[0, : int(n)] for s, n in zip(states, lengths)]
        return item


class KeptFeatures(torch.utils.data.Dataset):
    """The items of :class:`ComputedFeatures` to the bit, with features that are computed once and kept in RAM.

    The features of each variant of a waveform, such as each of three speeds, are kept.

    Args:
        computed: over a dataset that offers :class:`dataset.protocols.HasVariants`.
        indices: of the items to keep; others are computed at each access, and so are those that cannot be read.
        num_workers: processes that compute.
    """

    most_workers = 0
    """States are copied once, into a batch. Handing a batch to another process takes longer."""

    def __init__(self, computed: ComputedFeatures, indices: Sequence[int], num_workers: int):
        self.computed, self.dataset, self.ids = computed, computed.dataset, computed.ids
        variants = range(self.dataset.num_variants)
        keys = [(index, number) for index in indices for number in variants]
        self.states = dict(_compute(computed, keys, num_workers))

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        number = self.dataset.draw_variant()
        states = self.states.get((index, number))
        if states is None:
            return self.computed.compute(self.dataset.variant(index, number))
        return {**self.dataset.without_audio(index), "hidden_states": list(states)}


class _Variants(torch.utils.data.Dataset):
    """The states of variants of items, as arrays: tensors would hold a file open for each on their way."""

    def __init__(self, computed: ComputedFeatures, keys: Sequence[tuple[int, int]]):
        self.computed, self.keys = computed, keys

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, place: int) -> tuple[tuple[int, int], list[np.ndarray]]:
        index, number = self.keys[place]
        item = self.computed.compute(self.computed.dataset.variant(index, number))
        return (index, number), [state.numpy() for state in item["hidden_states"]]


def _compute(
    computed: ComputedFeatures, keys: Sequence[tuple[int, int]], num_workers: int
) -> Iterator[tuple[tuple[int, int], list[torch.Tensor]]]:
    """Yield the states of these variants of items, but those of batches that cannot be read."""
    batches = [list(range(start, min(start + BATCH, len(keys)))) for start in range(0, len(keys), BATCH)]
    settings = LoaderSettings(num_workers=num_workers, keep_errors=True)
    for batch in eval_stream(_Variants(computed, keys), batches, list, settings):
        if not isinstance(batch, Unreadable):
            yield from ((key, [torch.from_numpy(state) for state in states]) for key, states in batch)


def kept_in_ram(
    computed: ComputedFeatures, settings: Settings, indices: Sequence[int], passes: float
) -> ComputedFeatures | KeptFeatures:
    """Return a dataset that computes each feature once and keeps it in RAM, if that saves work and there is room."""
    dataset = computed.dataset
    parts = ("num_variants", "draw_variant", "variant", "without_audio")
    is_possible = all(trait(dataset, part, method="__getitem__") is not None for part in parts)
    if settings.mode == "off" or not is_possible or passes < LEAST_PASSES * dataset.num_variants:
        return computed
    sizes = FeatureExtractor(computed.upstream, list(range(computed.upstream.num_layers)), False, "fp32").sizes
    size = float(sizes(np.asarray(dataset.seconds)[indices]).sum()) * dataset.num_variants
    if size > available_memory() * RAM_SHARE / distributed.world().size:
        return computed
    began = time.monotonic()
    features = KeptFeatures(computed, indices, settings.num_workers)
    log.info("features: kept in RAM (%.2f GB), computed in %.1f s", size / 1e9, time.monotonic() - began)
    return features
