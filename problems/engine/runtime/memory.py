"""Available memory, and errors of exhausted memory."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import resource
from pathlib import Path

import torch

RESERVED = 1.25
"""Memory that a training allocates, for each byte that it has in RAM."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if the error is an out-of-memory error (GPU or CPU allocator)."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text)


def limit_memory(device: torch.device, limit: int | None) -> None:
    """Let this process run out of memory once it has taken about ``limit`` bytes of its GPU or, on a CPU, of RAM."""
    if limit is None:
        return
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / torch.cuda.mem_get_info(device)[1]), device)
        return
    with contextlib.suppress(OSError, StopIteration):  # no /proc: the peak is compared with the limit afterwards
        lines = Path("/proc/self/status").read_text().splitlines()
        data, resident = (
            1024 * int(next(line for line in lines if line.startswith(name)).split()[1]) for name in ("VmData", "VmRSS")
        )
        # the kernel limits what is allocated, of which only a part is ever in RAM
        soft = data + round(RESERVED * max(0, limit - resident))
        resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.RLIM_INFINITY))


def free_memory(name: str) -> int:
    """Bytes that are free on the device called ``name``; another process asks, so that this one touches no GPU."""
    with concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        return pool.submit(_free_here, name).result()


def _free_here(name: str) -> int:
    from problems.engine.runtime.device import pick_device

    device = pick_device(name)
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else available_memory()


def available_memory() -> int:
    """Bytes of RAM that this process may still take: what the system has left, within the limit of a container."""
    limits = [os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits = [1024 * int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1])]
    with contextlib.suppress(OSError, ValueError):  # ValueError: the limit is "max"
        group = Path("/sys/fs/cgroup")
        limits.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    return max(0, min(limits))
