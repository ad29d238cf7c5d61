"""A lock between processes and threads: one holder at a time, and none left when its process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from dataset.storage.locks import LockedError, locked
from tests.conftest import ROOT

HOLD = """
import sys, time
from pathlib import Path
from dataset.storage.locks import locked
print("waiting", flush=True)
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


TRY = """
import sys
from pathlib import Path
from dataset.storage.locks import LockedError, locked
try:
    with locked(Path(sys.argv[1]), shared=sys.argv[2] == "True", wait=False):
        print("free")
except LockedError as holder:
    print(str(holder).split(" on ")[0])
"""


def attempt(path, shared=False):
    """The answer to another process that does not wait: free, or who holds it."""
    command = [sys.executable, "-c", TRY, str(path), str(shared)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout.strip()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "a.lock"


@pytest.fixture
def hold(path):
    """Start a process that waits for the lock and then holds it."""
    processes = []

    def start():
        processes.append(
            subprocess.Popen([sys.executable, "-c", HOLD, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
        )
        assert processes[-1].stdout.readline() == "waiting\n"
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_who_waits_gets_it_when_the_holder_is_killed(path, hold):
    first = hold()
    assert first.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=f"process {first.pid} on "), locked(path, wait=False):
        pass
    second = hold()
    first.kill()
    assert second.stdout.readline() == "held\n"
    with pytest.raises(LockedError, match=f"process {second.pid} on "), locked(path, wait=False):
        pass


def test_a_process_waits_for_this_one(path, hold):
    with locked(path):
        process = hold()
        with pytest.raises(LockedError, match="this process"), locked(path, wait=False):
            pass  # which does not let the other one in
        assert attempt(path) == f"process {os.getpid()}"
    assert process.stdout.readline() == "held\n"
    assert attempt(path) == f"process {process.pid}"


def test_threads_take_turns(path):
    counter = {"now": 0, "most": 0, "done": 0}

    def work():
        for _ in range(50):
            with locked(path):
                counter["now"] += 1
                counter["most"] = max(counter["most"], counter["now"])
                counter["done"] += 1
                counter["now"] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert counter == {"now": 0, "most": 1, "done": 200}


def test_shared_holders_stand_together_and_keep_others_out(path, hold):
    process = hold()
    assert process.stdout.readline() == "held\n"
    with pytest.raises(LockedError), locked(path, shared=True, wait=False):
        pass
    process.kill()
    process.wait()
    with locked(path, shared=True, wait=False):
        assert attempt(path, shared=True) == "free"
        assert attempt(path) == "another process"  # not the holder that is gone
