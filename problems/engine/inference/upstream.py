"""The upstream of a checkpoint, fine-tuned or not, for another model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.engine.checkpoints.arguments import ARGUMENTS
from problems.engine.checkpoints.find import find
from problems.engine.checkpoints.moved_upstream import load_options
from problems.engine.checkpoints.weights import REFERRED, UPSTREAM, WEIGHTS
from problems.engine.config.registry import build, load_class, resolve
from problems.engine.runtime.digests import digest


def checkpoint_upstream(path: str = "") -> Any:
    """The upstream of one of our checkpoints, in evaluation mode.

    Args:
        path: a checkpoint, or a target or training folder, whose best one is taken

    Raises:
        ValueError: there is no such checkpoint, it was not built from a build_upstream section, or its upstream has
            weights beyond those of the section, such as adapters. CheckpointError: it is damaged.
    """
    from safetensors.torch import load_file

    if not path:
        raise ValueError("conf.path is missing: set it to a checkpoint")
    folder = find(Path(path).expanduser())
    saved_arguments = read_json(folder / "model" / ARGUMENTS)["values"]
    section = load_options(folder, None).get("model_overrides", saved_arguments).get("build_upstream")
    if section is None:
        raise ValueError(f"{folder} was not built from a build_upstream section, so that it has no upstream to take")
    upstream = build(resolve(section["name"], load_class("nn.upstream:UPSTREAMS"), "path"), section["conf"], "path")
    saved = load_file(folder / "model" / WEIGHTS)
    own = {name.removeprefix(UPSTREAM): value for name, value in saved.items() if name.startswith(UPSTREAM)}
    current = upstream.state_dict()
    unknown = sorted(own.keys() - current.keys())
    if unknown:
        other = f"{folder} has {unknown[0]}, which the upstream {section['name']} has not"
        raise ValueError(f"{other}: adapters cannot be taken with it")
    _require_same_frozen(folder, {f"{UPSTREAM}{name}": current[name] for name in current.keys() - own.keys()})
    upstream.load_state_dict(own, strict=False)
    return upstream.eval()


def _require_same_frozen(folder: Path, frozen: dict[str, Any]) -> None:
    path = folder / "model" / REFERRED
    if frozen and path.exists() and digest(frozen) != read_json(path)["upstream"]:
        raise ValueError(f"the frozen weights of the upstream are not those that {folder} was trained on")
