"""The worst utterances: texts by word errors, labels by loss, trials by their side, and any by what is asked for."""

from __future__ import annotations

import random

import numpy as np
import pytest

from problems.engine.report.rankings import Ranking, ranked, rankings, usual
from problems.engine.runtime.errors import ConfigError
from tasks.classification import ClassificationTask
from tasks.ctc import CTCTask
from tasks.metrics.kinds import Rate
from tasks.verification.task import VerificationTask


def text_rows(texts: dict[str, tuple[str, str]]) -> list[dict[str, str]]:
    return [{"id": id, "reference": r, "hypothesis": h} for id, (r, h) in texts.items()]


def label_rows(count: int) -> list[dict[str, str]]:
    """Rows of a classifier, half of them wrong, with losses that no id tells."""
    draw = random.Random(0)
    return [
        {
            "id": f"u{number:03}",
            "reference": "yes",
            "hypothesis": draw.choice(["yes", "no"]),
            "confidence": str(draw.uniform(0.5, 1)),
            "loss": str(draw.expovariate(1)),
        }
        for number in range(count)
    ]


def trial_rows(count: int = 200, calibrated: bool = True) -> list[dict[str, str]]:
    """Trials whose scores are higher for the same speaker, mostly."""
    draw = np.random.default_rng(0)
    labels = np.arange(count) % 4 == 0
    scores = draw.normal(size=count) + 2 * labels
    rows = [
        {"id1": f"a{n}", "id2": f"b{n}", "label": str(int(label)), "score": str(score)}
        for n, (label, score) in enumerate(zip(labels, scores))
    ]
    return [row | ({"llr": str(2 * float(row["score"]) - 2)} if calibrated else {}) for row in rows]


def ids(found) -> list[str]:
    return [row["id"] for row in found.rows]


# ---- without being asked ----


def test_texts_are_ranked_by_errors_then_by_rate_and_right_ones_left_out():
    rows = text_rows({"one": ("a b", "a"), "two": ("a b c", "x y c"), "half": ("a b", "b c"), "none": ("a", "a")})
    found = usual(rows, "text", {})
    assert ids(found) == ["half", "two", "one"] and found.values == ["2 of 2", "2 of 3", "1 of 2"]


def test_labels_are_those_with_the_highest_losses():
    rows = label_rows(200)
    highest = sorted(rows, key=lambda row: -float(row["loss"]))[:20]
    assert ids(usual(rows, "label", {})) == [row["id"] for row in highest]


def test_of_equal_losses_the_more_confident_label_is_worse():
    rows = [row | {"loss": "1.5"} for row in label_rows(50)]
    surest = sorted(rows, key=lambda row: -float(row["confidence"]))[:20]
    assert ids(usual(rows, "label", {})) == [row["id"] for row in surest]


@pytest.mark.parametrize("text", ["", "inf", "nan"])
def test_a_loss_that_is_not_finite_is_the_highest_and_never_the_lowest(text):
    rows = label_rows(10)
    rows[7]["loss"] = text
    assert ids(usual(rows, "label", {}))[0] == "u007"
    assert "u007" not in ids(ranked(rows, Ranking("loss", best=True), {}))


def test_without_losses_only_wrong_labels_are_shown():
    rows = [{key: row[key] for key in ("id", "reference", "hypothesis")} for row in label_rows(30)]
    wrong = [row["id"] for row in rows if row["hypothesis"] == "no"]
    assert ids(usual(rows, "label", {})) == wrong[:20]


@pytest.mark.parametrize("calibrated", [True, False])
def test_trials_are_those_farthest_on_the_wrong_side(calibrated):
    found = usual(trial_rows(calibrated=calibrated), "trials", VerificationTask.metrics)
    signs = [(1 if row["label"] == "1" else -1) * (float(row["score"]) - 1) for row in found.rows]
    assert 5 < len(found.rows) <= 20 and signs[0] < -1
    assert max(signs) < (1e-9 if calibrated else 0.3)  # at even odds, or near them
    if calibrated:
        assert signs == sorted(signs)


