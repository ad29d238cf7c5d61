"""Conversations made of the utterances of another corpus, with pauses and overlaps, and who speaks when."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.diarization.conversations import Conversation, Style, Utterance, draw, render
from dataset.diarization.turns import to_json
from dataset.setting import REQUIRED, setting
from dataset.storage.files import sweep, write_folder
from dataset.storage.locks import locked
from dataset.wording import nearest

INDEX = "index.json"


@dataclasses.dataclass
class Conversations(Corpus):
    """Conversations of the speakers of ``source``, which must have a column of speakers; each split has its own.

    They are written once, as 16-bit WAV at 16 kHz, to ``cache_dir/conversations/<key>``. The key covers the settings
    and the paths, lengths and times of change of the utterances. A reference turn is a whole utterance, with the
    pauses inside it.

    Columns: ``id, wav_path, turns`` (JSON: ``[[start, end, speaker], ...]`` in seconds).
    """

    source: dict = setting(REQUIRED, "the corpus of the utterances: {corpus: csv, its settings}")
    speaker_column: str = setting("speaker", "the column of speakers in source")
    num_train: int = setting(1000, "training conversations", min=1)
    num_valid: int = setting(100, "validation conversations", min=1)
    num_test: int = setting(100, "test conversations", min=1)
    speakers: list[int] = setting([2, 2], "least and most speakers of a conversation")
    utterances: list[int] = setting([1, 3], "least and most utterances of each of them")
    overlap_prob: float = setting(0.5, "how often an utterance begins before the last one ends", min=0, max=1)
    overlap: list[float] = setting([0.1, 0.5], "share of the shorter of two utterances that then overlaps")
    pause: list[float] = setting([0.1, 1.0], "seconds between two utterances otherwise")
    levels: list[float] = setting([-5.0, 0.0], "gain of a speaker in dB")
    noise: str | None = setting(None, "folder of noises, or a CSV with wav_path; null: no noise is added")
    snr: list[float] = setting([10.0, 25.0], "level of the speech above the noise in dB")
    speeds: list[float] = setting(
        [1.0], "speeds of the training speakers, drawn for each conversation: further voices, e.g. [0.9, 1.0, 1.1]"
    )
    rooms: str | None = setting(None, "folder of impulse responses, or a CSV with wav_path; null: no reverberation")
    seed: int = setting(0, "another seed gives other conversations", min=0)

    def sources(self) -> list[Path]:
        """Those of the corpus, and the noises and rooms."""
        more = [Path(os.path.abspath(Path(path).expanduser())) for path in (self.noise, self.rooms) if path]
        return [*self._corpus().sources(), *more]

    def made_audio(self, cache_dir: Path) -> list[Path]:
        """The folders of ``source``; that of the conversations is known only when these are filled."""
        return self._corpus().made_audio(cache_dir)

    def load(self, cache_dir: Path) -> Splits:
        """Write the conversations, or find them in ``cache_dir``."""
        drawn = self._draw(self._utterances(cache_dir))
        folder = Path(os.path.abspath(cache_dir)) / "conversations" / self._key(drawn)
        if not (folder / INDEX).is_file():
            with locked(Path(f"{folder}.lock")):  # a second process waits here
                if not (folder / INDEX).is_file():
                    sweep(folder.parent, folder.name)
                    write_folder(folder, lambda target: _write(target, drawn))
        rows = {name: [_row(conversation, folder) for conversation in own] for name, own in drawn.items()}
        return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})

    def _draw(self, utterances: Mapping[str, list[Utterance]]) -> dict[str, list[Conversation]]:
        style = self._style()
        styles = {"train": style, **dict.fromkeys(("valid", "test"), dataclasses.replace(style, speeds=(1.0,)))}
        numbers = {"train": self.num_train, "valid": self.num_valid, "test": self.num_test}
        return {name: draw(utterances[name], numbers[name], own, name, self.seed) for name, own in styles.items()}

    def _style(self) -> Style:
        ranges = ("speakers", "utterances", "overlap", "pause", "levels", "snr")
        for name in ranges:
            value = getattr(self, name)
            if not all(isinstance(bound, (int, float)) for bound in value):
                raise CorpusError(f"{name} is {value}; expected [least, greatest]")
            if len(value) != 2 or value[0] > value[1] or (name not in ("levels", "snr") and value[0] < 0):
                raise CorpusError(f"{name} is {value}; expected [least, greatest]")
        for name in ("speakers", "utterances"):
            if getattr(self, name)[0] < 1:
                raise CorpusError(f"{name} is {getattr(self, name)}; expected at least 1")
        if not self.speeds or any(not 0.5 <= speed <= 2 for speed in self.speeds):
            raise CorpusError(f"speeds is {self.speeds}; expected at least one, each between 0.5 and 2")
        files = {name: _recordings(getattr(self, name), name) for name in ("noise", "rooms")}
        values: dict[str, Any] = {name: tuple(getattr(self, name)) for name in ranges}
        values |= {"noises": files["noise"], "rooms": files["rooms"], "speeds": tuple(self.speeds)}
        return Style(**values, overlap_prob=self.overlap_prob)

    def _corpus(self) -> Corpus:
        from dataset.corpora.mixture import corpus_of

        return corpus_of("source", self.source)

    def _utterances(self, cache_dir: Path) -> dict[str, list[Utterance]]:
        """The utterances of each split."""
        splits = self._corpus().load(cache_dir)
        rows = {"train": splits.train, "valid": splits.valid}
        rows["test"] = [row for own in splits.test.values() for row in own]
        return with_lengths(rows, self.speaker_column, cache_dir)

    @staticmethod
    def _key(drawn: Mapping[str, list[Conversation]]) -> str:
        key = hashlib.sha256(b"conversations 1")
        stamps: dict[str, str] = {}
        for conversations in drawn.values():
            for conversation in conversations:
                paths = [part.utterance.wav_path for part in conversation.parts]
                paths += [conversation.noise[0]] if conversation.noise else []
                paths += list((conversation.rooms or {}).values())
                for path in paths:
                    if path not in stamps:
                        stat = os.stat(path)
                        stamps[path] = f"{stat.st_size} {stat.st_mtime_ns}"
                key.update(repr((conversation, [stamps[path] for path in paths])).encode())
        return key.hexdigest()[:20]


def with_lengths(rows: Mapping[str, list[Row]], speaker_column: str, cache_dir: Path) -> dict[str, list[Utterance]]:
    """The utterances of each split, with their lengths from the headers of their files.

    Raises:
        CorpusError: there is no such column, a speaker is missing, or one is in two splits.
    """
    from dataset.durations import durations

    paths = sorted({row["wav_path"] for own in rows.values() for row in own})
    seconds, bad = durations(paths, cache_dir)
    if bad:
        raise CorpusError(f"{len(bad)} files of source cannot be read, such as {next(iter(bad.values()))}")
    owner: dict[str, str] = {}
    utterances: dict[str, list[Utterance]] = {}
    for name, own in rows.items():
        for row in own:
            if not row.get(speaker_column):
                hint = nearest(speaker_column, list(row))
                raise CorpusError(
                    f"{row['id']} of source has no {speaker_column!r}{hint}; it has {', '.join(row)}; set"
                    " speaker_column to one of them"
                )
            speaker = row[speaker_column]
            if owner.setdefault(speaker, name) != name:
                raise CorpusError(
                    f"the speaker {speaker!r} is in {owner[speaker]} and in {name} of source: divide it by speaker, for"
                    " csv with split_by: speaker"
                )
            try:
                times = [float(row[key]) if row.get(key) else None for key in ("start_sec", "end_sec")]
            except ValueError as error:
                raise CorpusError(f"{row['id']} of source: start_sec or end_sec is no number") from error
            length = (times[1] or seconds[row["wav_path"]]) - (times[0] or 0.0)
            if length <= 0:
                raise CorpusError(f"{row['id']} of source is a segment from {times[0]} to {times[1]} s")
            utterances.setdefault(name, []).append(Utterance(row["wav_path"], speaker, round(length, 4), *times))
    missing = [name for name in rows if name not in utterances]
    if missing:
        raise CorpusError(f"source has no {missing[0]} set")
    return utterances


def _recordings(source: str | None, key: str) -> tuple[str, ...]:
    if source is None:
        return ()
    from dataset.augmentations.recordings import Recordings

    try:
        return tuple(Recordings(source).paths)
    except ValueError as error:
        raise CorpusError(f"{key}: {error}") from error


def _write(target: Path, drawn: Mapping[str, list[Conversation]]) -> None:
    for name, conversations in drawn.items():
        (target / name).mkdir()
        for conversation in conversations:
            render(conversation, target / name / f"{conversation.id}.wav")
    counts = {name: len(conversations) for name, conversations in drawn.items()}
    (target / INDEX).write_text(json.dumps(counts), encoding="utf-8")


def _row(conversation: Conversation, folder: Path) -> Row:
    name = conversation.id.partition("-")[0]
    path = folder / name / f"{conversation.id}.wav"
    return {"id": conversation.id, "wav_path": str(path), "turns": to_json(conversation.turns)}
