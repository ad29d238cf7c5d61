"""HEAR's tasks on small trees with their real file names: labels, tags, events, lists and folds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.hear import Hear
from tests.parts.corpora import rows_by_split, touch


def write(root: Path, kind: tuple[str, str], vocabulary: list[str], lists: dict[str, dict], rate: int = 16000) -> Path:
    """A task: its lists, and an empty file for each entry."""
    root.mkdir(parents=True)
    embedding_type, prediction_type = kind
    metadata = {"task_name": root.name, "embedding_type": embedding_type, "prediction_type": prediction_type}
    (root / "task_metadata.json").write_text(json.dumps(metadata))
    lines = "".join(f"{number},{label}\n" for number, label in enumerate(vocabulary))
    (root / "labelvocabulary.csv").write_text(f"idx,label\n{lines}", encoding="utf-8")
    for name, entries in lists.items():
        (root / f"{name}.json").write_text(json.dumps(entries))
        for file in entries:
            touch(root / str(rate) / name / file)
    return root


SCENE, TAGS, EVENTS = ("scene", "multiclass"), ("scene", "multilabel"), ("event", "multilabel")


@pytest.fixture
def esc50(tmp_path):
    """Five folds, as hear2021's esc50-v2.0.0-full has them."""
    lists = {
        f"fold{fold:02}": {f"{fold + 1}-1000{n}-A-{n}.wav": ["dog" if n % 2 else "rain"] for n in range(2)}
        for fold in range(5)
    }
    return write(tmp_path / "esc50-v2.0.0-full", SCENE, ["dog", "rain"], lists)


def names(rows) -> dict[str, set[str]]:
    return {split: {row["fold"] for row in own} for split, own in rows.items()}


@pytest.mark.parametrize("fold", range(5))
def test_one_fold_is_for_testing_and_the_next_for_validation(esc50, fold):
    rows = rows_by_split(Hear(str(esc50), test_fold=fold).load(esc50))
    held_out = {"test": {f"fold{fold:02}"}, "valid": {f"fold{(fold + 1) % 5:02}"}}
    folds = {f"fold{number:02}" for number in range(5)}
    assert names(rows) == held_out | {"train": folds - set.union(*held_out.values())}
    row = next(row for row in rows["test"] if "-A-1" in row["id"])
    assert row["label"] == "dog" and row["id"] == f"fold{fold:02}/{fold + 1}-10001-A-1"
    assert row["wav_path"] == str(esc50 / "16000" / f"fold{fold:02}" / f"{fold + 1}-10001-A-1.wav")


def test_folds_are_those_of_the_folder(esc50):
    corpus = Hear(str(esc50))
    assert corpus.folds_of(None) == corpus.folds_of(5) == [{"test_fold": fold} for fold in range(5)]
    with pytest.raises(CorpusError, match="has 5 folds; expected all or 5, got 4"):
        corpus.folds_of(4)
    with pytest.raises(CorpusError, match="test_fold is 5, but .* has 5 folds, from 0"):
        Hear(str(esc50), test_fold=5).load(esc50)
    assert set(corpus.sources()) == set(esc50.glob("*.json")) | set(esc50.glob("*.csv"))


def test_files_with_any_number_of_labels_in_lists_of_splits(tmp_path):
    lists = {
        "train": {"64760.wav": ["Electric_guitar", "Music"], "16399.wav": []},
        "valid": {"389607.wav": ["Music"]},
        "test": {"37199.wav": ["Electric_guitar"]},
    }
    root = write(tmp_path / "fsd50k-v1.0-full", TAGS, ["Electric_guitar", "Music"], lists)
    rows = rows_by_split(Hear(str(root)).load(tmp_path))
    assert [row["labels"] for row in rows["train"]] == ["", "Electric_guitar ; Music"]
    assert rows["valid"][0]["labels"] == "Music" and rows["test"][0]["wav_path"].endswith("16000/test/37199.wav")
    with pytest.raises(CorpusError, match="has no folds, but lists.*leave out --folds"):
        Hear(str(root)).folds_of(None)


