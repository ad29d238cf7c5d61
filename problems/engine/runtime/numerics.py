"""How numbers are computed: mixed precision, TF32, determinism."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import torch

PRECISIONS = ("fp32", "bf16", "fp16")
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[Any]:
    """Matrix products and convolutions in ``precision`` inside; weights and sums stay float32."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, _TYPES[precision])


def scaler_of(device: torch.device, precision: str) -> torch.amp.GradScaler | None:
    """What keeps small gradients of fp16 from vanishing; None for the types that need none."""
    if precision != "fp16":
        return None
    scaler = torch.amp.GradScaler(device.type)
    scaler.scale(torch.zeros((), device=device))  # its first use makes it: a process may have no batch to begin with
    return scaler


@contextlib.contextmanager
def numerics(deterministic: bool, tf32: bool) -> Iterator[None]:
    """Inside, only deterministic kernels where asked, and TF32 where asked; the settings of before come back."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    was_deterministic, workspace = torch.are_deterministic_algorithms_enabled(), "CUBLAS_WORKSPACE_CONFIG"
    if deterministic:
        os.environ.setdefault(workspace, ":4096:8")  # what cuBLAS needs, read when it first starts
        torch.use_deterministic_algorithms(True)
        cudnn.benchmark = False
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was_deterministic)
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before
