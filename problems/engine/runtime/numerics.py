"""Mixed precision, TF32 and deterministic kernels."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from typing import Any

import torch

_thread = threading.local()
"""``flushes_denormals`` is True inside :func:`flushing_denormals`: torch does not tell, and it is set for a thread."""

_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Inside, matrix products and convolutions run in ``precision``; weights and sums stay float32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, _TYPES[precision])


def scaler_of(device: torch.device, precision: str) -> torch.amp.GradScaler | None:
    """The loss scaler that keeps small fp16 gradients from vanishing; None for other precisions."""
    if precision != "fp16":
        return None
    scaler = torch.amp.GradScaler(device.type)
    scaler.scale(torch.zeros((), device=device))  # initialised by its first use: a process may have no batch at first
    return scaler


@contextlib.contextmanager
def numerics(deterministic: bool, tf32: bool) -> Iterator[None]:
    """Inside, use deterministic kernels only, and TF32, as the flags say; afterwards, restore torch's settings.

    Denormal numbers are flushed (:func:`flushing_denormals`).
    """
    previous = flags()
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS needs it, and reads it at its first call
    set_flags((True, tf32, tf32, False) if deterministic else (previous[0], tf32, tf32, previous[3]))
    try:
        with flushing_denormals():
            yield
    finally:
        set_flags(previous)


def flags() -> tuple[bool, bool, bool, bool]:
    """Return torch's settings of the process: deterministic, TF32 of products, TF32 of cuDNN, cuDNN's benchmark."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark


def set_flags(values: tuple[bool, bool, bool, bool]) -> None:
    """Restore what :func:`flags` returned."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    deterministic, matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = values
    if deterministic != torch.are_deterministic_algorithms_enabled():  # the call imports the compiler: a second of CPU
        torch.use_deterministic_algorithms(deterministic)


@contextlib.contextmanager
def flushing_denormals() -> Iterator[None]:
    """Inside, numbers below the smallest normal one are zero on a CPU, in this thread and in those that it starts.

    A recurrent layer whose gradients come close to zero is several times slower otherwise. Torch's own threads start
    with the first parallel operation: enter this before, for all of them.
    """
    flushed, _thread.flushes_denormals = getattr(_thread, "flushes_denormals", False), True
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        _thread.flushes_denormals = flushed
        torch.set_flush_denormal(flushed)
