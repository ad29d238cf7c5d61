"""A report shows every result once, as the task declares it, and its page is one inert file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import subprocess
import sys
from pathlib import Path

from problems.engine.report.report import write_report
from tests.parts.target_folders import SCRIPT, Page, write_result, write_training


def page_of(target: Path, tmp_path: Path, **settings: str) -> Page:
    """The page of a new report."""
    write_report(target, tmp_path / "report", **settings)
    return Page(tmp_path / "report" / "report.html")


def test_results_hold_every_number_and_the_headline_is_the_best_in_validation(target, tmp_path):
    report = write_report(target, tmp_path / "report")
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert results == report.to_json()
    assert results["name"] == "asr / toy & Zürich"
    assert results["best"] == {"checkpoint": "step_100", "rule": "wer min"}
    assert results["checkpoints"]["step_50"] == {"clean": {"wer": 0.22222222, "cer": 0.1, "loss": 0.75, "words": 1234}}
    best = {"rule": "wer min", "metric": "wer", "value": 0.125, "step": 100, "kept": ["step_100", "step_50"]}
    assert results["validation"][0] == best
    assert results["notes"] == report.notes == []


def test_table_reads_as_plain_text(target, tmp_path):
    lines = write_report(target, tmp_path / "report").to_text().splitlines()
    assert lines[0].split() == ["checkpoint", "test", "set", "wer", "cer", "loss", "words"]
    assert lines[2].split() == ["step_50", "clean", "22.22%", "10.00%", "0.75", "1,234"]
    assert lines[4].split() == ["step_100", "*", "clean", "8.33%", "4.00%", "0.5", "1,234"]
    assert lines[3].split()[-4:] == ["–", "125.00%", "–", "7"]
    assert lines[-1] == "* best in validation (wer min)"
    assert len({len(line) for line in lines[:-1]}) == 1


def test_a_metric_is_shown_as_declared_and_as_a_plain_number_otherwise_whatever_its_name(tmp_path):
    folder = write_result(tmp_path / "run", "step_9", "test", {"mean_absolute_error": 8.132, "gain": 0.5, "odd": 2})
    result = json.loads((folder / "result.json").read_text())
    result["declarations"] = {"gain": {"kind": "rate"}, "odd": {"kind": "nonsense", "better": 7}}
    (folder / "result.json").write_text(json.dumps(result))
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.to_text().splitlines()[2].split() == ["step_9", "test", "8.132", "50.00%", "2"]
    page = Page(tmp_path / "report" / "report.html")
    assert "8.132" in page.text and "50.00%" in page.text and "test mean absolute error · test" in page.text


def test_page_is_one_file_that_may_load_nothing(target, tmp_path):
    page = page_of(target, tmp_path)
    assert not {"link", "img", "iframe", "object", "base"} & set(page.tags) and page.tags.count("script") == 1
    for name, value in page.attributes:
        assert not name.startswith("on") and name != "style"
        if name in ("src", "href", "action", "srcset", "xlink:href"):
            assert value.startswith(("#", "data:audio/"))
    text = "".join(page.text)
    assert "url(" not in text and "@import" not in text and "eval(" not in text
    assert page.tags.count("svg") == 4 + 1  # the plots, and the bar of a stage
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {value[1:] for name, value in page.attributes if name == "href"} <= set(ids)


def test_the_policy_allows_the_style_and_the_script_of_the_page_and_nothing_else(target, tmp_path):
    page = page_of(target, tmp_path)
    (policy,) = (value for name, value in page.attributes if name == "content" and "default-src" in value)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("default-src") == "'none'" and rules.pop("media-src") == "data:"
    for tag, rule in (("style", "style-src"), ("script", "script-src")):
        text = next(text for text, own in zip(page.text, page.parents) if own == tag)
        assert rules.pop(rule) == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert set(rules.values()) == {"'none'"}


def test_users_text_is_inert(target, tmp_path):
    page = page_of(target, tmp_path, name=SCRIPT)
    assert page.tags.count("script") == 1  # ours
    assert page.text.count(SCRIPT) >= 3  # headline, transcript, environment
    assert SCRIPT.replace("/", "|") in page.text
    assert any(f"# {SCRIPT}" in text for text in page.text)


def test_page_shows_the_numbers_of_results_json(target, tmp_path):
    report = write_report(target, tmp_path / "report")
    page = Page(tmp_path / "report" / "report.html")
    tests = [metrics for sets in report.to_json()["checkpoints"].values() for metrics in sets.values()]
    expected = {value for metrics in tests for value in metrics.values() if value is not None}
    expected |= {best["value"] for best in report.to_json()["validation"]}
    assert set(page.values) == expected
    for text in ("8.33%", "22.22%", "12.50%", "1,234", "1 min 03 s", "3.2 s"):
        assert text in page.text


def test_the_labels_of_a_classifier_are_shown_as_a_table_with_their_losses(tmp_path):
    rows = [("u1", "yes", SCRIPT, 0.9, 2.5), ("u2", "no", "", 0.6, 0.25)]
    columns = ("confidence", "loss")
    write_result(tmp_path / "run", "step_9", "test", {"accuracy": 0.5}, rows, predicts="label", columns=columns)
    page = page_of(tmp_path / "run", tmp_path)
    assert page.text.index("u1") < page.text.index("u2") and {"2.5", "0.25", "yes", SCRIPT} <= set(page.text)
    assert not {"substituted", "deleted"} & {text.strip() for text in page.text}


def test_a_number_is_marked_neither_right_nor_wrong(tmp_path):
    rows = [("u1", "3.5", "3.25", 0.5), ("u2", "1.0", "1.0", 0.0)]
    for kind, judged in (("number", False), ("label", True)):
        target = tmp_path / kind
        write_result(target, "step_9", "test", {"mse": 0.5}, rows, predicts=kind, columns=("loss",))
        write_report(target, target / "report")
        page = (target / "report" / "report.html").read_text(encoding="utf-8")
        assert "3.25" in page and ('class="label wrong"' in page) == judged


def test_worst_utterances_mark_each_error(target, tmp_path):
    write_report(target, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text(encoding="utf-8")
    assert page.index("<code>u1</code>") < page.index("<code>u2</code>")
    assert "<code>u3</code>" not in page
    assert '<span class="pair substitution"><del>b</del><ins>x</ins></span>' in page
    assert '<span class="pair insertion"><del></del><ins>d</ins></span>' in page


def test_same_input_same_bytes(target, tmp_path):
    for name in ("first", "again"):
        write_report(target, tmp_path / name)
    for path in (path for path in (tmp_path / "first").rglob("*") if path.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "first")).read_bytes(), path.name


def test_results_without_training(tmp_path):
    write_result(tmp_path / "run", "step_9", "test", {"accuracy": 0.5})
    write_result(tmp_path / "run", "step_10", "test", {"accuracy": 0.75})
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.to_json()["best"] == {"checkpoint": "step_10", "rule": None}
    assert "no curves" in report.notes[0] and "note: No training history" in report.to_text()
    assert "test accuracy" in (tmp_path / "report" / "report.html").read_text()


def test_training_without_results(tmp_path):
    write_training(tmp_path / "run")
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.to_json()["checkpoints"] == {}
    assert report.to_text() == "note: No results (evaluate/): no checkpoint has been tested."
    assert Page(tmp_path / "report" / "report.html").tags.count("svg") == 4


def test_nothing_at_all(tmp_path):
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert len(report.notes) == 2
    assert "no checkpoint yet" in (tmp_path / "report" / "report.html").read_text()


def test_a_best_checkpoint_that_was_not_tested_is_noted_and_no_test_result_chooses_another(target, tmp_path):
    (target / "train" / "best.json").write_text('{"wer min": ["step_200"]}')
    report = write_report(target, tmp_path / "report")
    assert report.to_json()["best"] == {"checkpoint": "step_100", "rule": None}
    assert report.notes == ["step_200, the best in validation (wer min), was not tested: the headline shows step_100."]
    assert "*" not in report.to_text()


def test_numbers_that_json_cannot_hold_become_null(target, tmp_path):
    history = target / "train" / "metrics.jsonl"
    history.write_text('{"step": 1, "split": "valid", "loss": NaN, "wer": Infinity}\n')
    write_result(target, "step_100", "odd", {"wer": math.inf, "loss": math.nan})
    write_report(target, tmp_path / "report")

    def refuse(constant: str):
        raise AssertionError(f"{constant} in results.json")

    text = (tmp_path / "report" / "results.json").read_text()
    results = json.loads(text, parse_constant=refuse)
    assert results["checkpoints"]["step_100"]["odd"] == {"wer": None, "loss": None}


def test_import_is_light_and_writing_touches_no_pyplot(tmp_path):
    code = (
        "import sys; from problems.engine.report.report import write_report\n"
        "assert not {'torch', 'matplotlib', 'jinja2', 'pandas'} & set(sys.modules)\n"
        f"write_report({str(tmp_path / 'run')!r}, {str(tmp_path / 'report')!r})\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4])
