"""What a run ran on: versions, hardware, git, command line."""

from __future__ import annotations

import contextlib
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
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git(folder: Path) -> str | None:
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None


def describe(device: str) -> dict[str, Any]:
    """The environment of this process, as flat JSON."""
    import torch

    found: dict[str, Any] = {
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
        found["gpu"] = torch.cuda.get_device_name()
    return found | versions()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cache_folder(config: Mapping[str, Any]) -> Path:
    """What several runs share."""
    return Path(config["cache_dir"] or "~/.cache/soundstage").expanduser().absolute()


def reading_workers(config: Mapping[str, Any]) -> int:
    """Processes that read audio: as many as asked for, never more than there are cores."""
    return min(config["num_workers"], cores())


def available_memory() -> int:
    """Bytes of RAM that this process could still take: what the system has left, within the limit of a container."""
    limits = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits = [1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])]
    with contextlib.suppress(OSError, ValueError):  # ValueError: "max", no limit
        group = Path("/sys/fs/cgroup")
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(limits))
