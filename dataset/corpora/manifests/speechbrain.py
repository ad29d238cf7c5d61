"""SpeechBrain's manifests: a CSV with a row, or a JSON file with an object, for each utterance."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.folders import absolute
from dataset.corpora.common.tables import Lines, read_table
from dataset.corpora.manifests.base import Manifests
from dataset.corpora.manifests.records import cell, json_file, number_of, seconds_text
from dataset.setting import setting

if TYPE_CHECKING:
    from dataset.audio import AudioInfo

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
        headers: dict[str, AudioInfo] = {}
        lines: Lines = []
        for number, entry in entries:
            place = f"{path}, {unit} {number}"
            row, times = self._row(entry, place)
            if cell(times.get("start")) or cell(times.get("stop")):
                audio = str(absolute(row["wav_path"], path.parent))
                headers[audio] = headers.get(audio) or _header(audio, place)
                row |= _segment(times, headers[audio], place)
            lines.append((number, row))
        return path, lines

    def _row(self, entry: dict[str, Any], place: str) -> tuple[Row, dict[str, Any]]:
        """The row of an entry without its times, and what holds these."""
        audio = entry.get("wav")
        times = audio if isinstance(audio, dict) else entry
        written = audio.get("file") if isinstance(audio, dict) else audio
        if not isinstance(written, str) or not written:
            raise CorpusError(f"{place}: expected 'wav', the path of a file, got {audio!r}")
        text = next((name for name in TEXTS if name in entry), None) if "transcription" not in entry else None
        names = NAMES if text is None else NAMES | {text: "transcription"}
        row = {names.get(name, name): cell(value) for name, value in entry.items() if name not in TIMES}
        return row | {"wav_path": self._with_root(written, place)}, times

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


def _segment(times: dict[str, Any], header: AudioInfo, place: str) -> Row:
    """The times of ``start`` and ``stop``, which are samples at the rate of the file."""
    start = number_of(times.get("start") or 0, "'start'", place)
    stop = number_of(times.get("stop") or header.frames, "'stop'", place)
    return {
        "start_sec": seconds_text(start / header.sample_rate) if start else "",
        "end_sec": seconds_text(stop / header.sample_rate) if stop < header.frames else "",
    }


def _header(audio: str, place: str) -> AudioInfo:
    from dataset.audio import AudioError, info

    try:
        return info(audio)
    except AudioError as error:
        raise CorpusError(f"{place}: 'start' and 'stop' are samples, and the audio cannot be read: {error}") from error
