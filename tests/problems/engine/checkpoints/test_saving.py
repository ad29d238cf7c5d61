"""What a checkpoint holds: all that is needed, nothing that could run code, nothing that changes on the way."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pandas
import pytest
import torch

from problems.asr import ASR
from problems.engine.checkpoints import saving
from problems.engine.cli.main import execute
from problems.engine.runtime.errors import CheckpointError, ConfigError
from tasks.base import Task

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


class Head(torch.nn.Module):
    """Two layers that share their weight, and a buffer in half precision."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.register_buffer("sixteen", torch.tensor([1.5, float("nan")], dtype=torch.float16))
        self.register_buffer("flag", torch.tensor(True))


class Counting(Task):
    """A task with weights and a state of its own, as a margin loss has them."""

    def __init__(self, model):
        super().__init__(model)
        self.centres = torch.nn.Parameter(torch.zeros(2, 3))
        self.state = {}

    def get_state(self):
        return self.state

    def set_state(self, state):
        self.state = dict(state)


def test_weights_come_back_bit_for_bit_shared_ones_too(tmp_path):
    torch.manual_seed(0)
    one = Head()
    saving.save_weights(tmp_path, one)
    torch.manual_seed(1)
    two = Head()
    saving.load_weights(tmp_path, two)
    for name, value in one.state_dict().items():
        other = two.state_dict()[name]
        assert other.dtype == value.dtype and torch.equal(other.nan_to_num(), value.nan_to_num()), name
    assert two.b.weight is two.a.weight


def test_weights_of_another_model_are_refused_naming_them(tmp_path):
    saving.save_weights(tmp_path, torch.nn.Linear(3, 3))
    for other, said in ((torch.nn.Linear(4, 3), "other shapes"), (torch.nn.Linear(3, 3, bias=False), "bias")):
        with pytest.raises(CheckpointError, match=said):
            saving.load_weights(tmp_path, other)


def test_a_task_keeps_its_own_weights_and_state(tmp_path):
    task = Counting(Head())
    torch.nn.init.normal_(task.centres)
    running = torch.arange(6.0).reshape(2, 3)
    task.state = {"means": running, "view": running[0], "best": math.inf, "name": "nul ⁇", "seen": [1, 2]}
    saving.save_task(tmp_path, task)
    loaded = Counting(Head())
    saving.load_task(tmp_path, loaded)
    assert torch.equal(loaded.centres, task.centres)
    assert torch.equal(loaded.state["means"], running) and torch.equal(loaded.state["view"], running[0])
    assert {k: v for k, v in loaded.state.items() if not isinstance(v, torch.Tensor)} == {
        "best": math.inf,
        "name": "nul ⁇",
        "seen": [1, 2],
    }
    assert not list(tmp_path.glob("*model*")), "the model's weights are saved with the model"


@pytest.mark.parametrize("value", [{1: "number as key"}, {"set"}, object()])
def test_a_state_that_json_would_change_is_refused_by_name(tmp_path, value):
    task = Counting(Head())
    task.state = {"queue": value}
    with pytest.raises(ConfigError, match="'queue'"):
        saving.save_task(tmp_path, task)


def test_arguments_of_every_kind_come_back(tmp_path):
    table = pandas.DataFrame({"id": ["0012", "null", ""], "text": ["a,b", 'c"d', "e\r\nf"]})
    arguments = {"plain": {"a": [1, 2.5, None, "x"]}, "nothing": None, "trials": table}
    saving.save_arguments(tmp_path, arguments)
    back = saving.load_arguments(tmp_path, load_encoder=lambda folder: None)
    assert back["plain"] == arguments["plain"] and back["nothing"] is None
    pandas.testing.assert_frame_equal(back["trials"], table)


@pytest.mark.parametrize("value", [torch.zeros(1), {3: "a"}, float("nan"), open, {"a": {1, 2}}])
def test_an_argument_that_cannot_be_saved_is_refused_by_name(value):
    with pytest.raises(ConfigError, match="'odd'"):
        saving.check_arguments({"fine": 1, "odd": value})


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


def test_a_checkpoint_gives_the_same_numbers_as_the_model_that_was_trained(run):
    folder = run()
    (one, task), (two, _) = (ASR().load_model_and_task(str(folder)) for _ in range(2))
    wav, lengths = torch.randn(1, 8000), torch.tensor([8000])
    assert torch.equal(one(wav, lengths)[0], two(wav, lengths)[0])
    assert not one.training and not task.training
    saving.save_weights(folder.parent, one)
    assert (folder.parent / saving.WEIGHTS).read_bytes() == (folder / "model" / saving.WEIGHTS).read_bytes()


def test_a_frozen_upstream_is_referred_to_and_another_is_refused(tiny, tmp_path, upstream, monkeypatch, capfd):
    target, options = tmp_path / "run", without_preset(tiny)
    assert execute(ASR(), ["run", *options, upstream, "--train.total_steps=4"]) == 0
    folder = target / "train" / "step_00000004"
    from safetensors.torch import load_file

    assert not [k for k in load_file(folder / "model" / saving.WEIGHTS) if k.startswith("upstream.")]
    ASR().load_model(str(folder / "model"))
    path = folder / "model" / "arguments.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 2'))  # stands for a download that changed
    with pytest.raises(CheckpointError, match="frozen upstream is not the one"):
        ASR().load_model(str(folder / "model"))


