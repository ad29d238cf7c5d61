"""Trials in CSVs: their utterances by id, each read once, and the cohort beside them."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from dataset.audio import AudioError
from dataset.metadata import MetadataError, write_csv
from dataset.trial_tables import add_cohort, cohort_table, paths_in, read_trials, utterance_paths, utterance_table
from dataset.utterances import Utterances

ROWS = [
    {"id1": "a", "id2": "b", "wav_path1": "x/a.wav", "wav_path2": "x/b é.wav", "label": "1"},
    {"id1": "a ; b", "id2": "c", "wav_path1": "x/a.wav ; x/b é.wav", "wav_path2": "x/c.wav", "label": "0"},
    {"id1": "a", "id2": "a", "wav_path1": "x/a.wav", "wav_path2": "x/a.wav", "label": "1"},
]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "x").mkdir()
    for name, seconds in (("a", 0.5), ("b é", 0.25), ("c", 1.0)):
        soundfile.write(tmp_path / "x" / f"{name}.wav", np.full(int(16000 * seconds), 0.1), 16000)
    write_csv(tmp_path / "test.csv", ROWS, ())
    return tmp_path


def test_every_utterance_of_a_list_of_trials_is_read_once(folder):
    table, paths = read_trials(folder / "test.csv")
    assert table.astype(str).to_dict("list") == {
        "id1": ["a", "a ; b", "a"],
        "id2": ["b", "c", "a"],
        "label": ["1", "0", "1"],
    }
    assert paths == {id: str(folder / "x" / f"{name}.wav") for id, name in (("a", "a"), ("b", "b é"), ("c", "c"))}
    dataset = Utterances(folder / "test.csv", table=utterance_table(paths, folder / "cache"))
    assert list(dataset.ids) == ["a", "b", "c"] and dataset.seconds.tolist() == [0.5, 0.25, 1.0]
    assert dataset[1]["wav_len"] == 4000


def test_a_path_may_have_the_mark_of_several_where_the_id_has_not():
    assert utterance_paths([("a", "x ; y.wav")]) == {"a": "x ; y.wav"}


@pytest.mark.parametrize(
    "sides, message",
    [
        ([("a", "1.wav"), ("a", "2.wav")], "'a' is used for 1.wav and for 2.wav"),
        ([("a ; b", "1.wav")], "2 ids and 1 paths"),
    ],
)
def test_ids_that_do_not_fit_their_audio_are_named(sides, message):
    with pytest.raises(MetadataError, match=message):
        utterance_paths(sides)


def test_a_file_that_is_not_a_list_of_trials_is_named(folder):
    write_csv(folder / "wrong.csv", [{"id": "a", "wav_path": "x/a.wav"}])
    with pytest.raises(MetadataError, match="wrong.csv: no column 'id1'"):
        read_trials(folder / "wrong.csv")
    write_csv(folder / "wrong.csv", [*ROWS, {**ROWS[0], "wav_path1": "x/c.wav"}], ())
    with pytest.raises(MetadataError, match="wrong.csv: the id 'a' is used for"):
        read_trials(folder / "wrong.csv")
    (folder / "x/c.wav").write_text("no audio")
    with pytest.raises(AudioError, match="c.wav"):
        utterance_table(read_trials(folder / "test.csv")[1], folder / "cache")


def train_csv(folder, count: int = 40):
    rows = [
        {"id": f"t{n}", "wav_path": "x/a.wav", "seconds": "0.5", "spk": f"s{n % 3}", "start_sec": "0.1"}
        for n in range(count)
    ]
    write_csv(folder / "train.csv", rows)
    return folder / "train.csv"


def test_a_cohort_has_some_utterances_of_each_speaker_and_changes_little_with_the_data(folder):
    cohort = cohort_table(train_csv(folder), 4)
    assert cohort["spk"].value_counts().to_dict() == {"s0": 4, "s1": 4, "s2": 4}
    more = cohort_table(train_csv(folder, 46), 4)
    assert len(set(cohort["id"]) & set(more["id"])) >= 8
    assert len(cohort_table(train_csv(folder), 100)) == 40
    assert cohort["id"].tolist() != [f"t{n}" for n in range(12)]  # not the first in the file


def test_a_cohort_is_added_to_the_utterances_of_trials_with_its_segments(folder):
    paths = read_trials(folder / "test.csv")[1]
    cohort = cohort_table(train_csv(folder), 1)
    both = add_cohort(utterance_table(paths, folder / "cache"), cohort, "valid.csv")
    dataset = Utterances("valid.csv", table=both)
    assert list(dataset.ids) == ["a", "b", "c", *cohort["id"]]
    assert dataset[0]["wav_len"] == 8000 and dataset[3]["wav_len"] == 6400
    clash = utterance_table({cohort["id"][0]: paths["c"]}, folder / "cache")
    with pytest.raises(MetadataError, match="valid.csv: the id .* in the training set"):
        add_cohort(clash, cohort, "valid.csv")


def test_a_cell_has_the_path_of_one_file_or_those_of_an_enrolment(tmp_path):
    (tmp_path / "one ; file.wav").touch()
    assert paths_in("one ; file.wav", tmp_path) == [str(tmp_path / "one ; file.wav")]
    assert paths_in("a.wav ; /b.wav", tmp_path) == [str(tmp_path / "a.wav"), "/b.wav"]
