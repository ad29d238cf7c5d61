"""The one thread that runs the model: what waits together is computed together."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from typing import Any

from problems.engine.inference.predictor import Predictor
from problems.engine.inference.recordings import Recording

MOST_AT_ONCE = 32


class QueueFull(RuntimeError):
    """More recordings wait than are allowed to."""


class Worker:
    """Computes recordings in the order of their arrival.

    Args:
        predictor: the model.
        capacity: recordings that may wait.
    """

    def __init__(self, predictor: Predictor, capacity: int):
        self.predictor = predictor
        self.waiting: queue.Queue[tuple[Recording, Future[Any]] | None] = queue.Queue(capacity)
        self.thread = threading.Thread(target=self._run, name="model", daemon=True)
        self.thread.start()

    def submit(self, recording: Recording) -> Future[Any]:
        """The result of an opened recording, later.

        Raises:
            QueueFull: too many recordings wait.
        """
        future: Future[Any] = Future()
        try:
            self.waiting.put_nowait((recording, future))
        except queue.Full:
            raise QueueFull(f"{self.waiting.maxsize} recordings are waiting already") from None
        return future

    def close(self) -> None:
        """Compute what waits, and end."""
        self.waiting.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (first := self.waiting.get()) is not None:
            batch, is_last = [first], False
            while len(batch) < MOST_AT_ONCE and not is_last:
                try:
                    following = self.waiting.get_nowait()
                except queue.Empty:
                    break
                is_last = following is None
                batch += [] if following is None else [following]
            self._compute([own for own in batch if own[1].set_running_or_notify_cancel()])
            if is_last:
                return

    def _compute(self, batch: list[tuple[Recording, Future[Any]]]) -> None:
        """Give each of them its result, or its error."""
        try:
            results = list(self.predictor.predict([recording for recording, _ in batch], num_workers=0))
        except Exception as error:  # of one of them, in the model: find out which
            if len(batch) > 1:
                for own in batch:
                    self._compute([own])
            else:
                batch[0][1].set_exception(error)
            return
        for (_, future), result in zip(batch, results):
            future.set_result(result)
