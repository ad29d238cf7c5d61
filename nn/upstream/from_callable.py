"""Any callable as an upstream: ``(wave (B, T), lengths (B,)) -> list of (B, T', H)``."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from nn.mask import zero_padding
from nn.upstream.by_length import FrameRule, by_length, measured


class FromCallable(nn.Module):
    """A callable as an upstream. It is called with utterances of one length, so it need not know about padding.

    Sizes and frames are measured on noise when it is built. A module's weights are those of the upstream.

    Args:
        function: ``module:name`` of a function, a module, or a class that is built without arguments
        batch: true to call it with whole padded batches, which is faster and exact only if it masks padding
    """

    def __init__(self, function: str = "", batch: bool = False) -> None:
        super().__init__()
        self.function, self.name, self.batch = _load(function), function, batch
        self.train(False)
        self.rule: FrameRule = measured(self._count)
        states = self._states(torch.zeros(1, 16000), torch.tensor([16000]))
        self.num_layers, self.hidden_sizes = len(states), [state.shape[-1] for state in states]
        self.downsample_rates = [self.rule.stride] * self.num_layers

    def output_lengths(self, wav_len: Tensor) -> list[Tensor]:
        """The lengths of all states without a call."""
        return [self.rule.frames(wav_len)] * self.num_layers

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """wav (B, T), wav_len (B,) -> the states (B, T', H) and their lengths.

        Raises:
            ValueError: the callable gives other frames than those that were measured.
        """
        lengths, fewest = self.output_lengths(wav_len), wav_len.clamp_min(self.rule.minimum)
        wav = zero_padding(wav.unsqueeze(-1), wav_len).squeeze(-1)
        wav = pad(wav, (0, max(0, self.rule.minimum - wav.shape[1])))
        if self.batch:
            states = self._states(wav, fewest)
        else:
            states = by_length(wav, fewest, lambda own: self._states(own, torch.full((len(own),), own.shape[1])))
        longest = int(self.rule.frames(fewest).max())
        if any(state.shape[1] < longest for state in states):
            frames = [state.shape[1] for state in states]
            raise ValueError(f"{self.name} gave {frames} frames, expected {longest} by the lengths measured on noise")
        return states, lengths

    def _states(self, wav: Tensor, wav_len: Tensor) -> list[Tensor]:
        states = self.function(wav, wav_len)
        states = [states] if isinstance(states, Tensor) else states
        is_right = isinstance(states, Sequence) and len(states) > 0
        if not is_right or not all(isinstance(x, Tensor) and x.dim() == 3 and len(x) == len(wav) for x in states):
            shapes = [tuple(getattr(x, "shape", ())) for x in states] if is_right else type(states).__name__
            raise ValueError(f"{self.name} returned {shapes}, expected a list of states (B, T', H) of B = {len(wav)}")
        return [state.float() for state in states]

    @torch.no_grad()
    def _count(self, samples: int) -> int:
        generator = torch.Generator().manual_seed(samples)
        wav = 0.1 * torch.randn(1, samples, generator=generator)
        frames = {state.shape[1] for state in self._states(wav, torch.tensor([samples]))}
        if len(frames) > 1:
            raise ValueError(f"{self.name} gave layers of {sorted(frames)} frames, expected as many in each")
        return frames.pop()


def _load(name: str) -> Callable[..., Any]:
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        raise ValueError(f"conf.function is {name!r}, expected module:name, as my_encoder:encode")
    try:
        target = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"conf.function {name!r} cannot be imported: {error}") from error
    target = target() if isinstance(target, type) else target
    if not callable(target):
        raise ValueError(f"conf.function {name!r} is a {type(target).__name__}, expected a callable")
    return target
