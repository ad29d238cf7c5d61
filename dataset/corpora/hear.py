"""The tasks of HEAR, in the layout of its archives (Turian et al., "HEAR", NeurIPS 2021 competition track)."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dataset import SEPARATOR
from dataset.corpora.common.base import Corpus, CorpusError, Row, Splits
from dataset.corpora.common.folders import absolute, require_file, require_folder
from dataset.diarization.turns import Turn, to_json
from dataset.setting import REQUIRED, setting

METADATA, VOCABULARY = "task_metadata.json", "labelvocabulary.csv"
LISTS = ("train", "valid", "test")


@dataclasses.dataclass
class Hear(Corpus):
    """``root/task_metadata.json``, ``root/labelvocabulary.csv``, ``root/<list>.json`` and ``root/<rate>/<list>/*.wav``.

    The lists are ``train, valid, test``, or ``fold00, fold01, ...``: one fold is for testing, the next one for
    validation, the others are for training. A list maps the name of each file to its labels, or to its events with
    times in milliseconds.

    Columns: ``id, wav_path, fold``, and ``label`` for a task with one label a file, ``labels`` for one with any number,
    ``events`` for one with events (JSON: ``[[start, end, label], ...]`` in seconds; a file may have none).
    """

    dataset_root: str = setting(REQUIRED, "folder of the task, which holds task_metadata.json")
    sample_rate: int = setting(16000, "rate of the audio to read, the name of its folder", min=8000)
    test_fold: int = setting(0, "the fold to test on, from 0; the next one is for validation", min=0)

    def sources(self) -> list[Path]:
        """The lists, and what describes them."""
        root = self._root()
        return [root / METADATA, root / VOCABULARY, *(root / f"{name}.json" for name in self._lists(root))]

    def folds_of(self, number: int | None) -> list[dict[str, Any]]:
        """The settings of each fold."""
        root = self._root()
        names = self._lists(root)
        if names == list(LISTS):
            raise CorpusError(f"{root} has no folds, but lists for training, validation and test: leave out --folds")
        if number not in (None, len(names)):
            raise CorpusError(f"{root} has {len(names)} folds; expected all or {len(names)}, got {number}")
        return [{"test_fold": fold} for fold in range(len(names))]

    def load(self, cache_dir: Path) -> Splits:
        """Rows of every split."""
        root = self._root()
        names, read = self._lists(root), _reader(root)
        rows = {name: self._rows(root, name, read) for name in names}
        if names == list(LISTS):
            return Splits(train=rows["train"], valid=rows["valid"], test={"test": rows["test"]})
        if self.test_fold >= len(names):
            raise CorpusError(f"test_fold is {self.test_fold}, but {root} has {len(names)} folds, from 0")
        test, valid = names[self.test_fold], names[(self.test_fold + 1) % len(names)]
        train = [row for name in names if name not in (test, valid) for row in rows[name]]
        return Splits(train=train, valid=rows[valid], test={"test": rows[test]})

    def _root(self) -> Path:
        return require_folder(absolute(self.dataset_root), "HEAR")

    @staticmethod
    def _lists(root: Path) -> list[str]:
        """The names of the lists: those of the folds in order, or of training, validation and test."""
        folds = sorted(path.stem for path in root.glob("fold*.json"))
        if folds:
            if len(folds) < 3:
                raise CorpusError(f"{root} has the folds {', '.join(folds)}; expected at least 3, for three splits")
            return folds
        for name in LISTS:
            require_file(root / f"{name}.json", "HEAR's list, where there is no fold00.json")
        return list(LISTS)

    def _rows(self, root: Path, name: str, read: Callable[[Any], Row]) -> list[Row]:
        """The rows of a list, in alphabetical order of the files."""
        path, folder = root / f"{name}.json", root / str(self.sample_rate) / name
        entries = _read_json(path)
        if not isinstance(entries, dict):
            raise CorpusError(
                f"{path}: expected an object with the labels of each file, got a {type(entries).__name__}"
            )
        require_folder(folder, "HEAR's audio")
        rows = []
        for file, labels in sorted(entries.items()):
            try:
                if not isinstance(labels, list):
                    raise ValueError(f"expected a list of labels or events, got {labels!r}")
                columns = read(labels)
            except ValueError as error:
                raise CorpusError(f"{path}, {file}: {error}") from error
            if not (folder / file).is_file():
                raise CorpusError(f"{path} lists {file}, but there is no file {folder / file}")
            rows.append({"id": f"{name}/{Path(file).stem}", "wav_path": str(folder / file), "fold": name} | columns)
        return rows


def _reader(root: Path) -> Callable[[Any], Row]:
    """The function from a file's entry in a list to its columns."""
    metadata = _read_json(require_file(root / METADATA, "HEAR"))
    kind = tuple(metadata.get(key) for key in ("embedding_type", "prediction_type"))
    readers = {("scene", "multiclass"): _label, ("scene", "multilabel"): _labels, ("event", "multilabel"): _events}
    if kind not in readers:
        known = " or ".join(" and ".join(own) for own in readers)
        raise CorpusError(f"{root / METADATA}: embedding_type and prediction_type are {kind}; expected {known}")
    known_labels = _vocabulary(require_file(root / VOCABULARY, "HEAR"))

    def read(entry: Any) -> Row:
        return readers[kind](entry, known_labels)

    return read


def _label(entry: list[Any], known: set[str]) -> Row:
    if len(entry) != 1:
        raise ValueError(f"expected one label, got {entry}")
    return {"label": _known(entry[0], known)}


def _labels(entry: list[Any], known: set[str]) -> Row:
    labels = [_known(label, known) for label in entry]
    divided = [label for label in labels if SEPARATOR.strip() in label]
    if divided:
        raise ValueError(f"the label {divided[0]!r} has a semicolon, which separates labels here: replace it")
    return {"labels": SEPARATOR.join(labels)}


def _events(entry: list[dict[str, Any]], known: set[str]) -> Row:
    """Times in the lists are in milliseconds."""
    turns = []
    for event in entry:
        try:
            times = event["start"] / 1000, event["end"] / 1000
            turns.append(Turn(*times, str(event["label"])))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected events with start, end and label, got {event!r}") from error
        _known(event["label"], known)
    return {"events": to_json(sorted(turns))}


def _known(label: Any, known: set[str]) -> str:
    if str(label) not in known:
        raise ValueError(f"the label {label!r} is not in {VOCABULARY}")
    return str(label)


def _vocabulary(path: Path) -> set[str]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or "label" not in rows[0]:
        raise CorpusError(f"{path}: expected the columns idx and label, and a row for each label")
    return {row["label"] for row in rows}


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise CorpusError(f"{path} is not JSON in UTF-8: {error}") from error
