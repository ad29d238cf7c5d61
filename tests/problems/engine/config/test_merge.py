"""Layers of a config merge in order, and every mistake in them is told at once, with its place."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from problems.asr import ASR
from problems.engine.cli import main
from problems.engine.config.merge import Layer, defaults, find_config, load_file, override_layer, resolve
from problems.engine.runtime.errors import ConfigError
from tests.conftest import ROOT


def typed(*words: str, problem=None) -> dict:
    """The config of override words alone, on the code's defaults."""
    problem = problem or ASR()
    _, overrides = main.parse(words, main._flags(problem))
    return resolve(problem, [override_layer(overrides)])


def refused(*words: str, problem=None) -> str:
    with pytest.raises(ConfigError) as caught:
        typed(*words, problem=problem)
    return str(caught.value)


def file(folder: Path, text: str, name: str = "mine.yaml") -> Layer:
    (folder / name).write_text(text, encoding="utf-8")
    return load_file(folder / name)


# ---- order ----


def test_defaults_then_presets_in_order_then_overrides(tmp_path):
    first = file(tmp_path, "train: {total_steps: 11, log_step: 12, eval_step: 13}", "a.yaml")
    second = file(tmp_path, "train: {log_step: 22, eval_step: 23}", "b.yaml")
    train = resolve(ASR(), [first, second, override_layer([("train.eval_step", "33")])])["train"]
    assert (train["total_steps"], train["log_step"], train["eval_step"]) == (11, 22, 33)
    assert train["save_step"] == ASR().default_config()["train"]["save_step"]


def test_the_default_preset_is_under_overrides_but_not_under_a_named_config(tmp_path):
    default = yaml.safe_load((ROOT / "configs/asr/default.yaml").read_text())
    assert main.resolved(ASR(), [], [])["train"]["total_steps"] == default["train"]["total_steps"]
    (tmp_path / "mine.yaml").write_text("train: {seed: 3}")
    named = main.resolved(ASR(), [str(tmp_path / "mine.yaml")], [])["train"]
    assert named["seed"] == 3 and named["total_steps"] == ASR().default_config()["train"]["total_steps"]


def test_three_spellings_are_one():
    spellings = (["--train.total_steps", "7"], ["--train.total_steps=7"], ["train.total_steps=7"])
    assert [typed(*words)["train"]["total_steps"] for words in spellings] == [7, 7, 7]


def test_a_later_override_of_one_key_wins():
    assert typed("--train.seed=1", "--train.seed=2")["train"]["seed"] == 2


# ---- values ----


@pytest.mark.parametrize(
    "word, expected",
    [
        ("test_ckpt_steps=[10, 20]", [10, 20]),
        ("test_ckpt_steps=null", None),
        ("fresh=true", True),
        ("device=cuda:1", "cuda:1"),
        ("target_dir=0012", "0012"),
        ("target_dir=2024-11-12", "2024-11-12"),
        ("target_dir=no", "no"),
        ("target_dir=null", None),
        ("target_dir='null'", "null"),
        ("target_dir=1e4", "1e4"),
        ("target_dir=/tmp/a #1", "/tmp/a #1"),
        ("target_dir=a: b", "a: b"),
        ("target_dir=[odd", "[odd"),
        ("target_dir=ergebnis/größer", "ergebnis/größer"),
        ("target_dir=__import__('os').getcwd()", "__import__('os').getcwd()"),
        ("target_dir=!!python/object/apply:os.getcwd []", "!!python/object/apply:os.getcwd []"),
    ],
)
def test_top_level_values(word, expected):
    key = word.partition("=")[0]
    value = typed(word)[key]
    assert value == expected and type(value) is type(expected)


def test_a_path_among_other_kinds_of_value_is_as_typed():
    words = ["prepare_data.corpus=csv", "prepare_data.train=a, b #1.csv", "prepare_data.test=/x/a, b #1.csv"]
    data = typed(*words)["prepare_data"]
    assert data["train"] == "a, b #1.csv" and data["test"] == "/x/a, b #1.csv"


def test_numbers():
    config = typed("build_optimizer.conf.lr=1e-4", "train.total_steps=1e4", "train.gradient_clipping=2")
    assert config["build_optimizer"]["conf"]["lr"] == 1e-4
    assert config["train"]["total_steps"] == 10000 and isinstance(config["train"]["total_steps"], int)
    assert isinstance(config["train"]["gradient_clipping"], float)


def test_a_value_of_a_nested_open_dict_keeps_its_zeros():
    config = typed("prepare_data.corpus=csv", "prepare_data.train=a.csv", "--prepare_data.where.train.speaker", "0012")
    assert config["prepare_data"]["where"] == {"train": {"speaker": "0012"}}


def test_references():
    assert typed("train.eval_step=25", "train.save_step=${train.eval_step}")["train"]["save_step"] == 25
    assert typed("train.seed=4", "target_dir=out/${train.seed}")["target_dir"] == "out/4"
    assert "nowhere" in refused("train.seed=${nowhere.at_all}")


