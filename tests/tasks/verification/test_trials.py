"""Trials keep what their table says, and only those with all of their utterances are scored."""

from __future__ import annotations

import pandas as pd
import pytest

from tasks.verification.trials import Trials


def table(rows: list[tuple]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["id1", "id2", "label"])


TRIALS = Trials.of(
    table([("utt 0", "utt 1", "1"), ("utt 2 ; utt 3", "utt 1", "0"), ("utt 2", "utt 4", "0"), ("utt 0", "utt 0", "1")])
)


def test_trials_are_indices_of_a_table_of_any_type():
    trials = TRIALS
    assert len(trials) == 4 and trials.targets.tolist() == [True, False, False, True]
    assert [trials.enrolments[i] for i in trials.enrol] == ["utt 0", "utt 2 ; utt 3", "utt 2", "utt 0"]
    assert [trials.tests[i] for i in trials.test] == ["utt 1", "utt 1", "utt 4", "utt 0"]
    assert trials.members() == [["utt 0"], ["utt 2", "utt 3"], ["utt 2"]]
    categorical = table([("a", "b", 1), ("c", "b", 0)]).astype({"id1": "category", "id2": "category"})
    assert Trials.of(categorical).enrolments == ["a", "c"]


def test_only_trials_with_all_of_their_utterances_remain():
    assert TRIALS.among([f"utt {i}" for i in range(8)]) is TRIALS
    some = TRIALS.among(["utt 0", "utt 1", "utt 2", "utt 4"])
    assert [some.enrolments[i] for i in some.enrol] == ["utt 0", "utt 2", "utt 0"]
    assert some.tests == ["utt 1", "utt 4", "utt 0"] and some.targets.tolist() == [True, False, True]
    assert len(TRIALS.among([])) == 0


def test_a_label_that_is_none_and_a_list_without_trials_are_refused():
    with pytest.raises(ValueError, match=r"trial 2 \(b c\) has the label 'yes'.*expected 1"):
        Trials.of(table([("a", "b", "1"), ("b", "c", "yes")]))
    with pytest.raises(ValueError, match="the list of trials is empty"):
        Trials.of(table([]))
