"""Messages: on stderr, in run.log, and not into a pipe that nobody reads."""

from __future__ import annotations

import logging
import subprocess
import sys

from problems.asr import ASR
from problems.engine.cli.console import run_log
from problems.engine.cli.main import execute
from tests.conftest import ROOT


class FullDisk(ASR):
    """Fails while it writes."""

    def prepare_data(self, *args, get_path_only=False, **kwargs):
        if get_path_only:
            return super().prepare_data(*args, get_path_only=True, **kwargs)
        raise OSError(28, "No space left on device", "/full/file")


def test_a_full_disk_is_reported_with_what_to_do(capsys, tiny):
    assert execute(FullDisk(), ["run", *tiny]) == 1
    err = capsys.readouterr().err
    assert "error: No space left on device: /full/file; free disk space" in err and "Traceback" not in err


def test_a_run_log_on_a_full_disk_ends_nothing_and_is_reported_once(capsys, tmp_path):
    log = logging.getLogger("test of a full disk")
    log.propagate = False
    (tmp_path / "run.log").symlink_to("/dev/full")
    handler = run_log(tmp_path)
    log.addHandler(handler)
    log.error("one")
    log.error("two")
    log.removeHandler(handler)
    handler.close()
    assert capsys.readouterr().err == f"warning: {tmp_path / 'run.log'} lacks messages: No space left on device\n"


def test_log_handlers_are_removed(tiny):
    before = list(logging.getLogger().handlers)
    execute(FullDisk(), ["run", *tiny])
    assert logging.getLogger().handlers == before


def test_a_reader_that_stops_reading_is_no_error():
    for words in (["config"], ["--help"]):
        done = subprocess.run(
            ["bash", "-c", f"'{sys.executable}' -m problems.asr {' '.join(words)} | head -1; exit ${{PIPESTATUS[0]}}"],
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        assert done.stderr == "" and done.returncode in (0, 141)
    with subprocess.Popen(
        [sys.executable, "-m", "problems.asr", "config"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 141
