"""Speaker diarization: tones of two pitches stand for two voices."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pandas as pd
import pytest
import soundfile

import problems
from dataset.diarization.turns import from_json, read_rttm
from problems.engine.cli.main import execute
from problems.sd import SD
from tests.conftest import write_table

PITCHES = {"low": 300, "high": 1500}


def tone(pitch: float, seconds: float) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * 16000)) / 16000)


def write_recordings(folder, count: int, seed: int) -> list[dict[str, str]]:
    """Recordings of 4 to 6 seconds with turns of both voices, some at once; a row for each turn."""
    folder.mkdir(parents=True)
    rng, rows = np.random.default_rng(seed), []
    for number in range(count):
        wav = 0.01 * rng.standard_normal(round(rng.uniform(4, 6) * 16000))
        for name, pitch in PITCHES.items():
            start = rng.uniform(0, 1.5)
            length = rng.uniform(1, 2.4)
            samples = tone(pitch, length)
            first = round(start * 16000)
            wav[first : first + len(samples)] += samples
            row = {"wav_path": f"{folder.name}/r {number} ü.wav", "speaker": name}
            rows.append(row | {"start_sec": f"{start:.3f}", "end_sec": f"{start + length:.3f}"})
        soundfile.write(folder / f"r {number} ü.wav", wav, 16000)
    return rows


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for seed, (name, count) in enumerate((("train", 24), ("valid", 4), ("test", 6))):
        write_table(folder / f"{name}.csv", write_recordings(folder / name, count, seed))
    return folder


@pytest.fixture
def run(recordings, tmp_path):
    def start(*options: str, code: int = 0):
        given = [
            f"--target_dir={tmp_path / 'run'}",
            f"--cache_dir={tmp_path / 'cache'}",
            "--num_workers=0",
            "--prepare_data.corpus=csv_turns",
            *(f"--prepare_data.{name}={recordings / name}.csv" for name in ("train", "valid", "test")),
            "--build_dataset.window=3",
            "--build_downstream.conf.hidden_size=[24]",
            "--build_batch_sampler.train.batch_size=8",
            "--build_optimizer.conf.lr=0.02",
            "--train.total_steps=60",
            "--train.eval_step=30",
            "--train.save_step=30",
        ]
        assert execute(SD(), ["run", *given, *options]) == code
        return tmp_path / "run"

    return start


def result(target, name="test"):
    (path,) = (target / "evaluate").glob(f"*/{name}/result.json")
    return json.loads(path.read_text())


@pytest.mark.parametrize("outputs", ["powerset", "speakers"])
def test_two_voices_are_told_apart(run, outputs):
    target = run(f"--build_encoder.outputs={outputs}", "--build_encoder.num_speakers=2")
    metrics = result(target)["metrics"]
    assert metrics["der"] < 0.2 and metrics["right_count"] > 0.8
    parts = metrics["missed"] + metrics["false_alarm"] + metrics["confusion"]
    assert metrics["der"] == pytest.approx(parts)
    low, high = result(target)["intervals"]["der"]
    assert low <= metrics["der"] <= high
    (folder,) = (target / "evaluate").glob("*/test")
    predictions = pd.read_csv(folder / "predictions.csv")
    hypotheses = read_rttm(folder / "hypothesis.rttm")
    for id, own in zip(predictions["id"], predictions["hypothesis"]):
        assert len(hypotheses.get("_".join(id.split()), [])) == len(from_json(own))
    scoring = json.loads((folder / "scoring.json").read_text())
    assert scoring["collar_seconds_each_side"] == 0 and scoring["uem"] == "none: whole recordings"
    assert scoring["references_sha256"] == hashlib.sha256((folder / "reference.rttm").read_bytes()).hexdigest()
    assert "one speaker throughout" in (target / "report" / "report.html").read_text()


def test_prediction_and_scoring_of_a_trained_model(run, recordings, capsys):
    """Other settings of the test need no training; a collar can only take errors away."""
    target = run("--build_encoder.num_speakers=2")
    plain = result(target)["metrics"]["der"]
    run("--build_encoder.num_speakers=2", "--evaluate.task.scoring.collar=0.25")
    assert result(target)["metrics"]["der"] < plain
    run("--build_encoder.num_speakers=2", "--evaluate.task.scoring.mapping=all")
    assert result(target)["metrics"]["der"] == plain  # there is no collar
    (path,) = (target / "evaluate").glob("*/test/scoring.json")
    assert json.loads(path.read_text())["speakers_matched_in"] == "all"
    audio = sorted((recordings / "test").glob("*.wav"))[0]
    text = str(problems.load(str(target)).predict(str(audio)))
    assert "speaker1" in text and "speaker2" in text
    capsys.readouterr()
    assert execute(SD(), ["predict", f"--ckpt={target}", str(audio)]) == 0
    assert capsys.readouterr().out.strip().endswith(text)


def test_a_turn_longer_than_a_window_is_labelled(recordings):
    """s3prl leaves a window without labels that one turn covers."""
    from dataset.diarization.windows import inside
    from tasks.diarization.activities import activities

    turns = inside(from_json('[[0, 30, "a"], [12, 40, "b"]]'), 10.0, 20.0)
    assert turns == [(0.0, 10.0, "a"), (2.0, 10.0, "b")]
    target = activities(turns, 100, 0.1, 2, 2)
    assert target[:, 0].all() and target[20:, 1].all() and not target[:20, 1].any()


def test_more_speakers_than_outputs_are_those_who_speak_most():
    from tasks.diarization.activities import activities

    turns = [(0.0, 10.0, "long"), (0.0, 1.0, "short"), (2.0, 9.0, "middle")]
    target = activities(turns, 100, 0.1, 2, 1)
    assert target[:, 0].all() and not target[:, 1].any()
    assert activities(turns, 100, 0.1, 2, 2)[:, 1].sum() == 70


@pytest.mark.parametrize("clustering", ["agglomerative", "vbx"])
def test_nothing_is_trained_with_an_encoder_of_speakers(run, clustering):
    """Random weights tell two tones apart well enough."""
    target = run(
        "--config=clustering",
        "--build_upstream.conf.checkpoint=random",
        "--train.total_steps=0",
        f"--build_task.clustering.name={clustering}",
        "--build_task.clustering.num_speakers=2",
    )
    assert [path.name for path in (target / "train").glob("step_*")] == ["step_00000000"]
    metrics = result(target)["metrics"]
    assert metrics["missed"] < 0.5 and metrics["speech"] > 10


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--build_encoder.at_once=3", "--build_encoder.num_speakers=2"], "at_once is 3; expected from 1 to"),
        (["--build_task.hop=9"], "leaves gaps between windows"),
        (["--prepare_data.columns={speaker: who}"], "columns is the wrong way round"),
    ],
)
def test_wrong_settings_are_refused(run, capfd, options, words):
    code = 1 if "columns" in options[0] else 2
    run(*options, code=code)
    message = capfd.readouterr().err
    assert words in message and ("== stage" not in message or code == 1)


def test_a_recording_without_audio_is_named(tmp_path, recordings, capfd):
    (tmp_path / "x.rttm").write_text("SPEAKER nobody 1 0 1 <NA> <NA> a <NA> <NA>\n")
    options = [f"--prepare_data.{name}={tmp_path / 'x.rttm'}" for name in ("train", "valid", "test")]
    options += ["--prepare_data.corpus=rttm", f"--prepare_data.audio={recordings}", f"--target_dir={tmp_path / 'run'}"]
    assert execute(SD(), ["run", *options, f"--cache_dir={tmp_path}"]) == 1
    assert "no audio called so" in capfd.readouterr().err


def corpus_rows(folder, text: str, **settings):
    from dataset.corpora.csv_turns import CsvTurns

    (folder / "turns.csv").write_text(text, encoding="utf-8")
    splits = CsvTurns(train=str(folder / "turns.csv"), test_fraction=0.3, valid_fraction=0.3, **settings).load(folder)
    return {row["id"]: row for row in (*splits.train, *splits.valid, *splits.test["test"])}


def test_recordings_are_told_by_their_paths_and_turns_may_be_alike(tmp_path):
    """Two microphones of one name, an id that all rows of a recording share, two who speak at the same time."""
    header = "wav_path,speaker,start_sec,end_sec\n"
    names = ("a/x.wav", "b/x.wav", "c/x.wav", "d/x.wav")
    rows = "".join(f"{name},A,0,1\n{name}, B ,0,1\n" for name in names)
    found = corpus_rows(tmp_path, header + rows)
    assert set(found) == {"a/x", "b/x", "c/x", "d/x"}
    assert from_json(found["a/x"]["turns"]) == [(0.0, 1.0, "A"), (0.0, 1.0, "B")]
    own = "".join(f"r{n},{name},A,0,1\nr{n},{name},,,\n" for n, name in enumerate(names))
    assert set(corpus_rows(tmp_path, "id," + header + own)) == {"r0", "r1", "r2", "r3"}
    for wrong in ("a/x.wav,A,0,inf\n", "a/x.wav,A,2,1\n", "a/x.wav,A,x,1\n"):
        with pytest.raises(ValueError, match="line 2: a turn of 'A'.*expected two times"):
            corpus_rows(tmp_path, header + wrong)
    with pytest.raises(ValueError, match="recordings have several speakers"):
        corpus_rows(tmp_path, header + rows, split_by="speaker")


@pytest.fixture
def folder_of_audio(tmp_path):
    for name in ("a/x.wav", "b/x.wav", "a/y.wav", "a/z.wav"):
        (tmp_path / "audio" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "audio" / name).touch()
    for name in "xyz":
        (tmp_path / f"{name}.rttm").write_text(f"SPEAKER {name} 1 0 1 <NA> <NA> s <NA> <NA>\n")
    return tmp_path


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (("x", "y", "z"), "names 'x', and there are"),
        (("y", "z", "y"), "'y' is in train and in test"),
        (("y", "z", "z"), "'z' is in valid and in test"),
    ],
)
def test_audio_that_is_not_certain_is_refused(folder_of_audio, sets, words):
    from dataset.corpora.rttm import Rttm

    files = {key: str(folder_of_audio / f"{name}.rttm") for key, name in zip(("train", "valid", "test"), sets)}
    with pytest.raises(ValueError, match=words):
        Rttm(audio=str(folder_of_audio / "audio"), **files).load(folder_of_audio)


def test_a_test_set_in_which_nobody_speaks_is_refused_before_training(run, recordings, tmp_path, capfd):
    table = pd.read_csv(recordings / "test.csv").assign(speaker="", start_sec="", end_sec="")
    table["wav_path"] = [str(recordings / path) for path in table["wav_path"]]
    table.to_csv(tmp_path / "silent.csv", index=False)
    run(f"--prepare_data.test={tmp_path / 'silent.csv'}", code=1)
    message = capfd.readouterr().err
    assert "nobody speaks in any recording" in message and "== stage 1" not in message


@pytest.mark.parametrize("name", ["agglomerative", "vbx"])
def test_a_threshold_does_not_touch_a_powerset(name):
    import torch

    from dataset.encoders.speakers import SpeakerEncoder
    from tasks.diarization.embeddings import Clustering
    from tasks.diarization.trained import TrainedDiarization

    class Upstream(torch.nn.Module):
        def forward(self, wav, wav_len):
            return [wav[:, :160, None]], [torch.full_like(wav_len, 1)]

    class Model(torch.nn.Module):
        downsample_rate = 160

        def forward(self, wav, wav_len):
            logits = torch.zeros(len(wav), wav.shape[1] // 160, 4)
            logits[..., 1] = 5.0
            return logits, torch.div(wav_len, 160, rounding_mode="floor")

    clustering = Clustering(name)
    task = TrainedDiarization(
        Model(), SpeakerEncoder("powerset", 2, 2), threshold=1.0, clustering=clustering, embedder=Upstream()
    ).eval()
    ((start, end, _),) = task.turns(torch.ones(32000))
    assert (start, round(end, 2)) == (0.0, 2.0)


def test_labels_move_with_the_speed(run):
    """At twice the speed a window and its turns are half as long, as they are in the audio."""
    target = run("--stop=0")
    items = []
    for speed in (1.0, 2.0):
        settings = SD().default_config()["build_dataset"] | {"window": 3.0, "speeds": [speed]}
        items.append(SD().build_dataset(settings, "", "", "train", str(target / "data/train.csv"), "", None)[0])
    assert items[1]["wav_len"] == pytest.approx(items[0]["wav_len"] / 2, abs=1)
    own, faster = (json.loads(item["turns"]) for item in items)
    assert faster == [[pytest.approx(start / 2), pytest.approx(end / 2), name] for start, end, name in own] != []


def test_a_corpus_without_turns_is_refused_with_the_name_of_the_one_that_has_them(run, capfd):
    run("--prepare_data.corpus=csv", code=1)
    assert "no column 'turns'" in (err := capfd.readouterr().err) and "csv_turns is the corpus" in err
