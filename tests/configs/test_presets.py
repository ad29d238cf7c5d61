"""Every preset opens with its command and resolves; SUPERB's presets state what they leave out."""

from __future__ import annotations

import functools
import operator
import re
from pathlib import Path

import pytest

import problems
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "configs").glob("*/*.yaml"))
IN_ALL = ["Unlike s3prl", "padding is exact"]
UNCACHED = ["qbe"]  # the features of the others are cached in fp16, which is said
LEFT_OUT = {
    "asr": ["end symbol", "time masks"],
    "asv": ["held-out training speakers", "pooled deviations", "3 dB"],
    "er": ["whole dialogues"],
    "ic": [],
    "pr": ["lacks is refused", "stress is left out"],
    "sf": ["must occur in training", "without marks", "any character"],
    "sd": ["covers a whole window", "chosen on the validation set", "lowest DER on the test set"],
    "qbe": ["never negative", "3 dB"],
    "ks": ["without replacement", "noise is split", "3 dB"],
    "sid": [],
}


def named(preset: Path) -> str:
    return f"{preset.parent.name}/{preset.stem}"


def comment_of(preset: Path) -> str:
    """The comment that a preset opens with, without its marks."""
    return re.match(r"(?:#.*\n)*", preset.read_text(encoding="utf-8"))[0].replace("#", "")


@pytest.mark.parametrize("preset", PRESETS, ids=named)
def test_a_preset_opens_with_its_command(preset):
    family = preset.parent.name
    config = "" if preset.stem == "default" else f" --config {preset.stem}"
    assert f"python -m problems.{family} run{config}" in comment_of(preset)


@pytest.mark.parametrize("preset", PRESETS, ids=named)
def test_a_preset_is_understood(preset, capsys):
    family = preset.parent.name
    assert execute(problems.get(family)(), ["config", "--config", preset.stem]) == 0


@pytest.mark.parametrize("family", LEFT_OUT)
def test_a_preset_of_superb_states_what_it_leaves_out(family):
    comment = " ".join(comment_of(ROOT / "configs" / family / "superb.yaml").split())
    expected = [*IN_ALL, *LEFT_OUT[family], *([] if family in UNCACHED else ["in fp16"])]
    assert not [words for words in expected if words not in comment]


def test_every_problem_of_superb_is_among_them():
    assert {preset.parent.name for preset in PRESETS if preset.stem == "superb"} == set(LEFT_OUT)


S3PRL_ASR = {  # its SuperbASR; the batch of 32 that it halves
    "prepare_data.train_sets": ["train-clean-100"],
    "prepare_data.valid_sets": ["dev-clean"],
    "prepare_data.test_sets": ["test-clean"],
    "build_encoder.name": "character",
    "build_dataset.speeds": [1.0],
    "build_batch_sampler.train": {
        "name": "bucket",
        "batch_size": 16,
        "max_seconds": None,
        "conf": {"buckets": 10},
        "batches_per_epoch": None,
        "sets": None,
    },
    "build_batch_sampler.valid.batch_size": 1,
    "build_batch_sampler.test.batch_size": 1,
    "build_featurizer": {"layer_selections": None, "normalize": False, "readout": None},
    "build_downstream.name": "rnn",
    "build_downstream.conf.module": "LSTM",
    "build_downstream.conf.bidirectional": True,
    "build_downstream.conf.proj_size": 1024,
    "build_downstream.conf.hidden_size": [1024, 1024],
    "build_downstream.conf.dropout": [0.2, 0.2],
    "build_downstream.conf.layer_norm": False,
    "build_downstream.conf.proj": False,
    "build_downstream.conf.sample_rate": 1,
    "build_downstream.conf.stack": 1,
    "build_model.upstream_trainable": False,
    "build_model.specaug.time_warp": 5,
    "build_model.specaug.freq_mask_width": [0, 50],
    "build_model.specaug.num_freq_masks": 4,
    "build_model.specaug.time_mask_width": [0, 40],
    "build_model.specaug.num_time_masks": 2,
    "build_optimizer.name": "Adam",
    "build_optimizer.conf.lr": 1e-4,
    "train.total_steps": 200000,
    "train.log_step": 100,
    "train.eval_step": 2000,
    "train.save_step": 500,
    "train.gradient_clipping": 1.0,
    "train.gradient_accumulate": 1,
    "train.keep_num_ckpts": 2,
    "train.valid_metric": "wer",
    "train.valid_higher_better": None,  # as the task declares: lower
    "train.use_scheduler": False,
    "train.seed": 0,
}


def test_superb_s_speech_recognition_has_the_numbers_of_s3prl():
    config = resolve_config(problems.get("asr")(), ["superb"], [("prepare_data.dataset_root", "/data")])
    values = {key: functools.reduce(operator.getitem, key.split("."), config) for key in S3PRL_ASR}
    assert values == S3PRL_ASR


