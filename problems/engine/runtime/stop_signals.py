"""Ctrl-C and SIGTERM: training stops at a safe point, other work at once, but never inside an import or a callback."""

from __future__ import annotations

import _thread
import contextlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

from problems.engine.runtime.errors import Interrupted

Handler = Callable[[int, "FrameType | None"], None]

RETRY = 0.02  # seconds until a signal that arrived during an import or a callback is delivered again
_NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_in_threads: dict[int, StopRequest] = {}
"""The request of each thread but the main one, which alone gets signals."""
_forwarded: list[int] = []
"""The signal that threads were given, if there was one."""


class StopRequest:
    """Within a ``with`` block, the first SIGINT or SIGTERM sets :attr:`signal`. A second one raises at once.

    Only the main thread may set signal handlers. Requests of other threads get those of :func:`forwarded`.
    """

    def __init__(self) -> None:
        self.signal: int | None = None
        self._raises = False
        self._handlers = contextlib.ExitStack()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt if number == signal.SIGINT else self.error("stopped at once")
        self.signal = number
        if self._raises:
            raise self.error("")

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise :class:`Interrupted` as soon as a signal arrives: for work that changes nothing."""
        self._raises = True
        try:
            if self.signal is not None:
                raise self.error("")
            yield
        except Exception as error:
            if self.signal is not None:  # see raise_on_signals
                raise self.error("") from error
            raise
        finally:
            self._raises = False

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is not threading.main_thread():
            _in_threads[threading.get_ident()] = self
            self.signal = _forwarded[0] if _forwarded else None
        self._handlers.enter_context(_handled({number: self._note for number in _NAMES}))
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._handlers.close()
        _in_threads.pop(threading.get_ident(), None)

    def raise_if_at_once(self) -> None:
        """Raise :class:`Interrupted` if a signal has arrived while it should be raised at once."""
        if self._raises and self.signal is not None:
            raise self.error("")

    def __bool__(self) -> bool:
        return self.signal is not None

    def error(self, message: str) -> Interrupted:
        """The error that ends the run with the signal's exit code (130 or 143)."""
        number = self.signal or signal.SIGINT
        return Interrupted(number, f"{_NAMES[number]}: {message}")


@contextlib.contextmanager
def raise_on_signals() -> Iterator[None]:
    """Within a ``with`` block, raise :class:`Interrupted` on SIGTERM and KeyboardInterrupt on Ctrl-C.

    C code may turn what is raised inside it into an error of its own, such as a ValueError; the interruption is then
    raised in its place. Signals that the caller of this process has chosen to ignore, or to handle otherwise, stay as
    they are.
    """
    raised: list[BaseException] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        message = "SIGTERM: finished work is kept; run the same command to continue"
        raised.append(Interrupted(number, message) if number == signal.SIGTERM else KeyboardInterrupt())
        raise raised[-1]

    defaults = (signal.SIG_DFL, signal.default_int_handler)
    try:
        with _handled({number: interrupt for number in _NAMES if signal.getsignal(number) in defaults}):
            yield
    except Exception as error:
        if raised:
            raise raised[-1] from error
        raise


@contextlib.contextmanager
def forwarded() -> Iterator[None]:
    """Within a ``with`` block, set the first SIGINT or SIGTERM in the requests of all threads; a second one raises.

    It is for a main thread that waits for others. A thread without a request hears of it when it enters one.
    """
    _forwarded.clear()

    def forward(number: int, frame: FrameType | None) -> None:
        if _forwarded:
            raise KeyboardInterrupt if number == signal.SIGINT else Interrupted(number, "SIGTERM: stopped at once")
        _forwarded.append(number)
        for request in list(_in_threads.values()):
            request.signal = number

    with _handled({number: forward for number in _NAMES}):
        yield


def raise_if_at_once() -> None:
    """Raise :class:`Interrupted` if a signal was forwarded to this thread during work that changes nothing."""
    request = _in_threads.get(threading.get_ident())
    if request is not None:
        request.raise_if_at_once()


@contextlib.contextmanager
def _handled(handlers: dict[int, Handler]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # one that the caller ignores, as nohup and a shell's background do, stays ignored
    heard = {number: own for number, own in handlers.items() if signal.getsignal(number) != signal.SIG_IGN}
    previous = {number: signal.signal(number, _put_off(handler)) for number, handler in heard.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _put_off(handler: Handler) -> Handler:
    """``handler``, put off while the main thread imports a module, or is called by code that loses its exceptions.

    An exception inside an import leaves half of a module behind, and C code that imports reports it as an error of its
    own. One inside a callback of soundfile, or in ``__del__``, is printed and forgotten. Such a signal is delivered
    again until that is over.
    """
    below = _uninterruptible_in(sys._getframe())  # the whole program may run inside an import

    def deferred(number: int, frame: FrameType | None) -> None:
        if _uninterruptible_in(frame) > below:
            # not threading.Timer: the import may hold the locks that it takes
            _thread.start_new_thread(_deliver_again, (number, threading.get_ident()))
        else:
            handler(number, frame)

    return deferred


def _uninterruptible_in(frame: FrameType | None) -> int:
    """The number of frames on a stack of the import system, of soundfile's callbacks and of destructors."""
    count = 0
    while frame is not None:
        file, name = frame.f_code.co_filename, frame.f_code.co_name
        is_callback = name.startswith("vio_") and file.endswith("soundfile.py")
        count += is_callback or name == "__del__" or file.startswith("<frozen importlib")
        frame = frame.f_back
    return count


def _deliver_again(number: int, thread: int) -> None:
    time.sleep(RETRY)
    signal.pthread_kill(thread, number)
