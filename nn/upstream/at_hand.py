"""The pretrained encoders whose weights are on this machine: no file is read, and nothing fetched."""

from __future__ import annotations

from importlib import import_module

from nn.upstream import UPSTREAMS


def at_hand() -> list[str]:
    """Their names, as those of :data:`nn.upstream.UPSTREAMS`; not those of the hub."""
    names = []
    for name, target in UPSTREAMS.items():
        module, _, attribute = target.partition(":")
        upstream = getattr(import_module(module), attribute)
        if getattr(upstream, "is_at_hand", bool)():
            names.append(name)
    return names
