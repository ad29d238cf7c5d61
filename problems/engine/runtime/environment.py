"""The environment of a run: versions, hardware, git commit, command line, and what a config takes from it."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("soundstage", "torch", "torchaudio", "numpy", "pandas", "soundfile", "safetensors", "omegaconf")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a result depends on."""
    installed = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            installed[name] = version(name)
        except PackageNotFoundError:
            continue
    return installed


def _git(folder: Path) -> str | None:
    """The commit of the repository that holds ``folder``, with -dirty after changes; None without git."""
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe(device: str) -> dict[str, Any]:
    """The environment of this process, as flat JSON."""
    import torch

    environment: dict[str, Any] = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S"),
        "command": " ".join(sys.argv),
        "host": platform.node(),
        "system": platform.platform(),
        "machine": platform.machine(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "device": device,
        "git": _git(Path(__file__).parent),
    }
    if device.startswith("cuda"):
        environment["gpu"] = torch.cuda.get_device_name()
    return environment | versions()


def as_typed(key: str, value: object) -> str:
    """An option as it works when typed: ``--start 2`` or, under torchrun, which takes that as its own, ``start=2``."""
    return f"{key}={value}" if "TORCHELASTIC_RUN_ID" in os.environ else f"--{key} {value}"


def cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder(config: Mapping[str, Any]) -> Path:
    """The folder shared by all runs."""
    return Path(config["cache_dir"] or "~/.cache/soundstage").expanduser().absolute()


def reading_workers(config: Mapping[str, Any]) -> int:
    """The number of processes that read audio: ``num_workers``, but at most one per core."""
    return min(config["num_workers"], cores())
