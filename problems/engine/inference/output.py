"""Write predictions to a stream, or to a folder in which a later call continues."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from dataset.storage.files import read_json, sweep, write_json, write_text
from problems.engine.inference.formats import FORMATS, check
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.folder_lock import folder_lock
from tasks.results import Result

ORIGIN = "predict.json"


class Output(Protocol):
    """A place for results."""

    def missing(self, names: Sequence[str]) -> list[int]:
        """The indices of the recordings without a result in it."""

    def write(self, result: Result) -> None:
        """Add a result."""

    def close(self) -> None:
        """End what was written."""


class StreamOutput:
    """Results one after the other in one stream."""

    def __init__(self, stream: IO[str], format: str):
        self.stream, self.name, self.format = stream, format, FORMATS[format]
        self.count = 0

    def missing(self, names: Sequence[str]) -> list[int]:
        """All.

        Raises:
            ConfigError: the format cannot hold as many.
        """
        if self.format.alone and len(names) > 1:
            raise ConfigError(
                f"--format {self.name} is a file for each recording, and there are {len(names)}: add --out DIR"
            )
        return list(range(len(names)))

    def write(self, result: Result) -> None:
        """Write a result, and what stands before it."""
        check(self.name, result)
        if self.count:
            self.stream.write(self.format.between)
        else:
            self.stream.write(self.format.begin + (self.format.header(result) if self.format.header else ""))
        self.stream.write(self.format.write(result))
        self.stream.flush()
        self.count += 1

    def close(self) -> None:
        """Write what stands after the results."""
        self.stream.write(self.format.end if self.count or not self.format.end else self.format.begin + self.format.end)
        self.stream.flush()


class FolderOutput:
    """A file for each recording, named as its own below the folder that all have in common.

    Each file is written whole or not at all, so that the same call continues where an interrupted one ended. The folder
    is locked until :meth:`close`.

    Args:
        origin: what the predictions depend on; another call must have the same.
        names: of all recordings.

    Raises:
        ConfigError: the folder holds predictions of another origin, or is not one of predictions.
    """

    def __init__(self, folder: Path, format: str, origin: Mapping[str, Any], names: Sequence[str]):
        self.folder, self.name, self.format = folder, format, FORMATS[format]
        self.lock = contextlib.ExitStack()
        self._claim(dict(origin) | {"format": format})
        self.lock.enter_context(folder_lock(folder, option="out"))
        self.files = dict(zip(names, self._files(names)))
        for parent in {path.parent for path in self.files.values()}:
            sweep(parent)

    def _claim(self, origin: dict[str, Any]) -> None:
        path = self.folder / ORIGIN
        if path.is_file():
            earlier = read_json(path)
            differing = sorted(key for key in earlier.keys() | origin.keys() if earlier.get(key) != origin.get(key))
            if differing:
                pairs = ", ".join(f"{key} {earlier.get(key)!r}, not {origin.get(key)!r}" for key in differing)
                raise ConfigError(f"--out {self.folder} holds predictions of {pairs}: choose another folder")
        elif self.folder.exists() and (not self.folder.is_dir() or any(self.folder.iterdir())):
            raise ConfigError(f"--out {self.folder} exists and holds no predictions: choose a new or an empty folder")
        else:
            write_json(path, origin)

    def _files(self, names: Sequence[str]) -> Iterable[Path]:
        absolute = [os.path.abspath(name) for name in names]
        common = os.path.commonpath([os.path.dirname(name) for name in absolute])
        relative = [os.path.relpath(name, common) for name in absolute]
        stems = [os.path.splitext(name)[0] for name in relative]
        for name, stem in zip(relative, stems):
            unique = name if stems.count(stem) > 1 else stem
            yield self.folder / f"{unique}{self.format.suffix}"

    def missing(self, names: Sequence[str]) -> list[int]:
        """The indices of the recordings without a file."""
        return [place for place, name in enumerate(names) if not self.files[name].exists()]

    def write(self, result: Result) -> None:
        """Write the file of a result."""
        check(self.name, result)
        path = self.files[str(result.source)]
        path.parent.mkdir(parents=True, exist_ok=True)
        header = self.format.header(result) if self.format.header else ""
        text = f"{result}\n" if self.name == "text" else header + self.format.write(result)
        write_text(path, text)

    def close(self) -> None:
        """Let others write to the folder."""
        self.lock.close()