def test_events_are_in_seconds_and_recordings_without_any_are_kept(tmp_path):
    events = [
        {"start": 2543.0, "end": 3120.5, "label": "keyboard"},
        {"start": 100, "end": 400, "label": "clearthroat"},
    ]
    lists = {"train": {"train_ebr_6_nec_2_poly_0.wav": events}, "valid": {"a.wav": events[:1]}, "test": {"b.wav": []}}
    root = write(tmp_path / "dcase2016_task2-hear2021-full", EVENTS, ["clearthroat", "keyboard"], lists, rate=48000)
    rows = rows_by_split(Hear(str(root), sample_rate=48000).load(tmp_path))
    assert json.loads(rows["train"][0]["events"]) == [[0.1, 0.4, "clearthroat"], [2.543, 3.1205, "keyboard"]]
    assert rows["test"][0]["events"] == "[]"


def test_numbers_may_be_labels(tmp_path):
    note = [{"start": 0, "end": 500, "label": 60}]
    lists = {f"fold{fold:02}": {"MIDI-Unprocessed_01.wav": note} for fold in range(3)}
    root = write(tmp_path / "maestro-v3.0.0-5h", EVENTS, ["59", "60"], lists)
    assert json.loads(Hear(str(root)).load(tmp_path).train[0]["events"]) == [[0.0, 0.5, "60"]]


@pytest.mark.parametrize(
    ("kind", "entry", "words"),
    [
        (SCENE, ["dog", "rain"], r"fold00.json, a ü.wav: expected one label, got \['dog', 'rain'\]"),
        (SCENE, ["cat"], "the label 'cat' is not in labelvocabulary.csv"),
        (SCENE, None, "fold00.json, a ü.wav: expected a list of labels or events, got None"),
        (TAGS, ["dog ; rain"], "has a semicolon"),
        (
            EVENTS,
            [{"start": 0, "label": "dog"}],
            "fold00.json, a ü.wav: expected events with start, end and label, got .'start': 0",
        ),
        (EVENTS, ["dog"], "expected events with start, end and label, got 'dog'"),
        (EVENTS, [{"start": 0, "end": 9, "label": "cat"}], "the label 'cat' is not in labelvocabulary.csv"),
        (("scene", "regression"), [], "embedding_type and prediction_type are .*expected scene and multiclass or"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(tmp_path, kind, entry, words):
    lists = {f"fold{fold:02}": {"a ü.wav": entry} for fold in range(3)}
    root = write(tmp_path / "task", kind, ["dog", "rain", "dog ; rain"], lists)
    with pytest.raises(CorpusError, match=words):
        Hear(str(root)).load(tmp_path)


def test_what_is_missing_is_named(esc50, tmp_path):
    audio = esc50 / "16000/fold03/4-10000-A-0.wav"
    audio.unlink()
    with pytest.raises(CorpusError, match="fold03.json lists 4-10000-A-0.wav, but there is no file"):
        Hear(str(esc50)).load(tmp_path)
    with pytest.raises(CorpusError, match="there is no folder .*48000"):
        Hear(str(esc50), sample_rate=48000).load(tmp_path)
    for fold in (2, 3, 4):
        (esc50 / f"fold{fold:02}.json").unlink()
    with pytest.raises(CorpusError, match="has the folds fold00, fold01; expected at least 3"):
        Hear(str(esc50)).load(tmp_path)
    for fold in (0, 1):
        (esc50 / f"fold{fold:02}.json").unlink()
    with pytest.raises(CorpusError, match="HEAR's list, where there is no fold00.json: there is no file .*train.json"):
        Hear(str(esc50)).load(tmp_path)
    with pytest.raises(CorpusError, match="HEAR: there is no folder"):
        Hear(str(tmp_path / "nowhere")).load(tmp_path)
    (esc50 / "train.json").write_text("{")
    for name in ("valid", "test"):
        (esc50 / f"{name}.json").write_text("{}")
    with pytest.raises(CorpusError, match="train.json is not JSON"):
        Hear(str(esc50)).load(tmp_path)
