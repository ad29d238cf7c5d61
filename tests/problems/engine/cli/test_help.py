"""``--help`` lists every key with its default and its meaning, and loads nothing heavy."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys

import pytest

from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.cli.verbs import VERBS
from problems.engine.config.registry import load_class
from problems.engine.config.schema import defaults, schema
from tests.conftest import ROOT

HEAVY = ("torch", "torchaudio", "pandas", "numpy", "omegaconf", "soundfile", "sklearn", "matplotlib")


def shown(capsys, *words: str) -> dict[str, str]:
    """``{key: the rest of its line}``."""
    assert execute(ASR(), [*words, "--help"]) == 0
    lines = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  --"))
    return {line.split()[0][2:]: line.split(maxsplit=1)[1] for line in lines}


def test_every_key_is_there_with_a_meaning(capsys):
    lines = shown(capsys)
    settings = schema(ASR(), defaults(ASR()))
    opened = {key for key in settings if any(k.startswith(f"{key}.") for k in settings)}
    assert set(lines) == set(settings) - opened
    for key in lines:
        assert len(settings[key].help) > 5 and settings[key].help in lines[key], key


def test_defaults_are_shown(capsys):
    lines = shown(capsys)
    assert lines["train.total_steps"].startswith("1000 ") and lines["target_dir"].startswith("null ")
    assert lines["build_downstream.conf.hidden_size"].startswith("[256, 256] ")


def test_every_section_is_named(capsys):
    execute(ASR(), ["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ASR.sections)


@pytest.mark.parametrize(
    "key, registry",
    [
        ("prepare_data.corpus", "dataset.corpora:CORPORA"),
        ("build_encoder.name", "dataset.encoders:TEXT_ENCODERS"),
        ("build_upstream.name", "nn.upstream:UPSTREAMS"),
        ("build_downstream.name", "nn.downstream:DOWNSTREAMS"),
    ],
)
def test_the_settings_of_every_part_can_be_seen(capsys, key, registry):
    names = load_class(registry)
    assert all(name in shown(capsys)[key] for name in names)
    for name in names:
        section = key.partition(".")[0]
        lines = shown(capsys, "run", f"--{key}={name}")
        tree = defaults(ASR())
        tree[section][key.partition(".")[2]] = name
        expected = {k for k in schema(ASR(), tree) if k.startswith(f"{section}.") and not k.endswith(".conf")}
        listed = {k for k in lines if k.startswith(f"{section}.") and not k.endswith(".conf")}
        assert listed == expected and all(len(lines[k].split(maxsplit=1)) == 2 for k in listed)


def test_help_shows_the_values_of_a_preset(capsys):
    assert shown(capsys, "run", "--config", "librispeech")["train.total_steps"].startswith("200000 ")


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from problems.asr import ASR; from problems.engine.cli.main import execute\n"
        f"execute(ASR(), ['--help']); heavy = set({HEAVY!r}) & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


def test_usage_is_one_line_for_each_verb_below_the_other(capsys):
    execute(ASR(), ["--help"])
    first, *others = itertools.takewhile(str.strip, capsys.readouterr().out.splitlines())
    assert first.startswith("usage: python -m problems.asr run")
    names = [re.fullmatch(r" {7}python -m problems.asr (\w+) .*", line)[1] for line in others]
    assert names == [name for name in VERBS if name != "run"]


def test_keys_are_in_the_order_of_the_config_after_those_of_the_run(capsys):
    sections = list(dict.fromkeys(key.partition(".")[0] for key in shown(capsys) if "." in key))
    tree = list(defaults(ASR()))
    assert sections == sorted(sections, key=tree.index)
    assert "." not in "".join(list(shown(capsys))[:3])
