"""The weights in a checkpoint: saved as safetensors, a frozen upstream as a digest."""

from __future__ import annotations

import os
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dataset.protocols import offers
from dataset.storage.files import read_json, write_json
from problems.engine.checkpoints.background import copied, later
from problems.engine.runtime.digests import digest
from problems.engine.runtime.errors import CheckpointError, ConfigError
from tasks.contracts import TrainableModel, UpstreamModel

WEIGHTS = "weights.safetensors"
REFERRED = "referred.json"
INCLUDED = "included"
LAYERS = "layer_weights.json"
UPSTREAM = "upstream."

_digests: weakref.WeakKeyDictionary[nn.Module, tuple[frozenset[str], str]] = weakref.WeakKeyDictionary()
"""By model: the names of the frozen weights, and their digest. Frozen weights are hashed once, not at every save."""


def referred(model: nn.Module) -> frozenset[str]:
    """The names of the weights that a checkpoint refers to instead of holding: those of the upstream never trained.

    A model with ``upstream_trainable`` declares that its upstream comes with weights of its own; ``trained`` lists
    every parameter that is trained at some step. A buffer is treated as the parameters of its own module are, since
    whatever trains these may change it.
    """
    if not offers(model, UpstreamModel):
        return frozenset()
    named = list(model.named_parameters(remove_duplicate=False))
    ever_trained = {id(p) for p in model.trained} if offers(model, TrainableModel) else set()
    trained = {name for name, p in named if p.requires_grad or id(p) in ever_trained}
    parameters = {name for name, _ in named}
    trained_modules = {name.rpartition(".")[0] for name in trained}
    return frozenset(
        name
        for name in model.state_dict()
        if name.startswith(UPSTREAM)
        and name not in trained
        and (name in parameters or name.rpartition(".")[0] not in trained_modules)
    )


def save_weights(folder: Path, model: nn.Module) -> None:
    """Write the weights that training may change, and a digest of the frozen upstream's in their place."""
    state, frozen = model.state_dict(), referred(model)
    save_tensors(folder / WEIGHTS, {name: value for name, value in state.items() if name not in frozen})
    if frozen:
        upstream = {name: state[name] for name in frozen}  # not copied: nothing changes it
        later(lambda: _write_reference(folder, model, upstream))


def _write_reference(folder: Path, model: nn.Module, upstream: Mapping[str, Tensor]) -> None:
    names = frozenset(upstream)
    if model not in _digests or _digests[model][0] != names:
        _digests[model] = names, digest(upstream)
    write_json(folder / REFERRED, {"upstream": _digests[model][1]})


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Copy named tensors and write them as safetensors, now or :func:`.background.later`.

    Raises:
        ConfigError: a value is not a tensor.
    """
    for name, value in tensors.items():
        if not isinstance(value, Tensor):
            raise ConfigError(f"{name!r} cannot be saved as a weight: expected a tensor, got {type(value).__name__}")
    # copied one by one, because safetensors refuses tensors that share memory
    copies = {name: copied(value).contiguous() for name, value in tensors.items()}
    later(lambda: _write_tensors(path, copies))


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    save_file(tensors, path)
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)  # as other files: safetensors lets only the owner read it


def load_weights(folder: Path, model: nn.Module) -> None:
    """Read into ``model`` what :func:`save_weights` wrote.

    A weight that is not in the file must belong to the upstream and be as it was when the checkpoint was saved. Which
    weights were frozen then may differ from those frozen now: a fine-tuning schedule goes on, or fine-tuning starts
    from a probe.

    Raises:
        CheckpointError: weights are missing, unknown or of another shape, or the frozen upstream is a different one.
    """
    from safetensors.torch import load_file

    saved, current = load_file(folder / WEIGHTS), model.state_dict()
    reference = _reference(folder) if offers(model, UpstreamModel) else {}
    expected_digest = reference.get("upstream")
    frozen = {
        name: value
        for name, value in current.items()
        if expected_digest and name.startswith(UPSTREAM) and name not in saved
    }
    missing = sorted(current.keys() - saved.keys() - frozen.keys())
    unknown = sorted(saved.keys() - current.keys())
    other_shapes = [name for name in current.keys() & saved.keys() if current[name].shape != saved[name].shape]
    if missing or unknown or other_shapes:
        raise CheckpointError(
            f"the weights in {folder} do not fit this model:"
            f" missing {missing[:3]}, unknown {unknown[:3]}, other shapes {sorted(other_shapes)[:3]}"
        )
    if expected_digest and not reference.get(INCLUDED) and digest(frozen) != expected_digest:
        raise CheckpointError(
            f"the frozen upstream is not the one that {folder} was trained on: its weights differ."
            " Give the path of the original weights: --upstream PATH, or problems.load(..., upstream=PATH)"
        )
    if not reference.get(INCLUDED):
        require_frozen(folder, model)
    model.load_state_dict(saved, strict=False)


def include_upstream(folder: Path, model: nn.Module) -> None:
    """Write all weights in place of a reference to those of the frozen upstream."""
    save_tensors(folder / WEIGHTS, model.state_dict())
    write_json(folder / REFERRED, _reference(folder) | {INCLUDED: True})


def refers(folder: Path) -> bool:
    """Return True if the weights in ``folder`` need those of an upstream that is elsewhere."""
    reference = _reference(folder)
    return bool(reference) and not reference.get(INCLUDED)


def _reference(folder: Path) -> dict[str, Any]:
    """The digest of the frozen upstream, and whether its weights are in the folder; empty if none is frozen."""
    path = folder / REFERRED
    return read_json(path) if path.exists() else {}


def require_frozen(folder: Path, model: nn.Module) -> None:
    """Check that the weights in ``folder`` do not change a part of ``model``'s upstream that is frozen now.

    A checkpoint of ``model`` would hold only a digest of that part, and no upstream as built would match it.

    Raises:
        CheckpointError: they would.
    """
    from safetensors import safe_open

    current, frozen = model.state_dict(), referred(model)
    with safe_open(folder / WEIGHTS, "pt") as file:
        in_both = sorted(frozen.intersection(file.keys()))
        changed = [name for name in in_both if not torch.equal(file.get_tensor(name), current[name].cpu())]
    if changed:
        raise CheckpointError(
            f"{folder} holds other weights for {len(changed)} parts of the upstream that are frozen now, such as"
            f" {changed[0]}: train them (build_model.upstream_trainable), or give build_upstream an upstream that has"
            " these weights"
        )


def write_layer_weights(folder: Path, model: nn.Module) -> dict[int, float]:
    """Write the featurizer's learnt weight of each upstream layer, if it weighs several; return the weights."""
    weight_by_layer = getattr(getattr(model, "featurizer", None), "weight_by_layer", None)
    weights = weight_by_layer() if weight_by_layer is not None else {}
    if len(weights) > 1:
        write_json(folder / LAYERS, weights)
    return weights
