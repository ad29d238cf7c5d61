"""Stage 0: a corpus's rows become checked CSVs, and audio that cannot be used is named, all of it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataset import prepare
from dataset.audio import AudioError
from dataset.corpora import CorpusError, Splits
from dataset.metadata import read_csv

SETTINGS = {"min_seconds": 0.05, "skip_bad": False}


@pytest.fixture
def rows(tmp_path):
    """Make rows with audio of the lengths given."""

    def make(*seconds: float, name: str = "u") -> list[dict[str, str]]:
        table = []
        for number, length in enumerate(seconds):
            path = tmp_path / f"{name}{number}.wav"
            soundfile.write(path, np.zeros(round(length * 16000)), 16000)
            table.append({"id": path.stem, "wav_path": str(path), "transcription": "a"})
        return table

    return make


def write(tmp_path, train, valid, test, settings=SETTINGS):
    splits = Splits(train, valid, test if isinstance(test, dict) else {"test": test})
    return prepare.write(
        splits, settings, ("transcription",), target_dir=tmp_path / "run", cache_dir=tmp_path / "cache"
    )


def test_durations_are_those_of_the_audio_and_of_segments(tmp_path, rows):
    train = rows(1.5, 2.0, 3.0)
    train[1] |= {"start_sec": "0.5", "end_sec": "1.25"}
    train[2] |= {"start_sec": "1", "end_sec": ""}
    csv, *_ = write(tmp_path, train, rows(1, name="v"), rows(1, name="t"))
    assert read_csv(csv, ("id",))["seconds"].tolist() == ["1.5", "0.75", "2"]


def test_paths_are_made_absolute_and_other_columns_are_kept(tmp_path, rows, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = [row | {"wav_path": os.path.basename(row["wav_path"]), "speaker": "s, 1"} for row in rows(1, 1)]
    csv, *_ = write(tmp_path, train, rows(1, name="v"), rows(1, name="t"))
    table = read_csv(csv, ("id",))
    assert table["wav_path"].tolist() == [str(tmp_path / "u0.wav"), str(tmp_path / "u1.wav")]
    assert table["speaker"].tolist() == ["s, 1"] * 2


def test_csvs_of_an_earlier_corpus_go(tmp_path, rows):
    train, valid, test = rows(1, 1), rows(1, name="v"), rows(1, name="t")
    write(tmp_path, train, valid, {"clean": test, "other": test})
    *_, tests = write(tmp_path, train, valid, {"mine": test})
    assert [os.path.basename(path) for path in tests] == ["mine.csv"]
    names = [f"{name}.{suffix}" for name in ("mine", "train", "valid") for suffix in ("arrow", "csv")]
    assert sorted(p.name for p in (tmp_path / "run" / "data").iterdir()) == names


@pytest.mark.parametrize("name", ["train", "valid", "a/b", "", "..\\x", "a\nb"])
def test_a_test_set_needs_a_name_that_is_free_and_can_be_a_files(tmp_path, rows, name):
    with pytest.raises(CorpusError, match="cannot name a test set"):
        write(tmp_path, rows(1), rows(1, name="v"), {name: rows(1, name="t")})


def test_what_rows_lack_is_named(tmp_path, rows):
    train, valid, test = rows(1, 1), rows(1, name="v"), rows(1, name="t")
    with pytest.raises(CorpusError, match="train set, u1: no column 'transcription'"):
        write(tmp_path, [train[0], {k: v for k, v in train[1].items() if k != "transcription"}], valid, test)
    with pytest.raises(CorpusError, match="'u0' more than once"):
        write(tmp_path, [train[0], train[0]], valid, test)
    with pytest.raises(CorpusError, match="train set is empty"):
        write(tmp_path, [], valid, test)
    with pytest.raises(CorpusError, match="other set is empty"):
        write(tmp_path, train, valid, {"t": test, "other": []})
    with pytest.raises(CorpusError, match="no test set"):
        write(tmp_path, train, valid, {})
    assert not (tmp_path / "run" / "data").exists()


def test_a_validation_set_may_be_empty(tmp_path, rows, caplog):
    _, csv, _ = write(tmp_path, rows(1, 1), [], rows(1, name="t"))
    assert Path(csv).read_text() == "id,wav_path,seconds,transcription\n"
    assert "--train.valid_metric null" in caplog.text


def test_all_bad_audio_is_named_at_once(tmp_path, rows):
    train = rows(1, 1, 10 / 16000, 1, 1, 1)
    open(train[0]["wav_path"], "w").close()
    os.remove(train[1]["wav_path"])
    train[3] |= {"start_sec": "0.5", "end_sec": "7"}
    train[4] |= {"start_sec": "soon"}
    train[5] |= {"start_sec": "0.6", "end_sec": "0.6"}
    with pytest.raises(AudioError) as caught:
        write(tmp_path, train, rows(1, name="v"), rows(1, name="t"))
    message = str(caught.value)
    assert "6 utterances" in message and "skip_bad" in message
    for number, words in enumerate(
        ("empty", "no such file", "10 samples", "to 7 s is not inside its 1.000 s", "soon", "0.6 s")
    ):
        line = next(line for line in message.splitlines() if f"train u{number}:" in line)
        assert words in line and train[number]["wav_path"] in line


def test_a_long_list_of_bad_audio_is_whole_in_a_file_until_it_is_mended(tmp_path, rows):
    train = rows(*[0.01] * 30)
    with pytest.raises(AudioError, match=r"and 10 more, all listed in .*unusable.txt"):
        write(tmp_path, train, rows(1, name="v"), rows(1, name="t"))
    listing = tmp_path / "run" / "data" / "unusable.txt"
    assert len(listing.read_text().splitlines()) == 30
    write(tmp_path, rows(1, 1), rows(1, name="v"), rows(1, name="t"))
    assert not listing.exists()


def test_skip_bad_leaves_bad_audio_out_and_warns(tmp_path, rows, caplog):
    train = rows(1, 0.01, 1)
    with caplog.at_level(logging.WARNING):
        csv, *_ = write(tmp_path, train, rows(1, name="v"), rows(1, name="t"), SETTINGS | {"skip_bad": True})
    assert read_csv(csv, ("id",))["id"].tolist() == ["u0", "u2"]
    assert "1 UTTERANCE LEFT OUT" in caplog.text and "u1" in caplog.text
    with pytest.raises(CorpusError, match="train set is empty without its unusable audio"):
        write(tmp_path, rows(0.01), rows(1, name="v"), rows(1, name="t"), SETTINGS | {"skip_bad": True})
    with pytest.raises(CorpusError, match="valid set is empty without its unusable audio"):
        write(tmp_path, rows(1), rows(0.01, name="v"), rows(1, name="t"), SETTINGS | {"skip_bad": True})


def test_a_split_depends_on_ids_alone_and_stays_when_rows_are_added():
    rows = [{"id": f"u{n}"} for n in range(100)]
    splits = prepare.split(rows, valid=0.1, test=0.2)
    assert splits == prepare.split(rows[::-1], valid=0.1, test=0.2)
    parts = [{row["id"] for row in part} for part in (splits.train, splits.valid, splits.test["test"])]
    assert list(map(len, parts)) == [70, 10, 20]
    assert len(set.union(*parts)) == 100
    more = prepare.split([*rows, {"id": "new"}], valid=0.1, test=0.2)
    assert sum(row["id"] in parts[0] for row in more.train) >= 69


def test_a_split_holds_out_a_tenth_for_each_set_and_at_least_one_row():
    rows = [{"id": f"u{n}"} for n in range(100)]
    for number, sizes in ((100, (80, 10, 10)), (20, (16, 2, 2)), (3, (1, 1, 1))):
        splits = prepare.split(rows[:number])
        assert (len(splits.train), len(splits.valid), len(splits.test["test"])) == sizes


# ---- trials ----


SIDES = (("id", "id"), ("wav_path", "wav_path"))


def trial(first: dict[str, str], second: dict[str, str], label: str = "1") -> dict[str, str]:
    sides = {f"{key}{n}": row[name] for n, row in ((1, first), (2, second)) for key, name in SIDES}
    return sides | {"label": label}


def test_a_set_may_be_trials_whose_utterances_are_checked_once(tmp_path, rows, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    a, b, c = (row | {"wav_path": os.path.basename(row["wav_path"])} for row in rows(1, 2, 3, name="v"))
    both = {"id": f"{a['id']} ; {b['id']}", "wav_path": f"{a['wav_path']} ; {b['wav_path']}"}
    with caplog.at_level(logging.INFO):
        _, csv, _ = write(tmp_path, rows(1), [trial(a, b), trial(both, c, "0")], rows(1, name="t"))
    table = read_csv(csv, ())
    assert set(table.columns) == {"id1", "id2", "wav_path1", "wav_path2", "label"}
    assert table["wav_path1"].tolist() == [str(tmp_path / "v0.wav"), f"{tmp_path / 'v0.wav'} ; {tmp_path / 'v1.wav'}"]
    assert "valid             3 utterances      6.0 s" in caplog.text


def test_trials_of_bad_audio_go_with_it(tmp_path, rows):
    a, b, c = rows(1, 1, 0.01, name="v")
    sets = rows(1), [trial(a, b), trial(a, c, "0"), trial(c, b, "0")], rows(1, name="t")
    with pytest.raises(AudioError, match="1 utterance cannot be used"):
        write(tmp_path, *sets)
    _, csv, _ = write(tmp_path, *sets, settings=SETTINGS | {"skip_bad": True})
    assert read_csv(csv, ())[["id1", "id2"]].to_numpy().tolist() == [["v0", "v1"]]


def test_trials_that_are_not_whole_are_refused(tmp_path, rows):
    a, b = rows(1, 1, name="v")
    half = {key: value for key, value in trial(a, b).items() if key != "wav_path2"}
    with pytest.raises(CorpusError, match="the valid set: a trial has no column 'wav_path2'"):
        write(tmp_path, rows(1), [half], rows(1, name="t"))
    with pytest.raises(CorpusError, match="the valid set: the id 'v0' is used for"):
        write(tmp_path, rows(1), [trial(a, b), trial(a, {**b, "id": "v0"})], rows(1, name="t"))


def test_a_part_of_the_training_set_keeps_every_label_and_is_in_every_larger_part(tmp_path, rows):
    rows = [{"id": f"u{i}", "label": "rare" if i < 3 else "common"} for i in range(53)]
    parts = [{row["id"] for row in prepare.part(rows, fraction, "label")} for fraction in (0.1, 0.3, 1.0)]
    assert [len(part) for part in parts] == [1 + 5, 1 + 15, 53] and parts[0] < parts[1] < parts[2]
    assert all({"u0", "u1", "u2"} & part for part in parts)
    assert len(prepare.part(rows, 0.1)) == 6
    assert prepare.part(rows[::-1], 0.3, "label") == prepare.part(rows, 0.3, "label")[::-1]


def test_only_the_training_set_is_cut(tmp_path, rows):
    sets = rows(*[0.1] * 5, name="t"), rows(0.1, 0.1, name="v"), rows(0.1, 0.1, name="x")
    train, valid, (test,) = write(tmp_path, *sets, settings=SETTINGS | {"train_fraction": 0.5})
    assert [len(read_csv(csv, ())) for csv in (train, valid, test)] == [3, 2, 2]


@pytest.fixture
def at(tmp_path):
    """Make one row with audio at a sample rate."""

    def make(name: str, rate: int) -> list[dict[str, str]]:
        path = tmp_path / f"{name}.wav"
        soundfile.write(path, np.zeros(rate), rate)
        return [{"id": name, "wav_path": str(path), "transcription": "a"}]

    return make


def test_narrow_audio_is_told_beside_its_set(tmp_path, at, caplog):
    with caplog.at_level(logging.INFO):
        write(tmp_path, at("t", 8000) + at("u", 11025), at("v", 8000), at("x", 44100))
    lines = {text.split()[0]: text for record in caplog.records if "utterances" in (text := record.getMessage())}
    assert lines["train"].endswith("8, 11.025 kHz") and lines["valid"].endswith("8 kHz")
    assert "kHz" not in lines["test"] and "band_limits" not in caplog.text


def test_a_test_set_narrower_than_the_training_set_is_warned_of(tmp_path, at, caplog):
    write(tmp_path, at("t", 16000), at("v", 48000), at("x", 8000))
    assert "test has audio at 8 kHz, with nothing above 4 kHz" in caplog.text
    assert "--build_dataset.band_limits [4000,8000]" in caplog.text
