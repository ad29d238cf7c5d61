"""``status``: the state of a target folder."""

from __future__ import annotations

from problems.asr import ASR
from problems.engine.cli.main import execute


def test_status_shows_the_newest_checkpoint_and_its_validation(capsys, tiny):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    capsys.readouterr()
    assert execute(ASR(), ["status", *tiny]) == 0
    assert "newest checkpoint step_00000008; last validation: WER " in capsys.readouterr().out


def test_status_where_nothing_ran(capsys, tmp_path):
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'none'}"]) == 0
    assert "nothing has run" in capsys.readouterr().out and not (tmp_path / "none").exists()
