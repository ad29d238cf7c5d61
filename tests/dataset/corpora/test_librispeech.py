"""LibriSpeech: rows from its transcripts, splits by name, and errors that name the missing file."""

from __future__ import annotations

from pathlib import Path

import pytest

from dataset.corpora import CorpusError, get_corpus
from dataset.corpora.librispeech import LibriSpeech

SPEAKERS = """\
;ID  |SEX| SUBSET           |MINUTES| NAME
14   | F | train-clean-360  | 25.03 | Kristin LeMoine
1089 | M | test-clean       |  8.0  | Peter Bobbe | with a bar
"""


def add(root: Path, split: str, speaker: str, chapter: str, texts: list[str]) -> Path:
    folder = root / split / speaker / chapter
    folder.mkdir(parents=True)
    names = [f"{speaker}-{chapter}-{index:04d}" for index in range(len(texts))]
    lines = "".join(f"{name} {text}\n" for name, text in zip(names, texts))
    (folder / f"{speaker}-{chapter}.trans.txt").write_text(lines)
    for name in names:
        (folder / f"{name}.flac").touch()
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "Libri Speech é"
    add(root, "train-clean-100", "103", "1240", ["CHAPTER ONE", "MISSUS RACHEL LYNDE'S"])
    add(root, "train-clean-100", "14", "208", ["NULL"])
    add(root, "train-clean-360", "100", "1", ["A"])
    add(root, "dev-clean", "84", "121123", ["GO DO YOU HEAR"])
    add(root, "test-clean", "1089", "134686", ["HE HOPED", "STUFF IT", "AFTER EARLY"])
    add(root, "test-other", "367", "130732", ["LOBSTERS"])
    (root / "SPEAKERS.TXT").write_text(SPEAKERS)
    (root / "train-clean-100" / "README").write_text("not a speaker")
    return root


def test_rows(root, tmp_path):
    splits = LibriSpeech(str(root)).load(tmp_path)
    assert [row["id"] for row in splits.train] == ["103-1240-0000", "103-1240-0001", "14-208-0000"]
    assert [row["transcription"] for row in splits.train] == ["CHAPTER ONE", "MISSUS RACHEL LYNDE'S", "NULL"]
    assert splits.train[2] == {
        "id": "14-208-0000",
        "wav_path": str(root / "train-clean-100/14/208/14-208-0000.flac"),
        "transcription": "NULL",
        "speaker": "14",
        "gender": "F",
    }
    assert splits.train[0]["gender"] == ""
    assert splits.test["test-clean"][0]["gender"] == "M"
    assert len(splits.valid) == 1 and list(splits.test) == ["test-clean"]
    assert all(Path(row["wav_path"]).is_file() for row in splits.train + splits.valid)


def test_splits_join_in_training_and_stay_apart_in_testing(root, tmp_path):
    corpus = LibriSpeech(
        str(root),
        train_sets=["train-clean-100", "train-clean-360"],
        test_sets=["test-clean", "test-other", "dev-clean"],
    )
    splits = corpus.load(tmp_path)
    assert [row["speaker"] for row in splits.train] == ["103", "103", "14", "100"]
    assert {name: len(rows) for name, rows in splits.test.items()} == {
        "test-clean": 3,
        "test-other": 1,
        "dev-clean": 1,
    }


def test_sources_are_the_transcripts(root):
    sources = LibriSpeech(str(root)).sources()
    assert [path.name for path in sources] == [
        "SPEAKERS.TXT",
        "103-1240.trans.txt",
        "14-208.trans.txt",
        "84-121123.trans.txt",
        "1089-134686.trans.txt",
    ]
    assert all(path.is_file() for path in sources)


def test_speakers_txt_is_optional(root, tmp_path):
    (root / "SPEAKERS.TXT").unlink()
    assert {row["gender"] for row in LibriSpeech(str(root)).load(tmp_path).train} == {""}
    assert len(LibriSpeech(str(root)).sources()) == 4


def test_missing_split_is_named(root, tmp_path):
    with pytest.raises(CorpusError, match=r"no split 'dev-other'.*dev-clean, test-clean, test-other, train-clean-100"):
        LibriSpeech(str(root), valid_sets=["dev-other"]).load(tmp_path)
    with pytest.raises(CorpusError, match="no split 'dev-other'"):
        LibriSpeech(str(root), valid_sets=["dev-other"]).sources()


def test_root_one_folder_too_high(root, tmp_path):
    root.rename(root.parent / "LibriSpeech")
    with pytest.raises(CorpusError, match="did you mean dataset_root=.*LibriSpeech"):
        LibriSpeech(str(root.parent)).load(tmp_path)


def test_audio_without_transcript_is_named(root, tmp_path):
    chapter = root / "test-clean/1089/134686"
    (chapter / "1089-134686-0007.flac").touch()
    with pytest.raises(CorpusError, match=r"1089-134686-0007\.flac has no line in .*1089-134686\.trans\.txt"):
        LibriSpeech(str(root)).load(tmp_path)
    (chapter / "1089-134686.trans.txt").unlink()
    with pytest.raises(CorpusError, match=r"1089-134686-0000\.flac \(and 3 more of that chapter\) has no line"):
        LibriSpeech(str(root)).load(tmp_path)


def test_transcript_without_audio_is_named(root, tmp_path):
    (root / "dev-clean/84/121123/84-121123-0000.flac").unlink()
    with pytest.raises(CorpusError, match=r"84-121123\.trans\.txt has the text of 84-121123-0000, but there is no"):
        LibriSpeech(str(root)).load(tmp_path)


def test_an_utterance_listed_twice_is_named(root, tmp_path):
    with open(root / "dev-clean/84/121123/84-121123.trans.txt", "a") as file:
        file.write("\n84-121123-0000 AGAIN\n")
    with pytest.raises(CorpusError, match=r"84-121123\.trans\.txt, line 3: 84-121123-0000 is listed twice"):
        LibriSpeech(str(root)).load(tmp_path)


def test_empty_split_is_named(root, tmp_path):
    (root / "dev-other").mkdir()
    with pytest.raises(CorpusError, match="dev-other holds no utterances"):
        LibriSpeech(str(root), valid_sets=["dev-other"]).load(tmp_path)


@pytest.mark.parametrize(
    "settings, words",
    [
        ({"test_sets": ["train-clean-100"]}, "train-clean-100 is in train_sets and in test_sets"),
        ({"valid_sets": ["dev-clean", "dev-clean"]}, "valid_sets lists dev-clean more than once"),
        ({"train_sets": []}, "train_sets must be a list of at least one"),
        ({"train_sets": "train-clean-100"}, "train_sets must be a list.*'train-clean-100'"),
    ],
)
def test_wrong_lists_of_sets_are_named(root, tmp_path, settings, words):
    corpus = LibriSpeech(str(root), **settings)
    for read in (corpus.sources, lambda: corpus.load(tmp_path)):
        with pytest.raises(CorpusError, match=words):
            read()


def test_a_corpus_is_looked_up_by_name():
    assert get_corpus("librispeech") is LibriSpeech
    with pytest.raises(KeyError, match="librispeech"):
        get_corpus("libri")
