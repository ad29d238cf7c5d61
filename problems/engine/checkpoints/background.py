"""Writing in the background: a training waits until its state is copied, and a thread writes the copies.

A checkpoint's small files are written while the training waits, and its tensors later: what writes them copies them,
and hands the rest to :func:`later`. Outside :func:`deferring`, that is done at once.
"""

from __future__ import annotations

import contextlib
import contextvars
import copy
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

log = logging.getLogger(__name__)

Write = Callable[[], None]

_deferred: contextvars.ContextVar[list[Write] | None] = contextvars.ContextVar("deferred", default=None)


@contextlib.contextmanager
def deferring(deferred: list[Write] | None) -> Iterator[None]:
    """Append to ``deferred`` what is handed to :func:`later` inside the ``with`` block; None: do it at once."""
    token = _deferred.set(deferred)
    try:
        yield
    finally:
        _deferred.reset(token)


def later(write: Write) -> None:
    """Call ``write`` later if writes are deferred, else now. It must use copies of what the training may change."""
    deferred = _deferred.get()
    if deferred is None:
        write()
    else:
        deferred.append(write)


def copied(value: Any) -> Any:
    """Return a copy that shares nothing with ``value``, its tensors on the CPU."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if type(value) is dict:
        return {key: copied(inner) for key, inner in value.items()}
    if type(value) in (list, tuple):
        return type(value)(copied(inner) for inner in value)
    return copy.deepcopy(value)


class BackgroundWriter:
    """A thread that writes one thing at a time. An error is raised when the next one begins, or at the end."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._write: Future[None] | None = None

    def start(self, write: Write) -> None:
        """Begin to write, after the write before has ended.

        Raises:
            Exception: the error of the write before; ``write`` is then not begun.
        """
        self.wait()
        self._write = self._pool.submit(write)

    def wait(self) -> None:
        """Wait until all is written.

        Raises:
            Exception: the error of the write.
        """
        write, self._write = self._write, None
        if write is not None:
            write.result()

    def close(self) -> None:
        """Wait, and log the error of the write if there is one: for a training that another error has ended."""
        try:
            self.wait()
        except Exception as error:
            log.error("%s", error)
