"""Ctrl-C and SIGTERM as a request that the loop answers at a place where nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType, TracebackType

from problems.engine.runtime.errors import Interrupted

_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class StopRequest:
    """Within a ``with`` block, the first SIGINT or SIGTERM sets :attr:`signal`; a second one ends at once.

    Handlers are those of the process, so nothing is installed outside the main thread.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._raise = False
        self._before: dict[int, object] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:  # the second time, at once
            raise KeyboardInterrupt if number == signal.SIGINT else self.error("ended at once")
        self.signal = number
        if self._raise:
            raise self.error("")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Inside, a signal raises :class:`Interrupted` where it arrives: for work that changes nothing."""
        self._raise = True
        try:
            if self.signal is not None:
                raise self.error("")
            yield
        finally:
            self._raise = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _NAMES}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def __bool__(self) -> bool:
        return self.signal is not None

    def error(self, message: str) -> Interrupted:
        """The error that ends the run with the signal's exit code (130 or 143)."""
        return Interrupted(self.signal or signal.SIGINT, f"{_NAMES[self.signal or signal.SIGINT]}: {message}")


def raise_on_sigterm() -> None:
    """Outside the train loop, let SIGTERM end the work as Ctrl-C does: by an exception, so that nothing is torn."""

    def end(number: int, frame: FrameType | None) -> None:
        raise Interrupted(number, "SIGTERM: what is finished is kept; the same command goes on from there")

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, end)
