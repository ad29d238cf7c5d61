"""Settings of a test: named or a grid, free keys alone, values checked, everything else refused by name."""

from __future__ import annotations

import pytest

from problems.asr import ASR
from problems.asv import ASV
from problems.engine.cli.arguments import resolve_config
from problems.engine.config.test_settings import dataset_settings, settings_of
from problems.engine.runtime.errors import ConfigError
from problems.ks import KS


def ways(problem, *overrides):
    return settings_of(problem, resolve_config(problem, ["toy"] if isinstance(problem, ASR) else [], overrides))


def test_one_way_without_a_name_is_the_default():
    (way,) = ways(ASV())
    assert way.name is None and way.task == {}
    (way,) = ways(ASV(), ("evaluate.task.scoring.enrolment", "score"))
    assert way.task == {"scoring": {"enrolment": "score"}}


def test_what_does_not_affect_the_training_is_that_of_the_config():
    (way,) = ways(KS(), ("build_task.top_k", "[2]"))
    assert way.task == {"top_k": [2]}
    (way,) = ways(ASR(), ("build_task.decode.beam", "5"), ("evaluate.task.decode.name", "beam"))
    assert (way.task["decode"]["beam"], way.task["decode"]["name"]) == (5, "beam")
    config = resolve_config(ASR(), ["toy"], [("build_task.decode.beam", "5")])
    assert settings_of(ASR(), config, own=False)[0].task == {}, "a checkpoint from elsewhere has its own"


def test_a_grid_has_every_combination_with_names_for_folders():
    found = ways(ASV(), ("evaluate.settings", "{scoring.lda: [null, 8], scoring.backend: [cosine, plda]}"))
    assert [way.name for way in found] == [
        "lda=null,backend=cosine", "lda=null,backend=plda", "lda=8,backend=cosine", "lda=8,backend=plda"
    ]  # fmt: skip
    assert found[3].task == {"scoring": {"lda": 8, "backend": "plda"}}


def test_named_settings_are_merged_onto_the_common_one():
    found = ways(
        ASV(),
        ("evaluate.task", "{scoring: {centre: true}}"),
        ("evaluate.settings", "[{name: 'as norm', scoring.as_norm: 5}, {name: plain}]"),
    )
    assert [way.name for way in found] == ["as_norm", "plain"]
    assert found[0].task == {"scoring": {"centre": True, "as_norm": 5}} and found[1].task == {
        "scoring": {"centre": True}
    }


@pytest.mark.parametrize(
    "key, value, message",
    [
        ("task", "{loss: ge2e}", r"evaluate.task.loss: build_task.loss is part of the training; free in a test are"),
        ("task", "{scoring: {enrolmnt: score}}", r"no such key .did you mean 'build_task.scoring.enrolment'"),
        ("task", "{scoring: {backend: svm}}", r"evaluate.task.scoring.backend: .*cosine"),
        ("task", "{scoring: {as_norm: 1}}", r"evaluate.task.scoring.as_norm: "),
        ("dataset", "{max_seconds: 3}", r"build_dataset.max_seconds is part of the training"),
        ("settings", "[{scoring.lda: 3}]", r"evaluate.settings\[0\]: expected .name"),
        ("settings", "[{name: a}, {name: a}]", "two settings have the same name"),
    ],
)
def test_what_is_not_free_or_wrong_is_refused_by_name(key, value, message):
    config = resolve_config(ASV(), [], [(f"evaluate.{key}", value)])
    with pytest.raises(ConfigError, match=message):
        settings_of(ASV(), config)
        dataset_settings(ASV(), config)


def test_the_cohort_may_be_chosen_for_a_test():
    config = resolve_config(ASV(), [], [("evaluate.dataset.cohort_per_speaker", "4")])
    assert dataset_settings(ASV(), config)["cohort_per_speaker"] == 4
    assert config["build_dataset"]["cohort_per_speaker"] == 0
