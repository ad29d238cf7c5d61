"""The head that follows from how far apart an upstream's frames are."""

from __future__ import annotations

import pytest
import torch

import problems
from nn.downstream.auto import auto
from nn.downstream.linear import MeanPoolAdapter, MeanPoolLinear
from nn.downstream.tdnn import TDNN
from problems.engine.cli.arguments import resolve_config
from problems.engine.config.registry import describe
from problems.engine.runtime.overrides import call

UTTERANCE_PROBLEMS = ("asv", "classification", "er", "ic", "ks", "lid", "multilabel", "regression", "sid")


@pytest.mark.parametrize(
    "stride, kind", [(160, TDNN), (320, TDNN), (1600, TDNN), (1601, MeanPoolLinear), (12320, MeanPoolLinear)]
)
def test_frames_of_up_to_a_tenth_of_a_second_are_joined_and_longer_ones_are_averaged(stride, kind):
    head = auto(8, 5, stride)
    assert type(head) is kind
    y, lengths = head(torch.randn(2, 3, 8), torch.tensor([3, 1]))
    assert y.shape == (2, 5) and lengths.tolist() == [1, 1]


def test_embeddings_of_long_frames_are_adapted():
    assert type(auto(8, 5, 160, is_embedding=True)) is TDNN
    assert type(auto(8, 5, 12320, is_embedding=True)) is MeanPoolAdapter


def test_its_settings_are_those_of_the_time_delay_head():
    *shared, own = describe("nn.downstream.auto:auto")
    assert shared == describe("nn.downstream.tdnn:TDNN") and own.name == "is_embedding"
    settings = {"channels": [6, 4], "stack": 3, "pooling": "mean", "dropout": 0.4}
    torch.manual_seed(0)
    expected = str(TDNN(8, 5, **settings))
    assert str(auto(8, 5, 160, **settings)) == expected and auto(8, 5, 160, **settings).stack == 3


@pytest.mark.parametrize("name", UTTERANCE_PROBLEMS)
@pytest.mark.parametrize("upstream, kind", [("fbank", TDNN), ("ge2e", MeanPoolLinear)])
def test_with_the_default_preset_of_a_problem_the_head_suits_the_upstream(name, upstream, kind):
    problem = problems.get(name)()
    random = [("build_upstream.conf.checkpoint", "random")] if upstream == "ge2e" else []
    config = resolve_config(problem, [], [("build_upstream.name", upstream), *random], to_edit=True)
    sections = {key: config[key] for key in ("build_model", "build_upstream", "build_featurizer", "build_downstream")}
    model = call(problem, "build_model", model_output_size=4, **sections)
    is_of_embeddings = name == "asv" and kind is MeanPoolLinear
    assert type(model.downstream) is (MeanPoolAdapter if is_of_embeddings else kind)
    assert name != "asv" or model.embedding_size == (256 if is_of_embeddings else 64)


class OfStride(torch.nn.Linear):
    """A user's head that wants to know how far apart frames are."""

    def __init__(self, input_size: int, output_size: int, input_stride: int, factor: float = 2.0):
        super().__init__(input_size, output_size)
        self.reach = input_stride * factor


def test_a_head_of_ones_own_may_take_the_stride():
    section = {"name": f"{__name__}:OfStride", "conf": {"factor": 3.0}}
    sizes = {"downstream_input_size": 20, "downstream_output_size": 5, "downstream_input_stride": 320}
    assert call(problems.get("sid")(), "build_downstream", build_downstream=section, **sizes).reach == 960
