"""Fine-tuning of an upstream: trained weights, the step from which they train, masks, layer drop, adapters."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn

from nn.finetune.lora import add_adapters
from nn.finetune.span_mask import SpanMask
from nn.upstream.pretrained.base import PretrainedEncoder

Trainable = bool | Sequence[int | str]
Output = Tensor | tuple[Tensor | None, ...]  # of a module with a hook


class FineTuning(nn.Module):
    """The settings of fine-tuning, applied to one upstream by :meth:`prepare`.

    Layer drop, masks, activation checkpointing, adapters and the schedule need an upstream with numbered layers
    (:class:`nn.upstream.pretrained.base.PretrainedEncoder`). With their defaults none of them acts, and any upstream
    can be trained.

    Args:
        freeze_feature_encoder: do not train the convolutions before the transformer, as in wav2vec 2.0's fine-tuning
        start_step: first step at which the upstream is trained
        steps_per_layer: from start_step on, unfreeze one more layer from the top every so many steps; 0: all at once
        layer_drop: probability that a layer is skipped in training
        time_mask_prob: share of the frames that masked spans would cover, before the transformer
        time_mask_length: frames in a masked span
        feature_mask_prob: share of the features that masked spans would cover, before the transformer
        feature_mask_length: features in a masked span
        activation_checkpointing: recompute activations inside layers in the backward pass, to save memory
        lora_rank: train adapters of this rank in place of the layers' own weights; 0: the weights
        lora_alpha: an adapter's output is scaled by lora_alpha / lora_rank
        lora_dropout: dropout on an adapter's input
        lora_targets: names of the linear layers with adapters, as [q_proj, v_proj]; null: all that can have one
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
        self._depths: list[tuple[nn.Parameter, int]] = []  # every parameter that is ever trained, with its layer

    def prepare(self, upstream: nn.Module, trainable: Trainable) -> None:
        """Freeze the parameters that ``trainable`` leaves out and install hooks and adapters, in place.

        Args:
            upstream: the upstream.
            trainable: True for all of it, or a list of layer numbers (1 is the first layer, -1 the last, 0 the modules
                before the layers) and patterns of parameter or module names ("encoder.*").

        Raises:
            ValueError: an entry of the list matches nothing, or a setting needs numbered layers that do not exist.
        """
        names = set(trained_names(upstream, trainable))
        if self.freeze_feature_encoder and getattr(upstream, "feature_encoder_path", None):
            names -= {n for n in names if n.startswith(f"{upstream.feature_encoder_path}.")}
            if not names:
                raise ValueError(
                    f"upstream_trainable: {trainable!r} names the feature encoder only, which is frozen unless"
                    " finetune.freeze_feature_encoder is false"
                )
        for name, parameter in upstream.named_parameters():
            parameter.requires_grad_(name in names)
        if not self._needs_layers():
            self._depths = [(p, 0) for p in upstream.parameters() if p.requires_grad]
            return
        if not isinstance(upstream, PretrainedEncoder):
            raise ValueError(
                f"{type(upstream).__name__} has no numbered layers, which these settings of finetune need:"
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
        """The settings in use that need numbered layers."""
        settings = {
            "start_step": self.start_step,
            "steps_per_layer": self.steps_per_layer,
            "layer_drop": self.layer_drop,
            "time_mask_prob": self.mask.time_prob,
            "feature_mask_prob": self.mask.feature_prob,
            "activation_checkpointing": self.activation_checkpointing,
            "lora_rank": self.lora["rank"],
        }
        return [name for name, value in settings.items() if value]

    def _install(self, upstream: PretrainedEncoder) -> None:
        if self.activation_checkpointing:
            upstream.checkpoint_layers()
        if self.layer_drop:
            for layer in upstream.layers:
                # registered first, so that hooks that collect layer outputs see the dropped layer's input
                layer.register_forward_hook(self._drop, prepend=True)
        if self.mask.time_prob or self.mask.feature_prob:
            if upstream.projection_path is None:
                raise ValueError(
                    f"{type(upstream).__name__} has no features before its transformer to mask; set time_mask_prob and"
                    " feature_mask_prob to 0"
                )
            projection = upstream.get_submodule(upstream.projection_path)
            projection.register_forward_hook(_MaskHook(self.mask, upstream))

    def _drop(self, layer: nn.Module, args: tuple[Tensor, ...], output: Output) -> Output:
        """Forward hook for layer drop: replace a layer's output by its input, and pass on its position bias.

        A frozen layer is in evaluation mode (:func:`hold_frozen`) and never skipped.
        """
        if not layer.training or torch.rand(()).item() >= self.layer_drop:
            return output
        return (args[0], *output[1:]) if isinstance(output, tuple) else args[0]

    @property
    def trained(self) -> list[nn.Parameter]:
        """Every upstream parameter that the schedule trains at some step."""
        return [parameter for parameter, _ in self._depths]

    def set_step(self, step: int) -> bool:
        """Unfreeze the parameters that are trained at this step (0 is the first) and freeze the others.

        Returns:
            True if that changed anything.
        """
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
        """Check that the training loop follows the schedule.

        Raises:
            RuntimeError: there is a schedule, and :meth:`set_step` was never called.
        """
        if self.step is None and (self.start_step or self.steps_per_layer):
            raise RuntimeError("start_step and steps_per_layer need a loop that calls the model's set_step(step)")


class _MaskHook:
    """Forward hook that masks the output of a projection; a class, so that a copy of the model has its own."""

    def __init__(self, mask: SpanMask, upstream: PretrainedEncoder):
        self.mask, self.upstream = mask, upstream

    def __call__(self, module: nn.Module, args: tuple[Tensor, ...], output: Output) -> Output:
        x = output[0] if isinstance(output, tuple) else output
        vector: Tensor | None = getattr(getattr(self.upstream, "model", None), "masked_spec_embed", None)
        x = self.mask(x, self.upstream.frames, vector)
        return (x, *output[1:]) if isinstance(output, tuple) else x


def hold_frozen(upstream: nn.Module) -> None:
    """Put modules without a trained parameter in evaluation mode.

    A module without any parameters (a dropout) follows the layer that it belongs to, if layers have numbers.
    """
    names = [name for name, parameter in upstream.named_parameters() if parameter.requires_grad]
    numbered = isinstance(upstream, PretrainedEncoder)
    depths = {upstream.layer_of(name) for name in names} if numbered else set()
    for path, module in upstream.named_modules():
        flags = [parameter.requires_grad for parameter in module.parameters()]
        in_trained_layer = not numbered or upstream.layer_of(path) in depths
        module.training = module.training and bool(names) and in_trained_layer and (not flags or any(flags))


def trained_names(upstream: nn.Module, trainable: Trainable) -> list[str]:
    """The names of the parameters that ``trainable`` selects (see :meth:`FineTuning.prepare`).

    Raises:
        ValueError: an entry matches nothing.
    """
    names = [name for name, _ in upstream.named_parameters()]
    if isinstance(trainable, bool):
        return names if trainable else []
    selected: set[str] = set()
    for entry in trainable:
        matches = _numbered(upstream, names, entry) if isinstance(entry, int) else _matching(names, entry)
        if not matches:
            prefixes = ", ".join(sorted({".".join(name.split(".")[:3]) for name in names})[:12])
            raise ValueError(
                f"upstream_trainable: {entry!r} matches no parameter of the upstream; it has {prefixes}, ..."
            )
        selected.update(matches)
    return [name for name in names if name in selected]


def _numbered(upstream: nn.Module, names: list[str], number: int) -> list[str]:
    if not isinstance(upstream, PretrainedEncoder):
        raise ValueError(
            f"upstream_trainable: {type(upstream).__name__} has no numbered layers: give parameter names, or true"
        )
    count = len(upstream.layers)
    if not -count <= number <= count:
        raise ValueError(
            f"upstream_trainable: there is no layer {number}; expected 1 to {count}, {-count} to -1 from the end, or 0"
            " for the modules before the layers"
        )
    layer = number + count + 1 if number < 0 else number
    return [name for name in names if upstream.layer_of(name) == layer]


def _matching(names: list[str], pattern: str) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")]
