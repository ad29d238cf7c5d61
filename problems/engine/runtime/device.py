"""The device that models run on."""

from __future__ import annotations

import torch

from problems.engine.runtime.errors import ConfigError


def pick_device(name: str, local: int = 0) -> torch.device:
    """Return the device called ``name``; ``auto`` is a GPU if there is one, and ``cuda`` the GPU number ``local``.

    Raises:
        ConfigError: the device cannot be used.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    name = f"cuda:{local}" if name == "cuda" else name
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # its generator is the one that checkpoints hold
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device: {name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return device
