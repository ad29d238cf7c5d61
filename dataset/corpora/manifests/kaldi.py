"""Kaldi's and ESPnet's data folders: wav.scp, segments, text, utt2spk, spk2gender and other utt2* files."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Container, Iterable
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.folders import require_folder
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.base import Manifests, from_here
from dataset.corpora.manifests.records import number_of, seconds_text, text_lines

DERIVED = ("utt2spk", "utt2dur", "utt2num_frames")
"""Files of an utterance's own that are no columns: the speaker is read apart, lengths are read from the audio."""

NAMES = {"text": "transcription", "utt2spk": "speaker", "utt2lang": "language"}
"""Columns by the files of an utterance's own; of any other ``utt2x`` it is ``x``."""

Entries = dict[str, tuple[int, str]]
"""The number of the line and the rest of it, by the line's first word."""


@dataclasses.dataclass
class Kaldi(Manifests):
    """Folders with ``wav.scp`` and, if they are there, ``segments``, ``text``, ``utt2spk``, ``spk2gender``, ``utt2*``.

    Relative paths start in the working directory, as in Kaldi, or else in the folder. Commands in ``wav.scp`` are not
    run; of ``flac -c -d FILE |`` the file is read.

    Columns: ``id, wav_path, transcription, speaker, gender``, ``language`` of ``utt2lang``, and ``x`` of any ``utt2x``.
    """

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        return read_kaldi(path)

    def _files(self, path: str) -> list[Path]:
        (folder,) = super()._files(path)
        return [folder / "wav.scp", *(file for file in _optional(folder) if file.is_file())]

    def _audio_path(self, written: str, file: Path) -> Path:
        return from_here(written, file.parent)

    def _name_of(self, path: str) -> str:
        return Path(path).name


def _optional(folder: Path) -> list[Path]:
    """The files beside wav.scp that may be there."""
    fixed = [folder / name for name in ("segments", "text", "utt2spk", "spk2gender", "reco2file_and_channel")]
    return fixed + sorted(file for file in folder.glob("utt2*") if file.name not in DERIVED and not file.suffix)


def read_kaldi(folder: Path) -> tuple[Path, Lines]:
    """The rows of a data folder, and its file that lists the utterances, whose lines the numbers count.

    Raises:
        CorpusError: a file is malformed, its audio is made by a command, or the files list different utterances.
    """
    audio = recordings_of(folder)
    scp, segments = folder / "wav.scp", folder / "segments"
    if segments.is_file():
        utterances = {
            name: (number, {"wav_path": audio[recording][1], "start_sec": start, "end_sec": end})
            for name, (number, recording, start, end) in segments_of(segments, audio).items()
        }
    else:
        utterances = {name: (number, {"wav_path": path}) for name, (number, path) in audio.items()}
    listing = segments if segments.is_file() else scp
    columns = _columns(folder, utterances, listing)
    return listing, [
        (number, {"id": name, **row, **{column: values.get(name, "") for column, values in columns.items()}})
        for name, (number, row) in utterances.items()
    ]


def recordings_of(folder: Path) -> dict[str, tuple[int, str]]:
    """The line and the path of each recording in the wav.scp of a data folder.

    Raises:
        CorpusError: as :func:`read_kaldi`.
    """
    require_folder(folder, "a Kaldi data folder", "the paths in prepare_data")
    scp = folder / "wav.scp"
    audio = {name: (number, _audio(rest, f"{scp}, line {number}")) for name, (number, rest) in entries_of(scp).items()}
    _refuse_channels(folder / "reco2file_and_channel", {name: path for name, (_, path) in audio.items()})
    return audio


def segments_of(path: Path, recordings: Container[str]) -> dict[str, tuple[int, str, str, str]]:
    """The line, the recording, the start and the end (empty: the recording's) of each utterance in ``segments``.

    Raises:
        CorpusError: a line is malformed, or of a recording that is unknown.
    """
    return {
        name: (number, *_segment(rest, recordings, f"{path}, line {number}"))
        for name, (number, rest) in entries_of(path).items()
    }


