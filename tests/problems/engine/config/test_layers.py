"""Presets and YAML files: which are found, and why others are refused."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.engine.config.layers import find_config, load_file
from problems.engine.runtime.errors import ConfigError
from tests.parts.configs import file


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(
        ConfigError, match=r"\(did you mean 'librispeech'\?\).*default, fsdd, .*librispeech, streaming, .*superb"
    ):
        find_config("librspeech", ASR().families())


@pytest.mark.parametrize(
    "content, message",
    [
        ("train: {total_steps: [1", "not valid YAML"),
        ("- a\n- b", "keys and values, got list"),
        ("5", "keys and values"),
        ("train: {seed: 1, seed: 2}", "seed"),
        ("train.seed: 3", "dotted keys are for the command line"),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, content, message):
    with pytest.raises(ConfigError) as caught:
        file(tmp_path, content)
    assert message in str(caught.value) and str(tmp_path / "mine.yaml") in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    for name in ("binary.yaml", "missing.yaml", "."):
        with pytest.raises(ConfigError, match=str(tmp_path)):
            load_file(tmp_path / name)
