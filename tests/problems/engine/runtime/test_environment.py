"""The environment of a run, as its target folder records it."""

from __future__ import annotations

import subprocess
import sys

from problems.engine.runtime.environment import _git, as_typed, cores, describe, reading_workers


def test_what_a_result_depends_on_is_recorded(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run", "--train.seed", "1"])
    environment = describe("cpu")
    assert environment["command"] == "run --train.seed 1" and environment["device"] == "cpu"
    assert environment["torch"].startswith("2.") and environment["threads"] >= 1


def test_no_more_workers_than_cores():
    assert reading_workers({"num_workers": 0}) == 0
    assert reading_workers({"num_workers": 10**6}) == cores()


def test_an_option_is_written_as_it_works_when_typed(monkeypatch):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert as_typed("start", 2) == "--start 2"
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert as_typed("start", 2) == "start=2"


def test_the_commit_of_a_repository_is_recorded_with_a_mark_after_changes(tmp_path):
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b"]
    assert _git(tmp_path) is None
    for words in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "Begin"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    assert _git(tmp_path) == commit[:12]
    (tmp_path / "a").write_text("a")
    subprocess.run([*git, "add", "a"], check=True)
    assert _git(tmp_path) == f"{commit[:12]}-dirty"
