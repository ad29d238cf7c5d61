"""The screen before the first stage says what will be read, trained and written."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from nn.downstream.linear import MeanPoolLinear
from problems.asr import ASR
from problems.engine.cli.arguments import resolve_config
from problems.engine.cli.main import execute
from problems.engine.stages.summary import _head
from problems.sid import SID


@pytest.fixture
def screen(tiny, capfd):
    """Run with further options; gives the lines of the plan by their first word."""

    def run(*options: str, problem=None) -> dict[str, str]:
        capfd.readouterr()
        assert execute(problem or ASR(), ["run", *tiny, *options]) == 0
        text = capfd.readouterr().err.partition("== stage")[0]
        return {k: v for k, v in re.findall(r"^  (\w+) +(.*)$", text, re.M)}

    return run


def test_before_the_data_is_there_it_says_where_it_comes_from_and_guesses_labels(screen):
    plan = screen("--stop=2")
    assert plan["stages"] == "0 prepare data, 1 build encoder, 2 train"
    assert plan["data"] == "to be prepared by the corpus csv"
    assert "32 labels" in plan["model"] and plan["training"] == "8 steps of 4 utterances"
    assert plan["device"].startswith("c") and "main process" in plan["device"]


def test_with_data_it_counts_utterances_lengths_epochs_and_parameters(screen, tmp_path):
    screen("--stop=1")
    plan = screen("--stop=2")
    assert re.match(r"train 22 utterances, [\d.]+ s; valid 5 utterances, [\d.]+ s; test 7 ", plan["data"])
    assert plan["training"] == "8 steps of 4 utterances, about 1.3 epochs"  # 6 batches each
    model = ASR().load_model(str(tmp_path / "run" / "train" / "step_00000008" / "model"))
    assert plan["model"] == f"{sum(p.numel() for p in model.parameters()):,} parameters trained, 0 frozen"
    assert re.match(r"about 1 MB for 2 checkpoints in .*train$", plan["disk"])


def test_the_disk_that_checkpoints_take_is_what_it_said(screen, tmp_path):
    plan = screen("--stop=2", "--build_downstream.conf.hidden_size=[200]")
    said = float(re.search(r"about ([\d,]+) MB", plan["disk"])[1])
    used = sum(p.stat().st_size for p in (tmp_path / "run" / "train").rglob("*") if p.is_file()) / 1e6
    assert used <= said <= 3 * used


def test_a_run_without_training_says_nothing_of_it(screen):
    plan = screen("--stop=1")
    assert not {"model", "training", "disk"} & set(plan)


def test_batches_by_seconds_and_accumulation_are_said(screen):
    plan = screen("--stop=2", "--build_batch_sampler.train.max_seconds=2", "--train.gradient_accumulate=2")
    assert plan["training"] == "8 steps of at most 4 utterances and 2 s x 2"


def test_a_problem_that_prepares_its_own_data_is_named(screen):
    class Mine(ASR):
        def prepare_data(self, *args, **kwargs):
            return super().prepare_data(*args, **kwargs)

    assert screen("--stop=1", problem=Mine())["data"] == "to be prepared by Mine"


def test_an_empty_validation_set_has_no_utterances(screen):
    options = ("--prepare_data.valid=null", "--prepare_data.valid_fraction=0", "--train.valid_metric=null")
    screen("--stop=1", *options)
    assert "; valid 0 utterances, 0" in screen("--stop=2", *options)["data"]


def test_pretrained_encoders_on_this_machine_are_named_unless_one_is_used(screen, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.hub.get_dir", lambda: str(tmp_path))
    assert "transfer" not in screen("--stop=2")
    (tmp_path / "checkpoints").mkdir()
    for file in ("hubert_fairseq_base_ls960.pth", "wavlm_base.pth"):
        (tmp_path / "checkpoints" / file).touch()  # not read
    line = screen("--stop=2", f"--target_dir={tmp_path / 'new'}")["transfer"]
    assert line == "from hubert_base, wavlm_base on this machine is possible: docs/defaults.md"
    assert "transfer" not in screen("--stop=2", f"--target_dir={tmp_path / 'new'}", "--train.total_steps=9")
    own = "--build_upstream={name: 'tests.parts.tiny_encoder:TinyEncoder', conf: {}}"
    assert "transfer" not in screen("--stop=2", f"--target_dir={tmp_path / 'other'}", own)


@pytest.mark.parametrize(
    "upstream, name, line",
    [
        ("fbank", "auto", "head      tdnn, as frames of fbank are 0.01 s apart"),
        ("ge2e", "auto", "head      mean_pool_linear without settings, as frames of ge2e are 0.77 s apart"),
        ("fbank", "tdnn", ""),
        ("ge2e", "mean_pool_linear", ""),
        ("ge2e", "tdnn", "WARNING   tdnn joins frames, and frames of ge2e are 0.77 s apart: mean_pool_linear or"),
        (
            "ge2e",
            "xvector",
            "WARNING   xvector joins frames, and frames of ge2e are 0.77 s apart: mean_pool_linear or",
        ),
    ],
)
def test_the_head_that_follows_from_the_upstream_is_named_and_one_against_it_warned_of(upstream, name, line):
    random = {"conf": {"checkpoint": "random"}} if upstream == "ge2e" else {"conf": {}}
    sections = {"build_upstream": {"name": upstream, **random}, "build_downstream": {"name": name, "conf": {}}}
    problem = SID()
    config = resolve_config(problem, [], []) | sections
    names = ("build_model", "build_upstream", "build_featurizer", "build_downstream")
    model = problem.build_model(model_output_size=4, **{key: config[key] for key in names})
    lines = list(_head(SimpleNamespace(config=config, problem=problem), model))
    assert len(lines) == bool(line) and line in "".join(lines)


def test_the_head_of_an_overridden_method_is_not_named():
    class Mine(SID):
        def build_downstream(self, build_downstream, downstream_input_size, downstream_output_size):
            return MeanPoolLinear(downstream_input_size, downstream_output_size)

    model = SimpleNamespace(featurizer=SimpleNamespace(downsample_rate=160), downstream=MeanPoolLinear(4, 2))
    config = {"build_upstream": {"name": "fbank"}, "build_downstream": {"name": "auto", "conf": {}}}
    assert list(_head(SimpleNamespace(config=config, problem=SID()), model))
    assert not list(_head(SimpleNamespace(config=config, problem=Mine()), model))
