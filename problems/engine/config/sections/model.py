"""The sections of the model: the upstream, the featurizer, the head, and what is between them."""

from __future__ import annotations

from dataclasses import dataclass

from dataset.setting import setting


@dataclass
class BuildUpstream:
    """The upstream: from a waveform to hidden states."""

    name: str = setting("fbank", "the upstream", registry="nn.upstream:UPSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildFeaturizer:
    """The featurizer: the hidden states as one, by default their weighted sum."""

    layer_selections: int | list[int] | str | None = setting(
        None, "layers to sum, e.g. [0, 5]; a single number; or last; null: all"
    )
    normalize: bool = setting(False, "layer-normalise each layer before the sum")
    readout: str | None = setting(
        None,
        "how layers become one; gated: weights for each frame or utterance; null: weighted_sum",
        choices=("weighted_sum", "mean", "gated", "gated_utterance", "hierarchical"),
    )


@dataclass
class BuildDownstream:
    """The downstream model: the trained head."""

    name: str = setting("rnn", "the head", registry="nn.downstream:DOWNSTREAMS")
    conf: dict = setting({}, "its settings")


@dataclass
class BuildModel:
    """The model: upstream, featurizer and head."""

    upstream_trainable: bool | list[int | str] = setting(
        False,
        "train the upstream too: true, or a list of layer numbers (-1: the last) and parameter names, e.g. [11, 12]",
    )
    finetune: dict | None = setting(None, "fine-tuning settings, e.g. {layer_drop: 0.1, lora_rank: 8}; null: none")
    specaug: dict | None = setting(None, "SpecAugment on the features, e.g. {freq_mask_width: [0, 27]}; null: off")
