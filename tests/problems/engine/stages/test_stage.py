"""Fingerprints and the manifest: what makes a stage stale, and what does not."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.stages.stage import Manifest, Stage, differences, fingerprint, flatten, hash_files

STAGE = Stage(1, "build encoder", ("build_encoder", "build_downstream"))
CONFIG = {"build_encoder": {"name": "character", "conf": {"case": "keep"}}, "other": 1}


@pytest.fixture
def done(tmp_path):
    """A folder in which the stage is done: it read ``in.csv`` and left ``out/a.json``."""
    (tmp_path / "out").mkdir()
    (tmp_path / "in.csv").write_text("id\n1\n")
    (tmp_path / "out/a.json").write_text("{}")
    Manifest(tmp_path).done(STAGE, mark(tmp_path), [tmp_path / "out/a.json"], 1.0, {})
    return tmp_path


def mark(root: Path, config: dict = CONFIG, problem: ASR | None = None) -> dict:
    return fingerprint(problem or ASR(), STAGE, config, hash_files([root / "in.csv"], root))


def reasons(root: Path, **kwargs) -> list[str]:
    return Manifest(root).stale(STAGE, mark(root, **kwargs))


def test_done_and_fresh(done):
    assert reasons(done) == []


def test_never_run(tmp_path):
    assert Manifest(tmp_path).stale(STAGE, mark(tmp_path)) == ["it has not run"]


def test_times_do_not_matter(done):
    os.utime(done / "in.csv", (1, 1))
    os.utime(done / "out/a.json", (1, 1))
    (done / "in.csv").write_text("id\n1\n")
    assert reasons(done) == []


def test_a_moved_folder_is_as_fresh_as_it_was(done, tmp_path_factory):
    moved = tmp_path_factory.mktemp("elsewhere") / "run"
    os.rename(done, moved)
    assert reasons(moved) == []


def test_changed_and_missing_inputs(done):
    (done / "in.csv").write_text("id\n2\n")
    assert reasons(done) == ["in.csv changed"]
    (done / "in.csv").unlink()
    assert reasons(done) == ["in.csv is missing"]


def test_changed_and_missing_outputs(done):
    (done / "out/a.json").write_text("{ }")
    assert reasons(done) == ["its output out/a.json was changed or damaged since"]
    (done / "out/a.json").unlink()
    assert reasons(done) == ["its output out/a.json is missing"]


def test_config_keys_are_told_with_old_and_new_value(done):
    changed = {"build_encoder": {"name": "word", "conf": {"size": 3}}, "other": 1}
    assert reasons(done, config=changed) == [
        'build_encoder.conf.case: "keep" -> (not there)',
        "build_encoder.conf.size: (not there) -> 3",
        'build_encoder.name: "character" -> "word"',
    ]


def test_a_setting_of_a_newer_version_that_is_off_changes_nothing(done):
    conf = {**CONFIG["build_encoder"]["conf"], "limit": None}
    config = {"build_encoder": {**CONFIG["build_encoder"], "conf": conf}}
    assert reasons(done, config=config) == []
    conf["limit"] = 3
    assert reasons(done, config=config) == ["build_encoder.conf.limit: (not there) -> 3"]


def test_sections_of_other_stages_do_not_matter(done):
    assert reasons(done, config={**CONFIG, "other": 2}) == []


def test_a_new_input(done):
    (done / "new.csv").write_text("x")
    new = fingerprint(ASR(), STAGE, CONFIG, hash_files([done / "in.csv", done / "new.csv"], done))
    assert Manifest(done).stale(STAGE, new) == ["new.csv is new"]
    assert differences(new, mark(done)) == ["new.csv is not read now"]


def test_an_interrupted_or_failed_stage_is_not_done(done):
    for status in ("begun", "failed", "interrupted"):
        Manifest(done).record(STAGE, status=status)
        assert status in reasons(done)[0]


def test_a_damaged_manifest_is_no_manifest(done):
    for text in ("{", "[]", '{"stages": 3}', '{"stages": {"1": 3}}', '{"stages": {"1": {"status": "done"}}}', "\x00"):
        (done / "stages.json").write_text(text)
        assert reasons(done), text


def test_another_class_is_seen(done):
    class Other(ASR):
        pass

    assert reasons(done, problem=Other())[0].startswith("class: ASR -> ")


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


def test_an_edited_method_is_seen_and_one_of_another_stage_is_not(tmp_path, edited):
    (tmp_path / "in.csv").write_text("x")
    Manifest(tmp_path).done(STAGE, mark(tmp_path, problem=edited(1)), [], 1.0, {})
    assert reasons(tmp_path, problem=edited(1)) == []
    assert reasons(tmp_path, problem=edited(1, other=5, unrelated=7)) == []
    assert reasons(tmp_path, problem=edited(22)) == ["the code of build_downstream changed"]


def test_methods_of_ours_are_not_hashed(tmp_path):
    assert mark(tmp_path)["code"] == {}


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
