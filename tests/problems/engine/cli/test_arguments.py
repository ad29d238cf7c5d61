"""Words of a command line become options, and these a config."""

from __future__ import annotations

import pytest
import yaml

from problems.asr import ASR
from problems.engine.cli.arguments import parse, resolve_config
from problems.engine.runtime.errors import ConfigError
from tests.conftest import ROOT
from tests.parts.configs import typed


def test_parse():
    words = ["--config", "a", "--x.y", "1", "--config=b", "z=2=3", "--fresh", "--traceback", "--n", "-5"]
    arguments = parse(words, flags=["fresh"])
    assert arguments.configs == ["a", "b"] and arguments.words == words and not arguments.files
    assert arguments.overrides == [("x.y", "1"), ("z", "2=3"), ("fresh", "true"), ("n", "-5")]


def test_a_verb_with_options_of_its_own_takes_files():
    arguments = parse(["a=b.wav", "--ckpt", "dir", "c.wav", "--device=cpu"], options=["ckpt", "device"])
    assert arguments.files == ["a=b.wav", "c.wav"]
    assert arguments.overrides == [("ckpt", "dir"), ("device", "cpu")]
    with pytest.raises(ConfigError, match="unknown option '--config'; expected --ckpt or --device"):
        parse(["--config", "x"], options=["ckpt", "device"])


def test_a_flag_takes_no_word_but_a_boolean():
    words = ["--fresh", "train.seed=1", "--fresh", "false", "--fresh"]
    expected = [("fresh", "true"), ("train.seed", "1"), ("fresh", "false"), ("fresh", "true")]
    assert parse(words, flags=["fresh"]).overrides == expected
    with pytest.raises(ConfigError, match="'perhaps' is not understood"):
        parse(["--fresh", "perhaps"], flags=["fresh"])


@pytest.mark.parametrize("words", [["--x"], ["--x", "--y", "1"], ["stray"], ["-x"], ["--"], ["--=3"], ["--config"]])
def test_words_that_are_not_understood(words):
    with pytest.raises(ConfigError, match="needs a value|not understood"):
        parse(words)


def test_the_default_preset_is_under_overrides_but_not_under_a_named_config(tmp_path):
    default = yaml.safe_load((ROOT / "configs/asr/default.yaml").read_text())
    assert resolve_config(ASR(), [], [])["train"]["total_steps"] == default["train"]["total_steps"]
    (tmp_path / "mine.yaml").write_text("train: {seed: 3}")
    named = resolve_config(ASR(), [str(tmp_path / "mine.yaml")], [])["train"]
    assert named["seed"] == 3 and named["total_steps"] == ASR().default_config()["train"]["total_steps"]


def test_three_spellings_are_one():
    spellings = (["--train.total_steps", "7"], ["--train.total_steps=7"], ["train.total_steps=7"])
    assert [typed(*words)["train"]["total_steps"] for words in spellings] == [7, 7, 7]


def test_a_target_folder_that_refers_to_another_key_is_where_the_run_goes(tmp_path):
    overrides = [("train.seed", "4"), ("target_dir", f"{tmp_path}/${{train.seed}}")]
    assert resolve_config(ASR(), [], overrides)["target_dir"] == f"{tmp_path}/4"


def test_another_schedule_does_not_inherit_what_the_preset_gave_the_old_one():
    overrides = [("build_scheduler.name", "StepLR"), ("build_scheduler.conf.step_size", "3")]
    assert resolve_config(ASR(), [], overrides)["build_scheduler"]["conf"] == {"step_size": 3}
