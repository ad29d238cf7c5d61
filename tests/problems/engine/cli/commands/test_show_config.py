"""``config``: what it prints can be passed back."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute


@pytest.mark.parametrize("preset", ["default", "fsdd", "librispeech"])
def test_a_printed_config_passed_back_is_the_same(tmp_path, capsys, preset):
    words = ["--prepare_data.dataset_root=/x y/ü", "--target_dir=0012", "--test_ckpt_steps=[3]"]
    words = ["config", "--config", preset, *(words if preset != "default" else words[1:])]
    assert execute(ASR(), words) == 0
    printed = capsys.readouterr().out
    (tmp_path / "kept.yaml").write_text(printed, encoding="utf-8")
    assert execute(ASR(), ["config", "--config", str(tmp_path / "kept.yaml")]) == 0
    assert capsys.readouterr().out == printed
