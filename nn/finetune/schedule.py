"""How an upstream is trained: which of its weights, from which step on, with what noise, or by adapters beside them."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from nn.finetune.lora import add_adapters
from nn.finetune.span_mask import SpanMask
from nn.upstream.pretrained.base import PretrainedEncoder

Trainable = bool | Sequence[int | str]


class FineTuning(nn.Module):
    """The settings of fine-tuning, applied to one upstream by :meth:`prepare`.

    Layer drop, masks, activation checkpointing, adapters and the schedule need an upstream with numbered layers
    (:class:`nn.upstream.pretrained.base.PretrainedEncoder`). With their defaults none of them acts, and any upstream
    can be trained.

    Args:
        freeze_feature_encoder: leave the convolutions before the transformer as they are, as wav2vec 2.0's authors do
        start_step: nothing of the upstream is trained before this step
        steps_per_layer: from start_step on, train one layer more from the top each time so many steps pass; 0: all
        layer_drop: probability that a layer is skipped in training
        time_mask_prob: share of the frames that masked spans would cover, before the transformer
        time_mask_length: frames of a masked span
        feature_mask_prob: share of the features that masked spans would cover, before the transformer
        feature_mask_length: features of a masked span
        activation_checkpointing: keep no activations inside layers; they are computed again going backward
        lora_rank: train adapters of this rank beside the layers' linear maps, not the weights; 0: the weights
        lora_alpha: an adapter's output is scaled by lora_alpha / lora_rank
        lora_dropout: on an adapter's input
        lora_targets: names of the linear maps with adapters, as [q_proj, v_proj]; null: all that can have one
    """

    def __init__(
        self,
        freeze_feature_encoder: bool = True,
        start_step: int = 0,
        steps_per_layer: int = 0,
        layer_drop: float = 0.0,
        time_mask_prob: float = 0.0,
        time_mask_length: int = 10,
        feature_mask_prob: float = 0.0,
        feature_mask_length: int = 64,
        activation_checkpointing: bool = False,
        lora_rank: int = 0,
        lora_alpha: float = 16.0,
        lora_dropout: float = 0.0,
        lora_targets: list[str] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("start_step", start_step), ("steps_per_layer", steps_per_layer), ("lora_rank", lora_rank)):
            if value < 0:
                raise ValueError(f"{name} is {value}, expected 0 or more")
        if not 0 <= layer_drop < 1:
            raise ValueError(f"layer_drop is {layer_drop}, expected at least 0 and less than 1")
        self.freeze_feature_encoder = freeze_feature_encoder
        self.start_step, self.steps_per_layer = start_step, steps_per_layer
        self.layer_drop = layer_drop
        self.mask = SpanMask(time_mask_prob, time_mask_length, feature_mask_prob, feature_mask_length)
        self.activation_checkpointing = activation_checkpointing
        self.lora = {"rank": lora_rank, "alpha": lora_alpha, "dropout": lora_dropout, "targets": lora_targets}
        self.step: int | None = None
        self._depths: list[tuple[nn.Parameter, int]] = []  # what is ever trained, and how deep it stands

    def prepare(self, upstream: nn.Module, trainable: Trainable) -> None:
        """Freeze what ``trainable`` leaves out, and put what the settings ask for on ``upstream``, in place.

        Args:
            upstream: the upstream.
            trainable: True for all of it, or a list of layer numbers (1 is the first layer, -1 the last, 0 what comes
                before the layers) and patterns of parameter or module names ("encoder.*").

        Raises:
            ValueError: the list names nothing, or the upstream has no layers and a setting needs them.
        """
        names = set(trained_names(upstream, trainable))
        if self.freeze_feature_encoder and getattr(upstream, "feature_encoder_path", None):
            names -= {n for n in names if n.startswith(f"{upstream.feature_encoder_path}.")}
            if not names:
                raise ValueError(
                    f"upstream_trainable: {trainable!r} names the feature encoder alone, which is left as it is unless"
                    " freeze_feature_encoder is false"
                )
        for name, parameter in upstream.named_parameters():
            parameter.requires_grad_(name in names)
        if not self._needs_layers():
            self._depths = [(p, 0) for p in upstream.parameters() if p.requires_grad]
            return
        if not isinstance(upstream, PretrainedEncoder):
            raise ValueError(
                f"{type(upstream).__name__} has no numbered layers, which these settings of fine-tuning need:"
                f" {', '.join(self._needs_layers())}"
            )
        if self.lora["rank"]:
            layers = {upstream.layer_of(name) for name in names} - {0}
            add_adapters(upstream, layers, **self.lora)
            for name, parameter in upstream.named_parameters():
                parameter.requires_grad_(".lora_" in name)
        self._install(upstream)
        self._top = len(upstream.layers)
        self._depths = [(p, upstream.layer_of(n)) for n, p in upstream.named_parameters() if p.requires_grad]

    def _needs_layers(self) -> list[str]:
        asked = {
            "start_step": self.start_step,
            "steps_per_layer": self.steps_per_layer,
            "layer_drop": self.layer_drop,
            "time_mask_prob": self.mask.time_prob,
            "feature_mask_prob": self.mask.feature_prob,
            "activation_checkpointing": self.activation_checkpointing,
            "lora_rank": self.lora["rank"],
        }
        return [name for name, value in asked.items() if value]

    def _install(self, upstream: PretrainedEncoder) -> None:
        if self.activation_checkpointing:
            upstream.checkpoint_layers()
        if self.layer_drop:
            for layer in upstream.layers:
                # before other hooks, so that whoever collects the layers' outputs sees what goes on
                layer.register_forward_hook(self._drop, prepend=True)
        if self.mask.time_prob or self.mask.feature_prob:
            if upstream.projection_path is None:
                raise ValueError(f"{type(upstream).__name__} has no features before its transformer to mask")
            projection = upstream.get_submodule(upstream.projection_path)
            projection.register_forward_hook(_Masked(self.mask, upstream))

    def _drop(self, layer: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        """Layer drop: what went in instead of what came out. A position bias that came out goes on.

        A layer that is frozen, at this step or at all, is in evaluation mode (:func:`hold_frozen`) and never left out.
        """
        if not layer.training or torch.rand(()).item() >= self.layer_drop:
            return output
        return (args[0], *output[1:]) if isinstance(output, tuple) else args[0]

    @property
    def trained(self) -> list[nn.Parameter]:
        """What of the upstream is trained at one time or another."""
        return [parameter for parameter, _ in self._depths]

    def set_step(self, step: int) -> bool:
        """Give gradients to what is trained at this step (0 is the first), to nothing else; whether that is new."""
        self.step = step
        if not (self.start_step or self.steps_per_layer):
            return False
        before = [parameter.requires_grad for parameter, _ in self._depths]
        if step < self.start_step:
            lowest = None
        elif self.steps_per_layer:
            lowest = max(0, self._top - (step - self.start_step) // self.steps_per_layer)
        else:
            lowest = 0
        for parameter, depth in self._depths:
            parameter.requires_grad_(lowest is not None and depth >= lowest)
        return before != [parameter.requires_grad for parameter, _ in self._depths]

    def require_step(self) -> None:
        """See that a schedule is followed.

        Raises:
            RuntimeError: there is one, and :meth:`set_step` was never called.
        """
        if self.step is None and (self.start_step or self.steps_per_layer):
            raise RuntimeError("start_step and steps_per_layer need a loop that calls the model's set_step(step)")


class _Masked:
    """A forward hook that masks what a projection gives; a class, so that a copy of the model has its own."""

    def __init__(self, mask: SpanMask, upstream: PretrainedEncoder):
        self.mask, self.upstream = mask, upstream

    def __call__(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> Any:
        x = output[0] if isinstance(output, tuple) else output
        vector: Tensor | None = getattr(getattr(self.upstream, "model", None), "masked_spec_embed", None)
        x = self.mask(x, self.upstream.frames, vector)
        return (x, *output[1:]) if isinstance(output, tuple) else x


def hold_frozen(upstream: nn.Module) -> None:
    """Put the modules without a trained weight in evaluation mode.

    A module without any weights (a dropout) goes with the layer that it stands in, where layers have numbers.
    """
    names = [name for name, parameter in upstream.named_parameters() if parameter.requires_grad]
    numbered = isinstance(upstream, PretrainedEncoder)
    depths = {upstream.layer_of(name) for name in names} if numbered else set()
    for path, module in upstream.named_modules():
        mine = [parameter.requires_grad for parameter in module.parameters()]
        there = not numbered or upstream.layer_of(path) in depths
        module.training = module.training and bool(names) and there and (not mine or any(mine))


def trained_names(upstream: nn.Module, trainable: Trainable) -> list[str]:
    """The names of the parameters that ``trainable`` chooses, as :meth:`FineTuning.prepare` takes it.

    Raises:
        ValueError: an entry chooses nothing.
    """
    names = [name for name, _ in upstream.named_parameters()]
    if isinstance(trainable, bool):
        return names if trainable else []
    chosen: set[str] = set()
    for entry in trainable:
        found = _numbered(upstream, names, entry) if isinstance(entry, int) else _matching(names, entry)
        if not found:
            there = ", ".join(sorted({".".join(name.split(".")[:3]) for name in names})[:12])
            raise ValueError(f"upstream_trainable: {entry!r} names no parameter of the upstream; it has {there}, ...")
        chosen.update(found)
    return [name for name in names if name in chosen]


def _numbered(upstream: nn.Module, names: list[str], number: int) -> list[str]:
    if not isinstance(upstream, PretrainedEncoder):
        raise ValueError(f"upstream_trainable: {type(upstream).__name__} has no numbered layers: give names, or true")
    count = len(upstream.layers)
    if not -count <= number <= count:
        raise ValueError(
            f"upstream_trainable: there is no layer {number}: expected 1 to {count}, {-count} to -1 from the end, or 0"
            " for what comes before them"
        )
    wanted = number + count + 1 if number < 0 else number
    return [name for name in names if upstream.layer_of(name) == wanted]


def _matching(names: list[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
