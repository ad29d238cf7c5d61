"""An encoder whose code comes with its weights from the hub, run only if the user trusts a pinned commit of it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nn.upstream.by_length import by_length, measured
from nn.upstream.pretrained.base import PretrainedEncoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

WAV_EPSILON = 1e-7
STATES = ("hidden_states", "layer_results")
"""Names under which a model may return its states."""


def require_pinned(model: str, revision: str | None) -> None:
    """Refuse code that may be another tomorrow.

    Raises:
        ValueError: the model is no local folder, and the revision no commit.
    """
    if not Path(model).expanduser().is_dir() and not re.fullmatch("[0-9a-f]{40}", revision or ""):
        raise ValueError(
            f"conf.trust_remote_code runs the code of {model!r}: read it, and set conf.revision to the commit that you"
            f" read, 40 hexadecimal digits; got {revision!r}"
        )


def require_own_code(model: str, source: Mapping[str, Any]) -> None:
    """Refuse code that the model's config takes from another repository, whose commit nobody has named.

    Raises:
        ValueError: the config names one.
        OSError: there is no config.
    """
    from transformers import PreTrainedConfig

    config, _ = PreTrainedConfig.get_config_dict(model, **{k: v for k, v in source.items() if k != "trust_remote_code"})
    others = [str(value) for value in (config.get("auto_map") or {}).values() if "--" in str(value)]
    if others:
        raise ValueError(f"the code of {model!r} is in another repository, {others[0]}: download both into one folder")


class RemoteCode(PretrainedEncoder):
    """A model of the hub with code of its own: called with waveforms of one length, it returns ``hidden_states``.

    Its frames and sizes are measured on noise when it is built.

    Args:
        model: takes (B, T) at 16 kHz, and returns hidden states (B, T', H) as an attribute or a key
        normalise: give each waveform zero mean and unit variance
    """

    takes_waveforms = False

    def __init__(self, model: PreTrainedModel, normalise: bool = False) -> None:
        super().__init__()
        self.model, self.config = model.eval(), model.config
        self.normalise = WAV_EPSILON if normalise else None
        parameters = inspect.signature(model.forward).parameters
        takes_flag = any(p.kind == p.VAR_KEYWORD or p.name == "output_hidden_states" for p in parameters.values())
        self.flags = {"output_hidden_states": True} if takes_flag else {}
        self.rule = measured(self._count)
        self.minimum = self.rule.minimum
        states = self._encode(torch.zeros(1, 16000))
        self.num_layers, self.hidden_sizes = len(states), [state.shape[-1] for state in states]
        self.downsample_rates = [self.rule.stride] * self.num_layers

    @property
    def layers(self) -> nn.ModuleList:
        """None are known by number: all of the model is layer 0."""
        return nn.ModuleList()

    layers_path = "model.layers"

    def frame_lengths(self, wav_len: Tensor) -> Tensor:
        return self.rule.frames(wav_len)

    def states(self, wav: Tensor, wav_len: Tensor, frames: Tensor) -> list[Tensor]:
        return by_length(wav, wav_len.clamp_min(self.minimum), self._encode)

    def _encode(self, wav: Tensor) -> list[Tensor]:
        out: Any = self.model(wav, **self.flags)
        candidates = [out.get(name) if isinstance(out, dict) else getattr(out, name, None) for name in STATES]
        states = next((own for own in candidates if own is not None), None)
        states = [states] if isinstance(states, Tensor) else states
        if not states or not all(isinstance(x, Tensor) and x.dim() == 3 and len(x) == len(wav) for x in states):
            raise ValueError(
                f"{type(self.model).__name__} returned {type(out).__name__} without hidden_states (B, T', H); write an"
                " upstream of your own around it (docs/upstreams.md)"
            )
        return list(states)

    @torch.no_grad()
    def _count(self, samples: int) -> int:
        generator = torch.Generator().manual_seed(samples)
        return self._encode(0.1 * torch.randn(1, samples, generator=generator))[0].shape[1]
