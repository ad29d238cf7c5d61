"""A recogniser of tones that never looks ahead."""

from __future__ import annotations

from pathlib import Path

from problems.asr import ASR
from problems.engine.cli.main import execute
from tests.conftest import tiny_options


def trained(tones: Path, folder: Path) -> Path:
    """The target folder of its training, which takes a few seconds."""
    options = [*tiny_options(tones, folder), "--build_upstream.conf.cmvn=sliding", "--train.total_steps=150",
               "--build_downstream.conf.bidirectional=false", "--build_downstream.conf.hidden_size=[24]",
               "--train.eval_step=150", "--train.save_step=150", "--stop=2"]  # fmt: skip
    assert execute(ASR(), ["run", *options]) == 0
    return folder / "run"
