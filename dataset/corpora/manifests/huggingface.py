"""Datasets of Hugging Face's library, as ``save_to_disk`` leaves them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.folders import absolute, require_folder
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.archives import Archives, suffix_of
from dataset.corpora.manifests.records import cell, json_file

if TYPE_CHECKING:
    import pyarrow as pa

TEXTS = ("text", "sentence")
"""The columns that may be the transcript; the first that is there is."""


@dataclasses.dataclass
class HuggingFace(Archives):
    """Folders of ``Dataset.save_to_disk``, such as ``DIR/train`` of a saved ``DatasetDict``.

    The audio is the one column of type Audio: bytes in the dataset are written once into the cache, without decoding,
    and paths outside are used as they are. Numbers of class labels become their names.

    Columns: ``wav_path``; ``id``, or ``<folder>-<row>`` without such a column; ``transcription`` of ``text`` or
    ``sentence``; and all others under their own names.
    """

    unit = "row"
    ids_are_global = False

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        features = _features(path)
        (audio,) = _audio_columns(features, path)
        text = next((name for name in TEXTS if name in features and "transcription" not in features), None)
        names = {text: "transcription"} if text else {}
        lines: Lines = []
        for file in _arrow_files(path):
            for first, batch in _batches(file):
                so_far = len(lines)
                paths = _audio_names(batch.column(audio), file, first, lambda row, n=so_far: f"{path}, row {n + row}")
                columns = {
                    names.get(name, name): _cells(batch.column(name), features.get(name))
                    for name in batch.schema.names
                    if name != audio
                }
                for place, written in enumerate(paths):
                    row: Row = {name: values[place] for name, values in columns.items()}
                    lines.append((len(lines), {**row, "wav_path": written}))
        return path, lines if "id" in features else _with_ids(lines, path.name)

    def _files(self, path: str) -> list[Path]:
        return [absolute(path) / "dataset_info.json", absolute(path) / "state.json"]  # which has a digest of the data

    def _archives(self, path: str) -> list[Path]:
        folder = absolute(path)
        return _arrow_files(folder) if (folder / "state.json").is_file() else []

    def _unpack(self, archive: Path, folder: Path) -> None:
        (audio,) = _audio_columns(_features(archive.parent), archive.parent)
        for first, batch in _batches(archive):
            for row, value in enumerate(batch.column(audio).field("bytes"), start=first):
                if value.is_valid:
                    content = value.as_buffer()
                    (folder / _name(row, content[:4].to_pybytes())).write_bytes(content)


def _with_ids(lines: Lines, name: str) -> Lines:
    """The rows with ids of the folder's name and the number of the row."""
    return [(number, {"id": f"{name}-{number:08d}", **row}) for number, row in lines]


def _name(row: int, head: bytes) -> str:
    """The name of the audio in a row of an Arrow file."""
    return f"{row:08d}{suffix_of(head)}"


def _features(folder: Path) -> dict[str, Any]:
    """The type of each column, from dataset_info.json."""
    require_folder(folder, "a saved dataset", "the paths in prepare_data")
    if (folder / "dataset_dict.json").is_file():
        splits = json_file(folder / "dataset_dict.json")["splits"]
        raise CorpusError(f"{folder} holds the splits {', '.join(splits)}: name one, such as {folder / splits[0]}")
    info = folder / "dataset_info.json"
    if not info.is_file():
        raise CorpusError(f"{folder} has no dataset_info.json; expected a folder that Dataset.save_to_disk wrote")
    return json_file(info).get("features") or {}


def _audio_columns(features: dict[str, Any], folder: Path) -> list[str]:
    """The one column of type Audio, in a list."""
    names = [name for name, kind in features.items() if isinstance(kind, dict) and kind.get("_type") == "Audio"]
    if len(names) != 1:
        raise CorpusError(
            f"{folder} has {len(names)} columns of type Audio ({', '.join(names) or 'none'}); expected one:"
            " dataset.cast_column(NAME, Audio()), or dataset.remove_columns(NAMES), and save it again"
        )
    return names


def _arrow_files(folder: Path) -> list[Path]:
    """The files of a dataset, in their order."""
    state = folder / "state.json"
    if not state.is_file():
        raise CorpusError(f"{folder} has no state.json; expected a folder that Dataset.save_to_disk wrote")
    return [folder / entry["filename"] for entry in json_file(state)["_data_files"]]


def _batches(file: Path) -> Iterator[tuple[int, pa.RecordBatch]]:
    """The batches of an Arrow file, mapped into memory, each with the number of its first row."""
    import pyarrow as pa

    first = 0
    try:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                yield first, batch
                first += len(batch)
    except (OSError, pa.ArrowInvalid) as error:
        raise CorpusError(f"{file} cannot be read as Arrow data ({error}); save the dataset again") from error


def _audio_names(column: pa.StructArray, file: Path, first: int, place: Callable[[int], str]) -> list[str]:
    """The path of each row's audio: a file outside, or ``<Arrow file>/<name>`` of bytes inside.

    Args:
        first: the number, in the file, of the first row.
        place: names a row of the column, for errors.
    """
    import pyarrow.compute as pc

    heads = pc.binary_slice(column.field("bytes"), 0, 4).to_pylist()
    paths = []
    for row, (head, outside) in enumerate(zip(heads, column.field("path").to_pylist())):
        if head is not None:
            paths.append(str(file / _name(first + row, head)))
        elif outside and os.path.isabs(outside):
            paths.append(outside)
        else:
            raise CorpusError(f"{place(row)}: no audio bytes, and the path {outside!r} is not absolute")
    return paths


def _cells(column: pa.Array, feature: Any) -> list[str]:
    """The values of a column as text; those of a class label by name."""
    import datetime

    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    values = column.to_pylist()
    if names:
        return ["" if value is None or value < 0 else names[value] for value in values]
    return [str(value) if isinstance(value, (datetime.date, bytes)) else cell(value) for value in values]
