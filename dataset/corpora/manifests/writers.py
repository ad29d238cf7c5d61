"""Write metadata as the manifests of Kaldi, NeMo and lhotse."""

from __future__ import annotations

import gzip
import json
import logging
import os
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.manifests.records import seconds_text

OWN = ("id", "wav_path", "seconds", "start_sec", "end_sec", "transcription", "speaker")
"""Columns that every format has a place for, beside language; the others are written as its further fields."""

log = logging.getLogger(__name__)


def write_kaldi(rows: Sequence[Row], folder: Path, name: str) -> None:
    """Write the data folder ``folder/name``: wav.scp, text, utt2spk, spk2utt, utt2dur, a utt2* for each other column.

    There is a ``segments`` if an utterance is a part of its file. Speakers that are unknown are called as their
    utterances, by Kaldi's convention. All files are sorted by bytes, as Kaldi requires.
    """
    rows = [_with_speaker(row) for row in rows]
    recordings = _recording_ids(rows) if any(_is_segment(row) for row in rows) else {}
    files: dict[str, dict[str, str]] = {"wav.scp": {}, "utt2spk": {}, "utt2dur": {}}
    genders = _genders(rows)
    names = {"language": "lang"} | _further(rows, taken=("spk", "dur", "num_frames", "lang"))
    for row in rows:
        utterance, speaker = row["id"], row.get("speaker") or row["id"]
        files["utt2spk"][utterance], files["utt2dur"][utterance] = speaker, row["seconds"]
        files["wav.scp"][recordings.get(row["wav_path"], utterance)] = row["wav_path"]
        if recordings:
            start, end = _span(row)
            segment = f"{recordings[row['wav_path']]} {seconds_text(start)} {seconds_text(end)}"
            files.setdefault("segments", {})[utterance] = segment
        if "transcription" in row:
            files.setdefault("text", {})[utterance] = row["transcription"]
        for column, written in names.items():
            if row.get(column) and not (genders and column == "gender"):
                files.setdefault(f"utt2{written}", {})[utterance] = row[column]
    by_speaker: dict[str, list[str]] = {}
    for utterance, speaker in sorted(files["utt2spk"].items(), key=lambda item: item[0].encode()):
        by_speaker.setdefault(speaker, []).append(utterance)
    if genders:
        files["spk2gender"] = genders
    files["spk2utt"] = {speaker: " ".join(utterances) for speaker, utterances in by_speaker.items()}
    (folder / name).mkdir()
    for file, entries in files.items():
        ordered = sorted(entries.items(), key=lambda item: item[0].encode())
        lines = (f"{_word(key, file)} {_line(rest, key, file)}".rstrip() + "\n" for key, rest in ordered)
        (folder / name / file).write_text("".join(lines), encoding="utf-8")


def write_nemo(rows: Sequence[Row], folder: Path, name: str) -> None:
    """Write ``folder/name.jsonl``; every column but those of time and audio is a key of its own, as text."""
    rows = [_with_speaker(row) for row in rows]
    names = {"transcription": "text", "speaker": "speaker", "id": "id"}
    names |= {"language": "lang"} | _further(rows, taken=("text", "audio_filepath", "duration", "offset", "lang"))
    records = []
    for row in rows:
        start, end = _span(row)
        times = {"offset": start} if _is_segment(row) else {}
        fields = {written: row[column] for column, written in names.items() if column in row}
        records.append({"audio_filepath": row["wav_path"], **times, "duration": round(end - start, 6), **fields})
    (folder / f"{name}.jsonl").write_text(_json_lines(records), encoding="utf-8")