def test_a_target_folder_that_refers_to_another_key_is_where_the_run_goes(tmp_path):
    overrides = [("train.seed", "4"), ("target_dir", f"{tmp_path}/${{train.seed}}")]
    assert main.resolved(ASR(), [], overrides)["target_dir"] == f"{tmp_path}/4"


def test_paths_and_tuples_from_code():
    config = resolve(ASR(), [Layer("run()", {"target_dir": Path("a/b"), "test_ckpt_steps": (1, 2)})])
    assert config["target_dir"] == "a/b" and config["test_ckpt_steps"] == [1, 2]


# ---- mistakes ----


def test_every_mistake_is_told_at_once_with_its_place(tmp_path):
    layers = [
        file(tmp_path, "train: {log_stp: 3, eval_step: [1]}\nbuild_downstream: {name: rn}"),
        find_config("librispeech", ASR().families()),
        override_layer([("train.seed", "x"), ("num_workers", "-5"), ("build_upstream.conf.num_mel_bin", "3")]),
    ]
    layers[0].tree["prepare_data"] = {"corpus": "nope"}
    with pytest.raises(ConfigError) as caught:
        resolve(ASR(), layers)
    lines = str(caught.value).splitlines()
    assert lines[0] == "5 errors in the config:"
    for key, place, hint in [
        ("train.log_stp", "mine.yaml", "train.log_step"),
        ("train.seed", "command line", "a whole number"),
        ("num_workers", "command line", "at least 0"),
        ("prepare_data.dataset_root", "", "must be given"),
        ("build_upstream.conf.num_mel_bin", "command line", "build_upstream.conf.num_mel_bins"),
    ]:
        assert any(key in line and place in line and hint in line for line in lines), (key, lines)


@pytest.mark.parametrize(
    "key, near",
    [
        ("total_steps", "train.total_steps"),
        ("trian.total_steps", "train.total_steps"),
        ("train.totl_steps", "train.total_steps"),
        ("trian.seed", "train.seed"),
        ("totl_steps", "train.total_steps"),
        ("build_downsteam.conf.hidden_size", "build_downstream.conf.hidden_size"),
        ("target", "target_dir"),
    ],
)
def test_the_nearest_key(key, near):
    message = refused(f"--{key}", "3")
    assert f"{key}: unknown key" in message and f"did you mean {near}?" in message and "command line" in message


def test_a_key_that_stands_in_several_sections_names_them():
    message = refused("--seed", "3")
    assert "prepare_data.seed" in message and "train.seed" in message


@pytest.mark.parametrize(
    "word, said",
    [
        ("train.total_steps=many", "expected a whole number or null, got 'many'"),
        ("train.total_steps=-5", "at least 1, got -5"),
        ("train.total_steps=2.5", "expected a whole number or null, got 2.5"),
        ("train.seed=true", "expected a whole number, got True"),
        ("train.gradient_clipping=.nan", "finite"),
        ("train.gradient_clipping=.inf", "finite"),
        ("fresh=perhaps", "true or false"),
        ("test_ckpt_steps=[1, x]", "a list (each: a whole number)"),
        ("test_ckpt_steps=[1, 2", "a list"),
        ("build_downstream.conf.hidden_size=12", "a list"),
        ("build_upstream=5", "keys and values"),
        ("build_upstream.name=5", "there is no 5"),
        ("build_upstream.name=[a]", "there is no ['a']"),
        ("build_batch_sampler.train=3", "keys and values"),
        ("build_batch_sampler.train=null", "keys and values"),
        ("build_task.foo=1", "unknown key"),
        ("evaluate.foo.bar=1", "unknown key"),
        ("start=5", "at most 4"),
    ],
)
def test_wrong_values(word, said):
    assert said in refused(word)


def test_steps_or_epochs_not_both_not_none():
    assert "one of total_steps and epochs" in refused("train.epochs=2")
    assert "one of total_steps and epochs" in refused("train.total_steps=null")
    assert typed("train.epochs=2", "train.total_steps=null")["train"]["epochs"] == 2


def test_a_required_value():
    assert "prepare_data.dataset_root: must be given" in refused("prepare_data.corpus=librispeech")


def test_an_unknown_preset_names_those_there_are():
    with pytest.raises(ConfigError, match=r"\(did you mean librispeech\?\).*default, fsdd, librispeech, superb"):
        find_config("librspeech", ASR().families())


@pytest.mark.parametrize(
    "content, said",
    [
        ("train: {total_steps: [1", "not YAML"),
        ("- a\n- b", "keys and values, got list"),
        ("5", "keys and values"),
        ("train: {seed: 1, seed: 2}", "seed"),
        ("train.seed: 3", "dots are for the command line"),
        ("a: !!python/object/apply:os.getcwd []", "not YAML"),
    ],
)
def test_a_file_that_is_no_config_is_named(tmp_path, content, said):
    with pytest.raises(ConfigError) as caught:
        file(tmp_path, content)
    assert said in str(caught.value) and str(tmp_path / "mine.yaml") in str(caught.value)


