"""``python -m problems compare``: runs side by side, with paired tests; mistakes are messages."""

from __future__ import annotations

import json

import numpy as np
import pytest

from problems.__main__ import main
from problems.asr import ASR
from problems.engine.cli.main import execute
from problems.engine.report.paired import compare as compare_rows
from problems.engine.report.paired import most_different
from tasks.classification import ClassificationTask
from tasks.ctc import CTCTask


@pytest.fixture
def runs(tiny, tmp_path):
    """Three finished runs with other seeds, one of them with another rate."""
    folders = []
    for seed in range(3):
        folder = tmp_path / f"run ü{seed}"
        rate = ["--build_optimizer.conf.lr=0.02"] if seed == 2 else []
        options = [option for option in tiny if not option.startswith("--target_dir")]
        given = ["run", *options, *rate, f"--target_dir={folder}", f"--train.seed={seed}"]
        assert execute(ASR(), given) == 0
        folders.append(str(folder))
    return folders


def test_runs_are_compared_on_one_page(runs, tmp_path, capfd):
    capfd.readouterr()
    out = tmp_path / "out"
    assert main(["compare", *runs, "--out", str(out)]) == 0
    text = capfd.readouterr().out
    assert "run ü1 - run ü0" in text and "run ü2 - run ü0" in text and "matched pairs p =" in text
    result = json.loads((out / "comparison.json").read_text())
    wers = {name: run["results"]["test"]["wer"] for name, run in result["runs"].items()}
    for pair in result["pairs"]:
        if pair["metric"] == "wer":
            assert pair["difference"] == pytest.approx(wers[pair["run"]] - wers["run ü0"], abs=1e-9)
            assert pair["low"] <= pair["difference"] <= pair["high"] or pair["difference"] == 0
    page = (out / "comparison.html").read_text()
    assert "build_optimizer.conf.lr" in page and "train.seed" in page and "target_dir" not in page
    assert "validation WER" in page and "<svg" in page and 'src="http' not in page
    assert main(["compare", *runs[:2], "--baseline", runs[1], "--out", str(out)]) == 0
    assert "run ü0 - run ü1" in capfd.readouterr().out


@pytest.mark.parametrize(
    "words, message",
    [
        (["compare"], "compare needs two target folders or more"),
        (["compare", "one", "two"], "one holds no report/results.json"),
        (["compare", "--basline", "x", "y"], "unknown option"),
        (["compair"], "unknown command 'compair'; expected compare"),
        (["predict"], "predict is a command of a problem: python -m problems.asr predict"),
    ],
)
def test_mistakes_are_messages(words, message, capsys):
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_without_a_command_the_problems_are_listed(capsys):
    assert main([]) == 0
    assert "python -m problems.asr" in capsys.readouterr().out


def words(errors, hypothesis="x"):
    return [
        {
            "id": f"u{i}",
            "reference": "a b",
            "hypothesis": hypothesis,
            "word_errors": str(e),
            "word_reference_length": "2",
        }
        for i, e in enumerate(errors)
    ]


def test_a_difference_is_of_the_utterances_that_both_have():
    draw = np.random.default_rng(0)
    one, other = draw.integers(0, 3, 200), draw.integers(0, 2, 200)
    (found,) = compare_rows(words(one), words(other)[:150], {"wer": CTCTask.metrics["wer"]}, {})
    assert found.shared == 150 and found.unit == "utterance" and found.test == "matched pairs"
    assert found.difference == pytest.approx((other[:150].sum() - one[:150].sum()) / 300)
    assert found.low < found.difference < found.high < 0 and found.p < 0.01 and found.test_p < 0.01
    speakers = {f"u{i}": f"s{i % 10}" for i in range(200)}
    (found,) = compare_rows(words(one), words(other), {"wer": CTCTask.metrics["wer"]}, speakers)
    assert found.unit == "speaker"
    assert compare_rows(words(one), [], {"wer": CTCTask.metrics["wer"]}, {}) == []


def test_right_and_wrong_are_compared_by_mcnemar():
    rows = [[{"id": f"u{i}", "correct": str(i % k != 0)} for i in range(40)] for k in (2, 5)]
    (found,) = compare_rows(*rows, {"accuracy": ClassificationTask.metrics["accuracy"]}, {})
    assert found.test == "McNemar" and found.difference == pytest.approx(0.8 - 0.5)


def test_trials_are_compared_by_their_equal_error_rate():
    draw = np.random.default_rng(1)
    rows = []
    for noise in (0.3, 1.5):
        table = []
        for a in range(24):
            for b in range(a):
                target = a % 6 == b % 6
                score = float(target) + noise * draw.normal()
                table.append({"id1": f"u{a}", "id2": f"u{b}", "label": str(int(target)), "score": str(score)})
        rows.append(table)
    (found,) = compare_rows(*rows, {}, {})
    assert found.metric == "eer" and found.one < found.other and found.low > 0 and found.p < 0.05
    assert found.shared == 276


def test_the_utterances_that_differ_most_are_listed():
    contrasts = most_different(words([0, 2, 1]), words([2, 2, 0], "y"), CTCTask.metrics["wer"])
    assert [contrast.id for contrast in contrasts] == ["u0", "u2"]
    assert contrasts[0].hypotheses == ("x", "y") and contrasts[0].values == ("word errors 0", "word errors 2")
