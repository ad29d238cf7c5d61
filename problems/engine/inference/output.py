"""Write predictions to a stream, or to a folder in which a later call continues."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from dataset.storage.files import read_json, sweep, write_json, write_text
from problems.engine.inference.formats import FORMATS, check
from problems.engine.inference.timed_formats import file_of, id_of
from problems.engine.runtime.errors import ConfigError
from problems.engine.runtime.folder_lock import folder_lock
from tasks.results import Result

RECORD = ".predict.json"
"""The origin of a folder's predictions, and the recording of each of its files."""


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
        if self.format.by_id:
            self._require_ids(names)
        return list(range(len(names)))

    def _require_ids(self, names: Sequence[str]) -> None:
        """Refuse recordings that the format could not tell apart."""
        paths: dict[str, str] = {}
        for name in map(file_of, names):
            other = paths.setdefault(id_of(name), name)
            if other != name:
                raise ConfigError(f"--format {self.name} names {other} and {name} alike: add --out DIR, or rename one")

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
    """A file for each recording, named as its own below the folder that all of a call have in common.

    The folder records which file is whose, so that a later call continues where an interrupted one ended, and other
    recordings of the same name get other files. It is locked until :meth:`close`.

    Args:
        origin: what the predictions depend on; another call must have the same.
        names: of all recordings.

    Raises:
        ConfigError: the folder holds predictions of another origin, or is not one of predictions.
    """

    def __init__(self, folder: Path, format: str, origin: Mapping[str, Any], names: Sequence[str]):
        self.folder, self.name, self.format = folder, format, FORMATS[format]
        self.lock = contextlib.ExitStack()
        known = self._claim(dict(origin) | {"format": format})
        self.lock.enter_context(folder_lock(folder, option="out"))
        self.files = self._assigned(names, known)
        relative = {str(path.relative_to(folder)): os.path.abspath(name) for name, path in self.files.items()}
        self.record = {"origin": dict(origin) | {"format": format}, "files": known | relative}
        self.is_recorded = False
        for parent in {folder, *(path.parent for path in self.files.values())}:
            sweep(parent)

    def _claim(self, origin: dict[str, Any]) -> dict[str, str]:
        """The recordings by the files that the folder has for them."""
        path = self.folder / RECORD
        if path.is_file():
            record = read_json(path)
            earlier = record["origin"]
            differing = sorted(key for key in earlier.keys() | origin.keys() if earlier.get(key) != origin.get(key))
            if differing:
                pairs = ", ".join(f"{key} {earlier.get(key)!r}, not {origin.get(key)!r}" for key in differing)
                raise ConfigError(f"--out {self.folder} holds predictions of {pairs}: choose another folder")
            return record["files"]
        content = [own for own in self.folder.iterdir() if own.name != ".lock"] if self.folder.is_dir() else []
        if content or (self.folder.exists() and not self.folder.is_dir()):
            raise ConfigError(f"--out {self.folder} exists and holds no predictions: choose a new or an empty folder")
        return {}

    def _assigned(self, names: Sequence[str], known: Mapping[str, str]) -> dict[str, Path]:
        """The file of each recording: its own, or one that is nobody's yet."""
        owners, files = dict(known), {}
        file_of = {source: file for file, source in known.items()}
        absolute = [os.path.abspath(name) for name in names]
        common = os.path.commonpath([os.path.dirname(name) for name in absolute])
        for name, source in zip(names, absolute):
            relative = os.path.relpath(source, common)
            candidates = (f"{own}{self.format.suffix}" for own in _numbered(_stem(relative), relative))
            file = file_of.get(source) or next(own for own in candidates if owners.get(own, source) == source)
            owners[file] = source
            files[name] = self.folder / file
        return files

    def missing(self, names: Sequence[str]) -> list[int]:
        """The indices of the recordings without a file."""
        return [place for place, name in enumerate(names) if not self.files[name].exists()]

    def write(self, result: Result) -> None:
        """Write the file of a result."""
        check(self.name, result)
        if not self.is_recorded:  # with the first result that the format can hold
            write_json(self.folder / RECORD, self.record)
            self.is_recorded = True
        path = self.files[str(result.source)]
        path.parent.mkdir(parents=True, exist_ok=True)
        header = self.format.header(result) if self.format.header else ""
        text = f"{result}\n" if self.name == "text" else header + self.format.write(result)
        write_text(path, text)

    def close(self) -> None:
        """Let others write to the folder."""
        self.lock.close()


def _stem(name: str) -> str:
    """The name of a recording without the suffix of its file."""
    path = file_of(name)
    return os.path.splitext(path)[0] + name.removeprefix(path)


def _numbered(stem: str, name: str) -> Iterator[str]:
    """The stem, the name, and the name with a number."""
    yield stem
    yield name
    yield from (f"{name}.{number}" for number in itertools.count(2))
