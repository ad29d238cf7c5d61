"""Alignment of new recordings: the times of an evaluation, words by a lexicon, parts of files, and what is refused."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

import problems
from problems.engine.cli.main import execute
from problems.engine.inference.alignment import AlignmentError
from problems.engine.runtime.errors import ConfigError
from problems.pr import PR
from tests.conftest import tiny_options, write_table
from tests.parts.predictors import predictor


@pytest.fixture(scope="module")
def trained(tones, tmp_path_factory):
    """The target folder of a tiny model, whose phones are the tones' words, and its test's rows."""
    folder = tmp_path_factory.mktemp("with a space é")
    options = [option for option in tiny_options(tones, folder) if "specaug" not in option]
    assert execute(PR(), ["run", *options, "--build_task.align=true"]) == 0
    (path,) = (folder / "run" / "evaluate").glob("*/test/predictions.csv")
    with open(path, newline="", encoding="utf-8") as file:
        return folder / "run", list(csv.DictReader(file))


def rows_of(tones):
    with open(tones / "test.csv", newline="", encoding="utf-8") as file:
        return [row | {"wav_path": str(tones / row["wav_path"])} for row in csv.DictReader(file)]


def predict(ckpt, *words):
    return execute(PR(), ["predict", f"--ckpt={ckpt}", *map(str, words)])


def test_the_times_are_those_of_an_evaluation(trained, tones, tmp_path):
    textgrid = pytest.importorskip("praatio.textgrid")
    run, predictions = trained
    words = ("--align=transcription", "--format=textgrid", f"--out={tmp_path / 'aligned'}", tones / "test.csv")
    assert predict(run, *words) == 0
    for row in predictions:
        path = tmp_path / "aligned" / f"u{row['id'].rpartition('-')[2]}.TextGrid"
        grid = textgrid.openTextgrid(str(path), includeEmptyIntervals=False)
        assert grid.tierNames == ("phones",)
        assert [list(own) for own in grid.getTier("phones").entries] == json.loads(row["aligned"])


def test_other_texts_are_not_taken_for_those_of_an_earlier_call(trained, tones, tmp_path, capsys):
    run, rows = trained[0], rows_of(tones)
    out = f"--out={tmp_path / 'aligned'}"
    assert predict(run, "--align=transcription", out, write_table(tmp_path / "one.csv", rows)) == 0
    rows[0]["transcription"] += " " + rows[0]["transcription"].split()[0]
    assert predict(run, "--align=transcription", out, write_table(tmp_path / "two.csv", rows)) == 2
    assert "holds predictions of texts '" in capsys.readouterr().err
    twice = write_table(tmp_path / "three.csv", [rows[0], rows[0] | {"id": "other", "transcription": "x"}])
    assert predict(run, "--align=transcription", twice) == 2
    assert f"{rows[0]['wav_path']} has two rows with different texts" in capsys.readouterr().err
    assert (
        predict(run, "--align=transcription", write_table(tmp_path / "4.csv", [rows[0] | {"transcription": " "}])) == 2
    )
    assert "has an empty text" in capsys.readouterr().err


def test_words_of_a_lexicon_have_the_times_of_their_phones(trained, tones, tmp_path, capsys):
    run, predictions = trained
    phones = sorted({phone for row in predictions for phone in row["reference"].split()})
    lexicon = tmp_path / "lexicon.txt"
    lexicon.write_text("".join(f"{phone}{phone} {phone} {phone}\n" for phone in phones))
    rows = [row | {"said": f"“{row['transcription'].split()[0] * 2}!”"} for row in rows_of(tones)]
    table = write_table(tmp_path / "said.csv", rows)
    assert predict(run, "--align=said", f"--lexicon={lexicon}", "--format=jsonl", table) == 0
    for line, row in zip(map(json.loads, capsys.readouterr().out.splitlines()), rows, strict=True):
        first, last = line["phones"]
        (word,) = line["words"]
        assert [first["text"], last["text"]] == line["text"].split() == row["transcription"].split()[:1] * 2
        assert word == {"start": first["start"], "end": last["end"], "text": row["said"].strip("“!”")}
    lexicon.write_text("other o\n")
    assert predict(run, "--align=said", f"--lexicon={lexicon}", table) == 2
    assert "lexicon: " in (message := capsys.readouterr().err) and "words of the transcripts: " in message


def test_a_part_of_a_file_has_the_times_of_the_file(trained, tones, tmp_path, capsys):
    run, _ = trained
    row = max(rows_of(tones), key=lambda own: len(own["transcription"]))
    audio, rate = soundfile.read(row["wav_path"])
    soundfile.write(tmp_path / "later.wav", [*([0.0] * rate), *audio], rate)
    parts = [row, row | {"id": "part", "wav_path": str(tmp_path / "later.wav"), "start_sec": "1"}]
    table = write_table(tmp_path / "parts.csv", [{"start_sec": "", **own} for own in parts])
    assert predict(run, "--align=transcription", "--format=jsonl", table) == 0
    whole, part = map(json.loads, capsys.readouterr().out.splitlines())
    assert [own["start"] + 1 for own in whole["phones"]] == pytest.approx([own["start"] for own in part["phones"]])


def test_a_text_that_does_not_fit_is_named_and_the_others_are_aligned(trained, tones, tmp_path, capsys):
    run, _ = trained
    rows = rows_of(tones)
    rows[0]["transcription"], rows[1]["transcription"] = "ZZ", " ".join([rows[1]["transcription"]] * 200)
    table = write_table(tmp_path / "wrong.csv", rows)
    assert predict(run, "--align=transcription", table) == 1
    output = capsys.readouterr()
    assert len(output.out.splitlines()) == len(rows) - 2
    assert f"{rows[0]['wav_path']} cannot be aligned: the model does not know the phones ZZ" in output.err
    assert "frames are too few for" in output.err


def test_what_cannot_be_aligned_is_refused_by_name(trained, tones, capsys):
    run, _ = trained
    wav = rows_of(tones)[0]["wav_path"]
    for words, message in (
        (["--align=transcription", wav], f"is a column of CSVs, and {wav} is none"),
        (["--align=said", tones / "test.csv"], "no column 'said'; the columns are 'id'"),
        (["--lexicon=cmudict", wav], "add --align COLUMN"),
        (["--align=a", f"--enrol={wav}", wav], "leave one out"),
        (["--align=transcription", "--num_workers=2", tones / "test.csv"], "--num_workers is of predictions"),
    ):
        assert predict(run, *words) in (1, 2)
        assert message in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a model of Own does not align texts"):
        predictor().align(wav, "a")


def test_recordings_are_aligned_in_python(trained, tones, tmp_path):
    run, predictions = trained
    model, rows = problems.load(run), rows_of(tones)
    audio = [row["wav_path"] for row in rows]
    one = model.align(audio[0], rows[0]["transcription"])
    aligned = {row["id"]: json.loads(row["aligned"]) for row in predictions}
    assert [[own.start, own.end, own.text] for own in one.phones] == aligned[rows[0]["id"]]
    assert [own.phones for own in model.align(audio, [row["transcription"] for row in rows])][0] == one.phones
    assert model.align(audio[0], "").phones == []
    with pytest.raises(AlignmentError, match="does not know the phones x"):
        model.align(audio[0], "x")
    with pytest.raises(ConfigError, match="7 recordings and 1 texts"):
        model.align(audio, ["a"])


def test_a_long_recording_is_read_in_pieces_and_a_longer_one_refused(trained, tones):
    run, _ = trained
    model, rows = problems.load(run), rows_of(tones)
    sounds = [soundfile.read(row["wav_path"])[0] for row in rows]
    wave = np.concatenate([own for _ in range(10) for own in sounds])
    text = " ".join(row["transcription"] for _ in range(10) for row in rows)
    result = model.align(wave.astype("float32"), text)
    assert len(wave) > 31 * 16000  # longer than a piece
    assert [own.text for own in result.phones] == text.split()
    assert all(own.end <= later.start + 1e-3 for own, later in zip(result.phones, result.phones[1:]))
    assert result.phones[-1].start > 30 and result.phones[-1].end <= result.seconds + 0.03
    with pytest.raises(AlignmentError, match="lasts 901 s: expected at most 900 s; cut it"):
        model.align(np.zeros(901 * 16000, "float32"), "a")