def test_files_that_cannot_be_read(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\xd8")
    for name in ("binary.yaml", "missing.yaml", "."):
        with pytest.raises(ConfigError, match=str(tmp_path)):
            load_file(tmp_path / name)


def test_an_empty_file_and_an_empty_section_change_nothing(tmp_path):
    assert resolve(ASR(), [file(tmp_path, ""), file(tmp_path, "train:\n#  seed: 3\n")]) == resolve(ASR(), [])


# ---- parts ----


def test_naming_another_part_drops_the_settings_of_the_old_one(tmp_path):
    layers = [
        find_config("librispeech", ASR().families()),
        override_layer([("build_upstream.name", "spectrogram"), ("prepare_data.corpus", "toy")]),
    ]
    config = resolve(ASR(), layers)
    assert "num_mel_bins" not in config["build_upstream"]["conf"] and "train_sets" not in config["prepare_data"]
    assert config["prepare_data"]["num_train"] == ASR().default_config()["prepare_data"]["num_train"]


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_and_its_settings_come_in_any_order(turned):
    words = ["build_upstream.name=linear", "build_upstream.conf.cmvn=none"]
    assert typed(*(reversed(words) if turned else words))["build_upstream"]["conf"]["cmvn"] == "none"
    words = ["prepare_data.corpus=csv", "prepare_data.train=a.csv"]
    assert typed(*(reversed(words) if turned else words))["prepare_data"]["train"] == "a.csv"


@pytest.mark.parametrize("turned", [False, True])
def test_a_part_and_its_settings_in_a_file_in_any_order(tmp_path, turned):
    lines = ["  name: word", "  conf: {case: lower}"]
    text = "build_encoder:\n" + "\n".join(reversed(lines) if turned else lines)
    assert resolve(ASR(), [file(tmp_path, text)])["build_encoder"] == {
        **typed("build_encoder.name=word")["build_encoder"],
        "conf": {**typed("build_encoder.name=word")["build_encoder"]["conf"], "case": "lower"},
    }


def test_naming_the_same_part_keeps_its_settings():
    layers = [find_config("librispeech", ASR().families()), override_layer([("build_upstream.name", "fbank")])]
    layers += [override_layer([("prepare_data.dataset_root", "x")])]
    assert resolve(ASR(), layers)["build_upstream"]["conf"]["deltas"] == 2


def test_another_schedule_does_not_inherit_what_the_preset_gave_the_old_one():
    overrides = [("build_scheduler.name", "StepLR"), ("build_scheduler.conf.step_size", "3")]
    assert main.resolved(ASR(), [], overrides)["build_scheduler"]["conf"] == {"step_size": 3}


def test_a_wrong_part_in_a_file_is_put_right_by_the_command_line(tmp_path):
    layers = [file(tmp_path, "build_upstream: {name: fbnk}"), override_layer([("build_upstream.name", "mfcc")])]
    assert resolve(ASR(), layers)["build_upstream"]["name"] == "mfcc"


def test_settings_that_are_dicts():
    words = ["prepare_data.corpus=csv", "prepare_data.train=a.csv", "--prepare_data.columns.transcription=text"]
    words += ["--prepare_data.where.train.split", "x", "--prepare_data.test", "{clean: c.csv, noisy: n.csv}"]
    data = typed(*words)["prepare_data"]
    assert data["columns"] == {"transcription": "text"} and data["where"] == {"train": {"split": "x"}}
    assert data["test"] == {"clean": "c.csv", "noisy": "n.csv"}
    assert typed(*words[:2], "--prepare_data.test.clean=c.csv")["prepare_data"]["test"] == {"clean": "c.csv"}


def test_settings_of_parts_are_checked_without_torch():
    code = (
        "import sys; from problems.asr import ASR; from problems.engine.cli.main import execute\n"
        "execute(ASR(), ['config', 'build_downstream.conf.hiden_size=[1]', 'build_upstream.conf.deltas=x'])\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "hiden_size" in done.stderr and "build_upstream.conf.deltas: expected a whole number" in done.stderr


# ---- subclasses ----


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
    assert "mine.count: expected a whole number" in message and "did you mean mine.count?" in message
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


@pytest.mark.parametrize("preset", ["default", "fsdd", "librispeech"])
def test_a_printed_config_passed_back_is_the_same(tmp_path, capsys, preset):
    words = ["--prepare_data.dataset_root=/x y/ü", "--target_dir=0012", "--test_ckpt_steps=[3]"]
    words = ["config", "--config", preset, *(words if preset != "default" else words[1:])]
    assert main.execute(ASR(), words) == 0
    printed = capsys.readouterr().out
    (tmp_path / "kept.yaml").write_text(printed, encoding="utf-8")
    assert main.execute(ASR(), ["config", "--config", str(tmp_path / "kept.yaml")]) == 0
    assert capsys.readouterr().out == printed
