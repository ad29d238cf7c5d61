"""Adapters change nothing at first, and only they train."""

from __future__ import annotations

import copy
import sys
from importlib.util import find_spec

import pytest
import torch

from tests.parts.fine_tuning import UPSTREAMS, WAV, WAV_LEN, build, changed, hugging_face_model, step, trained

needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="pip install 'soundstage[peft]'")


@needs_peft
@pytest.mark.parametrize("make", UPSTREAMS)
def test_adapters_begin_as_nothing_and_all_of_them_train(make):
    expected = build(False, make()).eval().upstream(WAV, WAV_LEN)[0]
    model = build([2, 3], make(), lora_rank=2)
    got = model.eval().upstream(WAV, WAV_LEN)[0]
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(got, expected))
    names = trained(model)
    assert names and all(".lora_" in n for n in names) and {model.upstream.layer_of(n) for n in names} == {2, 3}
    before = copy.deepcopy(dict(model.upstream.named_parameters()))
    model.train()
    step(model)
    step(model)  # the first step moves only the second factor, which starts at zero
    assert changed(model, before) == names


@needs_peft
def test_adapters_on_chosen_maps_and_where_none_can_act():
    model = build(True, lora_rank=2, lora_targets=["q_proj", "v_proj"])
    assert {n.split(".lora_")[0].rpartition(".")[2] for n in trained(model)} == {"q_proj", "v_proj"}
    with pytest.raises(ValueError, match="no adapter can be put on query.*q_proj"):
        build(True, lora_rank=2, lora_targets=["query"])
    # transformers' WavLM takes the weights of its projections past the modules: an adapter there would never act
    with pytest.raises(ValueError, match="no adapter can be put on q_proj"):
        build(True, hugging_face_model("WavLM"), lora_rank=2, lora_targets=["q_proj"])


def test_without_the_extra_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ValueError, match=r"pip install 'soundstage\[peft\]'"):
        build(True, lora_rank=2)
