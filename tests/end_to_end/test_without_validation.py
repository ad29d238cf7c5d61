"""A run on a corpus without a validation set: it goes through all stages, or is refused before anything is built."""

from __future__ import annotations

import json

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.report.history import read_history


@pytest.fixture
def options(tiny):
    """Those of ``tiny``, with a corpus that has no validation set."""
    return [*(option for option in tiny if "prepare_data.valid=" not in option), "--prepare_data.valid_fraction=0"]


def test_a_corpus_without_validation_goes_through_all_stages(options, tmp_path, caplog):
    run = ["run", *options, "--train.valid_metric=null"]
    assert execute(ASR(), run) == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text for text in warnings if "validation set" in text] == [
        "there is no validation set; train without one: --train.valid_metric null"
    ]
    data, train = tmp_path / "run" / "data", tmp_path / "run" / "train"
    assert (data / "valid.csv").read_text() == "id,wav_path,seconds,transcription\n"
    assert {row["split"] for row in read_history(train)} == {"train"}
    (result,) = (tmp_path / "run" / "evaluate").rglob("result.json")
    assert "wer" in json.loads(result.read_text())["metrics"]
    assert list((tmp_path / "run" / "report").iterdir())
    caplog.clear()
    assert execute(ASR(), run) == 0
    assert "there is no validation set" not in caplog.text, "stage 0 is done and does not run again"


def test_a_metric_to_validate_by_is_refused_before_anything_is_built(options, tmp_path, capsys):
    datasets = []

    class Watched(ASR):
        def build_dataset(self, *args, **kwargs):
            datasets.append(super().build_dataset(*args, **kwargs))
            return datasets[-1]

    assert execute(Watched(), ["run", *options]) == 2
    error = capsys.readouterr().err
    assert "train.valid_metric is 'wer'" in error and "valid.csv has no utterance" in error
    assert "--train.valid_metric null" in error
    assert datasets == [] and not (tmp_path / "run" / "train").exists()


def test_a_validation_set_whose_audio_is_all_unusable_is_refused(tiny, tones, tmp_path, capsys):
    table = tmp_path / "broken.csv"
    table.write_text("id,wav_path,transcription\nu1,gone.wav,a\n")
    options = [option for option in tiny if "prepare_data.valid=" not in option]
    broken = [f"--prepare_data.valid={table}", "--prepare_data.skip_bad=true", "--train.valid_metric=null"]
    assert execute(ASR(), ["run", *options, *broken]) != 0
    assert "the valid set is empty without its unusable audio" in capsys.readouterr().err
