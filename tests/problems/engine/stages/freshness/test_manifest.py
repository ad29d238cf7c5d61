"""The record of each stage: what makes a stage stale, and what does not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from problems.asr import ASR
from problems.engine.stages.freshness.fingerprint import fingerprint, hash_files
from problems.engine.stages.freshness.manifest import Manifest

STAGE = 1
CONFIG = {"build_encoder": {"name": "character", "conf": {"case": "keep"}}}


@pytest.fixture
def done(tmp_path):
    """A folder in which the stage is done: it read ``in.csv`` and left ``out/a.json``."""
    (tmp_path / "out").mkdir()
    (tmp_path / "in.csv").write_text("id\n1\n")
    (tmp_path / "out/a.json").write_text("{}")
    Manifest(tmp_path).record_done(STAGE, mark(tmp_path), [tmp_path / "out/a.json"], seconds=1.0, versions={})
    return tmp_path


def mark(root: Path, config: dict = CONFIG, problem: ASR | None = None) -> dict:
    settings = {"build_encoder": config["build_encoder"]}
    return fingerprint(problem or ASR(), ("build_encoder",), settings, hash_files([root / "in.csv"], root))


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
    changed = {"build_encoder": {"name": "word", "conf": {"size": 3}}}
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


def test_an_interrupted_or_failed_stage_is_not_done(done):
    for status in ("started", "failed", "interrupted"):
        Manifest(done).record(STAGE, status=status)
        assert status in reasons(done)[0]


def test_keys_that_may_change_are_ignored(done):
    changed = {"build_encoder": {"name": "word", "conf": {"case": "lower"}}}
    fresh = mark(done, config=changed)
    assert Manifest(done).stale(STAGE, fresh, ["build_encoder.name"]) == ['build_encoder.conf.case: "keep" -> "lower"']


def test_a_stage_that_left_no_status_did_not_finish(done):
    (done / "stages.json").write_text('{"stages": {"1": {"name": "build encoder"}}}')
    assert reasons(done) == ["it did not finish (no status recorded)"]


def test_a_damaged_manifest_is_no_manifest(done):
    for text in ("{", "[]", '{"stages": 3}', '{"stages": {"1": 3}}', '{"stages": {"1": {"status": "done"}}}', "\x00"):
        (done / "stages.json").write_text(text)
        assert reasons(done), text


def test_another_class_is_seen(done):
    class Other(ASR):
        pass

    assert reasons(done, problem=Other())[0].startswith("class: ASR -> ")
