"""Kaldi's data folders for diarization: wav.scp, and rttm or segments with utt2spk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from dataset.corpora.common.base import CorpusError
from dataset.corpora.common.tables import Lines
from dataset.corpora.manifests.base import Manifests, from_here
from dataset.corpora.manifests.kaldi import entries_of, recordings_of, segments_of
from dataset.diarization.turns import Turn, TurnsError, read_rttm, to_json


@dataclasses.dataclass
class KaldiTurns(Manifests):
    """Folders with ``wav.scp`` and who speaks when: ``rttm`` or, if there is none, ``segments`` and ``utt2spk``.

    So Kaldi's, ESPnet's and s3prl's recipes for diarization leave them, such as that of Libri2Mix. Every recording of
    ``wav.scp`` counts, also one in which nobody speaks. ``reco2dur`` is not read: lengths are those of the audio.
    Paths and commands in ``wav.scp`` are taken as by the corpus ``kaldi``.

    Columns: ``id, wav_path, turns`` (JSON: ``[[start, end, speaker], ...]``).
    """

    def _parse(self, path: Path) -> tuple[Path, Lines]:
        recordings = recordings_of(path)
        turns = _turns(path, recordings)
        rows = [
            (number, {"id": name, "wav_path": audio, "turns": to_json(turns.get(name, []))})
            for name, (number, audio) in recordings.items()
        ]
        return path / "wav.scp", rows

    def _files(self, path: str) -> list[Path]:
        (folder,) = super()._files(path)
        names = ("rttm", "segments", "utt2spk", "reco2file_and_channel")
        return [folder / "wav.scp", *(folder / name for name in names if (folder / name).is_file())]

    def _audio_path(self, written: str, file: Path) -> Path:
        return from_here(written, file.parent)

    def _name_of(self, path: str) -> str:
        return Path(path).name


def _turns(folder: Path, recordings: dict[str, tuple[int, str]]) -> dict[str, list[Turn]]:
    """The turns of each recording, in order of time."""
    rttm, segments = folder / "rttm", folder / "segments"
    if not rttm.is_file():
        if not segments.is_file():
            raise CorpusError(f"{folder} has neither rttm nor segments with utt2spk, which tell who speaks when")
        return _turns_of_segments(segments, folder / "utt2spk", recordings)
    try:
        turns = read_rttm(rttm)
    except TurnsError as error:
        raise CorpusError(str(error)) from error
    unknown = sorted(turns.keys() - recordings.keys())
    if unknown:
        raise CorpusError(f"{rttm}: wav.scp has no recording {unknown[0]!r}")
    return turns


def _turns_of_segments(segments: Path, utt2spk: Path, recordings: dict[str, tuple[int, str]]) -> dict[str, list[Turn]]:
    if not utt2spk.is_file():
        raise CorpusError(f"{segments.parent} has segments, but no utt2spk that tells their speakers")
    speakers = entries_of(utt2spk)
    turns: dict[str, list[Turn]] = {}
    for name, (number, recording, start, end) in segments_of(segments, recordings).items():
        place = f"{segments}, line {number}"
        if name not in speakers or not speakers[name][1]:
            raise CorpusError(f"{place}: {utt2spk} has no speaker for {name!r}")
        if not end or float(end) < float(start):
            raise CorpusError(f"{place}: expected an end after {start} s, got {end or 'an open one'}")
        turns.setdefault(recording, []).append(Turn(float(start), float(end), speakers[name][1]))
    return {name: sorted(own) for name, own in turns.items()}
