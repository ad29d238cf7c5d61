"""Checkpoints of whole trainings: enough to go on from, safe to read, and refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import problems
from problems.asr import ASR
from problems.engine.checkpoints.weights import WEIGHTS, save_weights
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import CheckpointError

UPSTREAM = """
import torch

class Filters(torch.nn.Module):
    num_layers, hidden_sizes, downsample_rates = 1, [6], [160]

    def __init__(self, seed: int = 1):
        super().__init__()
        weight = torch.randn(6, 1, 160, generator=torch.Generator().manual_seed(seed))
        self.weight = torch.nn.Parameter(weight)

    def output_lengths(self, wav_len):
        return [torch.div(wav_len, 160, rounding_mode="floor").clamp(min=1)]

    def forward(self, wav, wav_len):
        wav = torch.nn.functional.pad(wav, (0, max(0, 160 - wav.shape[1])))
        y = torch.nn.functional.conv1d(wav[:, None], self.weight, stride=160).transpose(1, 2)
        return [y.abs()], self.output_lengths(wav_len)
"""


@pytest.fixture
def run(tiny, tmp_path):
    """Train four steps with further options; gives the newest checkpoint."""

    def train(*options: str, problem=None, name: str = "run", code: int = 0) -> Path:
        target = tmp_path / name
        given = [o for o in tiny if not o.startswith(("--target_dir", "--train.total_steps"))]
        steps = ["--train.total_steps=4", f"--target_dir={target}", "--stop=2"]
        assert execute(problem or ASR(), ["run", *given, *steps, *options]) == code
        return target / "train" / "step_00000004"

    return train


@pytest.fixture
def upstream(tmp_path, monkeypatch):
    """A user's upstream with weights, by its class path."""
    (tmp_path / "filters.py").write_text(UPSTREAM)
    monkeypatch.syspath_prepend(tmp_path)
    return "--build_upstream.name=filters:Filters"


def without_preset(options):
    return [o for o in options if not o.startswith("--build_upstream.conf")]


def test_nothing_in_a_checkpoint_is_pickled_but_the_training_state_which_loads_with_weights_only(run):
    folder = run()
    kinds = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert {Path(k).suffix for k in kinds - {"training.pt"}} <= {".json", ".yaml", ".safetensors", ".csv"}
    for name in kinds - {"training.pt"}:
        data = (folder / name).read_bytes()
        assert not data.startswith((b"\x80", b"PK")), f"{name} looks like a pickle or a zip of one"
    state = torch.load(folder / "training.pt", weights_only=True)
    assert state["progress"]["step"] == 4
    arguments = json.loads((folder / "model" / "arguments.json").read_text())
    assert arguments["values"]["build_upstream"]["conf"]["num_mel_bins"] == 20


def test_a_checkpoint_holds_the_whole_config(run):
    folder = run()
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["train"]["total_steps"] == 4
    assert config == yaml.safe_load((folder.parents[1] / "config.yaml").read_text())


def test_a_checkpoint_gives_the_same_numbers_as_the_model_that_was_trained(run):
    folder = run()
    (one, task), (two, _) = (ASR().load_model_and_task(str(folder)) for _ in range(2))
    wav, lengths = torch.randn(1, 8000), torch.tensor([8000])
    assert torch.equal(one(wav, lengths)[0], two(wav, lengths)[0])
    assert not one.training and not task.training
    save_weights(folder.parent, one)
    assert (folder.parent / WEIGHTS).read_bytes() == (folder / "model" / WEIGHTS).read_bytes()


def test_an_argument_that_cannot_be_saved_is_refused_before_training(run, capfd):
    built = []

    class WithObject(ASR):
        def train(self, train, train_dir, build_model_all_args, build_task_all_args_except_model, *rest):
            task = build_task_all_args_except_model | {"lexicon": object()}
            super().train(train, train_dir, build_model_all_args, task, *rest)

        def build_optimizer(self, build_optimizer, parameters):
            built.append(1)
            return super().build_optimizer(build_optimizer, parameters)

    checkpoint = run(problem=WithObject(), code=2)
    assert "'lexicon'" in capfd.readouterr().err
    assert not built and not checkpoint.exists()


def test_a_frozen_upstream_is_referred_to_and_another_is_refused(tiny, tmp_path, upstream, monkeypatch, capfd):
    target, options = tmp_path / "run", without_preset(tiny)
    assert execute(ASR(), ["run", *options, upstream, "--train.total_steps=4"]) == 0
    folder = target / "train" / "step_00000004"

    assert not [k for k in load_file(folder / "model" / WEIGHTS) if k.startswith("upstream.")]
    ASR().load_model(str(folder / "model"))
    path = folder / "model" / "arguments.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))  # stands for a download that changed
    with pytest.raises(CheckpointError, match="frozen upstream is not the one"):
        ASR().load_model(str(folder / "model"))


FILTERS_OF_A_FILE = UPSTREAM.replace("seed: int = 1", "file: str").replace(
    "__init__()\n",
    """__init__()
        seed = int(open(file).read())
""",
)


@pytest.fixture
def moved(tiny, tmp_path, monkeypatch):
    """The options of a run on an upstream of a user's file, which has moved since; and where it is now."""
    (tmp_path / "moved_filters.py").write_text(FILTERS_OF_A_FILE)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "seed").write_text("1")
    upstream = ["--build_upstream.name=moved_filters:Filters", f"--build_upstream.conf.file={tmp_path / 'old/seed'}"]
    options = [*without_preset(tiny), *upstream]
    assert execute(ASR(), ["run", *options, "--train.total_steps=4", "--stop=2"]) == 0
    (tmp_path / "old").rename(tmp_path / "new")
    return options, tmp_path / "new" / "seed"