def entries_of(path: Path) -> Entries:
    """The rest of each line by its first word, which is unique."""
    entries: Entries = {}
    for number, line in text_lines(path):
        name, *rest = line.split(maxsplit=1)
        if name in entries:
            raise CorpusError(f"{path}, line {number}: line {entries[name][0]} has the same id {name!r}")
        entries[name] = number, rest[0].rstrip() if rest else ""
    return entries


def _audio(entry: str, place: str) -> str:
    """The path of the audio of a line of wav.scp."""
    if entry.endswith("|"):
        words = shlex.split(entry[:-1]) if entry.count("'") % 2 == 0 and entry.count('"') % 2 == 0 else []
        if len(words) > 2 and Path(words[0]).name == "flac" and set(words[1:-1]) <= {"-c", "-d", "-s", "-cd", "-cds"}:
            return words[-1]  # what the command decodes is read here without it
        raise CorpusError(
            f"{place}: the audio comes from a command, which is not run: {entry!r}; write its output to a file once,"
            " and list the file"
        )
    if re.search(r"\.ark:\d+$", entry):
        raise CorpusError(f"{place}: the audio is in a Kaldi archive, {entry!r}; write it to wav files, and list these")
    if not entry:
        raise CorpusError(f"{place}: the path of the audio is missing")
    return entry


def _refuse_channels(path: Path, audio: dict[str, str]) -> None:
    """Refuse recordings that are the channels of one file, since channels are averaged when a file is read."""
    if not path.is_file():
        return
    owners: dict[str, tuple[str, str]] = {}
    for name, (number, rest) in entries_of(path).items():
        words = rest.split()
        if len(words) != 2:
            raise CorpusError(f"{path}, line {number}: expected a recording, a file and a channel")
        other, channel = owners.setdefault(audio.get(name, name), (name, words[1]))
        if channel != words[1]:
            raise CorpusError(
                f"{path}, line {number}: {other!r} and {name!r} are channels {channel} and {words[1]} of one file,"
                f" {audio[name]}; write each channel to a file of its own"
            )


def _segment(rest: str, recordings: Container[str], place: str) -> tuple[str, str, str]:
    words = rest.split()
    if len(words) != 3:
        raise CorpusError(f"{place}: expected an utterance, a recording, a start and an end, got {rest!r}")
    recording, start, end = words
    if recording not in recordings:
        raise CorpusError(f"{place}: wav.scp has no recording {recording!r}")
    is_open = end in ("-1", "-1.0")  # up to the end of the recording
    start_sec = seconds_text(number_of(start, "the start", place))
    return recording, start_sec, "" if is_open else seconds_text(number_of(end, "the end", place))


def _columns(folder: Path, utterances: Iterable[str], listing: Path) -> dict[str, dict[str, str]]:
    """The value of each utterance by column."""
    columns: dict[str, dict[str, str]] = {}
    for file in _optional(folder):
        name = NAMES.get(file.name, file.name.removeprefix("utt2"))
        if not file.is_file() or file.name in ("segments", "spk2gender", "reco2file_and_channel"):
            continue
        is_whole = file.name in ("text", "utt2spk")
        columns[name] = _column(file, utterances, listing, is_whole=is_whole)
    speakers = columns.get("speaker", {})
    if speakers and all(name == speaker for name, speaker in speakers.items()):
        del columns["speaker"]  # by Kaldi's convention, the speakers are unknown
    elif speakers and (folder / "spk2gender").is_file():
        genders = entries_of(folder / "spk2gender")
        columns["gender"] = {name: genders.get(speaker, (0, ""))[1] for name, speaker in speakers.items()}
    return columns


def _column(file: Path, utterances: Iterable[str], listing: Path, *, is_whole: bool) -> dict[str, str]:
    """The values of a file by utterance; with ``is_whole``, each utterance must have one."""
    entries, known = entries_of(file), set(utterances)
    advice = "mend the folder with Kaldi's utils/fix_data_dir.sh"
    for name, (number, _) in entries.items():
        if name not in known:
            raise CorpusError(f"{file}, line {number}: {listing.name} has no utterance {name!r}; {advice}")
    missing = sorted(known - entries.keys()) if is_whole else []
    if missing:
        raise CorpusError(f"{file} has no line for the utterance {missing[0]!r} of {listing.name}; {advice}")
    return {name: rest for name, (_, rest) in entries.items()}
