"""Numerics: flags hold inside the block, and torch's own settings are restored."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from problems.engine.runtime.numerics import autocast, numerics, scaler_of
from tests.conftest import ROOT


def flags() -> tuple[bool, ...]:
    cuda, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    return torch.are_deterministic_algorithms_enabled(), cuda.allow_tf32, cudnn.allow_tf32


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("tf32", [False, True])
def test_flags_hold_inside_and_are_restored(deterministic, tf32):
    before = flags()
    with pytest.raises(RuntimeError), numerics(deterministic, tf32):
        assert flags() == (deterministic, tf32, tf32)
        raise RuntimeError
    assert flags() == before


def test_denormal_numbers_are_zero_inside_also_after_an_inner_block():
    """Near zero, a recurrent layer is several times slower on a CPU with them."""
    tiny = torch.tensor([1e-40])
    with numerics(False, False):
        with numerics(False, False):
            assert (tiny * 1).item() == 0
        assert (tiny * 1).item() == 0
    assert (tiny * 1).item() != 0


def test_denormal_numbers_are_zero_in_all_threads_if_that_is_entered_first():
    code = """
import torch
from problems.engine.runtime.numerics import flushing_denormals
torch.set_num_threads(4)
with flushing_denormals():
    print(int((torch.full((4_000_000,), 1e-30) * 1e-10 != 0).sum()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "0", done.stdout + done.stderr


@pytest.mark.parametrize("precision, dtype", [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_matrix_products_are_computed_in_the_precision(precision, dtype):
    x, cpu = torch.ones(2, 2), torch.device("cpu")
    with autocast(cpu, precision):
        assert (x @ x).dtype == dtype
    assert scaler_of(cpu, precision) is None


def test_flags_that_stay_as_they_are_do_not_import_the_compiler():
    code = """
import sys
from problems.engine.runtime.numerics import numerics
with numerics(False, False):
    print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() == "False", done.stdout + done.stderr
