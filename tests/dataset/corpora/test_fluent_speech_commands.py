"""A row of Fluent Speech Commands has three slots; a table that is wrong is named."""

from __future__ import annotations

import pytest

from dataset.corpora import CorpusError
from dataset.corpora.fluent_speech_commands import FluentSpeechCommands
from tests.parts.corpora import rows_by_split


@pytest.fixture
def root(tmp_path):
    (tmp_path / "data").mkdir()
    header = ",path,speakerId,transcription,action,object,location\n"
    line = '0,wavs/speakers/2BqVo8kVB2Skwgyb/0a3129c0.wav,2BqVo8kVB2Skwgyb,"Lights, please",activate,lights,none\n'
    for split in ("train", "valid", "test"):
        (tmp_path / f"data/{split}_data.csv").write_text(header + line.replace("0a3", f"{split}0a3"))
    return tmp_path


def test_a_row_has_its_three_slots(root):
    rows = rows_by_split(FluentSpeechCommands(dataset_root=str(root)).load(root))
    (row,) = rows["valid"]
    assert row["labels"] == "activate ; lights ; none" and row["transcription"] == "Lights, please"
    assert row["speaker"] == "2BqVo8kVB2Skwgyb" and row["id"] == "valid0a3129c0"
    assert row["wav_path"] == str(root / "wavs/speakers/2BqVo8kVB2Skwgyb/valid0a3129c0.wav")


def test_a_table_without_a_slot_is_named(root):
    table = root / "data/test_data.csv"
    table.write_text(table.read_text().replace(",object,", ",thing,"))
    with pytest.raises(CorpusError, match="test_data.csv, line 2.*'object'"):
        FluentSpeechCommands(dataset_root=str(root)).load(root)
    table.unlink()
    with pytest.raises(CorpusError, match="no file .*test_data.csv"):
        FluentSpeechCommands(dataset_root=str(root)).load(root)
