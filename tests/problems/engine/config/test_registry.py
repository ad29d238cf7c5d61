"""The settings of parts are read from their source, without importing them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from problems.engine.config.registry import build, describe, load_class, resolve
from problems.engine.config.schema import part_settings, section_defaults
from problems.engine.config.sections import BuildUpstream
from problems.engine.runtime.errors import ConfigError
from tests.conftest import ROOT

REGISTRIES = (
    "nn.upstream:UPSTREAMS",
    "nn.downstream:DOWNSTREAMS",
    "dataset.encoders:TEXT_ENCODERS",
    "dataset.corpora:CORPORA",
)
PARTS = [(registry, name) for registry in REGISTRIES for name in load_class(registry)]


@pytest.mark.parametrize("registry, name", PARTS)
def test_every_setting_of_every_part_has_a_type_and_a_meaning(registry, name):
    for key, setting in part_settings(registry, name, "section").items():
        assert setting.help and len(setting.help) > 5, f"{name}.{key} has no meaning"
        assert "`" not in setting.help and setting.type != "Any", f"{name}.{key}: {setting}"


def test_nothing_heavy_is_imported():
    code = (
        "import sys\n"
        "from problems.engine.config.registry import load_class\n"
        "from problems.engine.config.schema import part_settings\n"
        f"for r in {REGISTRIES!r}:\n    for n in load_class(r):\n        part_settings(r, n, 's')\n"
        "heavy = {'torch', 'torchaudio', 'pandas', 'numpy', 'soundfile', 'omegaconf'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("registry, name", [p for p in PARTS if not p[0].startswith("dataset.corpora")])
def test_the_source_and_python_agree_on_names_and_defaults(registry, name):
    import inspect

    target = load_class(registry)[name]
    part = load_class(target)
    builders = [getattr(part, "build", part)]
    if any(p.kind is p.VAR_KEYWORD for p in inspect.signature(builders[0]).parameters.values()):
        builders += [cls for cls in part.__mro__[1:] if "__init__" in vars(cls) and cls.__module__.startswith("nn.")]
    defaults = {
        n: list(p.default) if isinstance(p.default, tuple) else p.default
        for builder in builders
        for n, p in inspect.signature(builder).parameters.items()
        if p.default is not inspect.Parameter.empty
    }
    assert {p.name: p.default for p in describe(target)} == defaults


def test_the_defaults_of_a_section_hold_those_of_its_part():
    assert section_defaults(BuildUpstream)["conf"] == {
        p.name: p.default for p in describe("nn.upstream.signal.kaldi:Fbank")
    }


USER = '''
from nn.downstream.rnn import RNNEncoder

class Head(RNNEncoder):
    """Forward differs."""

class Wider(RNNEncoder):
    """Takes what its base takes, and more.

    Args:
        width: how wide it is,
            in units
        kind (str): ``a`` or ``b``.
    """

    def __init__(self, input_size, output_size, width: "int | None" = 3, *, kind: str = "a", computed=1 + 2, **rest):
        super().__init__(input_size, output_size, **rest)

def make(input_size, output_size, size: int = 7):
    """A function.

    Args:
        size: its size
    """
    return (input_size, output_size, size)
'''


@pytest.fixture
def user(tmp_path, monkeypatch):
    (tmp_path / "user_parts.py").write_text(USER)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("user_parts", None)


def test_a_class_of_the_users_own(user):
    base = describe("nn.downstream.rnn:RNNEncoder")
    assert describe("user_parts:Head") == base
    wider = describe("user_parts:Wider")
    assert [p.name for p in wider] == ["width", "kind", "computed", *(p.name for p in base)]
    assert (wider[0].type, wider[0].default, wider[0].help) == ("int | None", 3, "how wide it is, in units")
    assert wider[1].help == "a or b" and wider[2].type == "Any"
    assert [(p.name, p.default) for p in describe("user_parts:make")] == [("size", 7)]
    assert build("user_parts:make", {"size": 2}, "s", input_size=1, output_size=0) == (1, 0, 2)


def test_mistakes(user):
    with pytest.raises(ConfigError, match=r"'rn' \(did you mean 'rnn'\?\).*rnn, .*module:Class"):
        resolve("rn", load_class("nn.downstream:DOWNSTREAMS"), "build_downstream.name")
    with pytest.raises(ConfigError, match="no module 'nowhere"):
        describe("nowhere.at_all:X")
    with pytest.raises(ConfigError, match="no module 'nowhere"):
        load_class("nowhere.at_all:X")
    with pytest.raises(ConfigError, match="defines no 'Haed'"):
        describe("user_parts:Haed")
    with pytest.raises(ConfigError, match="has no 'Haed'"):
        load_class("user_parts:Haed")
    with pytest.raises(ConfigError, match="section: invalid settings of make"):
        build("user_parts:make", {"nope": 2}, "section", input_size=1, output_size=0)


def test_a_package_that_a_users_module_lacks_is_not_blamed_on_the_config(tmp_path, monkeypatch):
    (tmp_path / "user_lacks.py").write_text("import not_installed_anywhere\nclass Head: ...\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_class("user_lacks:Head")
