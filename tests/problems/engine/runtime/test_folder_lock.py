"""One run a folder; a lock ends with its process, however that ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import StageError
from problems.engine.runtime.folder_lock import folder_lock
from problems.engine.stages.prepare_data import PrepareData
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from problems.engine.runtime.folder_lock import folder_lock
{before}
with folder_lock(Path(sys.argv[1]), shared={shared}):
    {inside}
    print("held", flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(folder: Path, shared: bool = False, before: str = "", inside: str = "pass"):
    """Another process that holds the lock."""
    code = HOLD.format(shared=shared, before=before, inside=inside)
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        yield process, process.stdout.readline().split()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_is_refused_at_once_and_told_who_holds_it(tmp_path):
    with holder(tmp_path) as (process, _):
        with pytest.raises(StageError) as caught, folder_lock(tmp_path):
            pass
        message = str(caught.value)
        assert f"process {process.pid} on {socket.gethostname()}" in message and str(tmp_path) in message
        assert "--target_dir" in message
        with pytest.raises(StageError, match="another folder .--cache_dir"), folder_lock(tmp_path, option="cache_dir"):
            pass
    with folder_lock(tmp_path):
        pass


def test_two_runs_in_one_folder(tiny, tmp_path, capsys):
    with holder(tmp_path / "run") as (process, _):
        assert execute(ASR(), ["run", *tiny]) == 2
        err = capsys.readouterr().err
        assert f"process {process.pid} on" in err and "Traceback" not in err
        assert not (tmp_path / "run/data").exists()  # it did no work


def test_kill_9_frees_it_while_workers_of_the_holder_live(tmp_path):
    before = "import os"
    inside = (
        "child = os.fork()\n    if child == 0:\n        time.sleep(60)\n        os._exit(0)\n    print(child, end=' ')"
    )
    with holder(tmp_path, before=before, inside=inside) as (process, words):
        child = int(words[0])
        try:
            with pytest.raises(StageError), folder_lock(tmp_path):
                pass
            process.send_signal(signal.SIGKILL)
            process.wait()
            os.kill(child, 0)  # it lives
            with folder_lock(tmp_path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_kill_9_frees_it_while_a_loaders_workers_live(tmp_path):
    before = "import torch\nclass Slow(torch.utils.data.Dataset):\n    def __len__(self): return 8\n" + (
        "    def __getitem__(self, i):\n        time.sleep(3 if i > 1 else 0); return i\n"
    )
    inside = (
        "loader = iter(torch.utils.data.DataLoader(Slow(), batch_size=1, num_workers=2)); next(loader)\n"
        "    print(*(w.pid for w in loader._workers), end=' ')"
    )
    with holder(tmp_path, before=before, inside=inside) as (process, words):
        workers = [int(w) for w in words[:-1]]
        process.send_signal(signal.SIGKILL)
        process.wait()
        try:
            assert len(workers) == 2
            with folder_lock(tmp_path):
                pass
        finally:
            for worker in workers:
                try:
                    os.kill(worker, signal.SIGKILL)
                except ProcessLookupError:
                    pass


def test_twice_in_one_process(tmp_path):
    with folder_lock(tmp_path):
        with pytest.raises(StageError, match="this process"), folder_lock(tmp_path):
            pass
        with holder(tmp_path) as (process, words):  # the refused one did not let go of the first one's lock
            assert words == [] and process.wait(5) == 1
    with folder_lock(tmp_path):
        pass


def test_another_spelling_of_the_folder_is_the_same_folder(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with folder_lock(tmp_path / "a"), pytest.raises(StageError), folder_lock(tmp_path / "b"):
        pass


def test_it_is_free_after_an_error(tmp_path):
    with pytest.raises(KeyError), folder_lock(tmp_path):
        raise KeyError
    with folder_lock(tmp_path):
        pass


def test_shared_locks_stand_together_and_keep_writers_out(tmp_path):
    with folder_lock(tmp_path):
        pass  # leaves its name behind, which is not to be blamed later
    with holder(tmp_path, shared=True):
        with folder_lock(tmp_path, shared=True):
            pass
        with pytest.raises(StageError) as caught, folder_lock(tmp_path):
            pass
        assert str(os.getpid()) not in str(caught.value)
    with folder_lock(tmp_path):
        pass
    with holder(tmp_path) as (process, _), pytest.raises(StageError), folder_lock(tmp_path, shared=True):
        pass


def test_a_run_holds_its_cache_against_a_removal(tiny, tmp_path, monkeypatch):
    codes = []

    def prepare(self, device, fingerprint):
        command = [
            sys.executable,
            "-c",
            HOLD.format(before="", shared=False, inside="sys.exit()"),
            str(tmp_path / "cache"),
        ]
        codes.append(subprocess.run(command, capture_output=True, text=True, cwd=ROOT).stderr)
        return plain(self, device, fingerprint)

    plain = PrepareData.run
    monkeypatch.setattr(PrepareData, "run", prepare)
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    assert len(codes) == 1 and "is in use" in codes[0]


def test_removing_the_cache_is_refused_while_another_run_uses_it(tiny, tmp_path, capsys):
    assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0
    lengths = (tmp_path / "cache" / "headers.sqlite").read_bytes()
    with holder(tmp_path / "cache", shared=True):
        assert execute(ASR(), ["run", *tiny, "--remove_all_cache", "--stop=0"]) == 2
        assert (tmp_path / "cache" / "headers.sqlite").read_bytes() == lengths
        assert f"{tmp_path / 'cache'} is in use" in capsys.readouterr().err
        assert execute(ASR(), ["run", *tiny, "--stop=0"]) == 0  # using it is fine
