"""Stage 2: what it refuses to train on."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.engine.runtime import distributed
from problems.engine.runtime.errors import StageError
from problems.engine.stages.freshness.manifest import Manifest
from problems.engine.stages.target_folder import TargetFolder
from problems.engine.stages.train import Train
from tests.parts.configs import typed


def stage_of(*options: str) -> Train:
    """Stage 2 of a run with these options."""
    config = typed(*options)
    folder = TargetFolder(ASR(), config)
    return Train(ASR(), config, folder, Manifest(folder.root))


def test_a_machine_without_the_data_is_told_that_it_shares_no_files(tmp_path, monkeypatch):
    stage = stage_of(f"target_dir={tmp_path / 'run'}", f"cache_dir={tmp_path / 'cache'}")
    monkeypatch.setattr(distributed, "world", lambda: distributed.World(rank=1, size=2, shared=False))
    monkeypatch.setattr(distributed, "broadcast", lambda value: ({"data/train.csv": "digest"}, True))
    with pytest.raises(StageError, match=r"does not share files with the main process and has no data/train\.csv"):
        stage.run("cpu", None)
