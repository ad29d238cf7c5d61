"""Small models whose upstream is fine-tuned."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nn.downstream.linear import MeanPoolLinear
from nn.featurizer import Featurizer
from nn.finetune.schedule import FineTuning
from nn.model import UpstreamDownstreamModel
from nn.upstream.pretrained.torchaudio_models import Wav2Vec2
from tests.parts.torchaudio_models import small_model

WAV, WAV_LEN = torch.randn(3, 3000, generator=torch.Generator().manual_seed(0)), torch.tensor([3000, 2000, 900])
STILL = {
    n: 0.0
    for n in ("encoder_projection_dropout", "encoder_attention_dropout", "encoder_ff_interm_dropout", "encoder_dropout")
}


def build(trainable=True, upstream: nn.Module | None = None, **settings) -> UpstreamDownstreamModel:
    upstream = upstream or Wav2Vec2(small_model(**STILL))
    torch.manual_seed(0)
    head = MeanPoolLinear(upstream.hidden_sizes[0], 3)
    finetune = FineTuning(**settings) if settings else None
    return UpstreamDownstreamModel(upstream, Featurizer(upstream), head, trainable, None, finetune)


def hugging_face_model(kind: str = "Wav2Vec2") -> nn.Module:
    transformers = pytest.importorskip("transformers")
    from nn.upstream.pretrained.huggingface_families import Convolutional

    conf = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 48}
    conf |= {"conv_dim": [16] * 3, "conv_kernel": [10, 3, 2], "conv_stride": [5, 2, 2], "num_feat_extract_layers": 3}
    still = ("hidden_dropout", "activation_dropout", "attention_dropout", "feat_proj_dropout", "layerdrop")
    conf |= {"num_conv_pos_embedding_groups": 4, "apply_spec_augment": False} | dict.fromkeys(still, 0.0)
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**conf)
    return Convolutional(getattr(transformers, f"{kind}Model")(config), True)


UPSTREAMS = [lambda: Wav2Vec2(small_model(**STILL)), hugging_face_model, lambda: hugging_face_model("WavLM")]


def trained(model: nn.Module) -> set[str]:
    return {n for n, p in model.upstream.named_parameters() if p.requires_grad}


def step(model: nn.Module) -> None:
    """One step of gradient descent, as a loop would take it."""
    optimizer = torch.optim.SGD([p for p in model.parameters()], 0.1, weight_decay=0.5)
    model(WAV, WAV_LEN)[0].square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def changed(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {n for n, p in model.upstream.named_parameters() if not torch.equal(p, before[n])}
