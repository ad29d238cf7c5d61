"""Features that are computed ahead: by the loader where an upstream has no weights, once for all where it is frozen."""

from __future__ import annotations

import copy
import inspect
import itertools
import logging
import re
from collections.abc import Sequence
from typing import Any

import torch

from nn.traits import trait
from problems.engine.features.cache import FeatureCache, Settings
from problems.engine.features.extraction import Encoder
from problems.engine.features.upstream_digest import digest_of

log = logging.getLogger(__name__)


class WithFeatures(torch.utils.data.Dataset):
    """A dataset whose items carry ``hidden_states`` (a list of L tensors (T', H)) instead of ``wav``.

    Args:
        dataset: gives items with ``wav`` (T,) and ``wav_len``.
        upstream: called an utterance at a time.
    """

    def __init__(self, dataset: Any, upstream: torch.nn.Module):
        self.dataset, self.upstream = (
            dataset,
            copy.deepcopy(upstream).cpu(),
        )  # the model keeps its own on its device
        self.ids = getattr(dataset, "ids", None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        item = dict(self.dataset[index])
        wav, length = item.pop("wav"), item.pop("wav_len")
        with torch.no_grad():
            states, lengths = self.upstream(wav[None], torch.tensor([length]))
        item["hidden_states"] = [s[0, : int(n)] for s, n in zip(states, lengths)]
        return item


class CachedFeatures(torch.utils.data.Dataset):
    """A dataset whose items carry ``hidden_states`` from a cache instead of ``wav``; no audio is read for them."""

    most_workers = 0
    """The states are mapped, and are copied once, into a batch; to hand that to another process takes longer."""

    def __init__(self, dataset: Any, cache: FeatureCache):
        self.dataset, self.cache = dataset, cache
        self.ids = getattr(dataset, "ids", None)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self.dataset.without_audio(index), "hidden_states": self.cache.get(index)}


def computed_ahead(task: Any, dataset: Any, settings: Settings | None, batches: Sequence[Sequence[int]]) -> Any:
    """``dataset`` with features in place of waveforms where that saves work; as it is where the model is to do it.

    Every process must ask for it, since they share what there is to compute.

    Args:
        settings: of the cache; None for none.
        batches: those of one time over the data, as far as they are needed.
    """
    if not _takes_features(task):
        return dataset
    model, upstream = task.model, task.model.upstream
    if not any(True for _ in upstream.parameters()):
        return WithFeatures(dataset, upstream)
    if settings is None or settings.mode == "off":
        return dataset
    encoder, reason = encoder_of(model, settings), changing(dataset)
    if encoder is None:
        reason = "the upstream is not known to be frozen (upstream_trainable False, no gradients, evaluation mode)"
    elif not reason and getattr(model, "_upstream_digest", None) is None:
        try:
            model._upstream_digest = digest_of(upstream)  # frozen: the same at every asking
        except ValueError as error:
            reason = str(error)
    if reason:
        log.info("features are computed anew in each epoch: %s", reason)
        return dataset
    name = re.sub(r"[^A-Za-z0-9_]", "", type(upstream).__name__)
    kind = f"{settings.dtype}-mean" if encoder.mean else settings.dtype
    folder = settings.root / f"{name}-{model._upstream_digest[:16]}-{kind}"
    cache = FeatureCache(encoder, dataset, folder, settings)
    needed = sorted(set(itertools.chain.from_iterable(batches)))
    return CachedFeatures(dataset, cache) if cache.fill(needed) else dataset


def encoder_of(model: Any, settings: Settings) -> Encoder | None:
    """What computes that part of a model's frozen upstream that the rest of it needs; None where it may not be kept."""
    upstream = getattr(model, "upstream", None)
    frozen = upstream is not None and getattr(model, "upstream_trainable", True) is False and not upstream.training
    parameters = list(upstream.parameters()) if frozen else []
    if not parameters or any(p.requires_grad for p in parameters):
        return None
    layers = trait(model, "needed_layers") or list(range(upstream.num_layers))
    return Encoder(upstream, layers, bool(trait(model, "commutes_with_mean")), settings.dtype)


def changing(dataset: Any) -> str | None:
    """Why an item's waveform is not known to be always the same."""
    kind = type(dataset).__name__
    for name in ("sources", "without_audio"):
        if trait(dataset, name, method="__getitem__") is None:
            changes = name == "sources" and getattr(dataset, "augment", None) is not None
            return f"{kind} changes the audio at each access" if changes else f"{kind} does not say {name} of its items"
    return None


def _takes_features(task: Any) -> bool:
    """Whether there is a frozen upstream, and task and model take ``hidden_states``."""
    model = task.model
    if getattr(model, "upstream", None) is None or getattr(model, "upstream_trainable", False):
        return False
    takes = "hidden_states" in inspect.signature(model.forward).parameters
    for part, accepts in ((task, task.takes_features), (model, takes)):
        if not accepts:
            log.info("%s takes no hidden_states: features are computed with the model, not ahead", type(part).__name__)
            return False
    return True
