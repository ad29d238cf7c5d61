"""NeMo's manifests: a JSON object for each utterance, one a line."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.base import Manifests
from dataset.corpora.manifests.records import cell, json_lines, number_of, seconds_text

NAMES = {"audio_filepath": "wav_path", "text": "transcription", "lang": "language"}
"""Columns by NeMo's keys; other keys are columns of their own name."""


@dataclasses.dataclass
class NeMo(Manifests):
    """JSON lines with ``audio_filepath`` (absolute, or relative to the manifest), ``text`` and any other keys.

    ``offset`` and ``duration`` are the segment; without ``offset`` the whole file is read. Columns: ``wav_path,
    transcription``, ``language`` of ``lang``, and all other keys, such as ``speaker``, ``label`` and ``id``.
    """

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        return path, [(number, _row(record, f"{path}, line {number}")) for number, record in json_lines(path)]


def _row(record: dict[str, Any], place: str) -> Row:
    audio = record.get("audio_filepath")
    if not isinstance(audio, str) or not audio:
        raise CorpusError(f"{place}: expected 'audio_filepath', the path of one file, got {audio!r}")
    if "shard_id" in record:
        raise CorpusError(f"{place}: 'shard_id' says that the audio is in tar files; expected single audio files")
    row = {NAMES.get(key, key): cell(value) for key, value in record.items() if key not in ("offset", "duration")}
    if record.get("offset") is not None:
        start = number_of(record["offset"], "'offset'", place)
        length = number_of(record.get("duration"), "'duration' (beside 'offset')", place)
        row |= {"start_sec": seconds_text(start), "end_sec": seconds_text(start + length)}
    return row
