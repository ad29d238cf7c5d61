"""TensorBoard's events of a training, in a file that the training writes itself.

torch's writer has a thread, which prints a traceback if the disk is full, and then ends the training.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tensorboard.summary.writer.record_writer import RecordWriter

log = logging.getLogger(__name__)


class Board:
    """Numbers, texts and pictures for TensorBoard.

    They are a copy of the history: a failure is warned of once, and the training goes on without them.

    Args:
        folder: what is in it is removed.
    """

    def __init__(self, folder: Path):
        self.folder, self.has_failed = folder, False
        shutil.rmtree(folder, ignore_errors=True)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Add a number."""
        self._try(self._add, "scalar", name, value, step)

    def add_text(self, name: str, text: str, step: int) -> None:
        """Add a text in markdown."""
        self._try(self._add, "text", name, text, step)

    def add_image(self, name: str, pixels: Any, step: int) -> None:
        """Add a grey picture, (height, width)."""
        self._try(self._add, "image", name, pixels, step, dataformats="HW")

    def flush(self) -> None:
        """Write everything so far."""
        if "records" in vars(self):
            self._try(self.records.flush)

    def close(self) -> None:
        """Write everything and close the file."""
        if "records" in vars(self):
            self._try(self.records.close)

    @functools.cached_property
    def records(self) -> RecordWriter:
        """The file, opened by the first event: the import would delay the first step."""
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        self.folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.0"
        records = RecordWriter(open(self.folder / name, "wb"))
        records.write(Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString())
        return records

    def _add(self, kind: str, name: str, value: Any, step: int, **options: str) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from torch.utils.tensorboard import summary

        event = Event(wall_time=time.time(), step=step, summary=getattr(summary, kind)(name, value, **options))
        self.records.write(event.SerializeToString())

    def _try(self, act: Callable[..., None], *values: Any, **options: Any) -> None:
        if self.has_failed:
            return
        try:
            act(*values, **options)
        except OSError as error:
            self.has_failed = True
            log.warning(
                "TensorBoard's events in %s cannot be written: %s; the training goes on without them, and they are"
                " complete again once it is resumed",
                self.folder,
                error.strerror,
            )
            if "records" in vars(self):
                with contextlib.suppress(OSError):
                    self.records.close()
