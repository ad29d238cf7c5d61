"""The source that a module depends on: its own file and all that it imports of the user's modules."""

from __future__ import annotations

import hashlib
import importlib
import sys

import pytest

from problems.engine.runtime.code.module_sources import is_users, source_digests

FILES = {
    "users/__init__.py": "from .other import unused\n",
    "users/head.py": "import json\nimport torch\nfrom users.deep import layers as l\nfrom . import sibling\n",
    "users/sibling.py": "def lazily():\n    from .deep.late import value\n    return value\n",
    "users/other.py": "unused = 1\n",
    "users/deep/layers.py": "import users.head  # a circle\n",
    "users/deep/late.py": "import nn.mask\nvalue = 1\n",
    "users/broken.py": "this is not Python\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == "users"]:
        del sys.modules[name]


def digests_of(folder, *names):
    return sorted(hashlib.blake2b((folder / f"users/{name}.py").read_bytes()).hexdigest() for name in names)


def test_imports_are_followed_through_packages_functions_and_circles(folder):
    expected = digests_of(folder, "head", "sibling", "deep/layers", "deep/late")
    assert source_digests(["users.head"]) == sorted([*expected, *digests_of(folder, "__init__", "other")])
    assert source_digests(["users.deep.layers", "users.head"]) == source_digests(["users.head"])


def test_the_answer_is_the_same_once_the_modules_are_imported(folder):
    before = source_digests(["users.head"])
    importlib.import_module("users.head")
    assert source_digests(["users.head"]) == before


def test_packages_of_soundstage_are_followed_on_request_alone(folder):
    users = source_digests(["users.sibling"])
    assert len(source_digests(["users.sibling"], ours=("nn",))) == len(users) + 1
    assert source_digests(["nn.mask", "problems.asr", "torch.nn", "json"]) == []


def test_a_file_that_is_not_python_counts_without_its_imports(folder):
    assert source_digests(["users.broken"]) == digests_of(folder, "broken")


@pytest.mark.parametrize("name", ["torch", "json", "sys", "nn.mask", "problems.asr"])
def test_libraries_and_soundstage_are_not_the_users(name):
    importlib.import_module(name)
    assert not is_users(name)


def test_a_users_module_is_one_with_or_without_a_file(folder):
    assert is_users("users.head") and is_users("typed_in_and_gone")
