"""A user's CSV becomes trials of held-out speakers; a list of trials is used as it is."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.csv_trials import CsvTrials
from tests.conftest import write_table


@pytest.fixture
def settings_of_csv(tmp_path):
    """Settings for ``all.csv``, which has 12 speakers with four utterances."""
    rows = [{"path": f"{s}/{i}.wav", "who": f"s{s}", "room": str(i)} for s in range(12) for i in range(4)]
    write_table(tmp_path / "all.csv", rows)
    settings = {"train": str(tmp_path / "all.csv"), "test_fraction": 0.25, "valid_fraction": 0.25, "num_trials": 20}
    return settings | {"columns": {"wav_path": "path", "spk": "who"}}


def test_held_out_speakers_become_trials(settings_of_csv, tmp_path):
    splits = CsvTrials(**settings_of_csv).load(tmp_path)
    speakers = {
        "train": {row["spk"] for row in splits.train},
        "valid": {f"s{row[key].partition('/')[0]}" for row in splits.valid for key in ("id1", "id2")},
        "test": {f"s{row[key].partition('/')[0]}" for row in splits.test["test"] for key in ("id1", "id2")},
    }
    assert {name: len(names) for name, names in speakers.items()} == {"train": 6, "valid": 3, "test": 3}
    assert len(set.union(*speakers.values())) == 12 and len(splits.valid) == len(splits.test["test"]) == 20
    with pytest.raises(CorpusError, match="no column 'spk'.*set columns"):
        CsvTrials(**settings_of_csv | {"columns": {"wav_path": "path"}}).load(tmp_path)


def test_there_must_be_trials_to_validate_on(settings_of_csv, tmp_path):
    with pytest.raises(CorpusError, match="no valid set, from which verification takes its threshold"):
        CsvTrials(**settings_of_csv | {"valid_fraction": 0}).load(tmp_path)


def test_no_speaker_is_in_two_splits_whatever_split_by_is(settings_of_csv, tmp_path):
    with pytest.raises(CorpusError, match=r"the speaker 's\d+' is in train and in valid"):
        CsvTrials(**settings_of_csv, split_by="room").load(tmp_path)


PAIR = {"id1": "a ; b", "id2": "c", "wav_path1": "a.wav ; x/b.wav", "wav_path2": "c.wav", "label": "1"}


def test_segments_are_for_training_only(settings_of_csv, tmp_path):
    lines = (tmp_path / "all.csv").read_text().splitlines()
    (tmp_path / "cut.csv").write_text("\n".join([f"{lines[0]},end_sec", *(f"{line},0.5" for line in lines[1:])]))
    cut = settings_of_csv | {"train": str(tmp_path / "cut.csv")}
    with pytest.raises(CorpusError, match="the test set of .*cut.csv: '.*' is a segment of .*cut the segments"):
        CsvTrials(**cut).load(tmp_path)
    other = {"id1": "x", "id2": "y", "wav_path1": "x.wav", "wav_path2": "y.wav", "label": "0"}
    valid, test = write_table(tmp_path / "valid.csv", [PAIR]), write_table(tmp_path / "test.csv", [other])
    splits = CsvTrials(**cut | {"valid": str(valid), "test": str(test), "test_fraction": 0.0}).load(tmp_path)
    assert len(splits.train) == 48 and splits.train[0]["end_sec"] == "0.5"


def test_a_list_of_trials_is_used_as_it_is(settings_of_csv, tmp_path):
    far = PAIR | {"note": "far"}
    near = {"id1": "d;e", "id2": "f", "wav_path1": "d ; e.wav", "wav_path2": "f.wav", "label": "0", "note": "near"}
    folder = tmp_path / "ü lists"
    folder.mkdir()
    settings = settings_of_csv | {"test_fraction": 0.0, "test": [str(write_table(folder / "far.csv", [far]))]}
    splits = CsvTrials(**settings).load(tmp_path)
    paths = {"wav_path1": f"{folder}/a.wav ; {folder}/x/b.wav", "wav_path2": f"{folder}/c.wav"}
    assert splits.test == {"far": [far | paths]} and len(splits.valid) == 20 and len(splits.train) == 36
    settings |= {"valid": str(write_table(folder / "valid.csv", [far, near]))}
    splits = CsvTrials(**settings, where={"valid": {"note": "near"}}).load(tmp_path)
    assert [row["wav_path1"] for row in splits.valid] == [f"{folder}/d ; e.wav"] and len(splits.train) == 48
    with pytest.raises(CorpusError, match="the file .*a.wav' is in valid and in far"):
        CsvTrials(**settings).load(tmp_path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (PAIR | {"wav_path2": "0/1.wav"}, "the file .*0/1.wav' is in train and in pairs"),
        (PAIR | {"wav_path1": "a.wav"}, "pairs.csv, line 2: the enrolment 'a ; b' has 2 ids and 1 paths"),
        (PAIR | {"label": ""}, "pairs.csv, line 2: the column 'label' is empty"),
        ({"id1": "a", "id2": "b", "label": "1"}, "pairs.csv, line 2: the column 'wav_path1' is missing"),
    ],
)
def test_mistakes_in_a_list_of_trials_are_named(settings_of_csv, tmp_path, row, message):
    test = write_table(tmp_path / "pairs.csv", [row])
    with pytest.raises(CorpusError, match=message):
        CsvTrials(**settings_of_csv | {"test_fraction": 0.0, "test": str(test)}).load(tmp_path)


def test_tests_alone_need_no_training_set(tmp_path):
    rows = [{"id": name, "wav_path": f"{name}.wav"} for name in ("a", "b", "c")]
    test = str(write_table(tmp_path / "test.csv", rows))
    pairs = str(write_table(tmp_path / "pairs.csv", [{"id1": "a ; b", "id2": "c", "label": "1"}]))
    corpus = CsvTrials(train="???", test=test, trials=pairs)
    (trial,) = corpus.load_tests(tmp_path)["test"]
    assert trial["wav_path1"] == f"{tmp_path / 'a.wav'} ; {tmp_path / 'b.wav'}"
    assert {str(path) for path in corpus.sources()} == {test, pairs}
    with pytest.raises(CorpusError, match="trials are of one test set, got x, y"):
        CsvTrials(train="???", test={"x": test, "y": test}, trials=pairs).load_tests(tmp_path)
    spoken = [row | {"spk": f"s{number // 2}"} for number, row in enumerate(rows * 2)]
    for number, row in enumerate(spoken):
        row |= {"id": str(number), "wav_path": f"{number}.wav"}
    drawn = CsvTrials(train="???", test=str(write_table(tmp_path / "spk.csv", spoken)), num_trials=4)
    assert len(drawn.load_tests(tmp_path)["spk"]) == 4
