"""The folder on this machine of a trained model, wherever it is."""

from __future__ import annotations

import os
from pathlib import Path

from dataset.places import names
from problems.engine.checkpoints.places import hub, url


def fetch(place: str | os.PathLike[str]) -> Path:
    """A path as it is; of a URL, or a name on the hub, the copy in the cache, downloaded if it is not there.

    ``hf://user/name`` is on the hub; ``user/name`` is too, if there is neither such a folder nor a folder ``user``.

    Raises:
        CheckpointError: it cannot be downloaded, or is not a model that ``export`` wrote.
        ConfigError: a name on the hub needs a package that is missing.
    """
    if not isinstance(place, str):
        return Path(place)
    if place.startswith(hub.SCHEME):
        return hub.download(place.removeprefix(hub.SCHEME))
    local = names.join("", place)  # file://... is a path
    if names.is_url(local):
        return url.download(local)
    return hub.download(local) if hub.is_name(local) else Path(local)
