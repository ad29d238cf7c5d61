"""YAML is read as OmegaConf reads it, and what is written is read back."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml
from omegaconf import OmegaConf

from problems.engine.config import yaml_text
from tests.conftest import ROOT

SCALARS = [
    "1", "-1", "+1", "0", "012", "0x1f", "1_000", "1.", ".5", "1.5", "1e3", "1e-3", "-1E+3", "1.0e-3", "e3",
    ".inf", "-.inf", ".nan", "true", "True", "yes", "off", "null", "~", "", "a b", "2024-01-02", "2024-01-02 03:04:05",
    "'1'", "[1, 1e-3, a]", "{a: 1, b: [x, 2.5]}", "a: b", "- a", "ä ö", "*", "12:30", "3.", "1.2.3", "0.1_0", "nan",
]  # fmt: skip


@pytest.mark.parametrize("text", SCALARS)
def test_values_are_those_of_omegaconf(text):
    try:
        expected = OmegaConf.to_container(OmegaConf.from_dotlist([f"v={text}"]), resolve=False)["v"]
    except yaml.YAMLError:
        with pytest.raises(yaml.YAMLError):
            yaml_text.load(text)
        return
    value = yaml_text.load(text)
    assert type(value) is type(expected) and repr(value) == repr(expected)


def test_a_negative_fraction_needs_no_zero():
    """OmegaConf takes it as text."""
    assert yaml_text.load("-.5") == -0.5


def test_what_is_written_is_read_back_in_order():
    texts = [*SCALARS, "a\nb", "a: b # c", " x ", "\u2028", "C:\\x", "???", "${a.b}"]
    tree = {"z": dict(enumerate(texts)), "a": [1, 1e-3, 1e30, float("inf"), None, True, [], {}], "long": "word " * 60}
    written = yaml_text.dump(tree)
    assert yaml_text.load(written) == tree and list(yaml_text.load(written)) == ["z", "a", "long"]


@pytest.mark.parametrize(
    "text", ["a: 1\na: 2", "a: {b: 1, b: 2}", "!!python/object/apply:os.getcwd []", "a: [", "? [a]"]
)
def test_duplicate_keys_and_objects_are_refused(text):
    with pytest.raises(yaml.YAMLError):
        yaml_text.load(text)


def test_a_config_without_interpolation_does_without_omegaconf():
    """Its grammar takes 0.2 s to load."""
    code = (
        "import sys; from problems.asr import ASR\nfrom problems.engine.cli.main import execute\n"
        "execute(ASR(), ['config', '--train.seed', '3']); assert 'omegaconf' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)
