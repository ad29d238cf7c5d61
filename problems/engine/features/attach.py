"""Datasets that give hidden states in place of audio, computed in the loader or read from the cache."""

from __future__ import annotations

import inspect
import logging
import weakref
from collections.abc import Sequence
from typing import Any

import torch

from dataset.protocols import CacheableDataset, HasIds, IndexableDataset, KeepsWaveforms, offers
from nn.traits import trait
from problems.engine.features.cache import FeatureCache
from problems.engine.features.computed import ComputedFeatures, kept_in_ram
from problems.engine.features.extraction import FeatureExtractor
from problems.engine.features.policy import Settings
from problems.engine.features.shards import folder_name
from problems.engine.features.upstream_digest import digest_of
from tasks.base import Task

log = logging.getLogger(__name__)

_digests: weakref.WeakKeyDictionary[torch.nn.Module, str] = weakref.WeakKeyDictionary()  # of frozen upstreams


class CachedFeatures(torch.utils.data.Dataset):
    """A dataset whose items carry ``hidden_states`` from a cache in place of ``wav``. No audio is read for them."""

    most_workers = 0
    """States are memory-mapped and copied once, into a batch. Handing a batch to another process takes longer."""

    def __init__(self, dataset: CacheableDataset, cache: FeatureCache):
        self.dataset, self.cache = dataset, cache
        self.ids = dataset.ids if offers(dataset, HasIds) else None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.dataset.without_audio(index), "hidden_states": self.cache.get(index)}


def form_of(dataset: IndexableDataset) -> str:
    """The form of a dataset's items: what of an utterance they hold."""
    if not isinstance(dataset, CachedFeatures):
        return type(dataset).__name__
    shards = dataset.cache.shards
    return f"{shards.folder.name} {shards.layers}"


def attach_features(
    task: Task,
    dataset: IndexableDataset,
    settings: Settings | None,
    indices: Sequence[int],
    *,
    passes: float = 1,
) -> IndexableDataset:
    """Return ``dataset`` with features in place of waveforms if that saves work, and unchanged otherwise.

    Every process must call it: they share the computing.

    Args:
        settings: of the cache; None for no cache.
        indices: of the utterances whose features will be read, in order.
        passes: how often each utterance will be read.
    """
    if offers(dataset, KeepsWaveforms) or not _takes_features(task):
        return dataset
    upstream = task.model.upstream
    if not any(True for _ in upstream.parameters()):
        computed = ComputedFeatures(dataset, upstream)
        return computed if settings is None else kept_in_ram(computed, settings, indices, passes)
    if settings is None or settings.mode == "off":
        return dataset
    extractor = extractor_of(task.model, settings)
    reason = why_uncacheable(dataset)
    if extractor is None:
        reason = "the upstream is not known to be frozen (upstream_trainable False, no gradients, evaluation mode)"
    elif reason is None and upstream not in _digests:
        try:
            _digests[upstream] = digest_of(upstream)
        except ValueError as error:
            reason = str(error)
    if reason is not None:
        log.info("features are computed again in every epoch: %s", reason)
        return dataset
    kind = f"{extractor.dtype}-mean" if extractor.mean else extractor.dtype
    folder = settings.root / folder_name(type(upstream).__name__, _digests[upstream], kind)
    cache = FeatureCache(extractor, dataset, folder, settings)
    plan = cache.plan(indices)
    decision = plan.decision if plan.decision.place == "off" else cache.fill(plan)
    if decision.place == "off":
        log.log(decision.level, "features are computed again in every epoch: %s", decision.reason)
        return dataset
    return CachedFeatures(dataset, cache)


def extractor_of(model: torch.nn.Module, settings: Settings) -> FeatureExtractor | None:
    """The extractor for the layers that the model reads, or None if its upstream is not frozen."""
    upstream = getattr(model, "upstream", None)
    frozen = upstream is not None and getattr(model, "upstream_trainable", True) is False and not upstream.training
    parameters = list(upstream.parameters()) if frozen else []
    if not parameters or any(p.requires_grad for p in parameters):
        return None
    layers = trait(model, "needed_layers") or list(range(upstream.num_layers))
    mean = bool(trait(model, "commutes_with_mean"))
    # a mean is one frame, for which 8 bits and their offset and step would take more than 16
    return FeatureExtractor(upstream, layers, mean, "fp16" if mean and settings.dtype == "int8" else settings.dtype)


def why_uncacheable(dataset: IndexableDataset) -> str | None:
    """The reason why the waveforms may differ between accesses; None if they cannot."""
    name = type(dataset).__name__
    for attribute in ("sources", "without_audio"):
        if trait(dataset, attribute, method="__getitem__") is None:
            if attribute == "sources" and getattr(dataset, "augment", None) is not None:
                return f"{name} changes the audio at each access"
            return f"{name} does not define {attribute} beside its __getitem__"
    return None


def _takes_features(task: Task) -> bool:
    """Return True if the upstream is frozen, and both task and model take ``hidden_states``."""
    model = task.model
    if getattr(model, "upstream", None) is None or getattr(model, "upstream_trainable", False):
        return False
    for part, accepts in ((task, task.takes_features), (model, _has_hidden_states(model))):
        if not accepts:
            log.info("%s does not accept hidden_states: the model computes features in every step", type(part).__name__)
            return False
    return True


def _has_hidden_states(model: torch.nn.Module) -> bool:
    return "hidden_states" in inspect.signature(model.forward).parameters
