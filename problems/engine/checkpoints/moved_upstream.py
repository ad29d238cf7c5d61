"""Point a checkpoint to the frozen upstream that it refers to, if that has moved."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.storage.files import read_json
from problems.engine.checkpoints.arguments import ARGUMENTS
from problems.engine.runtime.errors import CheckpointError

UPSTREAM_FOLDER = "upstream"
"""The folder of an exported checkpoint with the files from which its upstream is built."""
KEYS = ("checkpoint", "model")
"""Keys of ``build_upstream.conf`` by which Soundstage's own upstreams take local weights."""


def load_options(checkpoint: Path, path: str | os.PathLike[str] | None) -> dict[str, Any]:
    """The options of ``load_model_and_task`` for a checkpoint whose upstream is at ``path`` now.

    If that is None, they are those of an exported checkpoint with an upstream of its own, and none for others.

    Loading compares the digest of the weights, so that no other upstream is taken for it.

    Raises:
        CheckpointError: there is nothing at ``path``, or the model was not built from a ``build_upstream`` section.
    """
    own_folder = checkpoint / UPSTREAM_FOLDER
    if path is None and not own_folder.is_dir():
        return {}
    section = read_json(checkpoint / "model" / ARGUMENTS)["values"].get("build_upstream")
    if path is None:
        conf = {**section["conf"], "model": str(own_folder)}
        return {"model_overrides": {"build_upstream": {**section, "conf": conf}}}
    if section is None:
        raise CheckpointError(f"{checkpoint} has no build_upstream, so that upstream {path} cannot replace its own")
    return {"model_overrides": {"build_upstream": redirected(section, path)}}


def redirected(build_upstream: Mapping[str, Any], path: str | os.PathLike[str]) -> dict[str, Any]:
    """The section with ``path`` in place of the file or folder that it names.

    Raises:
        CheckpointError: there is nothing at ``path``, or no setting of the upstream takes a path.
    """
    moved = Path(path).expanduser().absolute()
    if not moved.exists():
        raise CheckpointError(f"upstream: there is no file or folder {moved}")
    conf = dict(build_upstream.get("conf") or {})
    if str(moved) in conf.values():  # saved since it moved
        return dict(build_upstream)
    missing = missing_paths(build_upstream)
    keys = missing if len(missing) == 1 else sorted((key for key in KEYS if key in conf), key=lambda key: not conf[key])
    if not keys:
        raise CheckpointError(
            f"upstream {moved} can replace nothing: build_upstream.conf has none of the keys {', '.join(KEYS)}; omit it"
        )
    key = keys[0]
    return {**build_upstream, "conf": conf | {key: str(moved)}}


def missing_paths(build_upstream: Mapping[str, Any]) -> list[str]:
    """The keys of the section's ``conf`` whose values look like paths and do not exist."""
    conf = build_upstream.get("conf") or {}
    texts = {key: value for key, value in conf.items() if isinstance(value, str)}
    return [key for key, value in texts.items() if os.sep in value and not Path(value).expanduser().exists()]


def explain(error: Exception, folder: Path, model_args: Mapping[str, Any]) -> None:
    """Say what to do about the error of a model that cannot be built, if the path of its upstream is gone.

    Raises:
        CheckpointError: it is.
    """
    section = model_args.get("build_upstream")
    if section and missing_paths(section):
        raise CheckpointError(
            f"{folder} refers to an upstream that is not there: {error}."
            " If it has moved, give its path: --upstream PATH, or problems.load(..., upstream=PATH)"
        ) from error
