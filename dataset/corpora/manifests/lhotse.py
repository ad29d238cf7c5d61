"""lhotse's manifests: cuts, or supervisions with their recordings, as JSON lines."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import CorpusError, Row
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.base import Manifests, from_here
from dataset.corpora.manifests.records import cell, json_lines, number_of, seconds_text

OWN = ("id", "recording_id", "start", "duration", "channel", "text", "custom")
"""Keys of a supervision that become columns of another name, or none."""

Record = dict[str, Any]


@dataclasses.dataclass
class Lhotse(Manifests):
    """``cuts*.jsonl`` or ``*supervisions*.jsonl`` (or ``.jsonl.gz``); each supervision is an utterance.

    The recordings of supervisions are in the file that is called ``recordings`` in place of ``supervisions``. Relative
    paths start in the working directory, as in lhotse, or else beside the manifest. A cut without supervisions is an
    utterance without labels.

    Columns: ``id, wav_path, transcription, speaker, gender, language``, those in ``custom``, and ``start_sec, end_sec``
    of a supervision that is not the whole recording.
    """

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        return path, read_lhotse(path)

    def _files(self, path: str) -> list[Path]:
        (file,) = super()._files(path)
        return [file, *([recordings_of(file)] if recordings_of(file).is_file() else [])]

    def _audio_path(self, written: str, file: Path) -> Path:
        return from_here(written, file.parent)

    def _name_of(self, path: str) -> str:
        """``libri_test`` of ``libri_cuts_test.jsonl.gz``."""
        name = super()._name_of(path)
        return "_".join(word for word in name.split("_") if word not in ("cuts", "supervisions")) or name


def recordings_of(supervisions: Path) -> Path:
    """The manifest of the recordings of a manifest of supervisions, by lhotse's convention."""
    return supervisions.with_name(supervisions.name.replace("supervisions", "recordings"))


def read_lhotse(path: Path) -> Lines:
    """The rows of a manifest of cuts or of supervisions, with the number of their line.

    Raises:
        CorpusError: a line is of another kind, or its audio is not one file that is read as a whole.
    """
    if ".jsonl" not in path.suffixes:
        raise CorpusError(f"{path}: expected .jsonl or .jsonl.gz; convert it: lhotse copy {path.name} NEW.jsonl.gz")
    recordings: dict[Any, Record] | None = None
    rows: Lines = []
    for number, record in json_lines(path):
        place, name = f"{path}, line {number}", record.get("recording_id")
        if name is None:
            rows += [(number, row) for row in _rows_of_cut(record, place)]
            continue
        if recordings is None:
            recordings = _recordings(path)
        if name not in recordings:
            raise CorpusError(f"{place}: {recordings_of(path)} has no recording {name!r}")
        rows.append((number, _row(record, recordings[name], 0.0, place=place)))
    return rows


def _recordings(supervisions: Path) -> dict[Any, Record]:
    """The recordings of a manifest of supervisions, by id."""
    path = recordings_of(supervisions)
    if path == supervisions:
        raise CorpusError(
            f"{supervisions} has supervisions, whose recordings are looked for in the file with 'recordings' in place"
            " of 'supervisions' in its name: rename both, such as supervisions_train.jsonl and recordings_train.jsonl"
        )
    recordings: dict[Any, Record] = {}
    for number, recording in json_lines(path):
        if recordings.setdefault(recording.get("id"), recording) is not recording:
            raise CorpusError(f"{path}, line {number}: a line before has the same id {recording.get('id')!r}")
    return recordings


def _rows_of_cut(cut: Record, place: str) -> list[Row]:
    """A row for each supervision of a cut, or one for the cut if it has none."""
    kind = cut.get("type", "MonoCut")
    if kind != "MonoCut" or not isinstance(cut.get("recording"), dict):
        got = kind if kind != "MonoCut" else "a cut without 'recording'" if "start" in cut else f"keys {list(cut)[:6]}"
        raise CorpusError(
            f"{place}: expected a supervision, or a MonoCut of a recording, got {got}; mixed, padded and empty cuts are"
            " not read"
        )
    start, length = (number_of(cut.get(key), repr(key), place) for key in ("start", "duration"))
    whole = {"id": cut.get("id"), "start": 0.0, "duration": length, "channel": cut.get("channel", 0)}
    supervisions = cut.get("supervisions") or [{**whole, "custom": cut.get("custom")}]
    rows = []
    for supervision in supervisions:
        # negative if the cut begins in the middle of the supervision
        begin = number_of(supervision.get("start"), "'start'", place, may_be_negative=True)
        end = min(length, begin + number_of(supervision.get("duration"), "'duration'", place))
        inside = {**supervision, "start": max(0.0, begin), "duration": max(0.0, end - max(0.0, begin))}
        rows.append(_row(inside, cut["recording"], start, place=place))
    return rows


def _row(supervision: Record, recording: Record, offset: float, *, place: str) -> Row:
    """The row of a supervision, which starts ``offset`` seconds after its own ``start``."""
    custom = supervision.get("custom") or {}
    others = {key: value for key, value in supervision.items() if key not in OWN}
    row = {name: cell(value) for name, value in {**custom, **others}.items()}
    row |= {"id": cell(supervision.get("id")), "wav_path": _audio(recording, supervision.get("channel", 0), place)}
    if supervision.get("text") is not None:
        row["transcription"] = cell(supervision["text"])
    start = offset + number_of(supervision.get("start"), "'start'", place)
    end = start + number_of(supervision.get("duration"), "'duration'", place)
    length = number_of(recording.get("duration"), "the duration of the recording", place)
    if start > 0 or end < length - 0.001:  # lhotse's own tolerance
        row |= {"start_sec": seconds_text(start), "end_sec": seconds_text(min(end, length))}
    return row


def _audio(recording: Record, channel: Any, place: str) -> str:
    """The path of a recording that is one file, all of whose channels are meant."""
    sources, name = recording.get("sources") or [], recording.get("id")
    if len(sources) != 1 or sources[0].get("type") != "file":
        kinds = ", ".join(str(source.get("type")) for source in sources) or "none"
        raise CorpusError(f"{place}: the recording {name!r} has the sources: {kinds}; expected one file")
    if recording.get("transforms"):
        raise CorpusError(
            f"{place}: the recording {name!r} has transforms, which are not applied here; give cuts without them, or"
            " save their audio (lhotse's CutSet.save_audios)"
        )
    channels = list(sources[0].get("channels") or [0])
    if sorted(channel if isinstance(channel, list) else [channel]) != sorted(channels):
        raise CorpusError(
            f"{place}: channel {channel} of the recording {name!r}, whose file has the channels {channels}; channels"
            " are averaged when a file is read: write each to a file of its own"
        )
    return str(sources[0].get("source"))
