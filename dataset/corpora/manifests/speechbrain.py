"""SpeechBrain's manifests: a CSV with a row, or a JSON file with an object, for each utterance."""

from __future__ import annotations

import dataclasses
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.folders import absolute
from dataset.corpora.common.tables import Lines, read_table
from dataset.corpora.manifests.base import Manifests
from dataset.corpora.manifests.records import cell, json_file, number_of, seconds_text
from dataset.setting import setting

NAMES = {"ID": "id", "wav": "wav_path", "spk_id": "speaker"}
"""Columns by the names that SpeechBrain's recipes use; other names are kept."""

TEXTS = ("wrd", "words", "transcript", "text")
"""The columns that may be the transcript; the first that is there is."""

TIMES = ("duration", "length", "start", "stop")


@dataclasses.dataclass
class SpeechBrain(Manifests):
    """CSVs (``ID, duration, wav, spk_id, wrd, ...``) or JSON files (``{ID: {"wav": ..., "length": ...}}``).

    ``$data_root`` in a CSV and ``{data_root}`` in JSON are replaced by the setting. ``start`` and ``stop`` are samples
    of the file: the segment.

    Columns: ``id, wav_path``; ``speaker`` of ``spk_id``; ``transcription`` of the first of ``wrd, words, transcript,
    text`` that is there; and all others.
    """

    data_root: str | None = setting(None, "folder that stands for $data_root or {data_root} in the manifests")

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        is_json = path.suffix == ".json"
        entries = _json_entries(path) if is_json else read_table(path, skipinitialspace=True)
        unit = "entry" if is_json else "line"
        return path, [(number, self._row(entry, f"{path}, {unit} {number}", path)) for number, entry in entries]

    def _row(self, entry: dict[str, Any], place: str, file: Path) -> Row:
        audio = entry.get("wav")
        times = audio if isinstance(audio, dict) else entry
        written = audio.get("file") if isinstance(audio, dict) else audio
        if not isinstance(written, str) or not written:
            raise CorpusError(f"{place}: expected 'wav', the path of a file, got {audio!r}")
        text = next((name for name in TEXTS if name in entry), None) if "transcription" not in entry else None
        names = NAMES if text is None else NAMES | {text: "transcription"}
        row = {names.get(name, name): cell(value) for name, value in entry.items() if name not in TIMES}
        row["wav_path"] = self._with_root(written, place)
        if cell(times.get("start")) or cell(times.get("stop")):
            row |= _segment(times, absolute(row["wav_path"], file.parent), place)
        return row

    def _with_root(self, written: str, place: str) -> str:
        """A path with ``data_root`` in place of its variable."""
        for variable in re.findall(r"\$\w+|\{\w+\}", written):
            if variable.strip("${}") != "data_root" or self.data_root is None:
                raise CorpusError(f"{place}: {variable} in the path {written!r} is unknown; set data_root to a folder")
            written = written.replace(variable, str(absolute(self.data_root)))
        return written


def _json_entries(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The number, from 1, and the values of each entry of a JSON file, with its key as ``ID``."""
    entries = []
    for number, (name, entry) in enumerate(json_file(path).items(), start=1):
        if not isinstance(entry, dict):
            raise CorpusError(f"{path}, entry {number}: expected an object for {name!r}, got {entry!r}")
        entries.append((number, {"ID": name, **entry}))
    return entries


def _segment(times: dict[str, Any], audio: Path, place: str) -> Row:
    """The times of ``start`` and ``stop``, which are samples at the rate of the file."""
    from dataset.audio import AudioError

    try:
        rate, frames = _header(str(audio))
    except AudioError as error:
        raise CorpusError(f"{place}: 'start' and 'stop' are samples, and the audio cannot be read: {error}") from error
    start = number_of(times.get("start") or 0, "'start'", place)
    stop = number_of(times.get("stop") or frames, "'stop'", place)
    return {
        "start_sec": seconds_text(start / rate) if start else "",
        "end_sec": seconds_text(stop / rate) if stop < frames else "",
    }


@lru_cache(maxsize=100_000)
def _header(path: str) -> tuple[int, int]:
    """The sample rate and the number of samples of a file."""
    from dataset.audio import info

    header = info(path)
    return header.sample_rate, header.frames