def test_a_frozen_upstream_that_has_moved_is_pointed_to(moved, tones, tmp_path, capfd):
    options, path = moved
    checkpoint = tmp_path / "run" / "train" / "step_00000004"
    with pytest.raises(CheckpointError, match="not there.*If it has moved.*--upstream PATH"):
        ASR().load_model(str(checkpoint / "model"))
    model = problems.load(str(checkpoint), upstream=str(path)).model
    assert torch.equal(model.upstream.weight.cpu(), torch.randn(6, 1, 160, generator=torch.Generator().manual_seed(1)))
    audio = [str(next(tones.glob("test/*.wav")))]
    capfd.readouterr()
    assert execute(ASR(), ["predict", f"--ckpt={checkpoint}", *audio]) == 1
    assert "--upstream PATH" in capfd.readouterr().err
    assert execute(ASR(), ["predict", f"--ckpt={checkpoint}", f"--upstream={path}", *audio]) == 0
    assert capfd.readouterr().out.startswith(f"{audio[0]}\t")
    path.write_text("2")
    with pytest.raises(CheckpointError, match="frozen upstream is not the one"):
        problems.load(str(checkpoint), upstream=str(path))
    with pytest.raises(CheckpointError, match="upstream: there is no file or folder.*nowhere"):
        problems.load(str(checkpoint), upstream=str(tmp_path / "nowhere"))


def test_a_run_goes_on_with_an_upstream_that_has_moved(moved, tmp_path):
    """It trains on, and tests; and another training's checkpoint is tested by it."""
    options, path = moved
    assert execute(ASR(), ["run", *options, "--train.total_steps=8", f"--upstream={path}"]) == 0
    assert list((tmp_path / "run").glob("evaluate/*/*/result.json"))
    checkpoint = tmp_path / "run" / "train" / "step_00000004"
    saved = json.loads((checkpoint.with_name("step_00000008") / "model" / "arguments.json").read_text())
    assert saved["values"]["build_upstream"]["conf"] == {"file": str(path)}
    elsewhere = [f"--test_ckpt_dir={checkpoint}", f"--target_dir={tmp_path / 'elsewhere'}", f"--upstream={path}"]
    assert execute(ASR(), ["run", *without_preset(options), "--start=0", "--stop=0", elsewhere[1]]) == 0
    assert execute(ASR(), ["run", *options, "--start=3", *elsewhere]) == 0
    assert list((tmp_path / "elsewhere").glob("evaluate/*/*/result.json"))


def test_a_trained_upstream_is_saved(tiny, tmp_path, upstream):
    options = [*without_preset(tiny), upstream, "--build_model.upstream_trainable=true", "--train.total_steps=4"]
    assert execute(ASR(), ["run", *options, "--stop=2"]) == 0
    folder = tmp_path / "run" / "train" / "step_00000004"
    initial = torch.randn(6, 1, 160, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(ASR().load_model(str(folder / "model")).upstream.weight, initial)


def test_a_probe_of_weights_that_no_upstream_has_is_refused_before_features(tiny, tmp_path, upstream, capfd):
    options = [*without_preset(tiny), upstream, "--train.total_steps=4", "--stop=2"]
    options += ["--features.cache=disk", "--build_dataset.speeds=[1.0]"]
    assert execute(ASR(), ["run", *options, "--build_model.upstream_trainable=true"]) == 0
    given = f"--train.init_ckpt_dir={tmp_path / 'run' / 'train' / 'step_00000004'}"
    assert execute(ASR(), ["run", *options, given, f"--target_dir={tmp_path / 'probe'}"]) != 0
    assert "frozen now, such as upstream.weight" in capfd.readouterr().err
    assert not list((tmp_path / "cache").glob("features/*"))


def test_an_encoder_of_a_users_class_comes_back_by_its_name(run):
    from dataset.encoders.text import CharacterEncoder

    class Vowels(CharacterEncoder):
        name = "vowels of a test"

        def encode(self, text):
            return super().encode("".join(c for c in text if c in "aeiou"))

    class VowelASR(ASR):
        def build_encoder(self, build_encoder, target_dir, *rest, get_path_only=False):
            if not get_path_only:
                Vowels.build(["a e i o u"]).save(Path(target_dir) / "encoder")
            return str(Path(target_dir) / "encoder")

    folder = run(problem=VowelASR())
    _, task = VowelASR().load_model_and_task(str(folder))
    assert type(task.encoder) is Vowels
    with pytest.raises(CheckpointError, match="VowelASR"):
        ASR().load_model(str(folder / "model"))


def test_the_tasks_arguments_can_be_overridden_by_name(run):
    folder = run()
    task = ASR().load_task(str(folder / "task"), torch.nn.Identity(), {"build_task": {"log_predictions": 3}})
    assert task.log_predictions == 3


def test_a_folder_that_is_no_checkpoint_says_so(tmp_path, run):
    with pytest.raises(CheckpointError, match="not part of a checkpoint"):
        ASR().load_model(str(tmp_path))
    folder = run()
    shutil.rmtree(folder / "task" / "encoder")
    with pytest.raises(FileNotFoundError, match="encoder"):
        ASR().load_model_and_task(str(folder))