def write_lhotse(rows: Sequence[Row], folder: Path, name: str) -> None:
    """Write ``folder/recordings_name.jsonl.gz`` and ``supervisions_name.jsonl.gz``.

    ``gender`` and ``language`` are fields of a supervision, and other columns are in its ``custom``. The headers of the
    audio are read.

    Raises:
        AudioError: audio cannot be read.
    """
    from dataset.audio import info

    rows = [_with_speaker(row) for row in rows]
    ids = _recording_ids(rows)
    with ThreadPoolExecutor(8) as pool:
        headers = dict(zip(ids, pool.map(info, ids)))
    recordings = [
        {
            "id": ids[path],
            "sources": [{"type": "file", "channels": list(range(header.channels)), "source": path}],
            "sampling_rate": header.sample_rate,
            "num_samples": header.frames,
            "duration": header.seconds,
            "channel_ids": list(range(header.channels)),
        }
        for path, header in headers.items()
    ]
    supervisions = []
    for row in rows:
        header = headers[row["wav_path"]]
        start, end = _span({**row, "seconds": str(header.seconds)})
        fields = {"text": "transcription", "speaker": "speaker", "gender": "gender", "language": "language"}
        supervision: dict[str, Any] = {
            "id": row["id"],
            "recording_id": ids[row["wav_path"]],
            "start": start,
            "duration": round(min(end, header.seconds) - start, 8),
            "channel": 0 if header.channels == 1 else list(range(header.channels)),
            **{field: row[column] for field, column in fields.items() if row.get(column)},
        }
        custom = {column: text for column, text in row.items() if column not in (*OWN, "gender", "language")}
        supervisions.append(supervision | ({"custom": custom} if custom else {}))
    for kind, records in (("recordings", recordings), ("supervisions", supervisions)):
        content = gzip.compress(_json_lines(records).encode("utf-8"), mtime=0)
        (folder / f"{kind}_{name}.jsonl.gz").write_bytes(content)


WRITERS: dict[str, Callable[[Sequence[Row], Path, str], None]] = {
    "kaldi": write_kaldi,
    "nemo": write_nemo,
    "lhotse": write_lhotse,
}
"""Write the rows of a set, called by its name, into a folder."""


def _with_speaker(row: Row) -> Row:
    """The row with ``speaker`` in place of ``spk``."""
    if "spk" not in row or "speaker" in row:
        return row
    return {"speaker" if column == "spk" else column: text for column, text in row.items()}


def _further(rows: Sequence[Row], taken: Collection[str]) -> dict[str, str]:
    """The name under which each other column is written: its own, unless that means something else there."""
    columns = dict.fromkeys(column for row in rows for column in row if column not in (*OWN, "language"))
    for column in columns:
        if column in taken:
            log.info("the column %s is written as %s_, since %s has a meaning of its own", column, column, column)
    return {column: f"{column}_" if column in taken else column for column in columns}


def _genders(rows: Sequence[Row]) -> dict[str, str]:
    """The gender of each speaker, if all are Kaldi's ``m`` and ``f``; else nothing."""
    pairs = {(row.get("speaker", ""), row.get("gender", "")) for row in rows}
    genders = dict(pairs)
    is_kaldis = all(speaker and gender in ("m", "f") for speaker, gender in pairs) and len(genders) == len(pairs)
    return genders if is_kaldis else {}


def _is_segment(row: Row) -> bool:
    return bool(row.get("start_sec") or row.get("end_sec"))


def _span(row: Row) -> tuple[float, float]:
    """Start and end in seconds."""
    start = float(row.get("start_sec") or 0)
    return start, float(row.get("end_sec") or start + float(row["seconds"]))


def _recording_ids(rows: Sequence[Row]) -> dict[str, str]:
    """A name without white space for each file: its own without suffix, made unique by a number."""
    ids: dict[str, str] = {}
    used: set[str] = set()
    for path in dict.fromkeys(row["wav_path"] for row in rows):
        stem = "_".join(os.path.splitext(os.path.basename(path))[0].split()) or "recording"
        name, number = stem, 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        ids[path] = name
    return ids


def _word(text: str, file: str) -> str:
    """An id, which Kaldi ends at white space."""
    if not text or len(text.split()) != 1:
        raise CorpusError(f"{file}: {text!r} is no word, as Kaldi's ids and speakers must be; write NeMo's or lhotse's")
    return text


def _line(text: str, name: str, file: str) -> str:
    """A value, which Kaldi ends at the end of the line."""
    if "\n" in text or "\r" in text or (file == "wav.scp" and text.endswith("|")):
        raise CorpusError(f"{file}: {text!r} of {name!r} cannot be written on a line; write NeMo's or lhotse's")
    return _word(text, file) if file == "utt2spk" else text


def _json_lines(records: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
