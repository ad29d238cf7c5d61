"""Configs of the command line's words alone, for tests of what they are merged to and why they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.cli.arguments import flags_of, parse
from problems.engine.config.layers import Layer, load_file, override_layer
from problems.engine.config.merge import resolve
from problems.engine.runtime.errors import ConfigError


def typed(*words: str, problem=None) -> dict:
    """The config of override words alone, on the code's defaults."""
    problem = problem or ASR()
    arguments = parse(words, flags=flags_of(problem))
    return resolve(problem, [override_layer(arguments.overrides)])


def refused(*words: str, problem=None) -> str:
    """The message with which override words are refused."""
    with pytest.raises(ConfigError) as caught:
        typed(*words, problem=problem)
    return str(caught.value)


def file(folder: Path, text: str, name: str = "mine.yaml") -> Layer:
    """A YAML file as a layer."""
    (folder / name).write_text(text, encoding="utf-8")
    return load_file(folder / name)
