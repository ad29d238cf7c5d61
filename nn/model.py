"""Upstream, featurizer and downstream as one model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nn.finetune.schedule import FineTuning, Trainable, hold_frozen
from nn.streaming import ModelStream
from nn.traits import trait


class UpstreamDownstreamModel(nn.Module):
    """wav -> upstream -> featurizer -> [augment, in training mode] -> downstream.

    A frozen upstream runs under ``no_grad`` and stays in evaluation mode after ``train()``, so that its dropout and
    layer drop never act. The same holds for the frozen parts of an upstream that is trained in part.

    Args:
        upstream: module with the interface that nn.upstream describes
        featurizer: module that reduces the upstream's layers to one
        downstream: module with the interface that nn.downstream describes
        upstream_trainable: train the upstream too, or a list of its layers and patterns of its parameters' names
        augment: module called as augment(x, lengths) on the featurizer's output in training mode
        finetune: how the upstream is trained (null: all of it but the feature encoder, from the first step)
    """

    def __init__(
        self,
        upstream: nn.Module,
        featurizer: nn.Module,
        downstream: nn.Module,
        upstream_trainable: bool | list[int | str] = False,
        augment: nn.Module | None = None,
        finetune: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.upstream = upstream
        self.featurizer = featurizer
        self.downstream = downstream
        self.upstream_trainable: Trainable = upstream_trainable
        self.augment = augment
        self.finetune = finetune
        if upstream_trainable:
            self.finetune = finetune or FineTuning()
            self.finetune.prepare(upstream, upstream_trainable)
        elif finetune is not None:
            raise ValueError(
                "finetune has settings, but upstream_trainable is false: set upstream_trainable, or leave finetune out"
            )
        else:
            upstream.requires_grad_(False)
        self.train()

    @property
    def downsample_rate(self) -> int:
        """Samples per output frame of a frame-level downstream."""
        return self.featurizer.downsample_rate * getattr(self.downstream, "downsample_rate", 1)

    @property
    def needed_layers(self) -> list[int] | None:
        """The upstream's layers that ``forward`` reads; it accepts the states of these alone. None: all of them."""
        return trait(self.featurizer, "needed_layers")

    @property
    def commutes_with_mean(self) -> bool:
        """True if mean-pooling the hidden states first gives the same output, so that only means need caching."""
        parts = (self.featurizer, self.downstream)
        return self.augment is None and all(trait(part, "commutes_with_mean") for part in parts)

    def train(self, mode: bool = True) -> UpstreamDownstreamModel:
        """Set training or evaluation mode; frozen modules of the upstream stay in evaluation mode."""
        super().train(mode)
        if mode:
            hold_frozen(self.upstream)
        return self

    def _upstream_trains(self) -> bool:
        return any(p.requires_grad for p in self.upstream.parameters())

    def set_step(self, step: int) -> None:
        """Follow the fine-tuning schedule to this step (0 is the first)."""
        if self.finetune is not None and self.finetune.set_step(step):
            self.train(self.training)

    @property
    def trained(self) -> list[nn.Parameter]:
        """Every parameter that is trained at some step."""
        later = self.finetune.trained if self.finetune is not None else []
        return [*later, *(p for p in self.parameters() if p.requires_grad)]

    def forward(
        self,
        wav: Tensor | None = None,
        wav_len: Tensor | None = None,
        hidden_states: Sequence[Tensor] | Tensor | None = None,
        hidden_lens: Sequence[Tensor] | Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Logits of a batch, from waveforms or from an upstream's states computed elsewhere.

        Args:
            wav: (B, T) float, 16 kHz.
            wav_len: (B,) int64, samples of each utterance.
            hidden_states: in place of ``wav``: the upstream's L states, each (B, T', H), or one tensor (L, B, T', H).
            hidden_lens: in place of ``wav_len``: L int64 tensors (B,), or one for all layers.

        Returns:
            the downstream's output: logits and their lengths (B,).
        """
        if (wav is None) == (hidden_states is None):
            got = "neither" if wav is None else "both"
            raise TypeError(f"the model takes wav and wav_len, or hidden_states and hidden_lens; got {got}")
        if hidden_states is None:
            if self.finetune is not None and self.training:
                self.finetune.require_step()
            with torch.set_grad_enabled(self._upstream_trains() and torch.is_grad_enabled()):
                hidden_states, hidden_lens = self.upstream(wav, wav_len)
        x, lengths = self.featurizer(hidden_states, hidden_lens)
        if self.augment is not None and self.training:
            x = self.augment(x, lengths)
        return self.downstream(x, lengths)

    def stream(self) -> ModelStream:
        """A stream, which takes a recording in chunks and gives the logits of each.

        Raises:
            CannotStream: parts need the whole recording.
        """
        return ModelStream(self)


class FrozenUpstream(nn.Module):
    """An upstream alone, for a problem that trains nothing."""

    upstream_trainable = False

    def __init__(self, upstream: nn.Module) -> None:
        super().__init__()
        self.upstream = upstream.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> FrozenUpstream:
        """Stay in evaluation mode."""
        super().train(mode)
        self.upstream.eval()
        return self

    def forward(self, wav: Tensor, wav_len: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The upstream's states of a batch, and their lengths."""
        with torch.no_grad():
            return self.upstream(wav, wav_len)
