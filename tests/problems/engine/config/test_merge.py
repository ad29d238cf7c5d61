"""Layers of a config merge in order, and every mistake in them is told at once, with its place."""

from __future__ import annotations

import subprocess
import sys

import pytest

from problems.asr import ASR
from problems.engine.config.layers import find_config, override_layer
from problems.engine.config.merge import resolve
from problems.engine.runtime.errors import ConfigError
from tests.conftest import ROOT
from tests.parts.configs import file, refused, typed


def test_defaults_then_presets_in_order_then_overrides(tmp_path):
    first = file(tmp_path, "train: {total_steps: 11, log_step: 12, eval_step: 13}", "a.yaml")
    second = file(tmp_path, "train: {log_step: 22, eval_step: 23}", "b.yaml")
    train = resolve(ASR(), [first, second, override_layer([("train.eval_step", "33")])])["train"]
    assert (train["total_steps"], train["log_step"], train["eval_step"]) == (11, 22, 33)
    assert train["save_step"] == ASR().default_config()["train"]["save_step"]


def test_a_later_override_of_one_key_wins():
    assert typed("--train.seed=1", "--train.seed=2")["train"]["seed"] == 2


def test_references():
    assert typed("train.eval_step=25", "train.save_step=${train.eval_step}")["train"]["save_step"] == 25
    assert typed("train.seed=4", "target_dir=out/${train.seed}")["target_dir"] == "out/4"
    assert "nowhere" in refused("train.seed=${nowhere.at_all}")


def test_every_mistake_is_told_at_once_with_its_place(tmp_path):
    layers = [
        file(tmp_path, "train: {log_stp: 3, eval_step: [1]}\nbuild_downstream: {name: rn}"),
        find_config("librispeech", ASR().families()),
        override_layer([("train.seed", "x"), ("num_workers", "-5"), ("build_upstream.conf.num_mel_bin", "3")]),
    ]
    layers[0].tree["prepare_data"] = {"corpus": "nope"}
    with pytest.raises(ConfigError) as caught:
        resolve(ASR(), layers)
    lines = str(caught.value).splitlines()
    assert lines[0] == "5 errors in the config:"
    for key, place, hint in [
        ("train.log_stp", "mine.yaml", "train.log_step"),
        ("train.seed", "command line", "a whole number"),
        ("num_workers", "command line", "at least 0"),
        ("prepare_data.dataset_root", "", "must be given"),
        ("build_upstream.conf.num_mel_bin", "command line", "build_upstream.conf.num_mel_bins"),
    ]:
        assert any(key in line and place in line and hint in line for line in lines), (key, lines)


@pytest.mark.parametrize(
    "key, near",
    [
        ("total_steps", "train.total_steps"),
        ("trian.total_steps", "train.total_steps"),
        ("train.totl_steps", "train.total_steps"),
        ("trian.seed", "train.seed"),
        ("totl_steps", "train.total_steps"),
        ("build_downsteam.conf.hidden_size", "build_downstream.conf.hidden_size"),
        ("target", "target_dir"),
    ],
)
def test_the_nearest_key(key, near):
    message = refused(f"--{key}", "3")
    assert f"{key}: unknown key" in message and f"did you mean {near!r}?" in message and "command line" in message


def test_a_key_of_another_section_is_suggested():
    assert "did you mean 'build_optimizer.lr_factor'?" in refused("--train.lr_factor", "3")


def test_no_key_is_suggested_that_is_alike_in_its_section_only():
    assert "train.lr: unknown key; --help lists the keys" in refused("--train.lr", "3")


def test_a_key_that_stands_in_several_sections_names_them():
    message = refused("--seed", "3")
    assert "prepare_data.seed" in message and "train.seed" in message


def test_steps_or_epochs_not_both_not_none():
    assert "one of total_steps and epochs" in refused("train.epochs=2")
    assert "one of total_steps and epochs" in refused("train.total_steps=null")
    assert typed("train.epochs=2", "train.total_steps=null")["train"]["epochs"] == 2


def test_a_required_value():
    assert "prepare_data.dataset_root: must be given" in refused("prepare_data.corpus=librispeech")


def test_an_empty_file_and_an_empty_section_change_nothing(tmp_path):
    assert resolve(ASR(), [file(tmp_path, ""), file(tmp_path, "train:\n#  seed: 3\n")]) == resolve(ASR(), [])


def test_naming_another_part_drops_the_settings_of_the_old_one(tmp_path):
    layers = [
        find_config("librispeech", ASR().families()),
        override_layer([("build_upstream.name", "spectrogram"), ("prepare_data.corpus", "toy")]),
    ]
    config = resolve(ASR(), layers)
    assert "num_mel_bins" not in config["build_upstream"]["conf"] and "train_sets" not in config["prepare_data"]
    assert config["prepare_data"]["num_train"] == ASR().default_config()["prepare_data"]["num_train"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_and_its_settings_come_in_any_order(turned):
    words = ["build_upstream.name=linear", "build_upstream.conf.cmvn=none"]
    assert typed(*(reversed(words) if turned else words))["build_upstream"]["conf"]["cmvn"] == "none"
    words = ["prepare_data.corpus=csv", "prepare_data.train=a.csv"]
    assert typed(*(reversed(words) if turned else words))["prepare_data"]["train"] == "a.csv"


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_and_its_settings_in_a_file_in_any_order(tmp_path, turned):
    lines = ["  name: word", "  conf: {case: lower}"]
    text = "build_encoder:\n" + "\n".join(reversed(lines) if turned else lines)
    assert resolve(ASR(), [file(tmp_path, text)])["build_encoder"] == {
        **typed("build_encoder.name=word")["build_encoder"],
        "conf": {**typed("build_encoder.name=word")["build_encoder"]["conf"], "case": "lower"},
    }


def test_naming_the_same_part_keeps_its_settings():
    layers = [find_config("librispeech", ASR().families()), override_layer([("build_upstream.name", "fbank")])]
    layers += [override_layer([("prepare_data.dataset_root", "x")])]
    assert resolve(ASR(), layers)["build_upstream"]["conf"]["deltas"] == 2


def test_a_wrong_part_in_a_file_is_put_right_by_the_command_line(tmp_path):
    layers = [file(tmp_path, "build_upstream: {name: fbnk}"), override_layer([("build_upstream.name", "mfcc")])]
    assert resolve(ASR(), layers)["build_upstream"]["name"] == "mfcc"


def test_settings_that_are_dicts():
    words = ["prepare_data.corpus=csv", "prepare_data.train=a.csv", "--prepare_data.columns.transcription=text"]
    words += ["--prepare_data.where.train.split", "x", "--prepare_data.test", "{clean: c.csv, noisy: n.csv}"]
    data = typed(*words)["prepare_data"]
    assert data["columns"] == {"transcription": "text"} and data["where"] == {"train": {"split": "x"}}
    assert data["test"] == {"clean": "c.csv", "noisy": "n.csv"}
    assert typed(*words[:2], "--prepare_data.test.clean=c.csv")["prepare_data"]["test"] == {"clean": "c.csv"}


def test_settings_of_parts_are_checked_without_torch():
    code = (
        "import sys; from problems.asr import ASR; from problems.engine.cli.main import execute\n"
        "execute(ASR(), ['config', 'build_downstream.conf.hiden_size=[1]', 'build_upstream.conf.deltas=x'])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "hiden_size" in done.stderr and "build_upstream.conf.deltas: expected a whole number" in done.stderr
