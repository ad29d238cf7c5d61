"""Predictions of recordings while they come: results in chunks, and their lines."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from typing import IO, Any

from dataset import SAMPLE_RATE
from dataset.long_audio.live import Chunk
from problems.engine.inference.pieces import joined
from problems.engine.inference.predictor import Predictor
from problems.engine.inference.recordings import Recording
from tasks.results import Result

FORMATS = ("text", "jsonl")
"""The formats that can hold partial results."""
ERASE = "\r\x1b[K"
"""The characters that erase the line of a terminal."""


def chunks_of(recording: Recording, seconds: float) -> Iterator[Chunk]:
    """The chunks of a recording in a file, at 16 kHz.

    Raises:
        AudioError: it cannot be read.
    """
    size = max(1, round(seconds * SAMPLE_RATE))
    for block in recording.open().blocks:
        for place in range(0, len(block), size):
            yield Chunk(SAMPLE_RATE, block[place : place + size].numpy())


def results(predictor: Predictor, recording: Recording, chunks: Iterable[Chunk]) -> Iterator[tuple[Result, bool]]:
    """The result after each chunk, and true with that of the whole recording, which is the last.

    Raises:
        ConfigError: the model needs the whole recording. AudioError: the chunks cannot be read.
    """
    stream = None
    for rate, samples in chunks:
        stream = stream or predictor.stream(rate)
        yield _named(recording, stream.push(samples)), False
    if stream is not None:
        yield _named(recording, stream.finish()), True


def _named(recording: Recording, result: Result) -> Result:
    """A result with the name of its recording, and with the times of the file if it is of a part."""
    seconds = result.seconds or 0.0
    result = joined(recording, [(recording.span[0] or 0.0, seconds, result)])
    result.seconds = seconds
    return result


class LiveOutput:
    """Lines of partial results, each as it changes, and of the final one.

    A line of text has the recording, ``partial`` or ``final``, and the prediction, separated by tabs; on a terminal
    the next line takes the place of a partial one. A line of JSON has the key ``final``.

    Args:
        stream: where to write.
        format: text or jsonl.
    """

    def __init__(self, stream: IO[str], format: str) -> None:
        self.stream, self.format = stream, format
        self.shown: Any = None

    def write(self, result: Result, is_final: bool) -> None:
        """Write a result, unless it is partial and says nothing, or what the one before said."""
        content = {name: value for name, value in result.to_dict().items() if name != "seconds"}
        if is_final or (str(result) and content != self.shown):
            line = self._text(result, is_final) if self.format == "text" else self._json(result, is_final)
            self.stream.write(line)
            self.stream.flush()
        self.shown = None if is_final else content

    def abandon(self) -> None:
        """Forget a recording that has no final result, and erase its partial one from a terminal."""
        self.shown = None
        if self.format == "text" and self.stream.isatty():
            self.stream.write(ERASE)
            self.stream.flush()

    def _json(self, result: Result, is_final: bool) -> str:
        return json.dumps({"final": is_final, **result.to_dict()}, ensure_ascii=False, allow_nan=False) + "\n"

    def _text(self, result: Result, is_final: bool) -> str:
        if not self.stream.isatty():
            return f"{result.source}\t{'final' if is_final else 'partial'}\t{result}\n"
        if is_final:
            return f"{ERASE}{result.source}\t{result}\n"
        return f"{ERASE}{str(result)[1 - shutil.get_terminal_size().columns :]}"
