"""The schema of a config: what a key declares beside its default."""

from __future__ import annotations

import dataclasses

from dataset.setting import setting
from problems.asr import ASR
from problems.engine.config import sections
from problems.engine.config.schema import defaults, resume_keys
from tests.parts.configs import refused, typed


def test_what_may_change_under_a_training_is_declared_beside_the_key():
    free, extends = resume_keys(ASR(), "free"), resume_keys(ASR(), "extends")
    assert {"train.log_step", "train.dry_run", "features.cache"} <= free
    assert extends == {"budget", "train.total_steps", "train.auto_epochs", "train.epochs", "train.patience"}
    assert not free & extends and "train.seed" not in free | extends


def test_a_subclass_declares_it_for_a_key_of_its_own():
    @dataclasses.dataclass
    class Train(sections.Train):
        colour: str = setting("red", "of the progress bar", resume="free")
        size: int = setting(3, "of the net")

    class OwnTrain(ASR):
        sections = ASR.sections | {"train": Train}

    assert resume_keys(OwnTrain(), "free") - resume_keys(ASR(), "free") == {"train.colour"}


class Mine(ASR):
    """Adds keys of its own."""

    def default_config(self):
        config = super().default_config()
        config["train"]["teacher"] = {"weight": 0.5, "path": None}
        config["build_task"]["smoothing"] = 0.1
        config["mine"] = {"count": 3, "anything": {}}
        return config


def test_keys_that_a_subclass_adds_are_known_and_typed_by_their_defaults():
    words = ["train.teacher.weight=1", "build_task.smoothing=0.2", "mine.count=4", "mine.anything.at.all=5"]
    config = typed(*words, problem=Mine())
    assert config["mine"] == {"count": 4, "anything": {"at": {"all": 5}}} and config["train"]["teacher"]["weight"] == 1
    for value in (3, "text", [1], None):
        assert typed(f"train.teacher.path={value if value is not None else 'null'}", problem=Mine())
    message = refused("mine.count=few", "mine.cuont=1", "train.teacher.weight=x", problem=Mine())
    assert "mine.count: expected a whole number" in message and "did you mean 'mine.count'?" in message
    assert "train.teacher.weight: expected a number" in message


class OwnData(ASR):
    """Prepares its data from settings of its own."""

    def default_config(self):
        config = super().default_config()
        config["prepare_data"] = {"folder": "???", "fraction": 0.1}
        return config


def test_a_subclass_that_replaces_a_section():
    assert "prepare_data.folder: must be given" in refused(problem=OwnData())
    data = typed("prepare_data.folder=x", problem=OwnData())["prepare_data"]
    assert data == {"folder": "x", "fraction": 0.1}
    assert "prepare_data.corpus: unknown key" in refused(
        "prepare_data.folder=x", "prepare_data.corpus=toy", problem=OwnData()
    )


class OtherParts(ASR):
    """Names other parts without listing their settings."""

    def default_config(self):
        config = super().default_config()
        config["build_upstream"] |= {"name": "spectrogram"}
        config["prepare_data"] |= {"corpus": "csv", "train": "mine.csv"}
        return config


def test_a_subclass_may_name_a_part_without_its_settings():
    config = typed(problem=OtherParts())
    assert config["build_upstream"] == typed("build_upstream.name=spectrogram")["build_upstream"]
    assert config["prepare_data"] == typed("prepare_data.corpus=csv", "prepare_data.train=mine.csv")["prepare_data"]
    assert "num_mel_bins" in refused("build_upstream.conf.num_mel_bins=3", problem=OtherParts())


def test_defaults_are_never_shared():
    defaults(ASR())["train"]["seed"] = 99
    typed("build_downstream.conf.hidden_size=[1]")
    assert typed()["train"]["seed"] != 99 and typed()["build_downstream"]["conf"]["hidden_size"] == [256, 256]


def test_a_required_key_of_a_subclass_takes_any_value():
    assert typed("prepare_data.folder=3", problem=OwnData())["prepare_data"]["folder"] == 3
