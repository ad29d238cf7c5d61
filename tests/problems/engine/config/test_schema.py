"""The schema of a config: what a key declares beside its default."""

from __future__ import annotations

import dataclasses

from dataset.setting import setting
from problems.asr import ASR
from problems.engine.config import sections
from problems.engine.config.schema import resume_keys


def test_what_may_change_under_a_training_is_declared_beside_the_key():
    free, extends = resume_keys(ASR(), "free"), resume_keys(ASR(), "extends")
    assert {"train.log_step", "train.dry_run", "features.cache"} <= free
    assert extends == {"train.total_steps", "train.epochs", "train.patience"}
    assert not free & extends and "train.seed" not in free | extends


def test_a_subclass_declares_it_for_a_key_of_its_own():
    @dataclasses.dataclass
    class Train(sections.Train):
        colour: str = setting("red", "of the progress bar", resume="free")
        size: int = setting(3, "of the net")

    class OwnTrain(ASR):
        sections = ASR.sections | {"train": Train}

    assert resume_keys(OwnTrain(), "free") - resume_keys(ASR(), "free") == {"train.colour"}
