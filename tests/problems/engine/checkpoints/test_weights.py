"""Weights come back bit for bit; of an upstream only what is trained is saved, and another upstream is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from problems.engine.checkpoints import weights
from problems.engine.checkpoints.weights import WEIGHTS, load_weights, referred, save_weights
from problems.engine.runtime.digests import digest
from problems.engine.runtime.errors import CheckpointError, ConfigError


class Head(torch.nn.Module):
    """Two layers that share their weight, and a buffer in half precision."""

    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
        self.b.weight = self.a.weight
        self.register_buffer("sixteen", torch.tensor([1.5, float("nan")], dtype=torch.float16))
        self.register_buffer("flag", torch.tensor(True))


def pretrained(trainable, **finetune):
    """A model on a narrow wav2vec 2.0."""
    from nn.downstream.linear import MeanPoolLinear
    from nn.featurizer import Featurizer
    from nn.finetune.schedule import FineTuning
    from nn.model import UpstreamDownstreamModel
    from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
    from tests.parts.torchaudio_models import small_model

    upstream = Wav2Vec2(small_model())
    head = MeanPoolLinear(32, 3)
    settings = FineTuning(**finetune) if finetune else None
    return UpstreamDownstreamModel(upstream, Featurizer(upstream), head, trainable, None, settings)


def train_a_step(model):
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape))


def test_weights_come_back_bit_for_bit_shared_ones_too(tmp_path):
    torch.manual_seed(0)
    one = Head()
    save_weights(tmp_path, one)
    torch.manual_seed(1)
    two = Head()
    load_weights(tmp_path, two)
    for name, value in one.state_dict().items():
        other = two.state_dict()[name]
        assert other.dtype == value.dtype and torch.equal(other.nan_to_num(), value.nan_to_num()), name
    assert two.b.weight is two.a.weight


def test_weights_of_another_model_are_refused_naming_them(tmp_path):
    save_weights(tmp_path, torch.nn.Linear(3, 3))
    for other, said in ((torch.nn.Linear(4, 3), "other shapes"), (torch.nn.Linear(3, 3, bias=False), "bias")):
        with pytest.raises(CheckpointError, match=said):
            load_weights(tmp_path, other)


@pytest.mark.parametrize(
    "trainable, finetune",
    [(False, {}), (True, {}), ([3], {}), (["*layer_norm*"], {}), (True, {"lora_rank": 2}), (True, {"start_step": 5})],
)
def test_of_an_upstream_trained_in_part_that_part_alone_is_saved(tmp_path, trainable, finetune):
    if "lora_rank" in finetune:
        pytest.importorskip("peft")

    model = pretrained(trainable, **finetune)
    if finetune:
        model.set_step(0)
    train_a_step(model)
    save_weights(tmp_path, model)
    saved = {k for k in load_file(tmp_path / WEIGHTS) if k.startswith("upstream.")}
    ever = {id(p) for p in model.trained}
    assert saved == {n for n, p in model.named_parameters() if id(p) in ever and n.startswith("upstream.")}
    loaded = pretrained(trainable, **finetune)
    load_weights(tmp_path, loaded)
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    other = pretrained(trainable, **finetune)
    frozen = next(n for n in model.state_dict() if n.startswith("upstream.") and n not in saved)
    other.state_dict()[frozen].add_(1)
    with pytest.raises(CheckpointError, match="frozen upstream is not the one"):
        load_weights(tmp_path, other)


def test_under_a_schedule_each_checkpoint_has_all_that_is_ever_trained(tmp_path):
    model = pretrained(True, start_step=1, steps_per_layer=1)
    sizes = []
    for step in range(6):
        model.set_step(step)
        train_a_step(model)
        folder = tmp_path / str(step)
        folder.mkdir()
        save_weights(folder, model)
        sizes.append((folder / WEIGHTS).stat().st_size)
        loaded = pretrained(True, start_step=1, steps_per_layer=1)
        load_weights(folder, loaded)
        assert all(torch.equal(loaded.state_dict()[n], v) for n, v in model.state_dict().items())
    assert len(set(sizes)) == 1  # so that any two can be averaged, and one be loaded into a model that went on


def test_fine_tuning_can_start_from_a_probe(tmp_path):
    probe = pretrained(False)
    train_a_step(probe)
    save_weights(tmp_path, probe)
    tuned = pretrained(True)
    load_weights(tmp_path, tuned)
    assert all(torch.equal(tuned.state_dict()[n], v) for n, v in probe.state_dict().items())


@pytest.mark.parametrize("trainable", [False, [3]])
def test_what_was_trained_and_is_frozen_now_is_refused(tmp_path, trainable):
    """It would be in no checkpoint of the new training, and no upstream would fit its digest."""
    tuned = pretrained(True)
    train_a_step(tuned)
    save_weights(tmp_path, tuned)
    probe = pretrained(trainable)
    before = digest(probe.state_dict())
    with pytest.raises(CheckpointError, match="frozen now, such as upstream.*upstream_trainable"):
        load_weights(tmp_path, probe)
    assert digest(probe.state_dict()) == before


def test_buffers_go_with_the_module_that_trains(tmp_path):
    class WithNorm(torch.nn.Module):
        upstream_trainable = [1]

        def __init__(self):
            super().__init__()
            self.upstream = torch.nn.ModuleList([torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)])
            self.upstream[0].requires_grad_(False)

    model = WithNorm()
    assert referred(model) == {f"upstream.0.{n}" for n in model.upstream[0].state_dict()}
    save_weights(tmp_path, model)
    loaded = WithNorm()
    loaded.upstream[1].running_mean.add_(1)
    load_weights(tmp_path, loaded)
    assert not loaded.upstream[1].running_mean.any()


def test_frozen_weights_are_hashed_once_and_nothing_is_written_on_the_model(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(weights, "digest", lambda tensors: hashed.append(1) or digest(tensors))
    model = pretrained(False)
    before = set(vars(model))
    for _ in range(3):
        save_weights(tmp_path, model)
    assert len(hashed) == 1 and set(vars(model)) == before


def test_a_value_that_is_not_a_tensor_is_refused_by_name(tmp_path):
    with pytest.raises(ConfigError, match="'odd'.*expected a tensor, got int"):
        weights.save_tensors(tmp_path / "tensors.safetensors", {"odd": 3})
