"""``status``: the state of a target folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dataset.storage.files import read_json, write_json
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.folder_lock import folder_lock, holder_of

HOLD = "import sys; from problems.engine.runtime.folder_lock import folder_lock\n"
HOLD += "with folder_lock(sys.argv[1]): print('held', flush=True); sys.stdin.read()"


def test_status_shows_the_newest_checkpoint_and_its_validation(capsys, tiny):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    capsys.readouterr()
    assert execute(ASR(), ["status", *tiny]) == 0
    assert "newest checkpoint step_00000008; last validation: WER " in capsys.readouterr().out


def test_status_where_nothing_ran(capsys, tmp_path):
    assert execute(ASR(), ["status", f"--target_dir={tmp_path / 'none'}"]) == 0
    assert "nothing has run" in capsys.readouterr().out and not (tmp_path / "none").exists()


def test_a_stage_that_runs_is_told_from_one_that_was_cut_off(capsys, tiny):
    assert execute(ASR(), ["run", *tiny, "--stop=2"]) == 0
    root = next(word for word in tiny if word.startswith("--target_dir=")).partition("=")[2]
    stages = read_json(Path(root) / "stages.json")
    stages["stages"]["2"]["status"] = "started"
    write_json(Path(root) / "stages.json", stages)

    def said() -> str:
        capsys.readouterr()
        assert execute(ASR(), ["status", *tiny]) == 0
        return capsys.readouterr().out

    assert "cut off" in said() and holder_of(root) is None
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, root], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "held\n"
        shown = said()
        assert f"running in process {process.pid} on " in shown and "2 train                 running" in shown
        assert "last logged step 8" in shown
        process.stdin.close()
    with folder_lock(root):  # looking has left no lock
        pass
