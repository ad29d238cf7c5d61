"""Folders of labels are divided by groups, or taken as they are divided already."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.folders import Folders
from tests.parts.corpora import are_disjoint, rows_by_split, touch, values


def make_corpus(root, *names):
    for name in names:
        touch(root / name)
    return Folders(dataset_root=str(root), valid_fraction=0.2, test_fraction=0.2)


def test_every_label_is_held_out_in_the_same_part(tmp_path):
    names = [f"{label}/é {n}.{suffix}" for label, suffix in (("a b", "wav"), ("猫", "flac")) for n in range(10)]
    rows = rows_by_split(make_corpus(tmp_path, *names, "猫/notes.txt", ".git/x/y.wav").load(tmp_path))
    assert {name: len(part) for name, part in rows.items()} == {"train": 12, "valid": 4, "test": 4}
    assert all({row["label"] for row in part} == {"a b", "猫"} for part in rows.values())
    assert {row["id"] for row in rows["train"]} <= {name.rpartition(".")[0] for name in names}


def test_speakers_below_the_labels_are_never_divided(tmp_path):
    names = [f"{label}/spk{s}/deep/{n}.wav" for label in ("joy", "rage") for s in range(10) for n in range(3)]
    corpus = make_corpus(tmp_path, *names)
    rows = rows_by_split(corpus.load(tmp_path))
    assert are_disjoint(values(rows, "group")) and [len(part) for part in rows.values()] == [36, 12, 12]
    corpus.split_by_group = False
    assert not are_disjoint(values(rows_by_split(corpus.load(tmp_path)), "group"))


def test_folders_of_splits_are_used_as_they_are(tmp_path):
    names = [f"{split}/{label}/{n}.wav" for split in ("train", "validation", "test") for label in "ab" for n in "12"]
    rows = rows_by_split(make_corpus(tmp_path, *names).load(tmp_path))
    assert {row["id"].partition("/")[0] for row in rows["valid"]} == {"validation"}
    assert [len(part) for part in rows.values()] == [4, 4, 4]
    (tmp_path / "train").rename(tmp_path / "training set")
    with pytest.raises(CorpusError, match="test.*but none called train"):
        Folders(dataset_root=str(tmp_path)).load(tmp_path)


def test_mistakes_in_the_layout_are_named(tmp_path):
    corpus = make_corpus(tmp_path, "a/1.wav")
    with pytest.raises(CorpusError, match="at least two labels, got \\['a'\\]"):
        corpus.load(tmp_path)
    (tmp_path / "_notes_").mkdir()
    with pytest.raises(CorpusError, match="_notes_ holds no wav"):
        corpus.load(tmp_path)
    touch(tmp_path / "b/1.wav")
    corpus.ignore = ["_notes_"]
    with pytest.raises(CorpusError, match="too few to hold out a test set"):
        corpus.load(tmp_path)