def test_a_trained_upstream_is_saved(tiny, tmp_path, upstream):
    options = [*without_preset(tiny), upstream, "--build_model.upstream_trainable=true", "--train.total_steps=4"]
    assert execute(ASR(), ["run", *options, "--stop=2"]) == 0
    folder = tmp_path / "run" / "train" / "step_00000004"
    initial = torch.randn(6, 1, 160, generator=torch.Generator().manual_seed(1))
    assert not torch.equal(ASR().load_model(str(folder / "model")).upstream.weight, initial)


def pretrained(trainable, **finetune):
    """A model on a narrow wav2vec 2.0."""
    from nn.downstream.linear import MeanPoolLinear
    from nn.featurizer import Featurizer
    from nn.finetune.schedule import FineTuning
    from nn.model import UpstreamDownstreamModel
    from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
    from tests.nn.upstream.pretrained.test_torchaudio_models import small_model

    upstream = Wav2Vec2(small_model())
    head = MeanPoolLinear(32, 3)
    settings = FineTuning(**finetune) if finetune else None
    return UpstreamDownstreamModel(upstream, Featurizer(upstream), head, trainable, None, settings)


def train_a_step(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape))


@pytest.mark.parametrize(
    "trainable, finetune",
    [(False, {}), (True, {}), ([3], {}), (["*layer_norm*"], {}), (True, {"lora_rank": 2}), (True, {"start_step": 5})],
)
def test_of_an_upstream_trained_in_part_that_part_alone_is_saved(tmp_path, trainable, finetune):
    if "lora_rank" in finetune:
        pytest.importorskip("peft")
    from safetensors.torch import load_file

    model = pretrained(trainable, **finetune)
    if finetune:
        model.set_step(0)
    train_a_step(model)
    saving.save_weights(tmp_path, model)
    saved = {k for k in load_file(tmp_path / saving.WEIGHTS) if k.startswith("upstream.")}
    ever = {id(p) for p in model.trained}
    assert saved == {n for n, p in model.named_parameters() if id(p) in ever and n.startswith("upstream.")}
    loaded = pretrained(trainable, **finetune)
    saving.load_weights(tmp_path, loaded)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    other = pretrained(trainable, **finetune)
    frozen = next(n for n in model.state_dict() if n.startswith("upstream.") and n not in saved)
    other.state_dict()[frozen].add_(1)
    with pytest.raises(CheckpointError, match="frozen upstream is not the one"):
        saving.load_weights(tmp_path, other)


def test_under_a_schedule_each_checkpoint_has_all_that_is_ever_trained(tmp_path):
    model = pretrained(True, start_step=1, steps_per_layer=1)
    sizes = []
    for step in range(6):
        model.set_step(step)
        train_a_step(model)
        folder = tmp_path / str(step)
        folder.mkdir()
        saving.save_weights(folder, model)
        sizes.append((folder / saving.WEIGHTS).stat().st_size)
        loaded = pretrained(True, start_step=1, steps_per_layer=1)
        saving.load_weights(folder, loaded)
        assert all(torch.equal(loaded.state_dict()[n], v) for n, v in model.state_dict().items())
    assert len(set(sizes)) == 1  # so that any two can be averaged, and one be loaded into a model that went on


def test_fine_tuning_can_start_from_a_probe(tmp_path):
    probe = pretrained(False)
    train_a_step(probe)
    saving.save_weights(tmp_path, probe)
    tuned = pretrained(True)
    saving.load_weights(tmp_path, tuned)
    assert all(torch.equal(tuned.state_dict()[n], v) for n, v in probe.state_dict().items())


@pytest.mark.parametrize("trainable", [False, [3]])
def test_what_was_trained_and_is_frozen_now_is_refused(tmp_path, trainable):
    """It would be in no checkpoint of the new training, and no upstream would fit its digest."""
    tuned = pretrained(True)
    train_a_step(tuned)
    saving.save_weights(tmp_path, tuned)
    probe = pretrained(trainable)
    before = saving.digest(probe.state_dict())
    with pytest.raises(CheckpointError, match="frozen now, such as upstream.*upstream_trainable"):
        saving.load_weights(tmp_path, probe)
    assert saving.digest(probe.state_dict()) == before


def test_a_probe_of_weights_that_no_upstream_has_is_refused_before_features(tiny, tmp_path, upstream, capfd):
    options = [*without_preset(tiny), upstream, "--train.total_steps=4", "--stop=2"]
    options += ["--features.cache=disk", "--build_dataset.speeds=[1.0]"]
    assert execute(ASR(), ["run", *options, "--build_model.upstream_trainable=true"]) == 0
    given = f"--train.resume_ckpt_dir={tmp_path / 'run' / 'train' / 'step_00000004'}"
    assert execute(ASR(), ["run", *options, given, f"--target_dir={tmp_path / 'probe'}"]) != 0
    assert "frozen now, such as upstream.weight" in capfd.readouterr().err
    assert not list((tmp_path / "cache").glob("features/*"))


def test_buffers_go_with_the_module_that_trains(tmp_path):
    class WithNorm(torch.nn.Module):
        upstream_trainable = [1]

        def __init__(self):
            super().__init__()
            self.upstream = torch.nn.ModuleList([torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)])
            self.upstream[0].requires_grad_(False)

    model = WithNorm()
    assert saving.referred(model) == {f"upstream.0.{n}" for n in model.upstream[0].state_dict()}
    saving.save_weights(tmp_path, model)
    loaded = WithNorm()
    loaded.upstream[1].running_mean.add_(1)
    saving.load_weights(tmp_path, loaded)
    assert not loaded.upstream[1].running_mean.any()


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