def test_turns_are_ranked_by_the_first_metric_of_recordings():
    rows = [{"id": id, "errors": e, "speech": s, "loss": "0"} for id, e, s in (("a", "1", "9"), ("b", "2", "4"))]
    found = usual(rows, "turns", {"der": Rate(better="lower", label="DER", of=("errors", "speech"))})
    assert ids(found) == ["b", "a"] and found.values == ["50.00%", "11.11%"] and found.name == "worst_der"


@pytest.mark.parametrize(
    "rows, predicts, caption",
    [
        (text_rows({"a": ("x y", "x")}), "text", "the 1 with the most word errors of 1 utterances"),
        (text_rows({"a": ("x", "x")}), "text", "no errors in 1 utterances"),
        (label_rows(1200), "label", "the 20 with the highest loss of 1,200 utterances"),
        (text_rows({"a": ("x", "y")}), "label", "1 wrong of 1 utterances"),
        (text_rows({"a": ("2.5", "2.5")}), "None", "no errors in 1 utterances"),
        ([], "text", "no errors in 0 utterances"),
        ([], "label", "no errors in 0 utterances"),
        ([], "trials", "no errors in 0 trials"),
    ],
)
def test_the_caption_states_the_selection(rows, predicts, caption):
    assert usual(rows, predicts, {}).caption == caption


# ---- as asked ----


def test_a_metric_is_ranked_by_the_columns_that_it_is_declared_of():
    rows = [
        {"id": id, "word_errors": errors, "word_reference_length": words}
        for id, errors, words in (("a", "1", "2"), ("b", "2", "9"), ("c", "0", "0"), ("d", "3", "0"))
    ]
    worst = ranked(rows, Ranking("wer", 3), CTCTask.metrics)
    assert ids(worst) == ["d", "a", "b"] and worst.values == ["–", "50.00%", "22.22%"]
    assert ids(ranked(rows, Ranking("wer", 2, best=True), CTCTask.metrics)) == ["c", "b"]


def test_a_metric_that_is_better_higher_is_worst_where_it_is_lowest():
    rows = [{"id": str(n), "correct": str(n % 3 == 0)} for n in range(6)]
    assert ids(ranked(rows, Ranking("accuracy", 4), ClassificationTask.metrics)) == ["1", "2", "4", "5"]


def test_a_column_without_a_direction_is_highest_first():
    found = ranked(label_rows(30), Ranking("confidence", 3), {})
    values = [float(row["confidence"]) for row in found.rows]
    assert values == sorted((float(row["confidence"]) for row in label_rows(30)), reverse=True)[:3]
    assert found.caption == "the 3 with the highest confidence of 30" and found.name == "worst_confidence"


def test_a_number_that_utterances_do_not_have_is_refused_with_those_that_they_have():
    rows = [row | {"correct": "True"} for row in label_rows(3)]
    with pytest.raises(ConfigError, match=r"of dev have no 'los' \(did you mean 'loss'\?\); they have accuracy, loss"):
        ranked(rows, Ranking("los"), ClassificationTask.metrics, "dev")


@pytest.mark.parametrize(
    "setting, message",
    [
        (["loss"], r"evaluate.worst\[0\]: expected \{metric: NAME\}"),
        ([{"n": 3}], r"expected \{metric: NAME\}"),
        ([{"metric": "wer"}, {"metric": "cer", "count": 3}], r"evaluate.worst\[1\]: there is no key 'count'"),
        ([{"metric": "wer", "n": 0}], r"evaluate.worst\[0\].n: expected a number of utterances from 1, got 0"),
        ([{"metric": "wer", "n": True}], "got True"),
        ([{"metric": "wer", "best": "yes"}], r"evaluate.worst\[0\].best: expected true or false"),
        ([{"metric": "wer"}, {"metric": "wer", "n": 3}], "worst_wer is asked for twice"),
    ],
)
def test_a_list_of_another_form_is_refused_by_its_place(setting, message):
    with pytest.raises(ConfigError, match=message):
        rankings(setting)


def test_the_names_of_lists_are_those_of_files():
    asked = rankings([{"metric": "a/../b"}, {"metric": "wer", "n": 3, "best": True}])
    assert [ranking.name for ranking in asked] == ["worst_a_.._b", "best_wer"] and asked[1].count == 3
    assert rankings(None) == []