S3PRL_SF = {  # its SuperbSF
    key: value for key, value in S3PRL_ASR.items() if key.startswith(("build_downstream", "build_model", "build_opt"))
} | {
    "build_batch_sampler.train.batch_size": 32,
    "build_batch_sampler.valid.batch_size": 1,
    "train.total_steps": 200000,
    "train.eval_step": 2000,
    "train.save_step": 500,
    "train.gradient_accumulate": 1,
    "train.valid_metric": "slot_type_f1",
}
S3PRL_SD = {  # its SuperbSD; its windows are of 2000 frames of 20 ms
    "build_dataset.window": 40.0,
    "build_encoder.outputs": "speakers",
    "build_encoder.num_speakers": 2,
    "build_downstream.conf.hidden_size": [512],
    "build_downstream.conf.bidirectional": False,
    "build_batch_sampler.train.batch_size": 8,
    "build_batch_sampler.train.name": "random",
    "build_optimizer.name": "Adam",
    "build_optimizer.conf.lr": 1e-4,
    "train.total_steps": 30000,
    "train.eval_step": 500,
    "train.save_step": 500,
    "train.gradient_accumulate": 4,
    "train.gradient_clipping": 1.0,
    "train.valid_metric": "der",
    "evaluate.settings": {"threshold": [0.3, 0.4, 0.5, 0.6, 0.7], "median": [1, 11]},
}


@pytest.mark.parametrize(("name", "numbers"), [("sf", S3PRL_SF), ("sd", S3PRL_SD)])
def test_superb_s_slots_and_turns_have_the_numbers_of_s3prl(name, numbers):
    given = {"sf": [("prepare_data.dataset_root", "/data")]}
    given["sd"] = [(f"prepare_data.{key}", "/data") for key in ("audio", "train", "test")]
    config = resolve_config(problems.get(name)(), ["superb"], given[name])
    assert {key: functools.reduce(operator.getitem, key.split("."), config) for key in numbers} == numbers


HEAR = {  # s3prl's HearFSD, HearESC50, ...: type, batch size, learning rate, steps, eval, save, accumulation
    ("multilabel", "hear"): (10, 1e-3, 40000, 1000, 100, 1),
    ("classification", "hear_esc50"): (32, 1e-3, 4000, 500, 100, 4),
    ("classification", "hear"): (32, 1e-3, 150000, 1000, 100, 1),
    ("classification", "hear_crema_d"): (32, 1e-4, 150000, 1000, 100, 1),
    ("sed", "hear_dcase2016"): (5, 1e-3, 15000, 500, 500, 1),
    ("sed", "hear_maestro"): (5, 1e-3, 15000, 500, 500, 1),
}
HEAR_EVENTS = {  # median filter, least durations, collar
    "hear_dcase2016": (0.25, [0.125, 0.25], 0.2),
    "hear_maestro": (0.15, [0.05], 0.05),
}


@pytest.mark.parametrize(("name", "preset"), HEAR)
def test_hear_has_the_numbers_of_s3prl(name, preset):
    config = resolve_config(problems.get(name)(), [preset], [("prepare_data.dataset_root", "/data")])
    train, batches = config["train"], config["build_batch_sampler"]["train"]
    values = [train[key] for key in ("total_steps", "eval_step", "save_step", "gradient_accumulate")]
    lr = config["build_optimizer"]["conf"]["lr"]
    assert (batches["batch_size"], lr, *values) == HEAR[name, preset] and batches["name"] == "random"
    assert config["build_optimizer"]["name"] == "Adam" and train["gradient_clipping"] == 1.0
    assert not train["use_scheduler"] and train["patience"] is None
    assert config["prepare_data"]["corpus"] == "hear" and not config["build_model"]["upstream_trainable"]
    head = {"hidden_size": [1024, 1024], "dropout": 0.1}
    assert config["build_downstream"]["conf"] == head
    assert config["build_downstream"]["name"] == ("frame_mlp" if name == "sed" else "mean_pool_mlp")
    metric = {"multilabel": "map", "classification": "accuracy", "sed": "onset_f1"}[name]
    assert train["valid_metric"] == metric and train["valid_higher_better"] is None
    assert "which searches nothing" in comment_of(ROOT / f"configs/{name}/{preset}.yaml") or name == "sed"


@pytest.mark.parametrize("preset", HEAR_EVENTS)
def test_hear_s_events_have_the_numbers_of_s3prl(preset):
    config = resolve_config(problems.get("sed")(), [preset], [("prepare_data.dataset_root", "/data")])
    task, data = config["build_task"], config["build_dataset"]
    assert [task["window"], task["hop"], data["window"], data["hop"]] == [4.0] * 4 and task["threshold"] == 0.5
    grid = config["evaluate"]["settings"] or {"median": [task["median"]], "min_duration": [task["min_duration"]]}
    assert (*grid["median"], grid["min_duration"], task["scoring"]["collar"]) == HEAR_EVENTS[preset]
    assert task["median"] in grid["median"] and task["min_duration"] in grid["min_duration"]
    assert (task["scoring"]["offset_share"], task["scoring"]["segment"]) == (0.2, 1.0)
