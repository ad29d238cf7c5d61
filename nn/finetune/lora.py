"""Low-rank adapters (Hu et al. 2021) on the linear maps of a transformer's layers, through the library peft."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from nn.upstream.pretrained.base import PretrainedEncoder


def add_adapters(
    upstream: PretrainedEncoder,
    layers: Collection[int],
    rank: int,
    alpha: float,
    dropout: float,
    targets: list[str] | None,
) -> None:
    """Put an adapter on linear maps of ``layers`` (counted from 1), in place; they begin as the identity.

    Args:
        upstream: the encoder.
        layers: the numbers of the layers.
        rank: of each adapter.
        alpha: its output is scaled by alpha / rank.
        dropout: on its input.
        targets: names of the linear maps in a layer, as q_proj; None: all that can have one.

    Raises:
        ValueError: peft is missing, or a target is not there or cannot have an adapter.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ValueError(f"adapters need peft ({error}): pip install 'soundstage[peft]'") from error
    able = [name for name in _called(upstream) if upstream.layer_of(f"{name}.weight") in layers]
    leaves = {name.rpartition(".")[2] for name in able}
    wrong = sorted(set(targets or ()) - leaves)
    if wrong or not able:
        raise ValueError(
            f"lora_targets: no adapter can be put on {', '.join(wrong) or 'layers ' + str(sorted(layers))}; the linear"
            f" maps of the layers that can have one are {', '.join(sorted(leaves)) or 'none'}"
        )
    chosen = [name for name in able if targets is None or name.rpartition(".")[2] in targets]
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=chosen), upstream)


@torch.no_grad()
def _called(upstream: PretrainedEncoder) -> list[str]:
    """The linear maps that a forward pass calls. An adapter on one whose weight is taken past it would never act."""
    found: list[str] = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: found.append(name))
        for name, module in upstream.named_modules()
        if isinstance(module, nn.Linear)
    ]
    modes = {module: module.training for module in upstream.modules()}
    device = next(upstream.parameters()).device
    samples = 2 * max(upstream.minimum, upstream.downsample_rates[0])
    upstream.eval()(torch.zeros(1, samples, device=device), torch.tensor([samples], device=device))
    for module, mode in modes.items():
        module.training = mode
    for hook in hooks:
        hook.remove()
    return found
