"""The pretrained encoders whose weights are on this machine: no file is read, and nothing fetched."""

from __future__ import annotations

import os
from importlib import import_module

import torch
import torchaudio

from nn.upstream import UPSTREAMS

BUNDLES = "nn.upstream.pretrained.torchaudio_bundles:"


def downloaded() -> list[str]:
    """The names of torchaudio's encoders, as in :data:`nn.upstream.UPSTREAMS`, that torch.hub's folder has."""
    folder = os.path.join(torch.hub.get_dir(), "checkpoints")
    return [name for name in UPSTREAMS if (file := _file_of(name)) and os.path.isfile(os.path.join(folder, file))]


def _file_of(name: str) -> str | None:
    """The file of an encoder's weights, as :mod:`nn.upstream.pretrained.torchaudio_models` names it.

    That module's source decides whether cached features are still good, so it is left as it is for this.
    """
    target = UPSTREAMS[name]
    if not target.startswith(BUNDLES):
        return None
    bundle = getattr(import_module(BUNDLES[:-1]), target.removeprefix(BUNDLES)).name
    path = getattr(torchaudio.pipelines, bundle)._path
    return "-".join(path.rsplit("/", 2)[1:]) if path.startswith("https:") else path
