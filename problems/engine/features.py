"""Features of an upstream without parameters, computed where they are fastest: in the loader's workers."""

from __future__ import annotations

import copy
import inspect
import logging
from typing import Any

import torch

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


def may_compute_in_loader(task: Any) -> bool:
    """Whether the loader can do the upstream's work: it has no weights, and task and model take ``hidden_states``."""
    model = task.model
    upstream = getattr(model, "upstream", None)
    if upstream is None or any(True for _ in upstream.parameters()) or getattr(model, "upstream_trainable", False):
        return False
    takes = "hidden_states" in inspect.signature(model.forward).parameters
    for part, accepts in ((task, task.takes_features), (model, takes)):
        if not accepts:
            log.info("%s takes no hidden_states: features are computed with the model, not ahead", type(part).__name__)
            return False
    return True
