"""``Python(words)`` in place of ``Popen([sys.executable, *words])``: forked from a process with the libraries loaded.

Importing torch takes longer than a tiny run. One server for each pytest worker imports the libraries, and nothing of
ours, and forks a process for each request. It runs a module, a file or ``-c`` code as ``__main__``, and is signalled
and killed like any other process. All have the hash seed of their server; a test that needs another starts a real one.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import functools
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
import types

from tests.conftest import ROOT

LIBRARIES = (
    "torch", "torch._dynamo", "torch.utils.tensorboard", "torchaudio", "pandas", "omegaconf", "safetensors.torch",
    "soundfile", "tqdm", "matplotlib.figure", "matplotlib.backends.backend_svg",
)  # fmt: skip
SIGNALS = (signal.SIGINT, signal.SIGTERM)
_LENGTH = 16
"""Bytes of a message about a process: first its pid, then its exit code."""


class Python:
    """A Python process. ``words`` is what follows ``python`` on a command line; the rest is as in Popen, in text."""

    def __init__(self, words, *, cwd=ROOT, env=None, stdout=None, stderr=None, start_new_session=False):
        self.returncode: int | None = None
        self.stdout, out = _output(stdout, 1)
        self.stderr, err = (None, out) if stderr == subprocess.STDOUT else _output(stderr, 2)
        events, write = os.pipe()
        request = [[str(word) for word in words], str(cwd), dict(os.environ if env is None else env), start_new_session]
        socket.send_fds(_server(), [json.dumps(request).encode()], [out, err, write])
        for fd in {write, *([out] if self.stdout else []), *([err] if self.stderr else [])}:
            os.close(fd)
        self._events = open(events, "rb", buffering=0)
        self.pid = int(self._events.read(_LENGTH))

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code.

        Raises:
            subprocess.TimeoutExpired: it runs longer than ``timeout`` seconds.
        """
        if self.returncode is None:
            if not select.select([self._events], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"python, process {self.pid}", timeout)
            self.returncode = int(self._events.read(_LENGTH))
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code; None while it runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def communicate(self, timeout: float | None = None) -> tuple[str | None, str | None]:
        """Wait for the end and return stdout and stderr; a process that runs longer than ``timeout`` is killed."""
        pool = concurrent.futures.ThreadPoolExecutor(2)
        reads = [pool.submit(file.read) if file else None for file in (self.stdout, self.stderr)]
        if concurrent.futures.wait(filter(None, reads), timeout).not_done:
            self.kill()
            raise subprocess.TimeoutExpired(f"python, process {self.pid}", timeout)
        pool.shutdown()
        self.wait(timeout)
        return tuple(read and read.result() for read in reads)

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    terminate = functools.partialmethod(send_signal, signal.SIGTERM)
    kill = functools.partialmethod(send_signal, signal.SIGKILL)


def run(words, *, timeout: float = 120, **options) -> subprocess.CompletedProcess:
    """Run a Python process to its end, as ``subprocess.run`` does with captured text."""
    process = Python(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    outputs = process.communicate(timeout)
    return subprocess.CompletedProcess(words, process.returncode, *outputs)


def _output(target, standard: int):
    """The file to read (or None) and the descriptor to write, for a target as Popen takes it."""
    if target is None:
        return None, standard
    if target != subprocess.PIPE:
        return None, target.fileno()
    read, write = os.pipe()
    return open(read, encoding="utf-8", errors="replace"), write


@functools.cache
def _server() -> socket.socket:
    """The socket to the server of this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-m", "tests.parts.python", str(theirs.fileno())]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environment, start_new_session=True)
    theirs.close()
    return ours


# ---- the server ----


def _next_process(requests: socket.socket):
    """Fork a process for each request; return only in such a process, with its request; None when no more can come."""
    while True:
        message, fds, *_ = socket.recv_fds(requests, 1 << 20, 3)
        if not message:
            return None
        if not os.fork():
            out, err, events = fds
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            pid = os.fork()
            if not pid:
                os.dup2(out, 1)
                os.dup2(err, 2)
                for fd in (*fds, requests.fileno()):
                    os.close(fd)
                return json.loads(message)
            os.closerange(0, 3)
            os.close(out), os.close(err)
            os.write(events, str(pid).ljust(_LENGTH).encode())
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            os.write(events, str(code).ljust(_LENGTH).encode())
            os._exit(0)
        for fd in fds:
            os.close(fd)


def _execute(words: list[str], cwd: str, environment: dict[str, str], session: bool) -> None:
    """Run what a command line of Python names."""
    if session:
        os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    sys.path[1:1] = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    first, *rest = words
    if first == "-m":
        sys.path[0], sys.argv = cwd, rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.path[0], sys.argv = "", ["-c", *rest[1:]]
        main = sys.modules["__main__"] = types.ModuleType("__main__")
        exec(rest[0], main.__dict__)
    else:
        sys.path[0], sys.argv = os.path.dirname(os.path.join(cwd, first)), words
        runpy.run_path(first, run_name="__main__")


def _exit_code(error: BaseException) -> int:
    """The exit code of a process that an exception ends, as the interpreter's; its traceback is printed."""
    if isinstance(error, SystemExit):
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    traceback.print_exception(error)
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.flush()
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    return 1


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # those sent while a process is forked
    request, code = _next_process(socket.socket(fileno=int(sys.argv[1]))), 0
    if request is not None:
        try:
            _execute(*request)
            threading._shutdown()  # as the interpreter does; clearing what was forked would take a second
        except BaseException as error:
            code = _exit_code(error)
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    os._exit(code)
