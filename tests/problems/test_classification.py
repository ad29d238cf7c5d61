"""Problems with a label an utterance, end to end on tones: what they learn, leave, refuse and predict."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import pytest
import torch

import problems
from dataset.corpora import get_corpus
from dataset.encoders import build_encoder
from problems.classification import Classification
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import ConfigError
from problems.multilabel import MultiLabel
from tests.conftest import write_table
from tests.parts.pitches import PITCHES, write_tones


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    for seed, (name, count) in enumerate((("train", 36), ("valid", 12), ("test", 12))):
        write_table(folder / f"{name}.csv", write_tones(folder / name, count, PITCHES, seed))
    return folder


@pytest.fixture
def run(tables, tmp_path):
    def start(name: str | Classification, *options: str, code: int = 0) -> Path:
        data = [f"--prepare_data.{split}={tables / split}.csv" for split in ("train", "valid", "test")]
        given = [
            f"--target_dir={tmp_path / 'run'}",
            f"--cache_dir={tmp_path / 'cache'}",
            "--num_workers=0",
            "--prepare_data.corpus=csv",
            *data,
            "--build_upstream.conf.num_mel_bins=20",
            "--build_downstream.name=tdnn",
            "--build_downstream.conf.channels=[16]",
            "--build_downstream.conf.dropout=0",
            "--build_batch_sampler.train.batch_size=6",
            "--build_optimizer.conf.lr=0.01",
            "--train.total_steps=30",
            "--train.eval_step=15",
            "--train.save_step=15",
            "--train.log_step=10",
            "--train.use_scheduler=false",
        ]
        problem = problems.get(name)() if isinstance(name, str) else name
        assert execute(problem, ["run", *given, *options]) == code
        return tmp_path / "run"

    return start


def result(target: Path) -> dict[str, float]:
    (path,) = (target / "evaluate").glob("*/test/result.json")
    return json.loads(path.read_text())["metrics"]


SUPERB = {  # s3prl's defaults
    "batch_size": {"sid": [8, 1, 1], "ks": [32, 32, 32], "ic": [32, 32, 32], "er": [4, 4, 4]},
    "sampler": {"sid": "random", "ks": "balanced", "ic": "random", "er": "random"},
    "max_seconds": {"sid": 8.0, "ks": None, "ic": None, "er": None},
    "total_steps": {"sid": 200000, "ks": 200000, "ic": 200000, "er": 30000},
    "log_step": {"sid": 500, "ks": 100, "ic": 100, "er": 500},
    "eval_step": {"sid": 5000, "ks": 5000, "ic": 5000, "er": 1000},
    "save_step": {"sid": 1000, "ks": 1000, "ic": 250, "er": 1000},
    "gradient_clipping": {"sid": 1.0, "ks": 1.0, "ic": 1.0, "er": 1.0},
    "gradient_accumulate": {"sid": 4, "ks": 1, "ic": 1, "er": 8},
}


@pytest.mark.parametrize(("options", "rule"), [([], "loss min"), (["--train.valid_higher_better=true"], "loss max")])
def test_the_better_direction_is_the_one_that_the_task_declares_unless_the_config_sets_it(run, options, rule):
    target = run("ks", "--stop=2", "--train.total_steps=2", "--train.valid_metric=loss", *options)
    assert list(json.loads((target / "train" / "best.json").read_text())) == [rule]


def test_it_trains_without_a_validation_set(run):
    options = ["--prepare_data.valid=null", "--prepare_data.valid_fraction=0", "--train.valid_metric=null"]
    assert result(run("ks", *options, "--train.total_steps=2"))["accuracy"] >= 0


@pytest.mark.parametrize("name", ["sid", "ks", "ic", "er"])
def test_superb_is_the_recipe_that_was_published(name):
    roots = [("prepare_data.dataset_root", "/data"), *([("prepare_data.test_root", "/test")] if name == "ks" else [])]
    found = resolve_config(problems.get(name)(), ["superb"], roots)
    batches, train = found["build_batch_sampler"], found["train"]
    got = {
        "batch_size": [batches[mode]["batch_size"] for mode in ("train", "valid", "test")],
        "sampler": batches["train"]["name"],
        "max_seconds": found["build_dataset"]["max_seconds"],
        **{key: train[key] for key in SUPERB if key in train},
    }
    assert got == {key: values[name] for key, values in SUPERB.items()}
    assert found["build_optimizer"]["name"] == "Adam" and found["build_optimizer"]["conf"]["lr"] == 1e-4
    assert train["valid_metric"] == "accuracy" and train["valid_higher_better"] is None and not train["use_scheduler"]
    head = found["build_downstream"]
    assert head["name"] == "mean_pool_linear" and head["conf"]["hidden_size"] == 256
    assert found["build_upstream"]["name"] == "hubert_base" and not found["build_model"]["upstream_trainable"]
    assert found["prepare_data"].get("valid_fraction") == (0.2 if name == "er" else None)


@pytest.mark.parametrize("name", ["sid", "lid"])
def test_it_learns_labels_and_prints_them_for_new_audio(name, run, tables, capsys):
    target = run(name)
    assert result(target)["accuracy"] == 1
    encoder = json.loads((target / "encoder/encoder.json").read_text())
    assert encoder["labels"] == ["low", "mid 中", "null"] and encoder["counts"] == [12, 12, 12]
    (path,) = (target / "evaluate").glob("*/test/predictions.csv")
    with open(path, newline="", encoding="utf-8") as file:
        assert {row["reference"] for row in csv.DictReader(file)} == set(PITCHES)
    wavs = [str(tables / "test" / f"{number:03} ü.wav") for number in range(3)]
    capsys.readouterr()
    assert execute(problems.get(name)(), ["predict", "--ckpt", str(target), *wavs]) == 0
    assert capsys.readouterr().out.splitlines() == [f"{wav}\t{label}" for wav, label in zip(wavs, PITCHES)]


def test_an_intent_is_right_where_all_its_slots_are(run, tables):
    target = run("ic", "--build_encoder.slots=[pitch, time]", "--build_downstream.conf.pooling=statistics")
    metrics = result(target)
    assert {"accuracy", "accuracy_pitch", "accuracy_time"} <= metrics.keys()
    assert metrics["accuracy_pitch"] == 1 and metrics["accuracy"] <= metrics["accuracy_time"]
    wav = tables / "test" / "000 ü.wav"
    assert str(problems.load(str(target)).predict(str(wav))).startswith("low ; ")


def test_an_utterance_may_have_any_number_of_labels(run, tables, tmp_path):
    class Tags(MultiLabel):
        pass

    for split in ("train", "valid", "test"):
        text = (tables / f"{split}.csv").read_text().replace("low ; early", "").replace("null ; late", "null")
        (tmp_path / f"{split}.csv").write_text(text)
    data = [f"--prepare_data.{split}={tmp_path / split}.csv" for split in ("train", "valid", "test")]
    assert execute(Tags(), ["config", *data]) == 0, "its preset reads a CSV"
    target = run(Tags(), *data)
    metrics = result(target)
    assert metrics["map"] > 0.7 and 0 < metrics["threshold"] < 1
    encoder = json.loads((target / "encoder/encoder.json").read_text())
    assert encoder["labels"] == ["early", "late", "low", "mid 中", "null"]


def test_what_a_problem_does_without_a_preset_can_run():
    from problems.engine.config.merge import resolve

    for name in ("sid", "ks", "ic", "er", "lid", "asv"):
        config = resolve(problems.get(name)(), [])
        assert config["prepare_data"]["corpus"].startswith("toy_")
        corpus = get_corpus(config["prepare_data"]["corpus"])()
        assert config["prepare_data"].items() >= dataclasses.asdict(corpus).items(), "its own settings, not another's"
        assert config["build_downstream"]["name"] in ("mean_pool_linear", "xvector")


def test_a_label_that_only_the_test_set_has_is_named_before_any_training(run, tables, tmp_path, capfd):
    table = tmp_path / "test.csv"
    table.write_text((tables / "test.csv").read_text().replace(",low,", ",lower,", 2))
    target = run("sid", f"--prepare_data.test={table}", code=1)
    said = capfd.readouterr().err
    assert "'lower' (row 2, test-0)" in said and "missing from the training set" in said and "test.csv" in said
    assert not (target / "train").exists() and "Traceback" not in said


def test_a_missing_column_and_a_label_of_too_few_slots_are_named(run, tables, tmp_path, capfd):
    table = tmp_path / "train.csv"
    table.write_text((tables / "train.csv").read_text().replace("label,", "class,", 1))
    run("er", f"--prepare_data.train={table}", "--stop=1", code=1)
    assert "no column 'label'" in capfd.readouterr().err
    table.write_text((tables / "train.csv").read_text().replace("low ; early", "low", 1))
    run("ic", f"--prepare_data.train={table}", "--stop=1", "--start=0", code=1)
    said = capfd.readouterr().err
    assert "train.csv, row 2 (train-0), column 'labels': the label 'low' has 1 parts" in said


@pytest.mark.parametrize(
    ("name", "cells", "message"),
    [
        ("sid", [",low,", ",,"], "row 2 (train-0), column 'label': a label is empty"),
        ("ic", ["low ; late", "low ;"], "row 5 (train-3), column 'labels': a label is empty"),
    ],
)
def test_training_labels_of_which_no_encoder_can_be_made_are_named(name, cells, message, run, tables, tmp_path, capfd):
    table = tmp_path / "train.csv"
    table.write_text((tables / "train.csv").read_text().replace(*cells, 1))
    slots = ["--build_encoder.slots=[pitch, time]"] if name == "ic" else []
    run(name, f"--prepare_data.train={table}", "--stop=1", *slots, code=1)
    assert f"train.csv, {message}" in capfd.readouterr().err


def test_crops_and_balance_act_on_training_alone(tables, tmp_path):
    from dataset.encoders import build_encoder

    problem = problems.get("ks")()
    build_encoder("category", PITCHES).save(tmp_path / "encoder")
    section = {"speeds": [1.0], "max_seconds": 0.25}
    given = (section, str(tmp_path), str(tmp_path))
    target = problem.prepare_data(
        {"corpus": "csv", "train": str(tables / "train.csv"), "valid": str(tables / "valid.csv"),
         "test": str(tables / "test.csv")}, str(tmp_path), str(tmp_path),
    )  # fmt: skip
    train = problem.build_dataset(*given, "train", target[0], str(tmp_path / "encoder"), None)
    valid = problem.build_dataset(*given, "valid", target[1], str(tmp_path / "encoder"), None)
    assert len(train[0]["wav"]) == 4000 == 16000 * train.seconds[0] and len(valid[0]["wav"]) > 12000
    assert any(not (train[0]["wav"] == train[0]["wav"]).all() for _ in range(5)), "another piece each time"
    assert train.sources is None, "features of pieces are not cached"
    for speeds, is_fixed in (([1.0], True), ([0.9], False)):
        section = {"speeds": speeds, "max_seconds": 5.0}
        long = problem.build_dataset(section, *given[1:], "train", target[0], str(tmp_path / "encoder"), None)
        assert (long.sources is not None) == is_fixed, "a crop that no utterance needs does not keep them from it"
    samplers = {mode: {"name": name, "batch_size": 8} for mode, name in (("train", "balanced"), ("valid", "sorted"))}
    sampler = problem.build_batch_sampler(samplers, *given[1:], "train", target[0], train)
    drawn = [index for batch in sampler for index in batch]
    assert len(drawn) == 36
    plain = problem.build_batch_sampler(samplers, *given[1:], "valid", target[1], valid)
    assert sorted(index for batch in plain for index in batch) == list(range(12))


def test_balanced_class_weights_come_from_the_training_set(run, tables, tmp_path, capfd):
    table = tmp_path / "train.csv"
    lines = (tables / "train.csv").read_text().splitlines()
    table.write_text("\n".join([lines[0], *(line for line in lines[1:] if ",low," not in line), *lines[1:8:3]]) + "\n")
    options = f"--prepare_data.train={table}", "--build_task.class_weights=balanced", "--train.total_steps=2"
    target = run("sid", *options)
    weights = problems.load(str(target)).task.class_weights_0
    assert weights.tolist() == pytest.approx([27 / 9, 27 / 36, 27 / 36])
    assert "class_weights" not in " ".join(p.name for p in (target / "train").rglob("*.safetensors"))
    capfd.readouterr()
    run("sid", *options[:1], "--build_task.class_weights=balancd", "--fresh", code=2)
    assert "expected balanced" in capfd.readouterr().err


def test_another_fold_makes_the_data_stale_and_refuses_to_go_on_with_the_old_training(tables, run, capfd):
    table = write_table(tables / "all.csv", [dict(row) for row in csv.DictReader(open(tables / "train.csv"))])
    folds = [f"--prepare_data.train={table}", "--prepare_data.valid=null", "--prepare_data.test=[]"]
    folds += ["--prepare_data.folds=3", "--prepare_data.stratify_by=label", "--train.total_steps=2"]
    target = run("er", *folds, "--prepare_data.fold=0")
    first = (target / "data/test.csv").read_text()
    capfd.readouterr()
    run("er", *folds, "--prepare_data.fold=1", code=2)
    assert "data/train.csv" in capfd.readouterr().err, "the old fold's training is not continued"
    run("er", *folds, "--prepare_data.fold=1", "--fresh")
    ids = [
        {row["id"] for row in csv.DictReader(text.splitlines())}
        for text in (first, (target / "data/test.csv").read_text())
    ]
    assert len(ids[0]) == len(ids[1]) == 12 and not ids[0] & ids[1]


def test_a_value_that_the_task_refuses_is_a_config_error():
    settings = {"class_weights": {"nobody": 2.0}, "label_smoothing": 0.0, "top_k": []}
    encoder = build_encoder("category", ["a", "b", "a"])
    with pytest.raises(ConfigError, match="^build_task: .*nobody"):
        Classification().build_task(settings, torch.nn.Linear(2, 2), encoder)


@pytest.mark.parametrize(
    ("name", "preset", "metric"), [("classification", "hear_esc50", "accuracy"), ("multilabel", "hear", "map")]
)
def test_scenes_of_hear_are_cross_validated(name, preset, metric, tables, tmp_path):
    """Three folds of tones in HEAR's layout; a file of several labels has its pitch and its time."""
    root = tmp_path / "task"
    rows = list(csv.DictReader(open(tables / "train.csv", newline="", encoding="utf-8")))
    for fold in range(3):
        (root / "16000" / f"fold{fold:02}").mkdir(parents=True)
        entries = {}
        for number, row in enumerate(rows):
            if number // 3 % 3 == fold:
                (root / "16000" / f"fold{fold:02}" / f"{row['id']}.wav").symlink_to(row["wav_path"])
                entries[f"{row['id']}.wav"] = row["labels"].split(" ; ") if name == "multilabel" else [row["label"]]
        (root / f"fold{fold:02}.json").write_text(json.dumps(entries))
    kind = "multilabel" if name == "multilabel" else "multiclass"
    (root / "task_metadata.json").write_text(json.dumps({"embedding_type": "scene", "prediction_type": kind}))
    labels = "\n".join([*PITCHES, "early", "late"])
    (root / "labelvocabulary.csv").write_text(f"label\n{labels}\n", encoding="utf-8")
    options = [
        f"--config={preset}",
        f"--prepare_data.dataset_root={root}",
        f"--target_dir={tmp_path / 'run'}",
        f"--cache_dir={tmp_path / 'cache'}",
        "--num_workers=0",
        "--build_upstream.name=fbank",
        "--build_upstream.conf.cmvn=none",
        "--build_downstream.conf.hidden_size=[16]",
        "--train.total_steps=15",
        "--train.log_step=5",
        "--train.eval_step=15",
        "--train.gradient_accumulate=1",
        "--evaluate.confidence=0",
        "--folds=all",
    ]
    assert execute(problems.get(name)(), ["run", *options]) == 0
    folds = json.loads((tmp_path / "run/folds/folds.json").read_text())["test_sets"]["test"][metric]
    assert len(folds["folds"]) == 3 and folds["mean"] > 0.6
    assert problems.load(str(tmp_path / "run/folds/0")).predict(rows[0]["wav_path"])
