"""Speech Commands: the splits of the lists or of the hash rule, with every second of noise in one split only."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from dataset.corpora import CorpusError
from dataset.corpora.speech_commands import KEYWORDS, SpeechCommands, split_of
from tests.conftest import data_folder
from tests.parts.corpora import rows_by_split

SPEAKERS = [f"{number:08x}" for number in range(60)]
WORDS = [*KEYWORDS, "bed", "tree"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A recording of every word by every speaker; two noises of 20 and 31.5 s."""
    root = tmp_path_factory.mktemp("with space ü") / "speech_commands_v0.01"
    for word in WORDS:
        (root / word).mkdir(parents=True)
        for speaker in SPEAKERS:
            (root / word / f"{speaker}_nohash_0.wav").write_bytes(b"")
    (root / "_background_noise_").mkdir()
    (root / "_background_noise_" / "README.md").write_text("noise")
    for name, seconds in (("tap", 20.0), ("pink_noise", 31.5)):
        soundfile.write(root / "_background_noise_" / f"{name}.wav", np.zeros(int(16000 * seconds)), 16000)
    return root


@pytest.fixture
def listed(root):
    """A corpus with lists whose splits differ from those of the hash rule."""
    files = {
        "validation_list.txt": [f"{word}/{s}_nohash_0.wav" for word in WORDS for s in SPEAKERS[:6]],
        "testing_list.txt": [f"{word}/{s}_nohash_0.wav" for word in WORDS for s in SPEAKERS[6:12]],
    }
    for name, lines in files.items():
        (root / name).write_text("\n".join(lines) + "\n")
    yield root
    for name in files:
        (root / name).unlink()


def test_ten_keywords_others_and_silence_in_the_split_of_the_lists(listed, tmp_path):
    rows = rows_by_split(SpeechCommands(dataset_root=str(listed)).load(tmp_path))
    for split, speakers in (("valid", SPEAKERS[:6]), ("test", SPEAKERS[6:12]), ("train", SPEAKERS[12:])):
        words = [row for row in rows[split] if row["label"] != "_silence_"]
        assert {row["speaker"] for row in words} == set(speakers)
        assert {row["label"] for row in rows[split]} == {*KEYWORDS, "_unknown_", "_silence_"}
        assert {row["word"] for row in words if row["label"] == "_unknown_"} == {"bed", "tree"}
    assert len({row["id"] for part in rows.values() for row in part}) == sum(map(len, rows.values()))


def test_no_second_of_noise_is_in_two_splits_and_none_is_lost(root, tmp_path):
    rows = rows_by_split(SpeechCommands(dataset_root=str(root)).load(tmp_path))
    seconds = {s: {r["id"] for r in part if r["label"] == "_silence_"} for s, part in rows.items()}
    assert sum(map(len, seconds.values())) == 20 + 31 == len(set.union(*seconds.values()))
    for name, total in (("tap", 20), ("pink_noise", 31)):
        starts = {
            s: sorted(float(r["start_sec"]) for r in part if name in r["wav_path"] and r["label"] == "_silence_")
            for s, part in rows.items()
        }
        assert starts["train"] == list(range(len(starts["train"]))) and len(starts["train"]) == round(0.8 * total + 0.2)
        assert max(starts["train"]) < min(starts["valid"]) <= max(starts["valid"]) < min(starts["test"])
    assert all(float(r["end_sec"]) - float(r["start_sec"]) == 1 for r in rows["train"] if "end_sec" in r)


def test_without_the_lists_speakers_are_split_by_the_hash_rule(root, tmp_path):
    rows = rows_by_split(SpeechCommands(dataset_root=str(root), keywords=[]).load(tmp_path))
    speakers = {split: {row["speaker"] for row in part} for split, part in rows.items()}
    assert len(set.union(*speakers.values())) == sum(map(len, speakers.values())) == len(SPEAKERS)
    assert {row["label"] for row in rows["train"]} == set(WORDS), "every word is a class, and there is no silence"
    many = [split_of(f"{number:08x}") for number in range(4000)]
    assert 0.08 < many.count("valid") / 4000 < 0.12 and 0.08 < many.count("test") / 4000 < 0.12


def which_set(name: str, validation: float, testing: float) -> str:
    """The reference: the rule in the corpus's README (section "Partitioning")."""
    import hashlib

    hashed = int(hashlib.sha1(name.split("_nohash_")[0].encode("utf-8")).hexdigest(), 16)
    place = (hashed % (2**27)) * (100.0 / (2**27 - 1))
    return "valid" if place < validation else "test" if place < validation + testing else "train"


def test_the_hash_rule_is_that_of_the_readme():
    for number in range(500):
        name = f"{number * 7919:08x}_nohash_{number % 5}.wav"
        assert split_of(name.partition("_")[0]) == which_set(name, 10, 10)


def test_the_archive_of_the_test_set_is_taken_as_it_is(listed, tmp_path):
    archive = tmp_path / "speech_commands_test_set_v0.01"
    for name in (*KEYWORDS, "_unknown_", "_silence_"):
        (archive / name).mkdir(parents=True)
        (archive / name / "0a7c2a8d_nohash_0.wav").write_bytes(b"")
    corpus = SpeechCommands(dataset_root=str(listed), test_root=str(archive))
    test = corpus.load(tmp_path).test["test"]
    assert len(test) == 12 and {row["label"] for row in test} == {*KEYWORDS, "_unknown_", "_silence_"}
    with pytest.raises(CorpusError, match="set keywords to the words of test_root"):
        SpeechCommands(dataset_root=str(listed), test_root=str(archive), keywords=["yes", "no"]).load(tmp_path)


def test_missing_folders_words_and_lists_are_named(root, tmp_path):
    with pytest.raises(CorpusError, match="no folder .*nowhere"):
        SpeechCommands(dataset_root=str(tmp_path / "nowhere")).load(tmp_path)
    with pytest.raises(CorpusError, match="no folder for jump; it has .*bed"):
        SpeechCommands(dataset_root=str(root), keywords=["yes", "jump"]).load(tmp_path)
    (root / "testing_list.txt").write_text("")
    try:
        with pytest.raises(CorpusError, match="has only testing_list.txt of"):
            SpeechCommands(dataset_root=str(root)).load(tmp_path)
    finally:
        (root / "testing_list.txt").unlink()


def test_the_real_nine_words_split_by_speaker(tmp_path):
    root = data_folder() / "speech_commands_9"
    if not root.is_dir():
        pytest.skip("speech_commands_9 is not beside the repository")
    rows = rows_by_split(SpeechCommands(dataset_root=str(root), keywords=[]).load(tmp_path))
    assert sum(map(len, rows.values())) == 2511
    assert not rows["test"], "the folder holds no speaker of the published test set: the rule is the published one"
    speakers = [{row["speaker"] for row in rows[split]} for split in ("train", "valid")]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 239 and len(speakers[1]) == 29
