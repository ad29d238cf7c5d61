"""A mixture: rows of several corpora, joined for training and apart for testing."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.mixture import Mixture
from tests.conftest import write_table


@pytest.fixture
def sets(tmp_path):
    """Two CSVs with other columns."""
    one = [{"path": f"a{i}.wav", "words": f"w{i}", "speaker": "x"} for i in range(20)]
    other = [{"wav_path": f"b{i}.wav", "transcription": "t", "accent": "north"} for i in range(10)]
    return {
        "one": {
            "corpus": "csv",
            "train": str(write_table(tmp_path / "one.csv", one)),
            "columns": {"wav_path": "path", "transcription": "words"},
            "test_fraction": 0.2,
        },
        "other": {"corpus": "csv", "train": str(write_table(tmp_path / "other.csv", other)), "test_fraction": 0.2},
    }


def test_rows_are_joined_for_training_and_apart_for_testing(sets, tmp_path):
    splits = Mixture(sets).load(tmp_path)
    assert set(splits.test) == {"one-test", "other-test"}
    rows = [*splits.train, *splits.valid, *(row for test in splits.test.values() for row in test)]
    assert len(rows) == 30 and len({row["id"] for row in rows}) == 30
    assert all(row["id"].startswith(f"{row['corpus']}-") and row["transcription"] for row in rows)
    assert {row["corpus"] for row in splits.train} == {row["corpus"] for row in splits.valid} == {"one", "other"}
    assert {len(row) for row in rows if row["corpus"] == "one"} != {0}
    assert [path.name for path in Mixture(sets).sources()] == ["one.csv", "other.csv"]


def test_audio_that_a_corpus_makes_is_known(tmp_path):
    assert Mixture({"home": {"corpus": "toy"}}).made_audio(tmp_path)


@pytest.mark.parametrize(
    "sets, message",
    [
        ({}, "sets is .*expected .name"),
        ({"a": {"corpus": "cvs"}}, r"sets.a: 'cvs' is no corpus .did you mean 'csv'"),
        ({"a": 3}, "sets.a: 3 is no corpus"),
        ({"a": {"corpus": "csv", "trian": "x"}}, r"sets.a.trian: csv has no such setting .did you mean 'train'"),
        ({"a": {"corpus": "csv"}}, "sets.a.train: must be given"),
        ({"a": {"corpus": "toy_trials"}}, "sets.a: lists of trials cannot be mixed"),
    ],
)
def test_mistakes_are_named(sets, message, tmp_path):
    if "toy_trials" in str(sets):
        pytest.importorskip("espeakng_loader")
        with pytest.raises(CorpusError, match=message):
            from dataset.corpora import mixture

            mixture._named([{"wav_path1": "x", "id1": "a"}], "a")
        return
    with pytest.raises(CorpusError, match=message):
        Mixture(sets).load(tmp_path)
