"""Training on a GPU: a step does not wait for it, and in deterministic mode a resumed training is the same in bytes."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.loops.train import TrainLoop
from problems.ks import KS

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="no GPU, or not shown to the tests: CUDA_VISIBLE_DEVICES=0"
)


class Patient(TrainLoop):
    """Fails at what waits for the device inside a step's backward pass or update."""

    def backward(self, output, units):
        torch.cuda.set_sync_debug_mode("error")
        super().backward(output, units)

    def step(self, window):
        try:
            super().step(window)
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW"])
def test_nothing_between_the_loss_and_the_new_weights_waits_for_the_device(tiny, tones, tmp_path, optimizer):
    """With cross-entropy: torch's CTC and recurrent layers wait in their own backward pass."""

    class Waiting(KS):
        train_loop = Patient

    options = [o for o in tiny if not o.startswith(("--build_downstream", "--build_model", "--prepare_data.t"))]
    for split in ("train", "valid", "test"):
        table = pd.read_csv(tones / f"{split}.csv")
        table.assign(label=table.transcription.str.len() > 2).to_csv(tmp_path / f"{split}.csv", index=False)
        options.append(f"--prepare_data.{split}={tmp_path / split}.csv")
    options += ["--stop=2", "--device=cuda", f"--build_optimizer.name={optimizer}"]
    assert execute(Waiting(), ["run", *options]) == 0


def weights(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("weights.safetensors"))}


def test_a_training_in_two_parts_is_one_in_bytes(tiny, tmp_path):
    """With CTC, which torch has no deterministic kernel for on a GPU."""
    options = [o for o in tiny if not o.startswith("--target_dir")]
    options += ["--train.deterministic=true", "--device=cuda", "--stop=2", "--train.save_step=4"]
    assert execute(ASR(), ["run", *options, f"--target_dir={tmp_path / 'whole'}"]) == 0
    parts = [*options, f"--target_dir={tmp_path / 'parts'}"]
    assert execute(ASR(), ["run", *parts, "--train.total_steps=4"]) == 0
    assert execute(ASR(), ["run", *parts]) == 0
    assert weights(tmp_path / "whole" / "train" / "step_00000008") == weights(
        tmp_path / "parts" / "train" / "step_00000008"
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_precisions_train_and_evaluate(tiny, precision):
    options = [f"--train.precision={precision}", f"--evaluate.precision={precision}", "--device=cuda"]
    assert execute(ASR(), ["run", *tiny, *options]) == 0
