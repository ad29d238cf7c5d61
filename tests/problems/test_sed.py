"""Sound event detection on tones in noise: a whole run, its files, its refusals; a task of HEAR with folds."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile

import problems
from problems.engine.cli.main import execute
from problems.sed import SED
from tests.conftest import write_table

PITCHES = {"low ü": 400, "high": 2000}


def write_recordings(folder, count: int, seed: int) -> list[dict[str, str]]:
    """Recordings of 3 seconds with up to two tones, and a row for each; every fourth has none, and one row."""
    folder.mkdir(parents=True)
    random, rows = np.random.default_rng(seed), []
    for number in range(count):
        wav = 0.01 * random.standard_normal(3 * 16000)
        path = folder / f"r {number}.wav"
        for label in [] if number % 4 == 3 else list(PITCHES)[: 1 + number % 2]:
            start, length = random.uniform(0.1, 1.6), random.uniform(0.5, 1.0)
            first, samples = round(16000 * start), round(16000 * length)
            wav[first : first + samples] += 0.3 * np.sin(2 * np.pi * PITCHES[label] * np.arange(samples) / 16000)
            row = {"wav_path": str(path), "label": label, "start_sec": f"{start:.3f}"}
            rows.append(row | {"end_sec": f"{start + length:.3f}"})
        if number % 4 == 3:
            rows.append({"wav_path": str(path), "label": "", "start_sec": "", "end_sec": ""})
        soundfile.write(path, wav, 16000)
    return rows


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for seed, (name, count) in enumerate((("train", 24), ("valid", 8), ("test", 8))):
        write_table(folder / f"{name}.csv", write_recordings(folder / name, count, seed))
    return folder


TINY = [
    "--num_workers=0",
    "--build_dataset.window=1.5",
    "--build_upstream.conf.num_mel_bins=20",
    "--build_upstream.conf.cmvn=mean",
    "--build_downstream={name: frame_mlp, conf: {hidden_size: [16]}}",
    "--build_batch_sampler.train.batch_size=6",
    "--build_optimizer.conf.lr=0.02",
    "--train.total_steps=60",
    "--train.eval_step=30",
    "--train.save_step=30",
    "--train.use_scheduler=false",
    "--evaluate.confidence=50",
]


@pytest.fixture
def run(recordings, tmp_path):
    def start(*options: str, code: int = 0):
        given = [
            f"--target_dir={tmp_path / 'run'}",
            f"--cache_dir={tmp_path / 'cache'}",
            "--prepare_data.corpus=csv_events",
            *(f"--prepare_data.{split}={recordings / split}.csv" for split in ("train", "valid", "test")),
        ]
        assert execute(SED(), ["run", *given, *TINY, *options]) == code
        return tmp_path / "run"

    return start


def test_it_finds_tones_and_writes_them(run, recordings, capsys):
    target = run()
    (folder,) = (target / "evaluate").glob("*/test")
    result = json.loads((folder / "result.json").read_text())
    assert result["metrics"]["onset_f1"] > 0.8 and result["metrics"]["segment_er"] < 0.3
    low, high = result["intervals"]["onset_f1"]
    assert low <= result["metrics"]["onset_f1"] <= high
    assert result["metrics"]["recordings"] == 8 and result["metrics"]["events"] == 8

    lines = (folder / "reference.tsv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "filename\tonset\toffset\tevent_label" and len(lines) == 1 + 8
    with open(recordings / "test.csv", newline="", encoding="utf-8") as file:
        first = next(csv.DictReader(file))
    assert lines[1].split("\t")[1:] == [first["start_sec"], first["end_sec"], first["label"]]
    assert len((folder / "hypothesis.tsv").read_text().splitlines()) > 5
    trivial = json.loads((target / "evaluate/baselines.json").read_text())["test_sets"]["test"]
    assert trivial["most frequent label where it is loud"]["onset_f1"] < result["metrics"]["onset_f1"]
    page = (target / "report" / "report.html").read_text()
    assert "onset F1 (200 ms)" in page and "speakers or events in the reference" in page

    wav = str(recordings / "test" / "r 0.wav")
    capsys.readouterr()
    assert execute(SED(), ["predict", "--ckpt", str(target), wav]) == 0
    path, _, text = capsys.readouterr().out.strip().partition("\t")
    assert path == wav and text.endswith(" low ü") and str(problems.load(str(target)).predict(wav)) == text


def test_a_model_that_does_not_look_ahead_takes_recordings_in_chunks(run, recordings):
    target = run("--build_upstream.conf.cmvn=none", "--stop=2")
    model, count = problems.load(target, device="cpu", task={"window": 100, "hop": 100}), 0
    stream = model.stream(16000)
    for path in sorted((recordings / "test").glob("*.wav")):
        for chunk in np.array_split(soundfile.read(path, dtype="float32")[0], 7):
            partial = stream.push(chunk)
        final, whole = stream.finish(), model.predict(path)
        assert final.events == whole.events and partial.seconds == final.seconds == whole.seconds
        count += len(final.events)
    assert count > 4


def test_post_processing_is_chosen_on_the_validation_set_without_training(run):
    target = run("--train.total_steps=4", "--train.eval_step=4")
    before = (target / "train/metrics.jsonl").read_bytes()
    run("--train.total_steps=4", "--train.eval_step=4", "--evaluate.settings={min_duration: [0.1, 9.0]}")
    (choice,) = (target / "evaluate").glob("*/settings.json")
    choice = json.loads(choice.read_text())
    assert choice["metric"] == "onset_f1" and set(choice["settings"]) == {"min_duration=0.1", "min_duration=9.0"}
    assert choice["settings"]["min_duration=9.0"]["valid"]["onset_f1"] == 0
    assert (target / "train/metrics.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--build_task.hop=2"], "build_task.hop is 2.0 s, which leaves gaps between windows of 1.5 s"),
    ],
)
def test_wrong_settings_are_refused_before_any_stage(run, capfd, options, words):
    run(*options, code=2)
    message = capfd.readouterr().err
    assert words in message and "== stage" not in message


def test_a_set_without_events_is_refused_and_a_label_that_training_lacks_is_warned_of(run, recordings, tmp_path, capfd):
    with open(recordings / "test.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    other = write_table(tmp_path / "other.csv", [rows[0] | {"label": "siren"}, *rows[1:]])
    target = run(f"--prepare_data.test={other}", "--train.total_steps=1")
    said = capfd.readouterr().err
    assert "has 1 label missing from the training set, which no hypothesis can contain: 'siren'" in said
    (folder,) = (target / "evaluate").glob("*/other")
    assert json.loads((folder / "result.json").read_text())["metrics"]["events"] == 8
    empty = write_table(tmp_path / "empty.csv", [row | dict.fromkeys(list(row)[1:], "") for row in rows])
    run(f"--prepare_data.test={empty}", "--fresh", code=1)
    said = capfd.readouterr().err
    assert "no recording of" in said and "empty.csv has an event" in said and "Traceback" not in said


def test_events_may_be_json_in_the_user_s_own_csv(run, recordings, tmp_path, capfd):
    data = []
    for split in ("train", "valid", "test"):
        rows = [
            {"wav_path": str(path), "events": json.dumps([[0.5, 1.0, "low ü"]])}
            for path in sorted((recordings / split).glob("*.wav"))
        ]
        if split == "valid":
            rows[1]["events"] = "[[1, 0.5, low]]"
        data.append(f"--prepare_data.{split}={write_table(tmp_path / f'{split}.csv', rows)}")
    run(*data, "--prepare_data.corpus=csv", code=1)
    said = capfd.readouterr().err
    assert "valid.csv, row 3 (" in said and "expected a JSON list of [start, end, label]" in said


def test_a_task_of_hear_is_cross_validated(recordings, tmp_path, capsys):
    root = tmp_path / "maestro-v3.0.0-5h"
    lists: dict[str, dict[str, list]] = {}
    with open(recordings / "train.csv", newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            number = int(row["wav_path"].rpartition(" ")[2].removesuffix(".wav"))
            events = lists.setdefault(f"fold{number // 4 % 3:02}", {}).setdefault(f"r {number}.wav", [])
            if row["label"]:
                times = {"start": 1000 * float(row["start_sec"]), "end": 1000 * float(row["end_sec"])}
                events.append(times | {"label": row["label"]})
    for name, entries in lists.items():
        (root / "16000" / name).mkdir(parents=True)
        (root / f"{name}.json").write_text(json.dumps(entries))
        for file in entries:
            (root / "16000" / name / file).symlink_to(recordings / "train" / file)
    (root / "task_metadata.json").write_text('{"embedding_type": "event", "prediction_type": "multilabel"}')
    (root / "labelvocabulary.csv").write_text("idx,label\n0,low ü\n1,high\n", encoding="utf-8")
    options = [
        "--config=hear_maestro",
        f"--prepare_data.dataset_root={root}",
        f"--target_dir={tmp_path / 'run'}",
        f"--cache_dir={tmp_path / 'cache'}",
        "--build_upstream.name=fbank",
        *TINY,
        "--build_dataset.hop=1.5",
        "--build_task={window: 1.5, hop: 1.5}",
        "--train.total_steps=2",
        "--folds=all",
    ]
    assert execute(SED(), ["run", *options]) == 0
    folds = json.loads((tmp_path / "run/folds/folds.json").read_text())
    assert folds["metric"] == "onset_f1" and len(folds["test_sets"]["test"]["onset_f1"]["folds"]) == 3
    tested = [row["id"] for n in range(3) for row in csv.DictReader(open(tmp_path / f"run/folds/{n}/data/test.csv"))]
    assert len(tested) == len(set(tested)) == 24, "every recording is tested once"
    assert "onset F1 (50 ms)" in capsys.readouterr().out


def test_labels_move_with_the_speed(run):
    """At twice the speed a window and its events are half as long, as they are in the audio."""
    target = run("--stop=0")
    items = []
    for speed in (1.0, 2.0):
        settings = SED().default_config()["build_dataset"] | {"window": 3.0, "speeds": [speed]}
        items.append(SED().build_dataset(settings, "", "", "train", str(target / "data/train.csv"), "", None)[0])
    assert items[1]["wav_len"] == pytest.approx(items[0]["wav_len"] / 2, abs=1)
    own, faster = (json.loads(item["events"]) for item in items)
    assert faster == [[pytest.approx(start / 2), pytest.approx(end / 2), name] for start, end, name in own] != []
