"""Recordings with RTTM files of who speaks when, and UEM files of what is scored."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, audio_files, require_folder
from dataset.corpora.common.holdout import hold_out
from dataset.diarization.turns import TurnsError, read_rttm, read_uem, to_json
from dataset.setting import REQUIRED, setting
from dataset.wording import nearest


@dataclasses.dataclass
class Rttm(Corpus):
    """Recordings called ``<audio>/**/<name>.<suffix>``, whose turns are in RTTM files under that name.

    An RTTM is one file for many recordings, or a folder of files. A recording of the RTTM without audio is refused;
    audio that no RTTM names is not used. With ``uems``, recordings in which nobody speaks count too.

    Columns: ``id, wav_path, turns`` (JSON: ``[[start, end, speaker], ...]``), and ``scored`` (JSON: ``[[start, end],
    ...]``) with ``uems``.
    """

    audio: str = setting(REQUIRED, "folder of the recordings, searched with all that is below it")
    train: str = setting(REQUIRED, "RTTM file, or folder of RTTM files, of the training recordings")
    valid: str | None = setting(None, "of the validation recordings; null: hold out valid_fraction of train")
    test: str = setting(REQUIRED, "of the test recordings")
    uems: dict = setting(
        {}, "UEM files of what is scored: {train: FILE, valid: FILE, test: FILE}, each if there is one"
    )
    valid_fraction: float = setting(
        0.1, "part of the training recordings held out for validation when valid is null", min=0, max=0.9
    )
    seed: int = setting(0, "another seed holds out other recordings", min=0)

    def sources(self) -> list[Path]:
        """The folder of audio, and the RTTM and UEM files."""
        paths = [self.audio, self.train, self.valid, self.test, *self.uems.values()]
        return [absolute(path) for path in paths if isinstance(path, str) and path != REQUIRED]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        for name in self.uems:
            if name not in ("train", "valid", "test"):
                raise CorpusError(f"uems.{name} is no set{nearest(name, ('train', 'valid', 'test'))}")
            if not isinstance(self.uems[name], str):
                raise CorpusError(f"uems.{name} is {self.uems[name]!r}; expected a file, or leave it out")
        if self.valid is None and "valid" in self.uems:
            raise CorpusError("uems.valid: valid is null, so that there are no recordings of its own")
        paths = self._audio_paths()
        train, test = self._rows("train", self.train, paths), self._rows("test", self.test, paths)
        if self.valid is not None:
            valid = self._rows("valid", self.valid, paths)
            _require_disjoint({"train": train, "valid": valid, "test": test})
            return Splits(train, valid, {"test": test})
        _require_disjoint({"train": train, "test": test})
        if len(train) < 2:
            raise CorpusError(f"{self.train} has one recording, none of which can be held out: set valid to an RTTM")
        chosen = hold_out(dict.fromkeys((row["id"] for row in train), 1), self.valid_fraction * len(train), self.seed)
        valid = [row for row in train if row["id"] in chosen]
        return Splits([row for row in train if row["id"] not in chosen], valid, {"test": test})

    def load_tests(self, cache_dir: Path) -> dict[str, list[Row]]:
        """Rows of the test set; ``train`` and ``valid`` are not read."""
        return {"test": self._rows("test", self.test, self._audio_paths())}

    def _audio_paths(self) -> dict[str, list[Path]]:
        """The files of each name."""
        paths: dict[str, list[Path]] = {}
        for path in audio_files(require_folder(absolute(self.audio), "audio")):
            paths.setdefault(path.stem, []).append(path)
        return paths

    def _rows(self, split: str, rttm: str, paths: dict[str, list[Path]]) -> list[Row]:
        try:
            turns = read_rttm(absolute(rttm))
            scored = read_uem(absolute(self.uems[split])) if split in self.uems else {}
        except TurnsError as error:
            raise CorpusError(f"{split}: {error}") from error
        rows = []
        for name in sorted({*turns, *(scored if scored else ())}):
            if name not in paths:
                raise CorpusError(
                    f"{rttm} names the recording {name!r}, and {self.audio} has no audio called so"
                    f"{nearest(name, paths)}; it has {', '.join(sorted(paths)[:3])}, ... If the names differ, list the"
                    " turns in a CSV with the path of each recording: --prepare_data.corpus csv_turns"
                )
            if len(paths[name]) > 1:
                raise CorpusError(f"{rttm} names {name!r}, and there are {paths[name][0]} and {paths[name][1]}")
            row = {"id": name, "wav_path": str(paths[name][0]), "turns": to_json(turns.get(name, []))}
            if scored:
                row["scored"] = json.dumps([list(span) for span in scored.get(name, [])])
            rows.append(row)
        return rows


def _require_disjoint(sets: dict[str, list[Row]]) -> None:
    owner: dict[str, str] = {}
    for name, rows in sets.items():
        for row in rows:
            if owner.setdefault(row["id"], name) != name:
                raise CorpusError(f"the recording {row['id']!r} is in {owner[row['id']]} and in {name}")
