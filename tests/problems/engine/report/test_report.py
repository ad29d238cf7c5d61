"""A report shows every result, once, as the task declares it, and no text of a user's acts in its page."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from problems.engine.report import write_report
from problems.engine.report.worst_utterances import align, worst_utterances
from problems.engine.runtime.formatting import duration

SCRIPT = "<script>alert(1)</script>"
DECLARATIONS = {
    "wer": {"kind": "rate", "better": "lower", "label": "WER"},
    "cer": {"kind": "rate", "better": "lower", "label": "CER"},
    "loss": {"kind": "number", "better": "lower"},
    "words": {"kind": "count"},
}


class Page(HTMLParser):
    """Tags, attributes, text and the ``<data>`` values of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.values: list[float] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag == "data" and dict(attributes)["value"]:
            self.values.append(float(dict(attributes)["value"]))

    def handle_data(self, data):
        self.text.append(data)


def write_result(target: Path, checkpoint: str, test_set: str, metrics: dict, rows=()) -> Path:
    folder = target / "evaluate" / checkpoint / test_set
    folder.mkdir(parents=True)
    declarations = {name: DECLARATIONS[name] for name in metrics if name in DECLARATIONS}
    content = {"metrics": metrics, "declarations": declarations, "utterances": len(rows), "seconds": 63.0}
    (folder / "result.json").write_text(json.dumps(content), encoding="utf-8")
    with open(folder / "predictions.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("id", "reference", "hypothesis"), *rows])
    return folder


def write_training(target: Path) -> None:
    (target / "train").mkdir(parents=True)
    rows = [{"step": s, "split": "train", "loss": 30 / s, "lr": 1e-3} for s in range(10, 110, 10)]
    for step, wer in ((50, 0.25), (100, 0.125)):
        rows.append({"step": step, "split": "valid", "loss": 1.5, "wer": wer, "cer": wer / 2, "words": 40.0})
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (target / "train" / "metrics.jsonl").write_text(lines)
    (target / "train" / "declarations.json").write_text(json.dumps(DECLARATIONS))
    rules = {"wer min": ["step_100", "step_50"], "loss min": ["step_50"]}
    (target / "train" / "best.json").write_text(json.dumps(rules))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A whole run: two checkpoints, two test sets, hostile text wherever a user's text can be."""
    target = tmp_path / "asr" / "toy & Zürich"
    write_training(target)
    rows = [("u1", "a b c", "a x c d"), ("u2", f"{SCRIPT} b", "b"), ("u3", "same", "same")]
    write_result(target, "step_50", "clean", {"wer": 0.22222222, "cer": 0.1, "loss": 0.75, "words": 1234})
    write_result(target, "step_100", "clean", {"wer": 0.08333333, "cer": 0.04, "loss": 0.5, "words": 1234}, rows)
    write_result(target, "step_100", SCRIPT.replace("/", "|"), {"wer": None, "cer": 1.25, "words": 7}, rows)
    stages = {"0": {"name": "prepare data", "status": "done", "seconds": 3.2}, "4": {"name": "report"}}
    (target / "stages.json").write_text(json.dumps({"stages": stages}))
    (target / "env.json").write_text(json.dumps({"host": SCRIPT, "cores": 2}))
    (target / "config.yaml").write_text(f"# {SCRIPT}\ntrain:\n  seed: 7\n")
    return target


def test_results_hold_every_number_and_the_headline_is_the_best_in_validation(target, tmp_path):
    report = write_report(target, tmp_path / "report")
    results = json.loads((tmp_path / "report" / "results.json").read_text())
    assert results == report.results
    assert results["name"] == "asr / toy & Zürich"
    assert results["best"] == {"checkpoint": "step_100", "rule": "wer min"}
    assert results["checkpoints"]["step_50"] == {"clean": {"wer": 0.22222222, "cer": 0.1, "loss": 0.75, "words": 1234}}
    assert results["validation"][0] == {
        "rule": "wer min", "metric": "wer", "value": 0.125, "step": 100, "kept": ["step_100", "step_50"]
    }  # fmt: skip
    assert results["notes"] == report.notes == []


def test_table_reads_as_plain_text(target, tmp_path):
    lines = write_report(target, tmp_path / "report").table.splitlines()
    assert lines[0].split() == ["checkpoint", "test", "set", "wer", "cer", "loss", "words"]
    assert lines[2].split() == ["step_50", "clean", "22.22%", "10.00%", "0.75", "1,234"]
    assert lines[4].split() == ["step_100", "*", "clean", "8.33%", "4.00%", "0.5", "1,234"]
    assert lines[3].split()[-4:] == ["–", "125.00%", "–", "7"]
    assert lines[-1] == "* best in validation by wer min"
    assert len({len(line) for line in lines[:-1]}) == 1


def test_a_metric_is_shown_as_declared_and_as_a_plain_number_otherwise_whatever_its_name(tmp_path):
    folder = write_result(tmp_path / "run", "step_9", "test", {"mean_absolute_error": 8.132, "gain": 0.5, "odd": 2})
    result = json.loads((folder / "result.json").read_text())
    result["declarations"] = {"gain": {"kind": "rate"}, "odd": {"kind": "nonsense", "better": 7}}
    (folder / "result.json").write_text(json.dumps(result))
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.table.splitlines()[2].split() == ["step_9", "test", "8.132", "50.00%", "2"]
    page = Page(report.page)
    assert "8.132" in page.text and "50.00%" in page.text and "test mean absolute error · test" in page.text


def test_page_is_one_file_without_scripts_or_network(target, tmp_path):
    page = Page(write_report(target, tmp_path / "report").page)
    assert not {"script", "link", "img", "iframe", "object", "base"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on")
        if name in ("src", "href", "action", "srcset", "xlink:href"):
            assert value.startswith("#")
    assert "url(http" not in "".join(page.text) and "@import" not in "".join(page.text)
    assert page.tags.count("svg") == 4
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    references = {value[1:] for name, value in page.attributes if name == "href"}
    references |= {value[5:-1] for name, value in page.attributes if name == "clip-path"}
    assert references <= set(ids)


def test_users_text_is_inert(target, tmp_path):
    page = Page(write_report(target, tmp_path / "report", name=SCRIPT).page)
    assert "script" not in page.tags
    assert page.text.count(SCRIPT) >= 3  # headline, transcript, environment
    assert SCRIPT.replace("/", "|") in page.text
    assert any(f"# {SCRIPT}" in text for text in page.text)


def test_page_shows_the_numbers_of_results_json(target, tmp_path):
    report = write_report(target, tmp_path / "report")
    page = Page(report.page)
    tests = [metrics for sets in report.results["checkpoints"].values() for metrics in sets.values()]
    expected = {value for metrics in tests for value in metrics.values() if value is not None}
    expected |= {best["value"] for best in report.results["validation"]}
    assert set(page.values) == expected
    for text in ("8.33%", "22.22%", "12.50%", "1,234", "1 min 03 s", "3.2 s"):
        assert text in page.text


def test_worst_utterances_mark_each_error(target, tmp_path):
    page = write_report(target, tmp_path / "report").page.read_text(encoding="utf-8")
    assert page.index("<code>u1</code>") < page.index("<code>u2</code>")
    assert "<code>u3</code>" not in page
    assert '<span class="pair substitution"><del>b</del><ins>x</ins></span>' in page
    assert '<span class="pair insertion"><del></del><ins>d</ins></span>' in page


def test_plots_are_named_after_the_metrics_and_counts_have_none(target, tmp_path):
    write_report(target, tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").iterdir()}
    plots = {"loss.png", "valid_wer.png", "valid_cer.png", "learning_rate.png"}
    assert names == plots | {"report.html", "results.json"}  # and nothing half-written
    for name in plots:
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_same_input_same_bytes(target, tmp_path):
    first, again = (write_report(target, tmp_path / name).page.parent for name in ("1", "2"))
    for path in first.iterdir():
        assert path.read_bytes() == (again / path.name).read_bytes(), path.name


def test_results_without_training(tmp_path):
    write_result(tmp_path / "run", "step_9", "test", {"accuracy": 0.5})
    write_result(tmp_path / "run", "step_10", "test", {"accuracy": 0.75})
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.results["best"] == {"checkpoint": "step_10", "rule": None}
    assert "no curves" in report.notes[0] and "note: No training history" in report.table
    assert "test accuracy" in report.page.read_text()


def test_training_without_results(tmp_path):
    write_training(tmp_path / "run")
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert report.results["checkpoints"] == {}
    assert report.table == "note: No results (evaluate/): no checkpoint has been tested."
    assert Page(report.page).tags.count("svg") == 4


def test_a_result_of_a_few_batches_is_said(tmp_path):
    folder = write_result(tmp_path / "run", "step_9", "test", {"wer": 0.5})
    (folder / "result.json").write_text('{"metrics": {"wer": 0.5}, "only_batches": 3}')
    notes = write_report(tmp_path / "run", tmp_path / "report").notes
    assert "evaluate/step_9/test/result.json is of the first 3 batches only (eval_batch)." in notes


def test_nothing_at_all(tmp_path):
    report = write_report(tmp_path / "run", tmp_path / "report")
    assert len(report.notes) == 2
    assert "no checkpoint yet" in report.page.read_text()


def test_best_that_was_not_tested_is_said_and_not_replaced_by_the_best_test_result(target, tmp_path):
    (target / "train" / "best.json").write_text('{"wer min": ["step_200"]}')
    report = write_report(target, tmp_path / "report")
    assert report.results["best"] == {"checkpoint": "step_100", "rule": None}
    assert report.notes == ["step_200, the best by wer min, was not tested: the headline shows step_100."]
    assert "*" not in report.table


def test_torn_files_are_noted_and_the_rest_is_shown(target, tmp_path):
    with open(target / "train" / "metrics.jsonl", "a") as file:
        file.write('\n[1]\n{"step": null, "split": "train"}\n{"step": 110, "spl')
    (target / "train" / "best.json").write_text('{"wer min": ["step_100"], "wer": 3}')
    (target / "evaluate" / "step_50" / "clean" / "result.json").write_text('{"metrics": {"wer"')
    predictions = target / "evaluate" / "step_100" / "clean" / "predictions.csv"
    predictions.write_text("id,reference,hypothesis\nu1,a b,a\nu2,a")
    (target / "stages.json").write_bytes(b"\xff\xfe")
    report = write_report(target, tmp_path / "report")
    assert "step_50" not in report.results["checkpoints"]
    notes = "\n".join(report.notes)
    for part in (
        "metrics.jsonl: 3 damaged line(s)",
        "'wer' is no rule",
        "step_50/clean/result.json cannot be read",
        "clean/predictions.csv: 1 torn row(s)",
        "stages.json cannot be read",
    ):
        assert part in notes
    page = Page(report.page)
    assert report.notes[0] in page.text and "u1" in page.text


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


def test_a_step_logged_twice_counts_once(target, tmp_path):
    with open(target / "train" / "metrics.jsonl", "a") as file:
        file.write('{"step": 50, "split": "valid", "wer": 0.5}\n{"step": 100, "split": "valid", "wer": 0.375}\n')
    report = write_report(target, tmp_path / "report")
    assert report.results["validation"][0]["value"] == 0.375


def test_metric_names_of_any_spelling(tmp_path):
    write_training(tmp_path / "run")
    with open(tmp_path / "run" / "train" / "metrics.jsonl", "a") as file:
        file.write('{"step": 70, "split": "valid", "a/$b^": 0.5, "a_$b^": 1.5, "../up": 2.5}\n')
    write_report(tmp_path / "run", tmp_path / "report")
    names = {path.name for path in (tmp_path / "report").glob("valid_*")}
    assert names >= {"valid_a__b_.png", "valid_a__b__.png", "valid_.._up.png"}


def test_alignment_gives_back_both_texts_and_the_worst_come_first():
    for reference, hypothesis in (("a b c", "x a c"), ("", "a b"), ("a", ""), ("a b", "b a c d")):
        pairs = align(reference, hypothesis)
        assert [p.reference for p in pairs if p.reference] == reference.split()
        assert [p.hypothesis for p in pairs if p.hypothesis] == hypothesis.split()
        for pair in pairs:
            assert (pair.kind == "hit") == (pair.reference == pair.hypothesis)
    texts = {"one": ("a b", "a"), "two": ("a b c", "x y c"), "half": ("a b", "b c"), "none": ("a", "a")}
    rows = [{"id": id, "reference": r, "hypothesis": h} for id, (r, h) in texts.items()]
    assert [u.id for u in worst_utterances(rows, 2)] == ["half", "two"]
    assert [u.id for u in worst_utterances(rows, 9)] == ["half", "two", "one"]


SHOWN = [(0.04, "0.0 s"), (59.96, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min"), (None, "–")]


@pytest.mark.parametrize("seconds, shown", SHOWN)
def test_duration(seconds, shown):
    assert duration(seconds) == shown


def test_import_is_light_and_writing_touches_no_pyplot(tmp_path):
    code = (
        "import sys; from problems.engine.report import write_report\n"
        "assert not {'torch', 'matplotlib', 'jinja2', 'pandas'} & set(sys.modules)\n"
        f"write_report({str(tmp_path / 'run')!r}, {str(tmp_path / 'report')!r})\n"
        "assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[4])
