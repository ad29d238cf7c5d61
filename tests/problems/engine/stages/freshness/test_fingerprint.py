"""Fingerprints: which edits, settings and files change them, and how a difference is worded."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.stages.freshness.fingerprint import differences, fingerprint, flatten, hash_files

CODE = ("build_encoder", "build_downstream")


def of(problem: ASR, inputs: dict[str, str] | None = None) -> dict:
    return fingerprint(problem, CODE, {"build_encoder": {"name": "character"}}, inputs or {})


SOURCE = """
from problems.asr import ASR

def unrelated():
    return {unrelated}

class Edited(ASR):
    def build_downstream(self, build_downstream, *sizes):
        return {number}

    def build_upstream(self, build_upstream):
        return {other}
"""


@pytest.fixture
def edited(tmp_path, monkeypatch):
    """Write the user's file, (re)import it, and give its problem."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(number: int, other: int = 0, unrelated: int = 0):
        (folder / "users_edited.py").write_text(SOURCE.format(number=number, other=other, unrelated=unrelated))
        sys.modules.pop("users_edited", None)
        importlib.invalidate_caches()
        return importlib.import_module("users_edited").Edited()

    yield load
    sys.modules.pop("users_edited", None)


def test_an_edited_method_is_seen_and_one_of_another_stage_is_not(edited):
    old = of(edited(1))
    assert differences(old, of(edited(1))) == []
    assert differences(old, of(edited(1, other=5, unrelated=7))) == []
    assert differences(old, of(edited(22))) == ["the code of build_downstream changed"]


def test_methods_of_ours_are_not_hashed():
    assert of(ASR())["code"] == {}


def test_new_inputs_and_those_that_are_not_read_any_more():
    old, new = of(ASR(), {"in.csv": "1"}), of(ASR(), {"in.csv": "1", "new.csv": "2"})
    assert differences(old, new) == ["new.csv is new"]
    assert differences(new, old) == ["new.csv is no longer read"]
    assert differences(old, of(ASR(), {"in.csv": "missing"})) == ["in.csv is missing"]


TYPED = """
from problems.asr import ASR

class Typed(ASR):
    def build_downstream(self, build_downstream, *sizes):
        def width():
            return {number}
        return width()

class Callback:
    def on_fit_start(self, loop):
        return {number}

Typed.callbacks = [Callback()]
"""


def typed(number: int) -> ASR:
    """A problem whose source is in no file, as in an interpreter."""
    names = {"__name__": "typed_in"}
    exec(compile(TYPED.format(number=number), "<stdin>", "exec"), names)
    return names["Typed"]()


def test_code_typed_into_an_interpreter_has_its_own_fingerprint():
    old, new = (fingerprint(typed(n), (*CODE, "callbacks"), {}, {}) for n in (8, 9))
    assert set(old["code"]) == {"build_downstream", "callbacks"}
    assert differences(old, fingerprint(typed(8), (*CODE, "callbacks"), {}, {})) == []
    assert differences(old, new) == ["the code of build_downstream changed", "the code of callbacks changed"]


def test_the_module_of_a_named_part_and_what_it_imports_of_the_users_are_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fp_parts.py").write_text("import torch\n\nclass Head:\n    def f(self):\n        import fp_help\n")
    (tmp_path / "fp_help.py").write_text("width = 3\n")
    (tmp_path / "fp_other.py").write_text("")
    settings = {"build_downstream": {"name": "fp_parts:Head", "conf": {}}, "augment": [{"name": "fp_help:width"}]}

    def now() -> dict:
        return fingerprint(ASR(), CODE, settings, {})

    old = now()
    assert set(old["code"]) == {"fp_parts:Head", "fp_help:width"}
    (tmp_path / "fp_other.py").write_text("changed = 1")
    assert differences(old, now()) == []
    (tmp_path / "fp_help.py").write_text("width = 4\n")
    assert differences(old, now()) == ["the code of fp_help:width changed", "the code of fp_parts:Head changed"]
    settings["build_downstream"]["name"] = "linear"
    assert set(now()["code"]) == {"fp_help:width"}


def test_a_loop_named_by_its_path_is_seen(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "fp_loops.py").write_text("class Loop:\n    pass\n")

    class Looping(ASR):
        train_loop = "fp_loops:Loop"

    old = fingerprint(Looping(), ("train_loop",), {}, {})
    (tmp_path / "fp_loops.py").write_text("class Loop:\n    step = 2\n")
    assert differences(old, fingerprint(Looping(), ("train_loop",), {}, {})) == ["the code of fp_loops:Loop changed"]


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1]}) == {"a.b": 1, "a.c": {}, "d": [1]}


def test_of_a_folder_the_names_of_its_files_count(tmp_path):
    folder = tmp_path / "größe"
    (folder / "below").mkdir(parents=True)
    (folder / "below" / "a.wav").write_bytes(b"1")
    first = hash_files([folder], tmp_path)
    assert list(first) == ["größe"]
    (folder / "below" / "a.wav").write_bytes(b"22")
    assert hash_files([folder], tmp_path) == first, "not what is in them, which would have to be read"
    (folder / "b.wav").write_bytes(b"")
    second = hash_files([folder], tmp_path)
    assert second != first
    (folder / "b.wav").rename(folder / "below" / "b.wav")
    assert hash_files([folder], tmp_path) not in (first, second)
    folder.rename(tmp_path / "moved")
    assert (
        hash_files([tmp_path / "moved"], tmp_path)["moved"]
        == hash_files([tmp_path / "moved"], Path("/"))[str(tmp_path / "moved").lstrip("/")]
    )
