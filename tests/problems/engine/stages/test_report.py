"""Lists of utterances belong to the report: asking for others tests no model again."""

from __future__ import annotations

import csv
from pathlib import Path

from problems.asr import ASR
from problems.engine.cli.main import execute


def lists(folder: Path) -> dict[str, list[str]]:
    """The ids of each list on the test set."""
    found = {}
    for path in sorted((folder / "run" / "report" / "test").glob("*.csv")):
        with open(path, newline="", encoding="utf-8") as file:
            found[path.stem] = [row["id"] for row in csv.DictReader(file)]
    return found


def test_other_lists_are_written_without_testing_again(tiny, tmp_path):
    assert execute(ASR(), ["run", *tiny]) == 0
    assert list(lists(tmp_path)) == ["worst_word_errors"]
    tested = {path: path.stat().st_mtime_ns for path in (tmp_path / "run" / "evaluate").rglob("*") if path.is_file()}
    asked = "--evaluate.worst=[{metric: loss, n: 3}, {metric: wer, n: 2, best: true}]"
    assert execute(ASR(), ["run", *tiny, asked]) == 0
    found = lists(tmp_path)
    assert {name: len(ids) for name, ids in found.items()} == {"best_wer": 2, "worst_loss": 3}
    assert all(path.stat().st_mtime_ns == time for path, time in tested.items())
    page = tmp_path / "run" / "report" / "report.html"
    text, written = page.read_text(), page.stat().st_mtime_ns
    assert "the 3 worst by loss of 7" in text and all(f"<code>{id}</code>" in text for id in found["worst_loss"])
    assert execute(ASR(), ["run", *tiny, asked]) == 0
    assert page.stat().st_mtime_ns == written  # the same lists are there already


def test_a_list_that_cannot_be_made_is_refused(tiny, tmp_path, capfd):
    assert execute(ASR(), ["run", *tiny, "--evaluate.worst=[{metric: wer, count: 3}]"]) == 2
    assert "evaluate.worst[0]: there is no key 'count'" in capfd.readouterr().err
    assert not (tmp_path / "run" / "data").exists()
    assert execute(ASR(), ["run", *tiny, "--evaluate.worst=[{metric: wre}]"]) == 2
    assert "no 'wre' (did you mean 'wer'?); they have wer, cer, loss" in capfd.readouterr().err
