"""Fine-tuning: the selected parameters train, from their step on; masks and layer drop act in training only."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from nn.finetune.schedule import FineTuning, trained_names
from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
from nn.upstream.signal.kaldi import Fbank
from tests.parts.fine_tuning import UPSTREAMS, WAV, WAV_LEN, build, changed, step, trained
from tests.parts.torchaudio_models import small_model


@pytest.mark.parametrize("make", UPSTREAMS)
@pytest.mark.parametrize("trainable", [True, [3], [-1, 1], [0], ["model.encoder.*layer_norm.weight", 2]])
def test_only_the_selected_parameters_change(make, trainable):
    model = build(trainable, make()).train()
    before = copy.deepcopy(dict(model.upstream.named_parameters()))
    step(model)
    names, convolutions = trained(model), f"{model.upstream.feature_encoder_path}."
    assert names and not [n for n in names if n.startswith(convolutions)]
    assert changed(model, before) == names - {"model.masked_spec_embed"}
    if trainable is not True and all(isinstance(entry, int) for entry in trainable):
        depths = {model.upstream.layer_of(n) for n in names}
        assert depths == {entry % 4 for entry in trainable}


def test_the_feature_encoder_trains_if_it_is_not_frozen():
    model = build(True, freeze_feature_encoder=False).train()
    step(model)
    assert trained(model) == {n for n, _ in model.upstream.named_parameters()}


def test_frozen_modules_stay_in_evaluation_mode():
    model = build([3], Wav2Vec2(small_model())).train()
    layers = model.upstream.layers
    assert layers[2].training and layers[2].attention.training
    assert not layers[0].training and not layers[1].feed_forward.intermediate_dropout.training
    assert not model.upstream.model.feature_extractor.training
    first = model.upstream(WAV, WAV_LEN)[0]
    assert torch.equal(first[2], model.upstream(WAV, WAV_LEN)[0][2])  # no dropout below layer 3
    assert not torch.equal(first[3], model.upstream(WAV, WAV_LEN)[0][3])
    assert not any(m.training for m in model.eval().upstream.modules())
    assert model.train().upstream.layers[2].training


def test_a_schedule_frees_layers_from_the_top():
    model = build(True, start_step=2, steps_per_layer=2).train()
    with pytest.raises(RuntimeError, match=r"set_step\(step\)"):
        model(WAV, WAV_LEN)
    whole = trained(model)  # what an optimizer is built for
    seen = []
    for number in range(9):
        model.set_step(number)
        before = copy.deepcopy(dict(model.upstream.named_parameters()))
        step(model)
        assert changed(model, before) == trained(model)  # no weight decay on what is not trained yet
        seen.append(min((model.upstream.layer_of(n) for n in trained(model)), default=None))
        assert model.upstream.layers[2].training == (number >= 2)
    assert seen == [None, None, 3, 3, 2, 2, 1, 1, 0] and trained(model) == whole
    model.set_step(3)  # as after a resume
    assert {model.upstream.layer_of(n) for n in trained(model)} == {3}


@pytest.mark.parametrize("make", UPSTREAMS)
def test_layer_drop_leaves_a_layer_out_in_training_only(make):
    model = build(True, make(), layer_drop=0.5)
    plain = build(True, make())
    expected = plain.eval().upstream(WAV, WAV_LEN)[0]
    assert all(torch.equal(a, b) for a, b in zip(model.eval().upstream(WAV, WAV_LEN)[0], expected))
    model.train()
    dropped = torch.zeros(3)
    for _ in range(40):
        states = model.upstream(WAV, WAV_LEN)[0]
        assert len(states) == 4
        dropped += torch.tensor([float(torch.equal(a, b)) for a, b in zip(states, states[1:])])
    assert ((dropped > 8) & (dropped < 32)).all()


@pytest.mark.parametrize("make", UPSTREAMS)
def test_layer_drop_leaves_frozen_layers_in(make):
    model = build([3], make(), layer_drop=0.99)
    torch.manual_seed(1)
    for _ in range(5):
        states, _ = model.train().upstream(WAV, WAV_LEN)
        expected, _ = model.eval().upstream(WAV, WAV_LEN)
        assert all(torch.equal(a, b) for a, b in zip(states[:3], expected[:3]))


@pytest.mark.parametrize("make", UPSTREAMS)
def test_checkpointing_gives_the_same_gradients_for_less_memory(make):
    gradients = []
    for activation_checkpointing in (False, True):
        model = build(True, make(), activation_checkpointing=activation_checkpointing, layer_drop=0.3).train()
        torch.manual_seed(3)
        held = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, held=held: held.append(t.numel()) or t, lambda t: t):
            y = model(WAV, WAV_LEN)[0]
        y.square().sum().backward()
        gradients.append((sum(held), {n: p.grad for n, p in model.named_parameters()}))
    (much, plain), (little, same) = gradients
    assert little < 0.8 * much
    for name, gradient in plain.items():
        assert (gradient is None) == (same[name] is None)
        assert gradient is None or torch.allclose(gradient, same[name], atol=1e-6), name


@pytest.mark.parametrize("make", UPSTREAMS)
def test_masks_act_on_the_transformer_s_input_in_training_only(make):
    model = build(True, make(), time_mask_prob=0.6, time_mask_length=5)
    clean = model.eval().upstream(WAV, WAV_LEN)[0]
    assert torch.equal(model.upstream(WAV, WAV_LEN)[0][1], clean[1])
    vector = getattr(model.upstream.model, "masked_spec_embed", None)
    seen = []
    model.upstream.get_submodule(model.upstream.projection_path).register_forward_hook(
        lambda m, a, out: seen.append(out[0] if isinstance(out, tuple) else out)
    )
    states, _ = model.train().upstream(WAV, WAV_LEN)
    assert all(s.isfinite().all() for s in states) and not torch.equal(states[1], clean[1])
    masked = (seen[0] == (0.0 if vector is None else vector)).all(-1)
    assert 0.2 < masked[0].float().mean() < 0.7
    if vector is not None:
        states[3].square().sum().backward()
        assert vector.grad.any()


def test_a_copy_of_the_model_is_a_model_of_its_own():
    model = build(True, layer_drop=0.5, time_mask_prob=0.5, start_step=1).train()
    twin = copy.deepcopy(model)
    model.set_step(0), twin.set_step(1)
    assert not trained(model) and trained(twin)
    model.eval()
    torch.manual_seed(0)
    first, second = twin.upstream(WAV, WAV_LEN)[0], twin.upstream(WAV, WAV_LEN)[0]
    assert not torch.equal(first[3], second[3])
    assert torch.equal(model.upstream(WAV, WAV_LEN)[0][3], model.upstream(WAV, WAV_LEN)[0][3])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: build([4]), r"there is no layer 4; expected 1 to 3, -3 to -1"),
        (lambda: build(["decoder.*"]), r"'decoder.\*' matches no parameter"),
        (lambda: build(False, layer_drop=0.1), "finetune has settings, but upstream_trainable is false"),
        (lambda: build([1], Fbank()), "Fbank has no numbered layers"),
        (lambda: build(True, Fbank(), layer_drop=0.1), "which these settings of finetune need: layer_drop"),
        (lambda: FineTuning(layer_drop=1.0), "layer_drop is 1.0"),
        (lambda: build(["model.feature_extractor"]), "names the feature encoder only"),
        (lambda: FineTuning(time_mask_prob=1.0), "time_prob is 1.0"),
        (lambda: FineTuning(start_step=-1), "start_step is -1"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_names_and_patterns_choose_parameters():
    upstream = nn.ModuleDict({"a": nn.Linear(2, 2), "ab": nn.Linear(2, 2)})
    assert trained_names(upstream, ["a"]) == ["a.weight", "a.bias"]
    assert trained_names(upstream, ["*.bias"]) == ["a.bias", "ab.bias"]
    assert trained_names(upstream, True) == ["a.weight", "a.bias", "ab.weight", "ab.bias"]
    assert trained_names(upstream, []) == trained_names(upstream, False) == []
