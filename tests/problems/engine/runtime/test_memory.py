"""The memory that a process may still take is what the system has left, within the limit of its container."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from problems.engine.runtime.memory import available_memory, is_out_of_memory

GB = 1 << 30


@pytest.mark.parametrize(
    "maximum, current, expected",
    [
        (f"{3 * GB}\n", f"{1 * GB}\n", 2 * GB),
        (f"{32 * GB}\n", f"{1 * GB}\n", 8 * GB),  # more than the system has
        ("max\n", f"{1 * GB}\n", 8 * GB),
        (f"{1 * GB}\n", f"{2 * GB}\n", 0),
        (None, None, 8 * GB),  # not in a container
    ],
)
def test_available_memory(monkeypatch, maximum, current, expected):
    files = {"meminfo": f"MemFree: 1 kB\nMemAvailable: {8 * GB // 1024} kB\n"}
    files |= {"memory.max": maximum, "memory.current": current} if maximum else {}

    def read_text(path, *args, **kwargs):
        if path.name not in files:
            raise FileNotFoundError(path)
        return files[path.name]

    monkeypatch.setattr(Path, "read_text", read_text)
    monkeypatch.setattr("os.sysconf", lambda name: 100 * GB)
    assert available_memory() == expected


def test_which_errors_mean_out_of_memory():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"))
    assert is_out_of_memory(RuntimeError("CUDA out of memory. Tried to allocate 20 MiB (GPU 0; 3 GiB total)"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("out of memory"))
