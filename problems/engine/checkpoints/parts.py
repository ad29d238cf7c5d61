"""Parts of a checkpoint's weights for another model: those whose names match, under new names if need be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from problems.engine.checkpoints.weights import WEIGHTS, referred
from problems.engine.runtime.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor, nn

Parts = Sequence[str] | Mapping[str, str]
"""Patterns of names, as ``upstream.*``; or prefixes, each with what replaces it, as ``{encoder.: upstream.}``."""


def load_parts(folder: Path, model: nn.Module, parts: Parts) -> tuple[list[str], list[str]]:
    """Read into ``model`` the weights in ``folder`` that ``parts`` names.

    Returns:
        the names of the model's weights that were read, and of those that were not.

    Raises:
        CheckpointError: a part matches nothing, a weight is unknown to the model or has another shape there, or it
            belongs to a part of the upstream that is frozen, which checkpoints do not hold.
    """
    from safetensors.torch import load_file

    saved, current = load_file(folder / WEIGHTS), model.state_dict()
    chosen = _renamed(saved, parts) if isinstance(parts, Mapping) else _matching(saved, parts)
    unknown = sorted(chosen.keys() - current.keys())
    other_shapes = sorted(n for n in chosen.keys() & current.keys() if chosen[n].shape != current[n].shape)
    if unknown or other_shapes:
        raise CheckpointError(
            f"the parts of {folder} do not fit this model: it has no {unknown[:3]}, and another shape of"
            f" {other_shapes[:3]}; its weights are {', '.join(sorted(current)[:5])}, ..."
        )
    frozen = sorted(referred(model) & chosen.keys())
    if frozen:
        raise CheckpointError(
            f"the parts of {folder} hold weights of the upstream that are frozen here, such as {frozen[0]}: train them"
            " (build_model.upstream_trainable), or take the upstream itself: build_upstream.name"
            " soundstage.checkpoint:upstream"
        )
    model.load_state_dict(chosen, strict=False)
    return sorted(chosen), sorted(current.keys() - chosen.keys() - referred(model))


def _matching(saved: Mapping[str, Tensor], patterns: Sequence[str]) -> dict[str, Tensor]:
    chosen = {}
    for pattern in patterns:
        own = {name: value for name, value in saved.items() if fnmatchcase(name, pattern)}
        _require(own, pattern, saved)
        chosen |= own
    return chosen


def _renamed(saved: Mapping[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    chosen = {}
    for old, new in prefixes.items():
        own = {new + name.removeprefix(old): value for name, value in saved.items() if name.startswith(old)}
        _require(own, old, saved)
        chosen |= own
    return chosen


def _require(chosen: Mapping[str, Tensor], part: str, saved: Mapping[str, Tensor]) -> None:
    if not chosen:
        raise CheckpointError(f"no weight matches {part!r}; the checkpoint has {', '.join(sorted(saved)[:8])}, ...")
